// std::condition_variable::wait() of GCC 12 has a symbol version, GLIBCXX_3.4.30, that the libstdc++ of RHEL 9 and
// Amazon Linux 2023 lack; nothing else here needs it. The version before waits in the same way, so programs and
// librerank.so are linked with --wrap (CMakeLists.txt beside this) and come here instead.
#include <condition_variable>
#include <mutex>

// The names are the linker's.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
__asm__(".symver rerankd_wait_3_4_11, _ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE@GLIBCXX_3.4.11");
void rerankd_wait_3_4_11(std::condition_variable* variable, std::unique_lock<std::mutex>* lock);

void __wrap__ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE(std::condition_variable* variable,
                                                                      std::unique_lock<std::mutex>* lock);
void __wrap__ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE(std::condition_variable* variable,
                                                                      std::unique_lock<std::mutex>* lock) {
  rerankd_wait_3_4_11(variable, lock);
}
}
// NOLINTEND(bugprone-reserved-identifier)
