// rerankd bench: a load test of any rerank server, or of the engine in this process, whose answers are checked first.
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <future>
#include <map>

#include "base/status_macros.h"
#include "cli/command.h"
#include "cli/help/origin.h"
#include "eval/data/collection.h"
#include "load/drive.h"
#include "load/summary.h"
#include "model/hub.h"
#include "rank/locate.h"
#include "text/tokenizer.h"

namespace rerank::cli {
namespace {

// Largest difference of a score that half precision explains (see docs/performance.md), and how many requests are
// held against the reference before the load. Scores are from 0 to 1 and come from a server whose precision is not
// known: convert::explained_difference() is of logits.
constexpr double kTolerance = 0.03;
constexpr size_t kCheckedRequests = 3;
constexpr size_t kMeasuredRequests = 50;  // whose lengths the report shows
constexpr size_t kFittedTexts = 20000;

Result<double> parse_seconds(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const std::string_view unit = end;
  const double scale = unit.empty() || unit == "s" ? 1 : unit == "ms" ? 1e-3 : unit == "m" ? 60 : 0;
  if (end == text.c_str() || scale == 0 || !(value > 0) || value * scale > 86400) {
    return absl::InvalidArgumentError(str_cat("--duration ", text, ": want for example 8s, 500ms or 2m"));
  }
  return value * scale;
}

Result<load::Answer> ask(load::Target& target, std::shared_ptr<const RerankRequest> request) {
  std::promise<load::Answer> promise;
  auto future = promise.get_future();
  target.submit(std::move(request), [&](load::Answer answer) { promise.set_value(std::move(answer)); });
  load::Answer answer = future.get();
  if (!answer.status.ok()) return answer.status;
  return answer;
}

// Every document once, best first, finite.
Status check_shape(const load::Answer& answer, const RerankRequest& request) {
  std::vector<bool> seen(request.documents.size());
  const size_t wanted = request.top_n == 0 ? seen.size() : std::min(request.top_n, seen.size());
  if (answer.results.size() != wanted) {
    return absl::DataLossError(str_cat(answer.results.size(), " results for ", wanted, " wanted"));
  }
  for (const auto& result : answer.results) {
    if (result.index >= seen.size() || seen[result.index])
      return absl::DataLossError("an index is wrong or twice there");
    if (!std::isfinite(result.score)) return absl::DataLossError("a score is not finite");
    seen[result.index] = true;
  }
  return ok_status();
}

Status check_scores(const load::Answer& answer, const RerankResponse& reference) {
  std::map<size_t, double> wanted;
  for (const RankedDocument& r : reference.results) wanted[r.index] = r.score;
  for (const auto& result : answer.results) {
    const double gap = std::abs(result.score - wanted.at(result.index));
    if (!(gap <= kTolerance)) {
      return absl::DataLossError(str_cat("document ", result.index, " has score ", result.score,
                                         ", the reference says ", wanted.at(result.index), " (tolerance ", kTolerance,
                                         "); --no-check for a server with another model"));
    }
  }
  return ok_status();
}

struct Bench : Command {
  explicit Bench(CLI::App& program)
      : Command(program, "bench", "Load test: throughput and latency of a rerank server, or of the engine here.") {
    auto add = [&](const char* name, auto& value, const char* type, const char* help) {
      return app.add_option(name, value, help)->type_name(type)->capture_default_str()->group("Bench");
    };
    add("--url", http.url, "URL", "Server to test: http://HOST:PORT[/PATH]. Without it: the engine in this process.");
    add("--dialect", http.dialect, "NAME",
        "cohere (\"documents\": Cohere, Jina, vLLM, Xinference, ...) or tei (\"texts\").");
    add("--request-model", http.model, "NAME", "Model name sent where the dialect has one.");
    add("--bearer", http.api_key, "KEY", "API key sent to --url.")->envname("RERANKD_API_KEY");
    add("--request-timeout", http.timeout_seconds, "SECONDS",
        "A request of --url without an answer by then has failed.");
    add("--rate", rates, "R,...", "Open loop: requests per second; several give a latency-throughput curve.")
        ->delimiter(',');
    add("--arrivals", arrival_kind, "KIND",
        "Open loop: poisson, constant, bursts:N, or trace:FILE: as recorded, a line of seconds or of rerankd's JSON "
        "log "
        "each; faster or slower with --rate.");
    add("--clients", clients, "N,...",
        "Closed loop: clients that each wait for their answer. Default without --rate: 1.")
        ->delimiter(',');
    add("--duration", duration, "TIME", "Of each run: 8s, 500ms, 2m.");
    add("--documents-per-request", workload.documents_per_request, "N", "Documents in a request.");
    add("--document-tokens", workload.document_tokens, "N|A-B|lognormal:M,S|fit:FILE",
        "Length of documents, by --model's tokenizer; fit: a log-normal distribution like that of these texts.");
    add("--query-tokens", workload.query_tokens, "N", "Length of queries.");
    add("--top-n", workload.top_n, "N", "Results asked for; 0: all.");
    add("--distinct", workload.distinct, "N", "Repeat requests: as many different ones; 0: every request is new.");
    add("--zipf", workload.zipf, "S", "How unevenly repeated requests are asked for (exponent).");
    add("--texts", texts, "FILE|DIR",
        "Words come from these texts instead of a built-in list: lines, JSON lines, or a collection's folder.");
    add("--requests", requests, "FILE",
        "Send these requests, over and over: JSON lines with \"query\" and \"documents\".");
    add("--seed", workload.seed, "N", "The same seed gives the same requests and arrivals.");
    add("--json", json, "FILE", "Write the figures here.");
    add("--html", html, "FILE", "Write a report with pictures here.");
    app.add_flag("--no-check", no_check, "Do not hold answers against the reference engine first.")->group("Bench");
    options.host.caches.cache_bytes = 0;  // the engine is measured, not the cache; --cache-bytes turns it on
    settings.add(options);
  }

  int run() {
    Status status = complete();
    if (status.ok()) status = measure();
    return status.ok() ? 0 : report(status);
  }

  Status measure() {
    ASSIGN_OR_RETURN(auto seconds, parse_seconds(duration));
    ASSIGN_OR_RETURN(auto made, make_workload());
    RETURN_IF_ERROR(read_arrivals());
    if (rates.empty() && clients.empty()) clients = {1};
    for (size_t count : clients) {
      if (count == 0 || count > 4096) return absl::InvalidArgumentError("--clients: 1 to 4096");
    }
    for (double rate : rates) {
      if (!trace.empty()) break;
      RETURN_IF_ERROR(load::arrivals(arrival_kind, rate, 0, 1).status());
    }
    RETURN_IF_ERROR(open_target());
    if (Status right = check(made); !right.ok()) return with_context(right, "answers are checked before the load");

    load::BenchReport found{name, workload, {}, made.document_lengths(kMeasuredRequests)};
    if (requests.empty()) {
      std::printf("%s\n%zu documents of %s tokens per request\n\n", name.c_str(), workload.documents_per_request,
                  workload.document_tokens.c_str());
    } else {
      std::printf("%s\nrequests of %s\n\n", name.c_str(), requests.c_str());
    }
    std::printf("%12s %9s %9s %10s %9s %9s %9s %9s %8s %7s\n", "load", "answered", "req/s", "docs/s", "mean ms",
                "p50 ms", "p95 ms", "p99 ms", "refused", "failed");
    for (size_t count : clients)
      add(found, str_cat(count, " clients"), [&](const load::Watch& watch) {
        return load::drive_closed(*target, made, {count, seconds, next_request}, watch);
      });
    for (double rate : rates)
      add(found, rate > 0 ? str_cat(rate, "/s") : "as recorded", [&](const load::Watch& watch) {
        auto due = trace.empty() ? *load::arrivals(arrival_kind, rate, seconds, workload.seed)
                                 : load::replay(trace, rate, seconds);
        load::LoadRun run =
            load::drive_open(*target, made, {std::move(due), http.timeout_seconds, next_request}, watch);
        run.offered = rate;
        return run;
      });
    return write(found);
  }

  template <class Drive>
  void add(load::BenchReport& found, const std::string& load, const Drive& drive) {
    load::Summary run;
    {
      Progress progress(load, "requests");
      const load::LoadRun sent = drive([&](size_t, size_t done) { progress.update(done, 0); });
      next_request += sent.samples.size();
      run = load::summarize(sent);
    }
    const load::LatencySummary& ms = run.latency;
    std::printf("%12s %9zu %9.1f %10.1f %9.2f %9.2f %9.2f %9.2f %8zu %7zu\n", load.c_str(), run.answered,
                run.requests_per_second, run.documents_per_second, ms.mean, ms.p50, ms.p95, ms.p99, run.refused,
                run.failed + run.unanswered);
    if (!run.first_error.empty()) std::printf("             first failure: %s\n", run.first_error.c_str());
    std::fflush(stdout);
    found.runs.push_back(std::move(run));
  }

  // A trace without --rate is played as it was recorded.
  Status read_arrivals() {
    constexpr std::string_view kTrace = "trace:";
    if (!arrival_kind.starts_with(kTrace)) return ok_status();
    TextInput in;
    std::vector<std::string> lines;
    RETURN_IF_ERROR(in.open("--arrivals", arrival_kind.substr(kTrace.size())));
    for (std::string line; in.next_text(line);) lines.push_back(line);
    auto read = load::read_trace(lines);
    if (!read.ok()) return with_context(read.status(), str_cat("--arrivals ", arrival_kind));
    trace = std::move(*read);
    if (rates.empty()) rates = {0};
    return ok_status();
  }

  Result<std::vector<std::string>> read_lines() {
    std::vector<std::string> lines;
    if (std::filesystem::is_directory(texts)) {
      auto collection = eval::read_collection(texts, {.need_judgments = false});
      if (!collection.ok()) return with_context(collection.status(), "--texts");
      for (auto& document : collection->documents) lines.push_back(std::move(document.text));
      return lines;
    }
    auto read = eval::read_texts(texts, 0);
    if (!read.ok()) return with_context(read.status(), "--texts");
    for (eval::LooseText& line : *read) lines.push_back(std::move(line.text));
    return lines;
  }

  Result<load::Workload> make_workload() {
    ASSIGN_OR_RETURN(auto located, rank::locate_model(options));
    ASSIGN_OR_RETURN(auto tokenizer, text::Tokenizer::from_folder(located.folder));
    const auto count = [tokenizer = std::move(tokenizer), ids = std::vector<int32_t>()](std::string_view text) mutable {
      ids.clear();
      tokenizer->encode(text, ids);
      return ids.size();
    };
    RETURN_IF_ERROR(fit_lengths(count));
    if (!requests.empty()) {
      auto read = load::read_requests(requests);
      if (!read.ok()) return with_context(read.status(), "--requests");
      return load::Workload::of_requests(workload, std::move(*read), count);
    }
    ASSIGN_OR_RETURN(auto lines, texts.empty() ? std::vector<std::string>() : read_lines());
    return load::Workload::make(workload, lines, count);
  }

  // "fit:FILE" becomes the distribution of FILE's texts.
  Status fit_lengths(const load::Workload::TokenCount& count) {
    constexpr std::string_view kFit = "fit:";
    if (!workload.document_tokens.starts_with(kFit)) return ok_status();
    auto read = eval::read_texts(workload.document_tokens.substr(kFit.size()), kFittedTexts);
    if (!read.ok()) return with_context(read.status(), "--document-tokens fit");
    std::vector<size_t> lengths;
    for (const eval::LooseText& line : *read) lengths.push_back(count(line.text));
    if (lengths.empty()) return absl::InvalidArgumentError("--document-tokens fit: there are no texts");
    workload.document_tokens = load::fit_log_normal(lengths);
    return ok_status();
  }

  Status open_target() {
    if (!http.url.empty()) {
      ASSIGN_OR_RETURN(auto made, load::http_target(http));
      target = std::move(made);
      name = http.url;
      return ok_status();
    }
    ASSIGN_OR_RETURN(auto opened, open());
    engine = std::move(opened);
    target = load::engine_target(*engine);
    const ModelInfo& info = engine->info();
    name = str_cat(info.id, " in process: engine ", info.engine, ", ", info.precision, ", kernel ", info.kernel, ", ",
                   info.threads, " thread(s)");
    return ok_status();
  }

  // The first requests of the workload, before the load and outside its figures.
  Status check(const load::Workload& made) {
    std::unique_ptr<Reranker> reference;
    if (!no_check) {
      Options plain = options;
      plain.model.engine.engine = EngineKind::kReference, plain.model.engine.precision = Precision::kFp32,
      plain.model.engine.kernel = KernelTier::kAuto;
      ASSIGN_OR_RETURN(auto opened, Reranker::open(plain));
      reference = std::move(opened);
    }
    for (size_t i = 0; i < kCheckedRequests; ++i) {
      auto request = std::make_shared<RerankRequest>(*made.request(i));
      if (!no_check && request->documents.size() > 4) request->documents.resize(4);  // the reference is slow
      ASSIGN_OR_RETURN(auto answer, ask(*target, request));
      RETURN_IF_ERROR(check_shape(answer, *request));
      if (no_check) continue;
      ASSIGN_OR_RETURN(auto wanted, reference->rerank(RerankRequest(*request)));
      RETURN_IF_ERROR(check_scores(answer, wanted));
    }
    return ok_status();
  }

  Status write(const load::BenchReport& found) {
    for (const auto& [file, text] : {std::pair(json, json.empty() ? "" : load::to_json(found)),
                                     std::pair(html, html.empty() ? "" : with_origin(load::to_html(found)))}) {
      if (file.empty()) continue;
      std::ofstream out(file);
      if (!(out << text) || !out.flush()) return absl::UnavailableError(str_cat(file, ": cannot write"));
    }
    return ok_status();
  }

  load::HttpTargetOptions http;
  load::WorkloadOptions workload;
  std::vector<double> rates;
  std::vector<size_t> clients;
  std::string arrival_kind = "poisson", duration = "8s", texts, requests, json, html, name;
  std::vector<double> trace;  // of arrivals; empty: they are made
  bool no_check = false;
  uint64_t next_request = kCheckedRequests;  // of the workload: no load asks what an earlier one has asked
  std::unique_ptr<Reranker> engine;
  std::unique_ptr<load::Target> target;
};

}  // namespace

Run add_bench_command(CLI::App& program) {
  auto command = std::make_shared<Bench>(program);
  return [command] { return command->app.parsed() ? command->run() : -1; };
}

}  // namespace rerank::cli
