// rerankd lengths: how long texts are in the model's tokens, and what limiting them to 256, 512, ... tokens would cut,
// take and cost.
#include <algorithm>
#include <filesystem>
#include <thread>

#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/command.h"
#include "cli/commands/measure.h"
#include "cli/help/origin.h"
#include "engine/registry.h"
#include "eval/data/bm25.h"
#include "eval/evaluate.h"
#include "eval/lengths.h"
#include "eval/measures/metrics.h"
#include "rank/locate.h"
#include "rank/texts.h"

namespace rerank::cli {
namespace {

namespace fs = std::filesystem;

struct Lengths : Command {
  explicit Lengths(CLI::App& program)
      : Command(program, "lengths", "How long texts are in tokens, and what each limit would cut, take and cost.") {
    auto* texts = app.add_option_group("What is read");
    texts
        ->add_option("--texts", source,
                     "Collection (as of eval), JSON lines with \"text\" or \"query\" and \"document\", or plain lines.")
        ->type_name("DIR|FILE");
    texts->add_option("--metrics", metrics_file, "A running server's /metrics, saved; - for stdin: its pairs' lengths.")
        ->type_name("FILE|-");
    texts->require_option(1);
    app.add_option("--limits", limits, "Limits to look at. Default: 64, 128, 256, ... up to the model's own.")
        ->delimiter(',')
        ->type_name("N,N,...");
    app.add_option("--query-tokens", query_tokens, "Length of a query where the texts have none.")
        ->type_name("N")
        ->capture_default_str();
    app.add_option("--queries", judged_limit, "Of a judged collection, queries to measure quality with. 0: no quality.")
        ->type_name("N")
        ->capture_default_str();
    app.add_option("--top-k", top_k, "BM25 candidates of each of these.")->type_name("K")->capture_default_str();
    app.add_option("--json", json, "Write the figures here.")->type_name("FILE");
    app.add_option("--html", html, "Write a page with plots here.")->type_name("FILE");
    app.add_option("--svg", svg, "Write the plots here.")->type_name("FILE");
    settings.add(options, {"Model", "Engine", "Texts"});
  }

  int run() {
    const Status status = look();
    return status.ok() ? 0 : report(status);
  }

  Status look() {
    RETURN_IF_ERROR(complete());
    ASSIGN_OR_RETURN(auto located, rank::locate_model(options));
    ASSIGN_OR_RETURN(auto loaded, model::load_model(located.folder));
    ASSIGN_OR_RETURN(encoder, rank::open_texts(located.folder, loaded->config, options.model.texts));
    result.model = located.name;
    result.source = metrics_file.empty() ? source : str_cat("the pairs of a server (", metrics_file, ")");
    model_limit = std::min(loaded->config.max_length(), encoder->tokenizer().model_max_length().value_or(SIZE_MAX));
    RETURN_IF_ERROR(metrics_file.empty() ? read_lengths() : read_histogram());
    if (result.pairs.empty()) return absl::InvalidArgumentError(str_cat(source, ": holds no texts"));
    std::sort(result.documents.begin(), result.documents.end());
    std::sort(result.pairs.begin(), result.pairs.end());
    choose_limits();
    RETURN_IF_ERROR(measure_cost(loaded));
    loaded.reset();
    eval::fill_rows(result, limits);
    RETURN_IF_ERROR(measure_quality());
    eval::recommend(result);
    return write();
  }

  size_t document_tokens(const std::string& text) {
    scratch.clear();
    encoder->encode_document(text, scratch);
    return scratch.size();
  }

  // With the instruction, for models that read one.
  size_t query_tokens_of(const std::string& text) {
    scratch.clear();
    const auto cut = encoder->encode_query({.query = text}, scratch);
    return cut.ok() ? scratch.size() : 0;
  }

  Status read_histogram() {
    ASSIGN_OR_RETURN(auto read, eval::read_length_histogram(metrics_file));
    result.pairs = std::move(read);
    result.texts = result.pairs.size();
    return ok_status();
  }

  Status read_lengths() {
    std::error_code error;
    if (fs::is_directory(source, error)) return read_folder();
    ASSIGN_OR_RETURN(const std::vector<eval::LooseText> texts, eval::read_texts(source, 0));
    const size_t added = encoder->pieces().added_to_pair();
    Progress progress("tokenizing", "texts");
    for (const eval::LooseText& t : texts) {
      const size_t document = document_tokens(t.text);
      const size_t query = t.query.empty() ? query_tokens : query_tokens_of(t.query);
      result.documents.push_back(static_cast<uint32_t>(document));
      result.pairs.push_back(static_cast<uint32_t>(document + query + added));
      progress.update(++result.texts, texts.size());
    }
    return ok_status();
  }

  Status read_folder() {
    ASSIGN_OR_RETURN(collection, eval::read_collection(source, {.need_judgments = false}));
    size_t total = 0;
    for (const eval::CollectionText& q : collection.queries) total += query_sizes[q.id] = query_tokens_of(q.text);
    if (!collection.queries.empty()) query_tokens = (total + collection.queries.size() / 2) / collection.queries.size();
    result.query_tokens = static_cast<double>(query_tokens);
    const size_t added = encoder->pieces().added_to_pair();
    Progress progress("tokenizing", "texts");
    for (const eval::CollectionText& d : collection.documents) {
      const size_t size = document_sizes[d.id] = document_tokens(d.text);
      result.documents.push_back(static_cast<uint32_t>(size));
      result.pairs.push_back(static_cast<uint32_t>(size + query_tokens + added));
      progress.update(++result.texts, collection.documents.size());
    }
    return ok_status();
  }

  // Up to what the model takes, and no further than the longest text.
  void choose_limits() {
    if (limits.empty()) {
      for (size_t limit = 64; limit < model_limit && limit / 2 < result.pairs.back(); limit *= 2)
        limits.push_back(limit);
      if (limits.empty() || limits.back() < result.pairs.back()) limits.push_back(model_limit);
    }
    for (size_t& limit : limits) limit = std::min(limit, model_limit);
    std::sort(limits.begin(), limits.end());
    limits.erase(std::unique(limits.begin(), limits.end()), limits.end());
  }

  Status measure_cost(const std::shared_ptr<const model::Model>& model) {
    ASSIGN_OR_RETURN(auto backend,
                     engine::open_backend(model, options.model.engine.engine, engine::backend_options(options)));
    const model::Architecture& a = model->config.architecture;
    const size_t longest = std::min<size_t>(limits.back(), result.pairs.back());
    for (size_t tokens = 32;; tokens *= 2) {
      tokens = std::min(tokens, std::max<size_t>(32, longest));
      tokens = std::min(tokens, model_limit);
      result.cost.push_back({tokens, seconds_of_pair(*backend, a, tokens, a.embedding.vocabulary)});
      if (tokens >= longest) break;
    }
    return ok_status();
  }

  // Scores at the longest limit, then at each shorter one the pairs that it cuts.
  Status measure_quality() {
    const auto queries = eval::judged_queries(collection, judged_limit);
    if (judged_limit == 0 || queries.empty()) return ok_status();
    result.queries = queries.size();
    ASSIGN_OR_RETURN(auto index, eval::Bm25::build(collection.documents, {}));
    eval::TrecRun candidates;
    for (const std::string& q : queries) candidates[q] = index.top(*collection.query(q), top_k);
    options.model.texts.max_length = model_limit;
    ASSIGN_OR_RETURN(auto reranker, Reranker::open(options));
    auto store = eval::ScoreStore::open("");
    std::vector<double> longest;
    eval::TrecRun full;
    for (size_t i = result.rows.size(); i-- > 0;) {
      eval::LimitRow& row = result.rows[i];
      Progress progress(str_cat("limit ", row.limit), "pairs");
      eval::ScoringOptions scoring;
      scoring.request.max_length = row.limit;
      scoring.progress = [&](uint64_t done, uint64_t total) { progress.update(done, total); };
      const bool first = full.empty();
      ASSIGN_OR_RETURN(auto scored,
                       eval::score_candidates(*reranker, collection, queries,
                                              first ? candidates : cut_at(candidates, row.limit), scoring, **store));
      if (first) full = scored.run;
      const eval::Measured measured =
          eval::measure_run(collection.qrels, overlaid(full, scored.run), queries, {{eval::Measure::Kind::kNdcg, 10}});
      row.ndcg = eval::bootstrap_interval(measured.values[0]);
      if (first) longest = measured.values[0];
      if (!first) row.difference = eval::paired_test(longest, measured.values[0]);
    }
    return ok_status();
  }

  eval::TrecRun cut_at(const eval::TrecRun& run, size_t limit) {
    const size_t added = encoder->pieces().added_to_pair();
    eval::TrecRun cut;
    for (const auto& [query, documents] : run) {
      for (const eval::ScoredId& d : documents) {
        if (query_sizes[query] + document_sizes[d.id] + added > limit) cut[query].push_back(d);
      }
    }
    return cut;
  }

  static eval::TrecRun overlaid(eval::TrecRun run, const eval::TrecRun& changes) {
    for (const auto& [query, documents] : changes) {
      std::map<std::string, double> changed;
      for (const eval::ScoredId& d : documents) changed[d.id] = d.score;
      for (eval::ScoredId& d : run[query]) {
        if (auto found = changed.find(d.id); found != changed.end()) d.score = found->second;
      }
    }
    return run;
  }

  Status write() const {
    std::fputs(eval::lengths_table(result).c_str(), stdout);
    for (const auto& [path, text] :
         {std::pair(json, eval::lengths_json(result)), std::pair(html, with_origin(eval::lengths_html(result))),
          std::pair(svg, eval::lengths_svg(result))}) {
      if (path.empty()) continue;
      RETURN_IF_ERROR(eval::write_file(path, text));
    }
    return ok_status();
  }

  std::string source, metrics_file, json, html, svg;
  std::vector<size_t> limits;
  size_t query_tokens = 16, judged_limit = 50, top_k = 50, model_limit = 0;
  std::shared_ptr<const text::PairEncoder> encoder;
  std::vector<int32_t> scratch;
  eval::Collection collection;
  std::unordered_map<std::string, size_t> query_sizes, document_sizes;
  eval::LengthsReport result;
};

}  // namespace

Run add_lengths_command(CLI::App& program) {
  auto command = std::make_shared<Lengths>(program);
  return [command] { return command->app.parsed() ? command->run() : -1; };
}

}  // namespace rerank::cli
