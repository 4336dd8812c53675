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
  const char* label = "none";                     // the dialect; for routes that rank nothing their name
  bool ranks = false;                             // a request to rank or score, understood or not
  int status = 0;                                 // as HTTP counts
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
  std::string peer;  // the client's address; empty: not known
  std::string key;   // the name of its key; empty: none
};

// Why a request was not answered, in a word: "overloaded", "deadline", ...; "ok" when it was.
std::string_view reason_of(int http_status);

class RequestObserver {
 public:
  virtual ~RequestObserver() = default;
  // On a thread of the transport or the reranker; must not block, and costs every request what it costs.
  virtual void finished(const RequestRecord& record) = 0;
};

}  // namespace rerank::observe
