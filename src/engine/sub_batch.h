#pragma once

#include "engine/batch.h"

namespace rerank {

using SubBatch = OwnedBatch;

}  // namespace rerank
