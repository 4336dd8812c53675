// Collections, BM25, statistics, and an evaluation from candidates to report over a reranker that counts words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <cmath>
#include <filesystem>

#include "base/strings.h"
#include "eval/data/bm25.h"
#include "eval/lengths.h"
#include "eval/reports/report.h"
#include "report/chart.h"

namespace rerank::eval {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class EvalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / str_cat("rerankd-eval-", ::getpid());
    fs::create_directories(folder_ / "qrels");
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string file(const std::string& name, const std::string& text) {
    const std::string path = folder_ / name;
    EXPECT_TRUE(write_file(path, text).ok());
    return path;
  }
  void gzip(const std::string& name, const std::string& text) {
    gzFile out = gzopen((folder_ / name).c_str(), "wb");
    gzwrite(out, text.data(), static_cast<unsigned>(text.size()));
    gzclose(out);
  }
  void small_collection() {
    gzip("corpus.jsonl.gz",
         "{\"_id\":\"1\",\"title\":\"Pandas\",\"text\":\"eat bamboo\"}\n{\"_id\":\"2\",\"text\":\"The panda is a "
         "bear\"}\n"
         "{\"_id\":3,\"text\":\"Rain falls in Berlin\"}\n{\"_id\":\"4\",\"text\":\"大熊猫吃竹子\"}\n");
    file("queries.jsonl", "{\"_id\":\"a\",\"text\":\"what does a panda eat\"}\n{\"_id\":\"b\",\"text\":\"熊猫\"}\n");
    file("qrels/test.tsv", "query-id\tcorpus-id\tscore\na\t1\t2\na\t2\t1\nb\t4\t1\n");
  }
  fs::path folder_;
};

std::vector<std::string> ids(const std::vector<ScoredId>& documents) {
  std::vector<std::string> result;
  for (const ScoredId& d : documents) result.push_back(d.id);
  return result;
}

// Scores a document by its length; counts what it was asked.
class LengthReranker : public Reranker {
 public:
  void submit(std::shared_ptr<const RerankRequest> request, Done done) override {
    if (asked + request->documents.size() > limit) return done(absl::UnavailableError("stopped"));
    asked += request->documents.size();
    RerankResponse response;
    for (size_t i = 0; i < request->documents.size(); ++i) {
      const auto logit = static_cast<float>(request->documents[i].size());
      response.results.push_back({.index = i, .score = 1, .logit = logit, .tokens = 7, .truncated = i % 2 == 1});
      response.total_tokens += 7;
      response.truncated_documents += i % 2;
    }
    if (request->top_n != 0 && request->top_n < response.results.size()) {
      std::sort(response.results.begin(), response.results.end(),
                [](const auto& a, const auto& b) { return a.logit > b.logit; });
      response.results.resize(request->top_n);
    }
    done(std::move(response));
  }
  std::vector<Token> tokenize(std::string_view, bool) const override { return {}; }
  Result<std::string> decode(std::span<const int32_t>, bool) const override { return std::string(); }
  const ModelInfo& info() const override { return info_; }
  bool ready() const override { return true; }

  size_t asked = 0, limit = SIZE_MAX;

 private:
  ModelInfo info_ = {.id = "length"};
};

TEST_F(EvalTest, ReadsBeirFoldersPlainAndGzipped) {
  small_collection();
  auto c = read_collection(folder_);
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(*c->document("1"), "Pandas eat bamboo");
  EXPECT_EQ(*c->document("3"), "Rain falls in Berlin");
  EXPECT_EQ(c->split, "test");
  EXPECT_EQ(c->qrels["a"]["1"], 2);
  EXPECT_THAT(judged_queries(*c, 0), ElementsAre("a", "b"));
  EXPECT_EQ(judged_queries(*c, 1).size(), 1u);
  EXPECT_THAT(std::string(message_of(read_collection(folder_, {.split = "dev"}).status())), HasSubstr("qrels/dev.tsv"));
}

TEST_F(EvalTest, BrokenCollectionsNameFileAndLine) {
  small_collection();
  file("queries.jsonl", "{\"_id\":\"a\",\"text\":\"x\"}\nnonsense\n");
  EXPECT_THAT(std::string(message_of(read_collection(folder_).status())), HasSubstr("queries.jsonl:2"));
  fs::remove(folder_ / "queries.jsonl");
  EXPECT_EQ(read_collection(folder_).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(EvalTest, WhatComesTwiceCountsOnceOrIsRefused) {
  const auto error = [&] { return std::string(message_of(read_collection(folder_).status())); };
  small_collection();
  file("corpus.jsonl", "{\"_id\":\"1\",\"text\":\"x\"}\n{\"_id\":\"1\",\"text\":\"x\"}\n");
  EXPECT_EQ(read_collection(folder_)->documents.size(), 1u);
  file("corpus.jsonl", "{\"_id\":\"1\",\"text\":\"x\"}\n{\"_id\":\"1\",\"text\":\"y\"}\n");
  EXPECT_THAT(error(), HasSubstr("corpus.jsonl:2: the id 1 has another text before"));
  file("corpus.jsonl", "{\"_id\":\"1\",\"text\":\"x\"}\n");
  file("queries.jsonl", "{\"_id\":\"a\",\"text\":\"x\"}\n{\"_id\":\"a\",\"text\":\"y\"}\n");
  EXPECT_THAT(error(), HasSubstr("queries.jsonl:2"));
  file("queries.jsonl", "{\"_id\":\"a\",\"text\":\"x\"}\n");
  file("qrels/test.tsv", "a\t1\t2\na\t1\t2\n");
  EXPECT_EQ(read_collection(folder_)->qrels["a"]["1"], 2);
  file("qrels/test.tsv", "a\t1\t2\na\t1\t1\n");
  EXPECT_THAT(error(), HasSubstr("test.tsv:2: document 1 has another grade for query a before: 2, now 1"));
}

TEST_F(EvalTest, AHeaderIsWhatIsKnownAsOneAndGradesAreWhole) {
  const auto read = [&](const std::string& text) {
    file("q.tsv", text);
    return read_qrels(folder_ / "q.tsv");
  };
  EXPECT_EQ((*read("a\t1\t2.0\n"))["a"]["1"], 2);
  EXPECT_EQ((*read("Query_ID\tcorpus-id\tscore\na\t1\t2\n")).size(), 1u);
  EXPECT_EQ((*read("qid 0 docid grade\na 0 1 1\n")).size(), 1u);
  for (const char* bad : {"a\t1\t0.7\na\t2\t1\n", "x\ty\tz\na\t1\t1\n", "a\t1\t1\nquery-id\tcorpus-id\tscore\n"})
    EXPECT_FALSE(read(bad).ok()) << bad;
  EXPECT_THAT(std::string(message_of(read("a\t1\t0.7\n").status())), HasSubstr("q.tsv:1"));
}

TEST_F(EvalTest, LinesAreReadAsEverywhere) {
  using namespace std::string_literals;
  file("corpus.tsv",
       "\xEF\xBB\xBF"
       "1\ta\r\n\r\n2\tb\xff\0c\r\n"s);
  small_collection();
  fs::remove(folder_ / "corpus.jsonl.gz");
  const auto read = read_collection(folder_);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->documents.size(), 2u);
  EXPECT_EQ(read->documents[0].id, "1");
  EXPECT_EQ(read->documents[1].text, "b\uFFFD\0c"s);
}

TEST_F(EvalTest, ReadsTriplesWithTheirOwnCandidates) {
  auto c = read_collection(file("triples.jsonl",
                                "{\"query\":\"q\",\"pos\":[\"good\"],\"neg\":[\"bad\",\"worse\"]}\n"
                                "{\"query\":\"q\",\"positive\":\"fine\",\"negative\":\"good\"}\n"));
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->queries.size(), 1u);
  EXPECT_EQ(c->documents.size(), 4u);
  EXPECT_THAT(c->qrels.at("q1"),
              ElementsAre(std::pair("d1", 1), std::pair("d2", 0), std::pair("d3", 0), std::pair("d4", 1)));
  EXPECT_EQ(c->candidates->at("q1").size(), 4u);
  auto tsv = read_collection(file("triples.tsv", "q\tgood\tbad\n"));
  ASSERT_TRUE(tsv.ok()) << tsv.status();
  EXPECT_EQ(tsv->documents.size(), 2u);
  EXPECT_FALSE(read_collection(file("other.tsv", "only one column\n")).ok());
}

TEST(WordsTest, WordsLowerCaseStemsAndPairsOfIdeographs) {
  auto plain = WordSplitter::make("none");
  auto english = WordSplitter::make("porter");
  ASSERT_TRUE(plain.ok() && english.ok());
  std::vector<std::string> words;
  plain->split("Ångström's ＡＢＣ_x1 大熊猫吃 a猫b", words);
  EXPECT_THAT(words, ElementsAre("ångström", "s", "abc", "x1", "大熊", "熊猫", "猫吃", "a", "猫", "b"));
  words.clear();
  english->split("The pandas were eating", words);
  EXPECT_THAT(words, ElementsAre("panda", "were", "eat"));
  words.clear();
  plain->split("\xff\xfe broken", words);
  EXPECT_THAT(words, ElementsAre("broken"));
  EXPECT_THAT(std::string(message_of(WordSplitter::make("klingon").status())), HasSubstr("german"));
}

TEST(Bm25Test, ScoresAreLucenesFormula) {
  const std::vector<CollectionText> documents = {{"1", "red red blue"}, {"2", "red"}, {"3", "green"}, {"4", "red"}};
  auto index = Bm25::build(documents, {.k1 = 1.2, .b = 0.75, .stemmer = "none"});
  ASSERT_TRUE(index.ok());
  const auto top = index->top("red Blue", 0);
  EXPECT_THAT(ids(top), ElementsAre("1", "2", "4"));
  const double mean = 6.0 / 4, red = std::log(1 + (4 - 3 + 0.5) / 3.5), blue = std::log(1 + (4 - 1 + 0.5) / 1.5);
  const double norm = 1.2 * (0.25 + 0.75 * 3 / mean);
  EXPECT_NEAR(top[0].score, red * 2 / (2 + norm) + blue * 1 / (1 + norm), 1e-12);
  EXPECT_EQ(ids(index->top("red", 1)), std::vector<std::string>{"2"});  // the shorter one
  EXPECT_TRUE(index->top("unknown", 5).empty());
}

TEST(StatisticsTest, IntervalsCoverTheMeanAndPairedTestsTellNoiseFromGain) {
  std::vector<double> a, better, same;
  for (int i = 0; i < 200; ++i) {
    a.push_back(0.5 + 0.4 * std::sin(i * 12.9898));
    better.push_back(a.back() + 0.03 + 0.02 * std::sin(i * 78.233));
    same.push_back(a.back() + 0.05 * std::sin(i * 3.7));
  }
  const Interval interval = bootstrap_interval(a);
  EXPECT_LT(interval.low, interval.mean);
  EXPECT_GT(interval.high, interval.mean);
  EXPECT_NEAR(interval.high - interval.low, 2 * 1.96 * 0.4 / std::sqrt(2) / std::sqrt(200), 0.015);
  const PairedTest gain = paired_test(a, better);
  EXPECT_LT(gain.p, 0.001);
  EXPECT_GT(gain.difference.low, 0);
  EXPECT_EQ(gain.wins, 200u);
  EXPECT_GT(paired_test(a, same).p, 0.05);
  EXPECT_EQ(paired_test(a, a).p, 1);
}

TEST(StatisticsTest, KendallAndOverlap) {
  const std::vector<double> a = {4, 3, 2, 1}, reversed = {1, 2, 3, 4}, swapped = {4, 3, 1, 2}, tied = {4, 3, 2, 2};
  EXPECT_EQ(kendall_tau(a, a), 1);
  EXPECT_EQ(kendall_tau(a, reversed), -1);
  EXPECT_NEAR(kendall_tau(a, swapped), 4.0 / 6, 1e-12);
  EXPECT_NEAR(kendall_tau(a, tied), 5 / std::sqrt(6 * 5.0), 1e-12);  // scipy.stats.kendalltau
  EXPECT_EQ(kendall_tau(tied, tied), 1);
  EXPECT_EQ(top_overlap(a, swapped, 2), 1);
  EXPECT_EQ(top_overlap(a, reversed, 2), 0);
  EXPECT_EQ(top_overlap(a, reversed, 9), 1);
}

TEST_F(EvalTest, AStoppedEvaluationGoesOnWhereItWas) {
  small_collection();
  auto c = read_collection(folder_);
  ASSERT_TRUE(c.ok());
  const auto queries = judged_queries(*c, 0);
  const TrecRun all = all_candidates(*c, queries);
  const std::string path = folder_ / "kept.scores";
  LengthReranker reranker;
  reranker.limit = 6;
  {
    auto store = ScoreStore::open(path);
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_EQ(score_candidates(reranker, *c, queries, all, {}, **store).status().code(),
              absl::StatusCode::kUnavailable);
  }
  fs::resize_file(path, fs::file_size(path) - 5);  // as after a crash
  reranker.limit = SIZE_MAX;
  auto store = ScoreStore::open(path);
  ASSERT_TRUE(store.ok()) << store.status();
  const size_t kept = (*store)->size(), asked = reranker.asked;
  auto scored = score_candidates(reranker, *c, queries, all, {}, **store);
  ASSERT_TRUE(scored.ok()) << scored.status();
  EXPECT_EQ(kept, 3u);
  EXPECT_EQ(reranker.asked - asked, 5u);
  EXPECT_EQ(scored->cost.from_store, 3u);
  EXPECT_EQ(scored->cost.pairs, 8u);
  EXPECT_EQ(scored->run.at("a")[1].score, std::string("The panda is a bear").size());
  ScoringOptions other;
  other.settings = "truncation=tail";
  EXPECT_EQ(score_candidates(reranker, *c, queries, all, other, **store)->cost.from_store, 0u);
  EXPECT_FALSE(ScoreStore::open(folder_ / "queries.jsonl").ok());
}

// What --top-n asks for. Documents that are not brought back were computed as well, and cost what they cost.
TEST_F(EvalTest, WhatOnlyTheBestComeBackOfIsCountedWhole) {
  small_collection();
  auto c = read_collection(folder_);
  ASSERT_TRUE(c.ok());
  const auto queries = judged_queries(*c, 0);
  const TrecRun all = all_candidates(*c, queries);
  auto store = ScoreStore::open(folder_ / "best.scores");
  ASSERT_TRUE(store.ok());
  LengthReranker reranker;
  ScoringOptions options;
  options.request.top_n = 1;
  options.listwise = true;
  auto scored = score_candidates(reranker, *c, queries, all, options, **store);
  ASSERT_TRUE(scored.ok()) << scored.status();
  EXPECT_EQ(scored->cost.pairs, 8u);
  EXPECT_EQ(scored->cost.tokens, 8u * 7);
  EXPECT_EQ(scored->cost.truncated, 4u);
  const size_t asked = reranker.asked;
  auto again = score_candidates(reranker, *c, queries, all, options, **store);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(reranker.asked, asked) << "the rest of a list is not asked for as if it were a list";
  EXPECT_EQ(again->cost.from_store, 8u);
  EXPECT_EQ(again->cost.tokens, 8u * 7);
  for (const auto& [query, documents] : scored->run) {
    for (size_t i = 0; i < documents.size(); ++i) EXPECT_EQ(again->run.at(query)[i].score, documents[i].score);
  }
}

TEST_F(EvalTest, ReportsHaveFiguresAndPagesStandAlone) {
  small_collection();
  auto c = read_collection(folder_);
  const auto queries = judged_queries(*c, 0);
  auto store = ScoreStore::open("");
  LengthReranker reranker;
  EvalReport report;
  report.collection = "small <b>";
  report.candidates = "all";
  report.queries = 2;
  const TrecRun all = all_candidates(*c, queries);
  report.baseline = measure_run(c->qrels, all, queries);
  for (const char* name : {"", "precision=fp32"}) {
    auto scored = score_candidates(reranker, *c, queries, all, {}, **store);
    SettingResult s{name, reranker.info(), *scored, measure_run(c->qrels, scored->run, queries), {}, {}, {}, {}};
    report.settings.push_back(s);
  }
  for (const std::string& id : queries) report.texts[id] = "text of " + id + " <i>";
  complete_report(report);
  EXPECT_EQ(report.settings[1].agreement->kendall_tau, 1);
  EXPECT_EQ(report.settings[1].agreement->largest_logit_change, 0);
  EXPECT_THAT(report_json(report), HasSubstr("\"ndcg@10\""));
  EXPECT_THAT(report_table(report), HasSubstr("agreement with the first: Kendall tau 1.0000"));
  const std::string page = report_html(report);
  EXPECT_THAT(page, HasSubstr("small &lt;b&gt;"));
  EXPECT_THAT(page, HasSubstr("prefers-color-scheme:dark"));
  EXPECT_EQ(page.find("nan"), std::string::npos);
  EXPECT_THAT(page, HasSubstr("precision=fp32 against length: the same ndcg@10 on each of 2 questions."));
  if (std::ranges::any_of(report.settings[0].against_baseline,
                          [](const PairedTest& t) { return t.wins + t.losses > 0; })) {
    EXPECT_THAT(page, HasSubstr("&lt;i&gt;")) << "the most changed questions";
  }
}

TEST(VerdictTest, SaysWhetherTheQuestionsDecide) {
  EXPECT_EQ(verdict_of({{0.02, 0.01, 0.03}, 0.01, 200, 100, 23}, 323),
            "better by 0.0200 ndcg@10 on 323 questions (p = 0.01)");
  EXPECT_EQ(verdict_of({{-0.02, -0.08, 0.03}, 0.4, 4, 6, 2}, 12),
            "worse by 0.0200 ndcg@10, but 12 questions do not decide it (p = 0.40)");
  EXPECT_EQ(verdict_of({{0, 0, 0}, 1, 0, 0, 12}, 12), "the same ndcg@10 on each of 12 questions");
}

TEST_F(EvalTest, LengthsSayWhatEachLimitCutsAndTakes) {
  LengthsReport report;
  for (uint32_t i = 1; i <= 100; ++i) report.pairs.push_back(i * 10);
  report.documents = report.pairs;
  report.cost = {{100, 0.001}, {200, 0.003}, {1000, 0.02}};
  EXPECT_EQ(percentile(report.pairs, 50), 500u);
  EXPECT_EQ(percentile(report.pairs, 99), 990u);
  EXPECT_EQ(percentile(report.pairs, 100), 1000u);
  EXPECT_NEAR(seconds_for(report.cost, 150), 0.002, 1e-12);
  EXPECT_NEAR(seconds_for(report.cost, 2000), 0.08, 1e-12);
  const size_t limits[] = {100, 500, 960, 1000};
  fill_rows(report, limits);
  EXPECT_NEAR(report.rows[1].cut, 0.5, 1e-12);
  EXPECT_NEAR(report.rows[0].tokens, (10 + 100) * 10 / 2 / 100.0 + 90, 1e-9);
  EXPECT_EQ(report.rows[3].lost, 0);
  EXPECT_LT(report.rows[0].seconds, report.rows[1].seconds);
  recommend(report);
  EXPECT_EQ(report.recommended, 960u);  // cuts four in a hundred
  for (LimitRow& row : report.rows) row.ndcg = Interval{0.5, 0.4, 0.6};
  report.queries = 3;
  report.rows[1].difference = PairedTest{{0.0, -0.05, 0.05}, 0.5, 1, 1, 1};
  recommend(report);
  EXPECT_EQ(report.recommended, 0u);
  EXPECT_EQ(report.reason, "3 questions are too few to say; about 80 would do");
  EXPECT_THAT(lengths_table(report), HasSubstr("recommended: nothing (3 questions"));
  EXPECT_THAT(lengths_json(report), HasSubstr("\"recommended_max_length\": null"));
  report.queries = 100;
  report.rows[1].difference = PairedTest{{-0.001, -0.004, 0.002}, 0.5, 1, 1, 1};
  recommend(report);
  EXPECT_EQ(report.recommended, 500u);  // judgments know better
  EXPECT_THAT(lengths_table(report), HasSubstr("recommended: --max-length 500"));
  EXPECT_THAT(lengths_json(report), HasSubstr("\"recommended_max_length\": 500"));
  EXPECT_THAT(lengths_html(report), HasSubstr("Quality against time"));
  EXPECT_THAT(lengths_svg(report), HasSubstr("<svg x='0' y='740'"));
}

TEST_F(EvalTest, LengthsAreReadFromAServersMetrics) {
  auto read =
      read_length_histogram(file("metrics",
                                 "# TYPE rerankd_pair_tokens histogram\nrerankd_pair_tokens_sum 900\n"
                                 "rerankd_pair_tokens_bucket{le=\"16\"} 1\nrerankd_pair_tokens_bucket{le=\"32\"} 3\n"
                                 "rerankd_pair_tokens_bucket{le=\"+Inf\"} 4\n"));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, ElementsAre(16, 32, 32, 64));
  auto two = read_length_histogram(file("two",
                                        "rerankd_pair_tokens_bucket{model=\"a\",le=\"16\"} 1\n"
                                        "rerankd_pair_tokens_bucket{model=\"a\",le=\"+Inf\"} 1\n"
                                        "rerankd_pair_tokens_bucket{model=\"b\",le=\"16\"} 0\n"
                                        "rerankd_pair_tokens_bucket{model=\"b\",le=\"+Inf\"} 2\n"));
  ASSERT_TRUE(two.ok()) << two.status();
  EXPECT_THAT(*two, ElementsAre(16, 32, 32)) << "of all models";
  EXPECT_FALSE(read_length_histogram(file("other", "nothing\n")).ok());
}

TEST_F(EvalTest, LooseTextsAreReadFromJsonLinesAndPlainLines) {
  auto json = read_texts(
      file("texts.jsonl", "{\"text\":\"a\",\"title\":\"T\"}\n{\"query\":\"q\",\"documents\":[\"b\",\"c\"]}\n"), 0);
  ASSERT_TRUE(json.ok()) << json.status();
  ASSERT_EQ(json->size(), 3u);
  EXPECT_EQ((*json)[0].text, "T a");
  EXPECT_EQ((*json)[2].query, "q");
  EXPECT_EQ(read_texts(file("plain.txt", "one\n\ntwo\n"), 0)->size(), 2u);
  EXPECT_FALSE(read_texts(file("bad.jsonl", "{\"x\":1}\n"), 0).ok());
}

}  // namespace
}  // namespace rerank::eval
