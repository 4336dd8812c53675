// What became of one request: made by the transport's handler, passed once to every observer when the answer is ready
// to be sent. Never holds texts or keys. A transport other than HTTP fills in the same record.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "observe/trace_context.h"
#include "rerank/types.h"

namespace rerank::observe {

struct RequestRecord {
  const char* transport = "http";                 // string literals, both
  const char* label = "none";                     // the dialect; where it is not known, the route's name
  bool is_dialect = false;                        // what the label is
  bool ranks = false;                             // a request to rank or score, understood or not
  int status = 0;                                 // as HTTP counts
  bool rate_limited = false;                      // refused for its key's rate, not for the server's load
  bool overloaded = false;                        // refused for the server's load, whatever the status is
  std::chrono::system_clock::time_point started;  // when the request was complete
  // Since then:
  std::chrono::nanoseconds parsed{0};  // until it was read and handed to the reranker
  std::chrono::nanoseconds ranked{0};  // until the reranker was done; 0: it was not asked
  std::chrono::nanoseconds total{0};   // until the answer was written out, but for the socket

  // Of ranked requests; zero for others.
  Timings timings;
  uint64_t documents = 0;
  uint64_t tokens = 0;
  uint64_t truncated_documents = 0;
  uint64_t cached_documents = 0;

  std::string model;  // that was asked, as ModelInfo::version(); empty: none was
  TraceContext trace;
  std::string peer;                 // the client's address; empty: not known
  std::string key;                  // the name of its key; empty: none
  std::string id;                   // X-Request-Id: the client's, else made here
  std::string method, path, agent;  // of HTTP, cut to kMostText
  std::string field;                // of a refused request: which field was wrong, "documents[1]"; never its value

  static constexpr size_t kMostText = 200;
};

// Why a request was not answered, in a word: "overloaded", "deadline", ...; "ok" when it was.
std::string_view reason_of(int http_status);
std::string_view reason_of(const RequestRecord& record);

// The name at the beginning of an error's message, "`documents[1]` must be ..." or "inputs[0].text: expected ...", as
// make_error() and JsonField write them; empty: it begins otherwise.
std::string_view field_of(std::string_view message);

// What a client may call its request: 1 to 128 visible ASCII characters; anything else is replaced by a new one.
std::string request_id_of(std::string_view header);

class RequestObserver {
 public:
  virtual ~RequestObserver() = default;
  // On a thread of the transport or the reranker; must not block, and costs every request what it costs.
  virtual void finished(const RequestRecord& record) = 0;
};

}  // namespace rerank::observe
