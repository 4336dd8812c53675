// An HTTP/1.1 client of rerank servers: one thread, a coroutine per request, connections kept and used again.
#include <absl/strings/ascii.h>
#include <simdjson.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <thread>

#include "base/json/writer.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "load/target.h"

namespace rerank::load {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

constexpr uint64_t kMaxAnswerBytes = 256u << 20;
// Some servers close idle connections after 5 s: an older one is not used again, so that none is lost to that race.
constexpr std::chrono::seconds kIdleLimit(3);

struct Address {
  std::string host, port = "80", path;
};

Result<Address> parse_address(const HttpTargetOptions& options) {
  std::string_view rest = options.url;
  const auto wrong = [&] {
    return absl::InvalidArgumentError(str_cat("--url ", options.url, ": want http://HOST[:PORT][/PATH]"));
  };
  if (!rest.starts_with("http://")) return wrong();
  rest.remove_prefix(7);
  Address address;
  const size_t slash = rest.find('/');
  if (slash != rest.npos && slash + 1 < rest.size()) address.path = std::string(rest.substr(slash));
  rest = rest.substr(0, slash);
  const size_t colon = rest.rfind(':');
  if (colon != rest.npos && rest.find(']', colon) == rest.npos) {
    address.port = std::string(rest.substr(colon + 1));
    rest = rest.substr(0, colon);
  }
  if (rest.starts_with('[') && rest.ends_with(']')) rest = rest.substr(1, rest.size() - 2);
  address.host = std::string(rest);
  if (address.host.empty() || address.port.empty()) return wrong();
  if (address.path.empty()) address.path = options.dialect == "tei" ? "/rerank" : "/v1/rerank";
  return address;
}

std::string body_of(const RerankRequest& request, const HttpTargetOptions& options) {
  JsonWriter out;
  auto text = [&](std::string_view s) { out.value(s); };
  const bool tei = options.dialect == "tei";
  out.begin_object();
  if (!tei) out.key("model"), text(options.model);
  out.key("query"), text(request.query);
  out.key(tei ? "texts" : "documents"), out.begin_array();
  for (const std::string& document : request.documents) text(document);
  out.end_array();
  if (tei) out.key("truncate"), out.value(true);
  if (!tei && request.top_n > 0) out.key("top_n"), out.value(request.top_n);
  out.end_object();
  return out.take();
}

// TEI answers an array; the others an object with `results` (or `data`) whose items have an index and a score.
Status read_results(const std::string& body, Answer& answer) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  simdjson::dom::array items;
  const auto wrong = [](const char* what) { return absl::InternalError(str_cat("the answer ", what)); };
  if (parser.parse(body).get(root)) return wrong("is not JSON");
  if (root.get(items) && root["results"].get(items) && root["data"].get(items)) return wrong("has no results");
  for (simdjson::dom::element item : items) {
    uint64_t index = 0;
    double score = 0;
    if (item["index"].get(index)) return wrong("has a result without an index");
    if (item["score"].get(score) && item["relevance_score"].get(score)) return wrong("has a result without a score");
    answer.results.push_back({static_cast<size_t>(index), score});
  }
  for (const char* name : {"total_tokens", "prompt_tokens"}) {
    if (root.is_object() && !root["usage"][name].get(answer.tokens)) break;
  }
  return ok_status();
}

// "cache;dur=0.02, compute;dur=12.5": https://www.w3.org/TR/server-timing/
std::vector<std::pair<std::string, double>> read_server_timing(std::string_view header) {
  std::vector<std::pair<std::string, double>> stages;
  while (!header.empty()) {
    std::string_view item = header.substr(0, header.find(','));
    header.remove_prefix(std::min(header.size(), item.size() + 1));
    item.remove_prefix(std::min(item.find_first_not_of(' '), item.size()));
    const size_t duration = item.find(";dur=");
    if (duration == item.npos) continue;
    stages.emplace_back(item.substr(0, duration), std::strtod(std::string(item.substr(duration + 5)).c_str(), nullptr));
  }
  return stages;
}

class HttpTarget : public Target {
 public:
  HttpTarget(Address address, const HttpTargetOptions& options)
      : address_(std::move(address)), options_(options), thread_([this] { context_.run(); }) {}

  ~HttpTarget() override {
    guard_.reset();
    thread_.join();
  }

  void submit(std::shared_ptr<const RerankRequest> request, Done done) override {
    asio::co_spawn(
        context_,
        [this, request = std::move(request), done = std::move(done)]() -> asio::awaitable<void> {
          Answer answer;
          try {
            co_await exchange(*request, answer);
          } catch (const boost::system::system_error& error) {
            answer.status = error.code() == beast::error::timeout
                                ? absl::DeadlineExceededError("no answer in time")
                                : absl::UnavailableError(str_cat("connection: ", error.code().message()));
          }
          done(std::move(answer));
        },
        asio::detached);
  }

 private:
  struct Idle {
    std::unique_ptr<beast::tcp_stream> stream;
    std::chrono::steady_clock::time_point since;
  };

  asio::awaitable<std::unique_ptr<beast::tcp_stream>> connection() {
    while (!idle_.empty()) {
      Idle last = std::move(idle_.back());
      idle_.pop_back();
      if (std::chrono::steady_clock::now() - last.since < kIdleLimit) co_return std::move(last.stream);
      --open_;
    }
    if (open_ >= options_.max_connections) {
      throw boost::system::system_error(boost::system::errc::make_error_code(boost::system::errc::too_many_files_open));
    }
    if (endpoints_.empty()) {
      tcp::resolver resolver(context_);
      endpoints_ = co_await resolver.async_resolve(address_.host, address_.port, asio::use_awaitable);
    }
    auto stream = std::make_unique<beast::tcp_stream>(context_);
    stream->expires_after(time_limit());
    co_await stream->async_connect(endpoints_, asio::use_awaitable);
    stream->socket().set_option(tcp::no_delay(true));
    ++open_;
    co_return stream;
  }

  asio::awaitable<void> exchange(const RerankRequest& request, Answer& answer) {
    auto stream = co_await connection();
    struct Count {  // a stream that is lost on the way is counted out
      size_t& open;
      ~Count() { open -= lost; }
      size_t lost = 1;
    } count{open_};
    stream->expires_after(time_limit());
    http::request<http::string_body> asked{http::verb::post, address_.path, 11};
    asked.set(http::field::host, address_.host);
    asked.set(http::field::content_type, "application/json");
    if (!options_.api_key.empty()) asked.set(http::field::authorization, "Bearer " + options_.api_key);
    asked.body() = body_of(request, options_);
    asked.prepare_payload();
    co_await http::async_write(*stream, asked, asio::use_awaitable);
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(kMaxAnswerBytes);
    co_await http::async_read(*stream, buffer, parser, asio::use_awaitable);
    const auto& got = parser.get();
    answer.http_status = static_cast<int>(got.result_int());
    if (answer.http_status == 200) {
      answer.status = read_results(got.body(), answer);
      const auto timing = got["Server-Timing"];
      answer.stages = read_server_timing({timing.data(), timing.size()});
    } else {
      answer.status = absl::UnknownError(str_cat("HTTP ", answer.http_status, ": ", got.body().substr(0, 200)));
    }
    if (!got.keep_alive()) co_return;
    count.lost = 0;
    idle_.push_back({std::move(stream), std::chrono::steady_clock::now()});
  }

  std::chrono::milliseconds time_limit() const {
    return std::chrono::milliseconds(static_cast<int64_t>(options_.timeout_seconds * 1000));
  }

  const Address address_;
  const HttpTargetOptions options_;
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard_{context_.get_executor()};
  // Only on the context's thread:
  std::vector<Idle> idle_;
  tcp::resolver::results_type endpoints_;
  size_t open_ = 0;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Target>> http_target(const HttpTargetOptions& options) {
  if (options.dialect != "cohere" && options.dialect != "tei") {
    return absl::InvalidArgumentError(str_cat("--dialect ", options.dialect, ": want cohere or tei"));
  }
  ASSIGN_OR_RETURN(auto address, parse_address(options));
  return std::unique_ptr<Target>(std::make_unique<HttpTarget>(std::move(address), options));
}

}  // namespace rerank::load
