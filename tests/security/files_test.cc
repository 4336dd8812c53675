// What happens to the files that a running server was started with.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/json.h"
#include "support/program.h"
#include "support/raw_client.h"

namespace rerank {
namespace {

namespace fs = std::filesystem;

const std::string kModel = RERANKD_SOURCE_DIR "/models/rerankd-mini-en";

class FilesInUse : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(folder_);
    fs::copy(kModel, folder_, fs::copy_options::recursive);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Words that no request had before: their rows of the embeddings are read now.
  static std::string body(const std::string& words) { return R"({"query":"q","texts":[")" + words + "\"]}"; }

  void expect_that_requests_fail_and_nothing_else(Program& program) {
    RawClient client(program.port());
    for (int i = 0; i < 4; ++i) {
      const auto answer =
          client.request("POST", "/rerank", body("new words: zebra quantum violin " + std::to_string(i)));
      EXPECT_EQ(answer.status, 503) << answer.body;
      EXPECT_NE(answer.body.find("written to while it was in use"), std::string::npos) << answer.body;
    }
    EXPECT_EQ(client.request("GET", "/health").status, 503) << "a balancer should take other servers";
    EXPECT_EQ(client.request("GET", "/health/live").status, 200);
    program.terminate();
    EXPECT_EQ(program.wait(), 0);
  }

  const std::string folder_ = ::testing::TempDir() + "rerankd_files_in_use";
  const std::string weights_ = folder_ + "/model.safetensors";
};

TEST_F(FilesInUse, WeightsThatAreCutFailRequests) {
  Program program({"--model", folder_});
  EXPECT_EQ(RawClient(program.port()).request("POST", "/rerank", body("a")).status, 200);
  fs::resize_file(weights_, 1000);
  expect_that_requests_fail_and_nothing_else(program);
}

TEST_F(FilesInUse, WeightsThatAreOverwrittenGiveNoWrongScores) {
  Program program({"--model", folder_});
  const auto size = fs::file_size(weights_);
  std::ofstream(weights_, std::ios::binary) << std::string(size, '\1');
  expect_that_requests_fail_and_nothing_else(program);
}

TEST_F(FilesInUse, WeightsThatAreReplacedByRenamingGoOnToBeServed) {
  Program program({"--model", folder_});
  RawClient client(program.port());
  fs::copy_file(weights_, weights_ + ".new");
  fs::rename(weights_ + ".new", weights_);
  fs::last_write_time(weights_, fs::file_time_type::clock::now());
  EXPECT_EQ(client.request("POST", "/rerank", body("a word")).status, 200);
}

TEST_F(FilesInUse, APackedFileThatIsCutFailsRequestsOfAllWhoShareIt) {
  const std::string packed = folder_ + "/packed";
  const std::vector<std::string> flags = {"--model", folder_, "--weight-cache", packed};
  Program first(flags), second(flags);
  for (const auto& entry : fs::directory_iterator(packed)) fs::resize_file(entry.path(), 5000);
  expect_that_requests_fail_and_nothing_else(first);
  expect_that_requests_fail_and_nothing_else(second);
}

}  // namespace
}  // namespace rerank
