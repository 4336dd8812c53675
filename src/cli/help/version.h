// What `rerankd --version` says.
#pragma once

namespace rerank::cli {

// "rerankd 0.2.0 (commit 0123456789ab, GCC 12.2.0)"; without the commit where it is not known.
const char* version_text();

}  // namespace rerank::cli
