// rerankd eval: a judged collection through the model: how much better its order is than the candidates', with
// intervals, and what another setting would change.
#include <algorithm>
#include <filesystem>

#include "base/hash.h"
#include "base/log.h"
#include "base/settings/assign.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/command.h"
#include "cli/help/origin.h"
#include "eval/data/bm25.h"
#include "eval/reports/report.h"
#include "rank/host.h"
#include "serve/model_catalog.h"

namespace rerank::cli {
namespace {

namespace fs = std::filesystem;

struct Eval : Command {
  explicit Eval(CLI::App& program)
      : Command(program, "eval", "Measure a model on a judged collection: NDCG, MRR, recall, MAP, with intervals.") {
    app.add_option("--collection", path,
                   "Folder in BEIR layout (corpus.jsonl, queries.jsonl, qrels), or a file of triples.")
        ->required()
        ->type_name("DIR|FILE");
    app.add_option("--candidates", candidates,
                   "What is ranked: bm25, all, or a TREC run's file. Default: bm25; of triples: their own.")
        ->type_name("bm25|all|FILE");
    app.add_option("--top-k", top_k, "Candidates of each query. 0: all there are.")
        ->type_name("K")
        ->capture_default_str();
    app.add_option("--queries", limit, "At most N judged queries, always the same ones. 0: all.")
        ->type_name("N")
        ->capture_default_str();
    app.add_option("--top-n", top_n,
                   "Ask for the best N only, all candidates in one request, as a client would: what --target-agreement "
                   "or --exit-keep may then save and cost. 0: all, in portions.")
        ->type_name("N")
        ->capture_default_str();
    app.add_option("--ignore-identical-ids", identical,
                   "Leave out the candidate that has the query's own id, as BEIR does: on, off, or auto: where a "
                   "judged query's id is a document's, too (ArguAna, Quora).")
        ->check(CLI::IsMember({"auto", "on", "off"}))
        ->type_name("auto|on|off")
        ->capture_default_str();
    app.add_option("--split", collection_options.split,
                   "Which judgments: qrels/SPLIT.tsv. Default: test, or what there is.")
        ->type_name("SPLIT");
    app.add_option("--qrels", collection_options.qrels, "Judgments (BEIR or TREC) instead of the collection's.")
        ->type_name("FILE");
    app.add_option("--compare", compare,
                   "Also measure with settings changed: precision=fp32,max-length=256. May be repeated.")
        ->type_name("NAME=VALUE[,...]");
    app.add_option("--cascade", cascades,
                   "Also measure a cascade: the settings given rank all candidates, and these the best N of them: "
                   "model=/models/good:20. May be repeated.")
        ->type_name("NAME=VALUE[,...]:N");
    app.add_option("--stemmer", bm25.stemmer, "Of bm25: auto, none, or a Snowball name such as german.")
        ->type_name("NAME")
        ->capture_default_str();
    app.add_option("--bm25-k1", bm25.k1, "Of bm25.")->type_name("K1")->capture_default_str();
    app.add_option("--bm25-b", bm25.b, "Of bm25.")->type_name("B")->capture_default_str();
    app.add_option("--json", json, "Write the figures here.")->type_name("FILE");
    app.add_option("--html", html, "Write a page with plots here.")->type_name("FILE");
    app.add_option("--run-out", run_out, "Write the ranking here, as a TREC run.")->type_name("FILE");
    app.add_option(
           "--scores", scores,
           "Where scores are kept, so that a stopped evaluation goes on; none: nowhere. Default: in the user's cache.")
        ->type_name("FILE|none");
    settings.add(options, {"Model", "Engine", "Texts"});
  }

  int run() {
    const Status status = evaluate();
    return status.ok() ? 0 : report(status);
  }

  Status evaluate() {
    ASSIGN_OR_RETURN(auto read, eval::read_collection(path, collection_options));
    collection = std::move(read);
    queries = eval::judged_queries(collection, limit);
    if (queries.empty()) return absl::InvalidArgumentError(str_cat(path, ": no query has both a text and judgments"));
    RETURN_IF_ERROR(describe());
    RETURN_IF_ERROR(choose_candidates());
    leave_out_identical();
    ASSIGN_OR_RETURN(auto opened, eval::ScoreStore::open(scores_path()));
    store = std::move(opened);
    RETURN_IF_ERROR(complete());
    RETURN_IF_ERROR(measure("", options));
    for (const std::string& setting : compare) {
      Options changed = options;
      RETURN_IF_ERROR(change(setting, changed));
      RETURN_IF_ERROR(measure(setting, changed));
    }
    for (const std::string& cascade : cascades) RETURN_IF_ERROR(measure_cascade(cascade));
    eval::complete_report(result);
    return write();
  }

  Status describe() {
    result.collection = path;
    result.split = collection.split;
    result.documents = collection.documents.size();
    result.queries = queries.size();
    for (const std::string& id : queries) {
      if (const std::string* text = collection.query(id)) result.texts[id] = *text;
    }
    for (const std::string& query : queries) {
      const eval::Grades& grades = collection.qrels.at(query);
      result.without_relevant += std::none_of(grades.begin(), grades.end(), [](const auto& g) { return g.second > 0; });
    }
    result.top_k = top_k;
    log_info(str_cat(path, ": ", result.documents, " documents, ", queries.size(), " of ", collection.qrels.size(),
                     " judged queries", collection.split.empty() ? "" : str_cat(", split ", collection.split)));
    return ok_status();
  }

  // Where queries are documents of the collection, each one's best candidate is itself.
  void leave_out_identical() {
    const auto is_document = [&](const std::string& id) { return collection.document(id) != nullptr; };
    if (identical == "off" || (identical == "auto" && !std::any_of(queries.begin(), queries.end(), is_document)))
      return;
    size_t left_out = 0;
    for (auto& [query, found] : run_in) {
      left_out += std::erase_if(found, [&id = query](const auto& candidate) { return candidate.id == id; });
    }
    if (left_out == 0) return;
    result.candidates += str_cat("; ", left_out, " that have their query's id are left out");
    log_warning(str_cat(left_out, " candidates have their query's own id and are left out (--ignore-identical-ids)"));
  }

  Status choose_candidates() {
    if (candidates.empty()) candidates = collection.candidates ? "own" : "bm25";
    if (candidates == "own") {
      run_in = *collection.candidates;
      result.candidates = "the triples' own";
      return ok_status();
    }
    if (candidates == "all") {
      run_in = eval::all_candidates(collection, queries);
      result.candidates = "all documents";
      result.top_k = 0;
      return ok_status();
    }
    if (candidates == "bm25") {
      RETURN_IF_ERROR(search());
    } else {
      ASSIGN_OR_RETURN(auto read, eval::read_run(candidates));
      run_in = eval::cut_run(read, queries, top_k);
      result.candidates = candidates;
      const size_t missing = queries.size() - run_in.size();
      if (run_in.empty()) return absl::InvalidArgumentError(str_cat(candidates, ": has none of the judged queries"));
      if (missing > 0) log_warning(str_cat(candidates, ": lacks ", missing, " of the judged queries; they count as 0"));
    }
    result.baseline = eval::measure_run(collection.qrels, run_in, queries);
    return ok_status();
  }

  Status search() {
    ASSIGN_OR_RETURN(auto index, eval::Bm25::build(collection.documents, bm25));
    Progress progress("bm25", "queries");
    for (size_t i = 0; i < queries.size(); ++i) {
      run_in[queries[i]] = index.top(*collection.query(queries[i]), top_k);
      progress.update(i + 1, queries.size());
    }
    char parameters[64];
    std::snprintf(parameters, sizeof parameters, "bm25 (k1 %.3g, b %.3g, ", bm25.k1, bm25.b);
    result.candidates = str_cat(std::string(parameters), "stemmer ", index.stemmer(), ")");
    return ok_status();
  }

  static Status change(const std::string& setting, Options& changed) {
    std::string_view rest = setting;
    while (!rest.empty()) {
      const std::string_view part = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(rest.size(), part.size() + 1));
      const size_t equals = part.find('=');
      if (equals == std::string_view::npos)
        return absl::InvalidArgumentError(str_cat("--compare ", setting, ": expected NAME=VALUE[,NAME=VALUE...]"));
      Status status = assign_setting(changed, part.substr(0, equals), part.substr(equals + 1));
      if (!status.ok()) return with_context(status, "--compare");
    }
    return ok_status();
  }

  Status measure(const std::string& name, const Options& wanted) {
    auto reranker = Reranker::open(wanted);
    if (!reranker.ok()) return name.empty() ? reranker.status() : with_context(reranker.status(), name);
    return measure(name, **reranker, scoring_settings(wanted), top_n != 0);
  }

  // As `serve --cascade` has it.
  Status measure_cascade(const std::string& text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string::npos)
      return absl::InvalidArgumentError(str_cat("--cascade ", text, ": expected NAME=VALUE[,NAME=VALUE...]:N"));
    Options changed = options;
    RETURN_IF_ERROR(change(text.substr(0, colon), changed));
    serve::CatalogPlan plan{{{.options = options.model}, {.options = changed.model}}, {}, ""};
    plan.models[0].options.source.served_model_name = "first";
    plan.models[1].options.source.served_model_name = "second";
    serve::CatalogOptions combined;
    combined.models.cascade = str_cat("first,second", text.substr(colon));
    ASSIGN_OR_RETURN(const auto host, rank::Host::make(options.host, nullptr));
    const auto open_stage = [this, &host](const ModelSpec& spec, const std::shared_ptr<Metrics>&,
                                          const auto& progress) {
      Options whole = options;
      whole.model = spec.options;
      return Reranker::open(whole, nullptr, {.host = host, .progress = progress});
    };
    ASSIGN_OR_RETURN(const auto catalog, serve::ModelCatalog::start(plan, combined, open_stage, nullptr));
    while (!catalog->wait_for_start(std::chrono::seconds(1))) continue;
    std::string settings_text = scoring_settings(options) + scoring_settings(changed);
    for (const ModelReport& stage : catalog->list()) {
      if (!stage.error.empty()) return absl::InvalidArgumentError(str_cat("--cascade ", text, ": ", stage.error));
      settings_text += str_cat(stage.info.fingerprint, " ");
    }
    RETURN_IF_ERROR(catalog->start_result());
    ASSIGN_OR_RETURN(const auto cascade, catalog->find({"cascade", ""}));
    return measure(str_cat("cascade ", text), *cascade, settings_text + combined.models.cascade, /*listwise=*/true);
  }

  Status measure(const std::string& name, Reranker& reranker, const std::string& settings_text, bool listwise) {
    Progress progress(name.empty() ? "scoring" : name, "pairs");
    eval::ScoringOptions scoring;
    scoring.settings = settings_text;
    scoring.request.top_n = top_n;
    scoring.listwise = listwise;
    scoring.progress = [&](uint64_t done, uint64_t total) { progress.update(done, total); };
    ASSIGN_OR_RETURN(auto scored, eval::score_candidates(reranker, collection, queries, run_in, scoring, *store));
    if (scored.cost.pairs == 0) return absl::InvalidArgumentError("none of the candidates is in the collection");
    if (scored.cost.unknown > 0)
      log_warning(str_cat(scored.cost.unknown, " candidates are not in the collection; they are left out"));
    eval::SettingResult setting;
    setting.name = name;
    setting.info = reranker.info();
    setting.measured = eval::measure_run(collection.qrels, scored.run, queries);
    setting.scored = std::move(scored);
    result.settings.push_back(std::move(setting));
    return ok_status();
  }

  Status write() const {
    std::fputs(eval::report_table(result).c_str(), stdout);
    const eval::SettingResult& first = result.settings.front();
    if (!run_out.empty()) {
      RETURN_IF_ERROR(eval::write_run(run_out, first.scored.run, first.info.id));
    }
    if (!json.empty()) {
      RETURN_IF_ERROR(eval::write_file(json, eval::report_json(result)));
    }
    return html.empty() ? ok_status() : eval::write_file(html, with_origin(eval::report_html(result)));
  }

  std::string scores_path() const {
    if (scores == "none") return "";
    if (!scores.empty()) return scores;
    std::error_code error;
    const std::string name = hash128(fs::weakly_canonical(path, error).string()).hex().substr(0, 16);
    return str_cat(user_cache_folder(), "/rerankd/eval/", name, ".scores");
  }

  std::string path, candidates, json, html, run_out, scores, identical = "auto";
  size_t top_k = 100, limit = 0, top_n = 0;
  std::vector<std::string> compare, cascades;
  eval::CollectionOptions collection_options;
  eval::Bm25Options bm25;
  eval::Collection collection;
  std::vector<std::string> queries;
  eval::TrecRun run_in;
  std::unique_ptr<eval::ScoreStore> store;
  eval::EvalReport result;
};

}  // namespace

Run add_eval_command(CLI::App& program) {
  auto command = std::make_shared<Eval>(program);
  return [command] { return command->app.parsed() ? command->run() : -1; };
}

}  // namespace rerank::cli
