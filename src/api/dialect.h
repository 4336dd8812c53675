// A dialect is one family of rerank requests and answers. It is recognised by the body alone, never by the path. To add
// one: a file in dialects/ with its three functions, and a line in kDialects (dialect.cc).
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/json/writer.h"
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
};

struct Dialect {
  const char* name;  // metric label
  transport::ErrorShape errors;
  bool (*matches)(const transport::Body& body);
  // Fills `call`; what is wrong goes to body.fail().
  void (*read)(transport::Body& body, const DialectLimits& limits, RerankCall& call);
  // Fills the answer's body (and headers, where the dialect has some).
  void (*write)(const RerankCall& call, const RerankResponse& result, const ModelInfo& model,
                transport::HttpResponse& response);
};

extern const Dialect kTeiDialect;  // T: texts
extern const Dialect
    kCommonDialect;  // D: documents (Cohere v1 and v2, Jina, vLLM, Xinference, Infinity, llama.cpp, ...)
extern const Dialect kVoyageDialect;      // documents and top_k
extern const Dialect kNvidiaDialect;      // passages: objects
extern const Dialect kQanythingDialect;   // passages: strings
extern const Dialect kMixedbreadDialect;  // input

// The dialect of a body, or null if it is none.
const Dialect* find_dialect(const transport::Body& body);

// The best guess for bytes that are no JSON, so that the error has the shape the client reads.
transport::ErrorShape guess_error_shape(std::string_view bytes);

// Fields that several dialects share.
void read_truncation(transport::Body& body, const char* name,
                     RerankCall& call);                                     // bool, or NVIDIA's "NONE", "END", "START"
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
