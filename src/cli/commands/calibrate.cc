// rerankd calibrate: fits an exit head per layer to a user's texts, without touching the model, and says how many
// layers are enough.
#include <algorithm>
#include <chrono>
#include <filesystem>

#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/command.h"
#include "cli/help/origin.h"
#include "engine/registry.h"
#include "eval/data/bm25.h"
#include "eval/depth.h"
#include "model/exits.h"
#include "rank/locate.h"
#include "rank/texts.h"

namespace rerank::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kEnoughLists = 10;  // held out, to claim a target
constexpr size_t kBatchTokens = 4096;

struct CalibrationPair {
  uint32_t list = 0;
  std::string query, document;
};

struct PairBatch {
  engine::OwnedBatch pairs;
  std::vector<uint32_t> lists;  // that of each pair
};

struct Calibrate : Command {
  explicit Calibrate(CLI::App& program)
      : Command(program, "calibrate", "Fit exit heads to your texts: how many layers are enough, and how sure is it?") {
    app.add_option(
           "--texts", source,
           "Collection (as of eval; judgments are not needed), or JSON lines with \"query\" and \"document\". Texts "
           "without queries are asked for by their first sentences.")
        ->required()
        ->type_name("DIR|FILE");
    app.add_option("--out", out, "Folder for exits.json (for --exits), depth.json, depth.svg and depth.html.")
        ->required()
        ->type_name("DIR");
    app.add_option("--pairs", wanted, "Pairs to compute.")->type_name("N")->capture_default_str();
    app.add_option("--top-k", top_k, "BM25 candidates of a query.")->type_name("K")->capture_default_str();
    settings.add(options, {"Model", "Engine", "Texts"});
  }

  int run() {
    const Status status = calibrate();
    return status.ok() ? 0 : report(status);
  }

  Status calibrate() {
    RETURN_IF_ERROR(complete());
    ASSIGN_OR_RETURN(auto located, rank::locate_model(options));
    ASSIGN_OR_RETURN(auto loaded, model::load_model(located.folder));
    model = loaded;
    ASSIGN_OR_RETURN(texts, rank::open_texts(located.folder, model->config, options.model.texts));
    RETURN_IF_ERROR(texts->encode_query({.max_length = pair_limit()}, query_ids).status());  // the instruction fits
    if (model->config.architecture.layers() < 2)
      return absl::InvalidArgumentError("a model of one layer has no earlier exit");
    ASSIGN_OR_RETURN(auto opened,
                     engine::open_backend(model, options.model.engine.engine, engine::backend_options(options)));
    backend = std::move(opened);
    result.model = located.name;
    result.texts = source;
    result.precision = backend->info().precision_text();
    result.kernel = backend->info().kernel;
    RETURN_IF_ERROR(gather());
    RETURN_IF_ERROR(compute());
    return fit_and_write();
  }

  Status gather() {
    std::error_code error;
    if (fs::is_directory(source, error)) return gather_collection();
    ASSIGN_OR_RETURN(auto texts, eval::read_texts(source, 0));
    if (!texts.empty() && !texts.front().query.empty()) return gather_pairs(texts);
    eval::Collection collection;
    for (size_t i = 0; i < texts.size(); ++i) collection.documents.push_back({std::to_string(i), texts[i].text});
    return search(collection);
  }

  // Pairs as they are; a query's are its list.
  Status gather_pairs(const std::vector<eval::LooseText>& texts) {
    std::unordered_map<std::string, uint32_t> lists;
    for (const eval::LooseText& t : texts) {
      if (pairs.size() >= wanted) break;
      const auto list = lists.try_emplace(t.query, static_cast<uint32_t>(lists.size())).first->second;
      pairs.push_back({list, t.query, t.text});
    }
    return enough(lists.size());
  }

  Status gather_collection() {
    ASSIGN_OR_RETURN(eval::Collection read, eval::read_collection(source, {.need_judgments = false}));
    return search(read);
  }

  // Where there are no queries, the first sentences of texts (at most twenty words) are asked for.
  static void make_queries(eval::Collection& collection) {
    for (const eval::CollectionText& d : collection.documents) {
      size_t end = 0, words = 0;
      while (end < d.text.size() && words < 20 && !(words > 3 && d.text[end] == '.')) words += d.text[end++] == ' ';
      if (end > 0) collection.queries.push_back({d.id, d.text.substr(0, end)});
    }
  }

  Status search(eval::Collection& collection) {
    if (collection.queries.empty()) make_queries(collection);
    collection.index();
    ASSIGN_OR_RETURN(auto index, eval::Bm25::build(collection.documents, {}));
    // Queries spread over all there are.
    const size_t queries = std::max<size_t>(10, (wanted + top_k - 1) / std::max<size_t>(1, top_k));
    const double step = std::max(1.0, static_cast<double>(collection.queries.size()) / static_cast<double>(queries));
    uint32_t list = 0;
    for (double at = 0; at < static_cast<double>(collection.queries.size()) && pairs.size() < wanted;
         at += step, ++list) {
      const std::string& query = collection.queries[static_cast<size_t>(at)].text;
      for (const eval::ScoredId& d : index.top(query, top_k))
        pairs.push_back({list, query, *collection.document(d.id)});
    }
    return enough(list);
  }

  Status enough(size_t lists) {
    if (lists >= 10 && pairs.size() >= 100) return ok_status();
    return absl::InvalidArgumentError(str_cat(source, ": ", lists, " queries with ", pairs.size(),
                                              " documents are too few to fit and to judge; 10 and 100 are the least"));
  }

  size_t pair_limit() const {
    const size_t limit = std::min(model->config.max_length(), texts->tokenizer().model_max_length().value_or(SIZE_MAX));
    const size_t given = options.model.texts.max_length;
    return std::min(limit, given != 0 ? given : model->config.served_length());
  }

  text::EncodedPair encoded(const CalibrationPair& pair) {
    query_ids.clear();
    document_ids.clear();
    const text::TruncationSpec spec{.max_length = pair_limit(), .strategy = texts->strategy()};
    (void)texts->encode_query({.query = pair.query, .max_length = spec.max_length}, query_ids);
    texts->encode_document(pair.document, document_ids);
    text::EncodedPair joined = text::join_pair(texts->pieces(), query_ids, document_ids, spec);
    if (model->config.architecture.embedding.segment_rows < 2)
      std::fill(joined.type_ids.begin(), joined.type_ids.end(), 0);
    return joined;
  }

  // All pairs to the full depth, the fitter fed; those held out also to each depth with the model's own head, timed.
  Status compute() {
    const size_t layers = model->config.architecture.layers();
    fitter = std::make_unique<eval::ExitFitter>(layers, model::exit_width(model->architecture()));
    plain.assign(layers, {});
    seconds.assign(layers, 0);
    Progress progress("computing", "pairs");
    PairBatch batch;
    double tokens = 0;
    for (size_t i = 0; i < pairs.size(); ++i) {
      const text::EncodedPair pair = encoded(pairs[i]);
      batch.pairs.add(pair.ids, pair.type_ids);
      batch.lists.push_back(pairs[i].list);
      if (batch.pairs.tokens() < kBatchTokens && i + 1 < pairs.size()) continue;
      tokens += static_cast<double>(batch.pairs.tokens());
      RETURN_IF_ERROR(compute(batch));
      batch = {};
      progress.update(i + 1, pairs.size());
    }
    result.tokens = tokens / static_cast<double>(pairs.size());
    return ok_status();
  }

  Status compute(const PairBatch& batch) {
    const size_t size = batch.lists.size(),
                 width = (model->config.architecture.layers() - 1) * model::exit_width(model->architecture());
    std::vector<float> logits(size), states(size * width);
    RETURN_IF_ERROR(backend->forward_with_states(batch.pairs, logits, states));
    for (size_t i = 0; i < size; ++i)
      fitter->add({batch.lists[i], logits[i], std::span(states).subspan(i * width, width)});
    return compute_held_out(batch, logits);
  }

  Status compute_held_out(const PairBatch& batch, std::span<const float> logits) {
    PairBatch held;
    for (size_t i = 0; i < batch.lists.size(); ++i) {
      if (!eval::ExitFitter::held_out(batch.lists[i])) continue;
      held.pairs.add(batch.pairs, i);
      held.lists.push_back(batch.lists[i]);
      held_lists.push_back(batch.lists[i]);
      final.push_back(logits[i]);
    }
    if (held.lists.empty()) return ok_status();
    std::vector<float> scores(held.lists.size());
    for (size_t depth = 1; depth <= plain.size(); ++depth) {
      held.pairs.layers.assign(held.lists.size(), static_cast<uint8_t>(depth));
      const TimePoint begin = Clock::now();
      RETURN_IF_ERROR(backend->forward(held.pairs, scores));
      seconds[depth - 1] += std::chrono::duration<double>(Clock::now() - begin).count();
      plain[depth - 1].insert(plain[depth - 1].end(), scores.begin(), scores.end());
    }
    return ok_status();
  }

  Status fit_and_write() {
    log_info(str_cat("fitting ", model->config.architecture.layers() - 1, " exits to ", pairs.size(), " pairs"));
    const std::vector<eval::LinearFit> fits = fitter->fit(result);
    std::vector<uint32_t> distinct = held_lists;
    std::sort(distinct.begin(), distinct.end());
    result.held_lists = static_cast<size_t>(std::unique(distinct.begin(), distinct.end()) - distinct.begin());
    for (size_t depth = 0; depth < plain.size(); ++depth) {
      eval::DepthRow& row = result.rows[depth];
      const eval::ListAgreement agreement = eval::list_agreement(held_lists, final, plain[depth]);
      row.plain_tau = agreement.tau;
      row.plain_top1 = agreement.top1;
      row.plain_top5 = agreement.top5;
      row.seconds = seconds[depth] / static_cast<double>(std::max<size_t>(1, final.size()));
    }
    model::Exits exits{result.model, model::weights_digest(*model), {}, {}};
    for (size_t i = 0; i < fits.size(); ++i) {
      exits.heads.push_back({{fits[i].weights.begin(), fits[i].weights.end()},
                             static_cast<float>(fits[i].bias),
                             static_cast<float>(result.rows[i].spread)});
    }
    const bool enough = result.held_lists >= kEnoughLists;
    for (const eval::AdaptiveRow& row : result.adaptive) {
      if (row.reached && enough) exits.targets.push_back({row.target, row.margin});
    }
    RETURN_IF_ERROR(model::write_exits(out, exits));
    std::fputs(eval::depth_table(result).c_str(), stdout);
    if (!enough) {
      std::printf(
          "\n%zu lists held out are too few to say what a target costs: none was written. Of five lists one is held "
          "out; about %zu lists would do.\n",
          result.held_lists, 5 * kEnoughLists);
    }
    for (const auto& [name, text] :
         {std::pair("/depth.json", eval::depth_json(result)), std::pair("/depth.svg", eval::depth_svg(result)),
          std::pair("/depth.html", with_origin(eval::depth_html(result)))}) {
      RETURN_IF_ERROR(eval::write_file(out + name, text));
    }
    return ok_status();
  }

  std::string source, out;
  size_t wanted = 4000, top_k = 30;
  std::shared_ptr<const model::Model> model;
  std::shared_ptr<const text::PairEncoder> texts;
  std::unique_ptr<engine::Backend> backend;
  std::vector<CalibrationPair> pairs;
  std::vector<int32_t> query_ids, document_ids;
  std::unique_ptr<eval::ExitFitter> fitter;
  // Of the pairs held out: their lists, full logits, logits and times of each depth with the model's own head.
  std::vector<uint32_t> held_lists;
  std::vector<double> final, seconds;
  std::vector<std::vector<double>> plain;
  eval::DepthReport result;
};

}  // namespace

Run add_calibrate_command(CLI::App& program) {
  auto command = std::make_shared<Calibrate>(program);
  return [command] { return command->app.parsed() ? command->run() : -1; };
}

}  // namespace rerank::cli
