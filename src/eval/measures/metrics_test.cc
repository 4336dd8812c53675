// Measures equal what pytrec_eval recorded (tools/goldens/eval/make_goldens.py), query by query.
#include "eval/measures/metrics.h"

#include <gtest/gtest.h>
#include <simdjson.h>
#include <unistd.h>

#include <filesystem>

#include "base/strings.h"

namespace rerank::eval {
namespace {

const std::string kData = RERANKD_SOURCE_DIR "/tests/data/eval";

TEST(MetricsTest, EqualPytrecEval) {
  auto qrels = read_qrels(kData + "/qrels.tsv");
  auto run = read_run(kData + "/run.trec");
  ASSERT_TRUE(qrels.ok() && run.ok()) << qrels.status() << run.status();
  std::vector<std::string> queries;
  for (const auto& [query, grades] : *qrels) queries.push_back(query);
  const Measured measured = measure_run(*qrels, *run, queries);

  simdjson::dom::parser parser;
  const simdjson::dom::element expected = parser.load(kData + "/pytrec_eval.json");
  size_t compared = 0;
  for (size_t q = 0; q < queries.size(); ++q) {
    for (size_t m = 0; m < measured.measures.size(); ++m) {
      const std::string name = measured.measures[m].name();
      double value = 0;  // pytrec_eval leaves queries out that the run lacks; they are 0 here
      if (run->contains(queries[q])) {
        ASSERT_FALSE(expected[queries[q]][name].get(value)) << queries[q] << " " << name;
        ++compared;
      }
      EXPECT_NEAR(measured.values[m][q], value, 1e-6) << queries[q] << " " << name;
    }
  }
  EXPECT_EQ(compared, 13 * measured.measures.size());
}

TEST(MetricsTest, TiesGoByDocumentIdDescendingAndScoresAreFloats) {
  auto order = in_trec_order({{"a", 1}, {"c", 1 + 1e-12}, {"b", 2}, {"d", 1}});
  std::string ids;
  for (const ScoredId& d : order) ids += d.id;
  EXPECT_EQ(ids, "bdca");
}

TEST(JudgmentsTest, RunsAreReadBackAsWritten) {
  const std::string path = str_cat(std::filesystem::temp_directory_path().string(), "/rerankd-run-", ::getpid());
  const TrecRun run = {{"q1", {{"d1", 0.1}, {"d2", 3.25}}}, {"q2", {{"x", -1e-7}}}};
  ASSERT_TRUE(write_run(path, run, "tag").ok());
  auto read = read_run(path);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ((*read)["q1"][0].id, "d2");
  EXPECT_EQ((*read)["q1"][1].score, 0.1);
  EXPECT_EQ((*read)["q2"][0].score, -1e-7);
  std::filesystem::remove(path);
}

TEST(JudgmentsTest, BrokenFilesAreNamedWithTheLine) {
  const std::string path = str_cat(std::filesystem::temp_directory_path().string(), "/rerankd-qrels-", ::getpid());
  ASSERT_TRUE(write_file(path, "q1\td1\t1\nq1\td2\tmuch\n").ok());
  auto read = read_qrels(path);
  EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(message_of(read.status()).find(path + ":2"), std::string_view::npos) << read.status();
  ASSERT_TRUE(write_file(path, "q1 0 d1 2\nq2 0 d7 0\n").ok());
  auto trec = read_qrels(path);
  ASSERT_TRUE(trec.ok()) << trec.status();
  EXPECT_EQ((*trec)["q1"]["d1"], 2);
  ASSERT_TRUE(write_file(path, "q1 Q0 d1 1 0.5 t\nq1 Q0 d1 2 0.4 t\n").ok());
  EXPECT_NE(message_of(read_run(path).status()).find("twice"), std::string_view::npos);
  std::filesystem::remove(path);
  EXPECT_EQ(read_run(path).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace rerank::eval
