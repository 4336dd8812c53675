// The answers that describe the server rather than rank: health, model lists, /info. Pure functions.
#pragma once

#include "api/options.h"
#include "rerank/catalog.h"
#include "transport/http.h"

namespace rerank::api {

transport::HttpResponse live_page();
// Of all models: 200 when the start is over, at least one answers and `well`; else 503 in TEI's words. Of several it
// says which do not answer, and of those that load how far they are.
transport::HttpResponse health_page(const std::vector<ModelReport>& models, bool well);
transport::HttpResponse info_page(const ModelInfo& model, const ApiOptions& options);  // TEI's /info, and ours
transport::HttpResponse models_page(const Catalog& catalog);   // OpenAI's list, aliases as models of their own
transport::HttpResponse model_page(const ModelReport& model);  // one of it; also Xinference's description
transport::HttpResponse cluster_auth_page(bool required);      // Xinference: is a key needed?
transport::HttpResponse docs_page();                           // openapi.json, to be read (HTML)
transport::HttpResponse index_page();                          // the page to try the server (HTML)

std::string_view word_of(ModelState state);

}  // namespace rerank::api
