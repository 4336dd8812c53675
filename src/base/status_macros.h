// Early returns of errors. For functions that return a Status or a Result.
#pragma once

#include <utility>

#include "rerank/status.h"

// Returns the Status of `expression` unless it is OK.
#define RETURN_IF_ERROR(expression)                                             \
  do {                                                                          \
    if (::rerank::Status status_ = (expression); !status_.ok()) return status_; \
  } while (false)

#define RERANK_CONCAT_INNER(a, b) a##b
#define RERANK_CONCAT(a, b) RERANK_CONCAT_INNER(a, b)

// Assigns the value of the Result `expression` to `target`, which may be a declaration, or returns its Status.
#define ASSIGN_OR_RETURN(target, expression) \
  ASSIGN_OR_RETURN_INNER(RERANK_CONCAT(result_, __LINE__), target, expression)
#define ASSIGN_OR_RETURN_INNER(result, target, expression) \
  auto result = (expression);                              \
  if (!result.ok()) return result.status();                \
  target = *std::move(result)
