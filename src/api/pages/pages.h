// The answers that describe the server rather than rank: health, model lists, /info. Pure functions.
#pragma once

#include "api/options.h"
#include "rerank/reranker.h"
#include "transport/http.h"

namespace rerank::api {

transport::HttpResponse health_page(bool ready);                                       // 200, or 503 in TEI's words
transport::HttpResponse info_page(const ModelInfo& model, const ApiOptions& options);  // TEI's /info, and ours
transport::HttpResponse models_page(const ModelInfo& model);                           // OpenAI's list
transport::HttpResponse model_page(const ModelInfo& model);  // one of it; also Xinference's description
transport::HttpResponse cluster_auth_page(bool required);    // Xinference: is a key needed?
transport::HttpResponse index_page();                        // the page to try the server (HTML)

}  // namespace rerank::api
