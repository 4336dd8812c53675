// What a request asks of the served model: whether the model does it, and the model's own settings where the request
// does not say. Included only within this room.
#pragma once

#include <cstdint>

#include "rank/service/parts.h"
#include "rerank/types.h"
#include "text/long_document.h"

namespace rerank::rank {

// The client's error where the model cannot do what the request asks for, or it is too late.
Status check_request(const ServiceParts& parts, const RerankRequest& request);

uint8_t layers_of(const ServiceParts& parts, const RerankRequest& request);  // 0: all

// How documents that are too long are cut.
text::FitSpec fit_spec(const ServiceParts& parts, const RerankRequest& request);

}  // namespace rerank::rank
