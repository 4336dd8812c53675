#include "cli/help/version.h"

#include "commit.h"

namespace rerank::cli {

#define RERANKD_WORDS_OF(number) #number
#define RERANKD_WORDS(number) RERANKD_WORDS_OF(number)
#if defined(__clang__)
#define RERANKD_COMPILER "Clang " __clang_version__
#elif defined(__GNUC__)
#define RERANKD_COMPILER \
  "GCC " RERANKD_WORDS(__GNUC__) "." RERANKD_WORDS(__GNUC_MINOR__) "." RERANKD_WORDS(__GNUC_PATCHLEVEL__)
#endif

const char* version_text() {
  return sizeof(RERANKD_COMMIT) > 1 ? "rerankd " RERANKD_VERSION " (commit " RERANKD_COMMIT ", " RERANKD_COMPILER ")"
                                    : "rerankd " RERANKD_VERSION " (" RERANKD_COMPILER ")";
}

}  // namespace rerank::cli
