// Where a thread of ours ends what it was asked to do: what a library, or the lack of memory, throws there becomes the
// error of one request, instead of the end of the process.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <type_traits>

#include "rerank/status.h"

namespace rerank {

// What `work` returns (a Status, or nothing), or what it throws: Unavailable for want of memory, else Internal.
template <class Work>
Status guarded(Work&& work) noexcept {
  try {
    if constexpr (std::is_same_v<decltype(work()), Status>) {
      return work();
    } else {
      work();
      return ok_status();
    }
  } catch (const std::bad_alloc&) {
    return absl::UnavailableError("out of memory: try again, or send less at once");
  } catch (const std::exception& error) {
    return absl::InternalError(std::string("the server failed on this request: ") + error.what());
  } catch (...) {
    return absl::InternalError("the server failed on this request");
  }
}

}  // namespace rerank
