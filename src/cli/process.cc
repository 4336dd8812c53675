#include "cli/process.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/status_macros.h"
#include "base/strings.h"
#include "transport/listen.h"

namespace rerank::cli {
namespace {

constexpr int kFirstPassed = 3;  // SD_LISTEN_FDS_START
constexpr int kMaxPassed = 16;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

Result<std::vector<PassedSocket>> take_passed_sockets() {
  std::vector<PassedSocket> sockets;
  int pid = 0, count = 0;
  const bool ours = absl::SimpleAtoi(variable("LISTEN_PID"), &pid) && pid == ::getpid();
  if (!ours || !absl::SimpleAtoi(variable("LISTEN_FDS"), &count) || count <= 0) return sockets;
  if (count > kMaxPassed)
    return absl::InvalidArgumentError(str_cat("LISTEN_FDS=", count, ": more sockets than are served"));
  const std::vector<std::string> names = absl::StrSplit(variable("LISTEN_FDNAMES"), ':');
  for (int i = 0; i < count; ++i) {
    const int fd = kFirstPassed + i;
    RETURN_IF_ERROR(transport::check_listener(fd, "LISTEN_FDS"));
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    sockets.push_back({static_cast<size_t>(i) < names.size() ? names[static_cast<size_t>(i)] : "", fd});
  }
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
  return sockets;
}

Status become_user(const std::string& user) {
  if (user.empty()) return ok_status();
  errno = 0;
  const passwd* entry = ::getpwnam(user.c_str());
  if (!entry) return absl::NotFoundError(str_cat("--user ", user, ": no such user"));
  const uid_t uid = entry->pw_uid;
  const gid_t gid = entry->pw_gid;
  if (::getuid() == uid && ::geteuid() == uid) return ok_status();
  // Groups first: without privileges they could not be given up. setuid() of root sets all three of a process's ids.
  if (::initgroups(user.c_str(), gid) != 0 || ::setgid(gid) != 0 || ::setuid(uid) != 0) {
    return absl::PermissionDeniedError(str_cat("--user ", user, ": cannot become this user: ", std::strerror(errno)));
  }
  if (uid != 0 && (::setuid(0) == 0 || ::seteuid(0) == 0)) {
    return absl::PermissionDeniedError(str_cat("--user ", user, ": privileges could be taken back"));
  }
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return ok_status();
}

}  // namespace rerank::cli
