// Gives the blocks of a loaded model windows, slopes and rotations that its family does not have.
#pragma once

#include <vector>

#include "model/architecture.h"

namespace rerank::testing {

struct AttentionParts {
  size_t window = 0;  // 0: none
  bool alibi = false;
  float rope_theta = 0;  // 0: none
};

// One for each block; none: full attention everywhere.
inline void set_attention(model::Architecture& architecture, const std::vector<AttentionParts>& parts) {
  for (size_t i = 0; i < architecture.layers(); ++i) {
    const AttentionParts part = parts.empty() ? AttentionParts() : parts[i];
    model::Attention& attention = architecture.blocks[i].attention;
    attention.mask = part.window != 0 ? model::MaskKind::kWindow : model::MaskKind::kFull;
    attention.window = part.window;
    attention.position = part.alibi             ? model::PositionKind::kAlibi
                         : part.rope_theta != 0 ? model::PositionKind::kRope
                                                : model::PositionKind::kNone;
    attention.rope = {.theta = part.rope_theta};
  }
}

}  // namespace rerank::testing
