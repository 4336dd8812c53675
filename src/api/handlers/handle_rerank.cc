#include <string>
#include <utility>

#include "api/dialect.h"
#include "api/exchange.h"
#include "transport/body.h"
#include "transport/errors.h"
#include "transport/urgency.h"

namespace rerank::api {

void handle_rerank(Exchange&& exchange) {
  Result<transport::Body> body = transport::Body::parse(exchange.request.body);
  if (!body.ok())
    return exchange.finish(transport::error_response(body.status(), guess_error_shape(exchange.request.body)));
  const Dialect* dialect = find_dialect(*body);
  if (!dialect) {
    return exchange.finish(transport::error_response(transport::make_error(
        transport::ErrorKind::kInvalid,
        "the texts to rank are missing: send `query` with `texts` (TEI), `documents` (Cohere, Jina, vLLM), "
        "`passages` (NVIDIA) or `input` (Mixedbread)")));
  }
  exchange.record.label = dialect->name;
  const ApiOptions& options = exchange.state->options;
  DialectLimits limits{options.max_documents, options.max_text_bytes, options.return_documents};
  // Dify's Ollama client, the only one on this path, wants `document` to be a string or absent.
  if (exchange.path.ends_with("/api/rerank")) limits.return_documents = false;
  auto call = std::make_shared<RerankCall>();
  dialect->read(*body, limits, *call);
  read_instruction(*body, *call);
  transport::read_urgency(exchange.request, exchange.state->options.request_timeout, exchange.begin, *body,
                          call->request);
  if (!body->status().ok()) return exchange.finish(transport::error_response(body->status(), dialect->errors));
  if (Status chosen = exchange.choose(*body, call->request.query); !chosen.ok())
    return exchange.finish(transport::error_response(chosen, dialect->errors));
  call->request.cancellation = exchange.request.cancellation;
  call->request.priority += exchange.priority;
  call->request.use_cache = !transport::wants_fresh_scores(exchange.request);
  exchange.request = {};
  exchange.note_parsed();

  Reranker& reranker = *exchange.model;
  const std::shared_ptr<const RerankRequest> request(call, &call->request);
  auto shared = std::make_shared<Exchange>(std::move(exchange));
  reranker.submit(request, [shared, call, dialect](Result<RerankResponse> result) {
    if (!result.ok()) return shared->finish(transport::error_response(result.status(), dialect->errors));
    shared->note_ranked(*result);
    transport::HttpResponse response;
    write_server_timing(result->timings, response);
    response.complete = [call, dialect, model = shared->model, result = *std::move(result)](
                            transport::HttpResponse& self) { dialect->write(*call, result, model->info(), self); };
    shared->finish(std::move(response));
  });
}

}  // namespace rerank::api
