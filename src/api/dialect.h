// A dialect is one family of rerank requests and answers. It is recognised by the body, never by the path. To add one:
// a file in dialects/ with its three functions, and a line in kDialects (dialect.cc), whose order decides between two
// that match.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/json/reader.h"
#include "base/json/writer.h"
#include "rerank/options/server.h"
#include "rerank/reranker.h"
#include "rerank/types.h"
#include "transport/body.h"
#include "transport/errors.h"
#include "transport/http.h"

namespace rerank::api {

// What the server sets for all dialects.
struct DialectLimits {
  size_t max_documents = 10000;
  size_t max_text_bytes = SIZE_MAX;  // of texts that are made from several fields, all together
  bool return_documents = true;      // what the common dialect does when the client does not say
};

// One request as a dialect has read it.
struct RerankCall {
  RerankRequest request;
  bool return_documents = false;
  size_t asked = 0;  // top_n or top_k as sent; 0: all

  std::vector<std::string> queries;  // of dialects that send pairs: one for all documents, or one each
  size_t characters = 0;             // of all pairs (TEI's timing headers)
  bool single = false;               // the client sent one text or pair alone, and reads its answer alone
  bool nested = false;               // each score in a list of its own
  std::vector<std::string> ids;      // of the documents, where the dialect has them; of the request for KServe
  std::vector<std::string> titles;   // that stand at the beginning of their documents (Vertex)
};

struct Dialect {
  const char* name;  // metric label
  transport::ErrorShape errors;
  // `request`: for its headers, where a client has a body that others have, too; its body is spent.
  bool (*matches)(const transport::Body& body, const transport::HttpRequest& request);
  // Fills `call`; what is wrong goes to body.fail().
  void (*read)(transport::Body& body, const DialectLimits& limits, RerankCall& call);
  // Fills the answer's body (and headers, where the dialect has some).
  void (*write)(const RerankCall& call, const RerankResponse& result, const ModelInfo& model,
                transport::HttpResponse& response);
  bool pairs = false;  // reads `queries`, and is answered in input order
};

extern const Dialect kTeiDialect;       // T: texts
extern const Dialect kWeaviateDialect;  // property
extern const Dialect kPineconeDialect;  // documents, and its client's header
extern const Dialect
    kCommonDialect;  // D: documents (Cohere v1 and v2, Jina, vLLM, Xinference, Infinity, llama.cpp, ...)
extern const Dialect kSglangDialect;       // D's requests, another answer; only where the server is told to
extern const Dialect kVoyageDialect;       // documents and top_k
extern const Dialect kNvidiaDialect;       // passages: objects
extern const Dialect kQanythingDialect;    // passages: strings
extern const Dialect kBedrockDialect;      // sources
extern const Dialect kVertexDialect;       // records
extern const Dialect kDashscopeDialect;    // input: {query, documents}
extern const Dialect kMixedbreadDialect;   // input: texts
extern const Dialect kTextPairsDialect;    // text_pairs
extern const Dialect kKserveDialect;       // inputs: tensors
extern const Dialect kHuggingfaceDialect;  // inputs: {text, text_pair}
extern const Dialect kPredictDialect;      // inputs: [query, text]

// All that find_dialect() chooses from, in its order.
std::span<const Dialect* const> dialects();

// The dialect of a body, or null if it is none.
const Dialect* find_dialect(const transport::Body& body, const transport::HttpRequest& request,
                            AnswerForm common = AnswerForm::kCommon);

// The best guess for bytes that are no JSON, so that the error has the shape the client reads.
transport::ErrorShape guess_error_shape(std::string_view bytes);

// The elements of an array of 1 to `limit`, without a copy; anything else goes to body.fail().
std::vector<JsonField> read_items(transport::Body& body, const char* name, size_t limit);
// The value, or "" after body.fail().
std::string read_string(transport::Body& body, const JsonField& field);
// Of an answer that leaves none out.
std::vector<float> scores_in_input_order(const RerankResponse& result);

// Fields that several dialects share.
void read_truncation(transport::Body& body, const char* name,
                     RerankCall& call);  // bool, or NVIDIA's "NONE", "END", "START"
// Sets the scale of scores by a flag; as the server is set where there is none.
void read_scale(transport::Body& body, const char* raw_scores, RerankCall& call);
void read_side(transport::Body& body, const char* name, RerankCall& call);  // "left" or "right", any case
void read_long_documents(transport::Body& body, RerankCall& call);          // what becomes of documents over the limit
void write_cuts(JsonWriter& json, const RerankCall& call,
                const RankedDocument& document);                     // "truncation", when asked
void read_instruction(transport::Body& body, RerankCall& call);      // of all dialects; "" is none
void read_common_settings(transport::Body& body, RerankCall& call);  // scale, truncation and limits of D
void write_usage(JsonWriter& json, uint64_t tokens);                 // "usage": {...}
// TEI's timing headers: milliseconds, the last three as means per text; and Server-Timing, as every answer has it.
struct TeiCost {
  size_t texts = 0;  // not 0
  size_t characters = 0;
  uint64_t tokens = 0;
};
void write_tei_timings(const TeiCost& cost, const Timings& timings, const ModelInfo& model,
                       transport::HttpResponse& response);
void write_server_timing(const Timings& timings, transport::HttpResponse& response);
size_t count_characters(std::string_view utf8);

std::string new_id(const char* prefix);  // "<prefix>-<32 random hex digits>"

}  // namespace rerank::api
