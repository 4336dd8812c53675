// One setting by its name, for callers that have only texts: the C interface, eval's comparisons.
#pragma once

#include <string_view>

#include "rerank/options.h"
#include "rerank/status.h"

namespace rerank {

// InvalidArgument that names it when there is none of that name ("-" and "_" are one) or the value is not one of it.
Status assign_setting(Options& options, std::string_view name, std::string_view value);

// The error for a name that no setting of either group has, with the one that was probably meant.
Status no_such_setting(std::string_view name);

}  // namespace rerank
