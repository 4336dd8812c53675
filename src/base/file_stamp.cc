#include "base/file_stamp.h"

#include <sys/stat.h>

#include "base/strings.h"

namespace rerank {

std::string file_stamp(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return "gone";
  return str_cat(found.st_mtim.tv_sec, ".", found.st_mtim.tv_nsec, " ", found.st_size, " ", found.st_ino);
}

}  // namespace rerank
