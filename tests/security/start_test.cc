// How the program gets its sockets and gives up what it does not need.
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <string>
#include <thread>

#include "support/json.h"
#include "support/program.h"
#include "support/raw_client.h"

namespace rerank {
namespace {

constexpr char kBody[] = R"({"query":"q","texts":["a"]})";

// A socket that listens, and its port.
std::pair<int, uint16_t> listening_socket() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), length), 0);
  EXPECT_EQ(::listen(fd, 16), 0);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  return {fd, ntohs(address.sin_port)};
}

TEST(Start, TakesSocketsFromSystemd) {
  const auto [main, main_port] = listening_socket();
  const auto [metrics, metrics_port] = listening_socket();
  RawClient early(main_port);  // before the program is there
  early.send_request("POST", "/rerank", kBody);
  Program program({}, [main = main, metrics = metrics] {
    const int first = ::dup(main), second = ::dup(metrics);
    ::dup2(first, 3);
    ::dup2(second, 4);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", "2", 1);
    ::setenv("LISTEN_FDNAMES", "http:metrics", 1);
  });
  EXPECT_EQ(program.port(), main_port);
  EXPECT_EQ(early.read_response().status, 200) << "who came before the start is served, too";
  EXPECT_EQ(RawClient(metrics_port).request("GET", "/metrics").status, 200);
  EXPECT_EQ(RawClient(metrics_port).request("POST", "/rerank", kBody).status, 404);
  EXPECT_EQ(RawClient(main_port).request("GET", "/metrics").status, 404);
  ::close(main);
  ::close(metrics);
}

TEST(Start, SignalsWorkFromTheFirstMoment) {
  const auto [silent, port] = listening_socket();  // a hub that takes the connection and says nothing
  const pid_t child = fork();
  if (child == 0) {
    setenv("HF_ENDPOINT", ("http://127.0.0.1:" + std::to_string(port)).c_str(), 1);
    setenv("HF_HUB_CACHE", "/tmp/rerankd-no-such-cache", 1);
    execl(RERANKD_PROGRAM, RERANKD_PROGRAM, "serve", "--port", "0", "--model", "some/model", nullptr);
    _exit(127);
  }
  sockaddr_in peer{};
  socklen_t length = sizeof(peer);
  const int hub = ::accept(silent, reinterpret_cast<sockaddr*>(&peer), &length);
  kill(child, SIGHUP);  // there is nothing to read again yet
  kill(child, SIGTERM);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  ::close(hub);
  ::close(silent);
}

TEST(Start, SighupReadsKeysAgainAndEndsNothing) {
  const std::string path = testing::TempDir() + "rerankd-hup-keys";
  std::ofstream(path) << "ours first-secret\n";
  Program program({"--api-key-file", path});
  RawClient client(program.port());
  for (const int signal : {SIGUSR1, SIGUSR2, SIGHUP}) kill(program.pid(), signal);
  const auto status = [&](const std::string& key) {
    return client.request("POST", "/rerank", kBody, "Authorization: Bearer " + key + "\r\n").status;
  };
  EXPECT_EQ(status("first-secret"), 200);
  std::ofstream(path) << "ours second-secret\n";
  kill(program.pid(), SIGHUP);
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (status("first-secret") != 401 && std::chrono::steady_clock::now() < patience)
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_EQ(status("second-secret"), 200);
  program.terminate();
  EXPECT_EQ(program.wait(), 0);
  EXPECT_NE(program.log().find("SIGHUP"), std::string::npos);
  EXPECT_NE(program.log().find("127.0.0.1"), std::string::npos) << "refusals name who was refused";
  std::remove(path.c_str());
}

TEST(Start, TheSecondSigtermEndsAtOnceAndSaysWhatItDrops) {
  Program program({"--grpc-port", std::to_string(free_port())});
  std::string texts, text;  // a minute's work
  for (int i = 0; i < 200; ++i) text += "word ";
  for (int i = 0; i < 3000; ++i) texts += (i > 0 ? ",\"" : "\"") + std::to_string(i) + " " + text + "\"";
  RawClient client(program.port());
  client.send_request("POST", "/rerank", R"({"query":"q","texts":[)" + texts + "]}");
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  program.terminate();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  program.terminate();
  EXPECT_NE(program.wait(), 0) << "what was accepted is not finished";
  EXPECT_NE(program.log().find("SIGTERM again: ending at once, with 1 connections and 0 gRPC calls open"),
            std::string::npos)
      << program.log();
}

TEST(Start, SighupSaysWhatNeedsARestart) {
  const std::string path = testing::TempDir() + "rerankd-hup.toml";
  std::ofstream(path) << "max-documents = 100\nmax-chunks = 4\nchunk-overlap = 8\n";
  Program program({"--config", path});
  std::ofstream(path) << "max-documents = 50\nmax_chunks = 4\ntruncation = \"tail\"\n";
  kill(program.pid(), SIGHUP);
  std::this_thread::sleep_for(std::chrono::seconds(1));
  RawClient client(program.port());
  EXPECT_EQ(client.request("POST", "/rerank", kBody).status, 200);
  program.terminate();
  EXPECT_EQ(program.wait(), 0);
  EXPECT_NE(program.log().find("chunk-overlap, max-documents, truncation: a restart"), std::string::npos)
      << program.log();
  std::remove(path.c_str());
}

TEST(Start, AnEmptyListOfKeysIsNoOpenServer) {
  for (const char* keys : {",", " ", "short", ""}) {
    EXPECT_THROW(Program({}, [keys] { setenv("RERANKD_API_KEY", keys, 1); }), std::runtime_error) << keys;
    EXPECT_THROW(Program({"--api-key", keys}), std::runtime_error) << keys;
  }
}

TEST(Start, KeepsMetricsApart) {
  const uint16_t port = free_port();
  Program program({"--read-only-metrics-address", "127.0.0.1:" + std::to_string(port), "--api-key", "some-key"});
  RawClient metrics(port), main(program.port());
  EXPECT_EQ(main.request("GET", "/health").status, 200);
  EXPECT_NE(metrics.request("GET", "/metrics").body.find("rerankd_http_requests_total"), std::string::npos);
  EXPECT_EQ(metrics.request("GET", "/health").status, 200);
  EXPECT_EQ(metrics.request("GET", "/info", "", "Authorization: some-key\r\n").status, 404);
  EXPECT_EQ(main.request("GET", "/metrics").status, 404);
}

// Whether others than the owner may come to `path`.
bool open_to_all(std::string path) {
  struct stat found {};
  for (; !path.empty(); path.resize(path.rfind('/'))) {
    if (::stat(path.c_str(), &found) != 0) return false;
    if ((found.st_mode & (S_ISDIR(found.st_mode) ? S_IXOTH : S_IROTH)) == 0) return false;
  }
  return true;
}

TEST(Start, BecomesAnotherUserForGood) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  const passwd* nobody = ::getpwnam("nobody");
  if (!nobody || !open_to_all(RERANKD_SOURCE_DIR "/models/rerankd-mini-en/config.json"))
    GTEST_SKIP() << "nobody cannot read this checkout";
  Program program({"--user", "nobody"});
  EXPECT_EQ(RawClient(program.port()).request("POST", "/rerank", kBody).status, 200);
  std::ifstream status("/proc/" + std::to_string(program.pid()) + "/status");
  const std::string uid = std::to_string(nobody->pw_uid);
  bool ids = false, capabilities = false, no_new = false;
  for (std::string line; std::getline(status, line);) {
    ids |= line == "Uid:\t" + uid + "\t" + uid + "\t" + uid + "\t" + uid;
    capabilities |= line == "CapEff:\t0000000000000000";
    no_new |= line == "NoNewPrivs:\t1";
  }
  EXPECT_TRUE(ids && capabilities && no_new);
}

TEST(Start, UnknownUsersAndPassedFilesAreErrors) {
  const auto says = [](const std::vector<std::string>& flags, const std::function<void()>& prepare) -> std::string {
    try {
      Program program(flags, prepare);
    } catch (const std::exception& error) {
      return error.what();
    }
    return "it started";
  };
  EXPECT_NE(says({"--user", "no-such-user-here"}, {}).find("--user no-such-user-here"), std::string::npos);
  EXPECT_NE(says({"--read-only-metrics-address", "9090"}, {}).find("HOST:PORT"), std::string::npos);
  const auto pass_a_file = [] {
    ::dup2(::dup(STDOUT_FILENO), 3);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", "1", 1);
  };
  EXPECT_NE(says({}, pass_a_file).find("no TCP socket"), std::string::npos);
}

}  // namespace
}  // namespace rerank
