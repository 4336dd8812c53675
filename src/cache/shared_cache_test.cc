// The shared cache against a real redis-server, and against servers that answer what Redis never would.
#include "cache/shared_cache.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "base/metrics.h"
#include "base/strings.h"
#include "cache/redis_url.h"
#include "rerank/reranker.h"
#include "support/golden.h"
#include "support/redis_process.h"

namespace rerank::cache {
namespace {

using Scores = std::vector<std::optional<CachedScore>>;

TEST(RedisUrlTest, IsTakenApart) {
  auto full = parse_redis_url("valkey://me:p%40ss%3a@cache.local:7000/3");
  ASSERT_TRUE(full.ok()) << full.status();
  EXPECT_EQ(full->host, "cache.local");
  EXPECT_EQ(full->port, 7000);
  EXPECT_EQ(full->user, "me");
  EXPECT_EQ(full->password, "p@ss:");
  EXPECT_EQ(full->database, 3u);
  EXPECT_EQ(full->shown(), "cache.local:7000/3");
  auto plain = parse_redis_url("redis://[::1]");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->host, "::1");
  EXPECT_EQ(plain->port, 6379);
  EXPECT_EQ(parse_redis_url("redis://:secret@h")->password, "secret");
  EXPECT_EQ(parse_redis_url("rediss://h").status().code(), absl::StatusCode::kUnimplemented);
  for (const char* wrong : {"", "h:1", "http://h", "redis://", "redis://h:0", "redis://h:x", "redis://h:70000",
                            "redis://h/x", "redis://[::1", "redis://a:secret%zz@h"}) {
    const Status status = parse_redis_url(wrong).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << wrong;
    EXPECT_THAT(std::string(message_of(status)), ::testing::Not(::testing::HasSubstr("secret")));
  }
}

struct Cache {
  explicit Cache(const std::string& url, std::chrono::milliseconds timeout = std::chrono::seconds(5),
                 Resolve resolve = nullptr) {
    SharedCacheOptions options;
    options.url = url;
    options.timeout = timeout;
    options.resolve = std::move(resolve);
    options.name_patience = std::chrono::hours(1);
    auto opened = SharedCache::open(options, &metrics);
    EXPECT_TRUE(opened.ok()) << opened.status();
    cache = std::move(*opened);
  }
  // nullopt: the cache says that its server is not there.
  std::optional<Scores> find(std::vector<Hash128> keys) {
    std::promise<Scores> promise;
    if (!cache->find(std::move(keys), [&](Scores scores) { promise.set_value(std::move(scores)); })) return {};
    return promise.get_future().get();
  }
  bool up() { return metrics.gauge("rerankd_shared_cache_up", "").value() == 1; }
  double count(const std::string& what) {
    return metrics.counter("rerankd_shared_cache_" + what + "_total", "").value();
  }
  void await(const std::function<bool()>& condition) {
    for (int i = 0; i < 20000; ++i) {
      if (condition()) return;
      usleep(1000);
    }
    ADD_FAILURE() << "it does not come about";
  }
  void await_up() {
    await([&] { return find({Hash128{1, 1}}).has_value(); });
  }

  Metrics metrics;
  std::unique_ptr<SharedCache> cache;
};

// A name server that says nothing until it is told to; copies are one.
struct SilentNames {
  std::shared_ptr<std::promise<Addresses>> answer = std::make_shared<std::promise<Addresses>>();
  std::shared_future<Addresses> answered = answer->get_future().share();
  std::shared_ptr<std::atomic<int>> asked = std::make_shared<std::atomic<int>>(0);
  Result<Addresses> operator()(const std::string&) const {
    ++*asked;
    asked->notify_all();
    return answered.get();
  }
};

TEST(NameLookupTest, IsWaitedForNoLongerThanAskedAndNotBegunTwice) {
  const SilentNames names;
  NameLookup lookup(names);
  EXPECT_EQ(*lookup.find("::1", std::chrono::hours(1)), Addresses{"::1"});
  EXPECT_EQ(*names.asked, 0) << "an address is not looked up";
  for (int i = 0; i < 3; ++i) {
    const auto late = lookup.find("cache.local", std::chrono::milliseconds(1));
    EXPECT_TRUE(absl::IsUnavailable(late.status()));
    EXPECT_THAT(std::string(message_of(late.status())), ::testing::HasSubstr("cache.local"));
  }
  names.asked->wait(0);
  names.answer->set_value({"127.0.0.1", "::1"});
  EXPECT_THAT(*lookup.find("cache.local", std::chrono::hours(1)), ::testing::ElementsAre("127.0.0.1", "::1"));
  EXPECT_EQ(*names.asked, 1) << "an answer that came when nobody waited is taken, too";
  EXPECT_TRUE(NameLookup().find("localhost", std::chrono::hours(1)).ok());
}

TEST(SharedCacheTest, ANameServerThatSaysNothingHoldsUpNeitherStartNorServingNorStop) {
  const SilentNames names;
  {
    Cache cache("redis://cache.local", std::chrono::seconds(5), names);
    names.asked->wait(0);
    EXPECT_FALSE(cache.find({Hash128{1, 1}}));
    cache.cache->store({{Hash128{1, 1}, {1.5f, 7, false}}});
    EXPECT_EQ(cache.count("dropped"), 1);
  }  // stops, though the lookup goes on
  EXPECT_EQ(*names.asked, 1);
  names.answer->set_value({});
}

TEST(SharedCacheTest, AddressesOfANameAreTriedInTurn) {
  RedisProcess redis;
  const Resolve resolve = [](const std::string&) -> Result<Addresses> { return Addresses{"127.0.0.99", "127.0.0.1"}; };
  Cache cache("redis://cache.local:" + std::to_string(redis.port()), std::chrono::seconds(5), resolve);
  cache.await_up();
}

TEST(SharedCacheTest, FindsWhatAnotherStored) {
  RedisProcess redis({"--requirepass", "secret"});
  const std::string url = "redis://:secret@127.0.0.1:" + std::to_string(redis.port()) + "/2";
  Cache writer(url), reader(url);
  writer.await_up();
  reader.await_up();
  writer.cache->store({{Hash128{1, 2}, {1.5f, 7, true}}, {Hash128{3, 4}, {-2.25f, 512, false}}});
  writer.await([&] { return writer.count("stored") == 2; });
  auto found = reader.find({Hash128{3, 4}, Hash128{9, 9}, Hash128{1, 2}});
  ASSERT_TRUE(found);
  EXPECT_EQ((*found)[0]->logit, -2.25f);
  EXPECT_EQ((*found)[0]->tokens, 512u);
  EXPECT_FALSE((*found)[0]->truncated);
  EXPECT_FALSE((*found)[1]);
  EXPECT_TRUE((*found)[2]->truncated);
  EXPECT_EQ(reader.count("hits"), 2);

  Cache wrong("redis://:guess@127.0.0.1:" + std::to_string(redis.port()));
  wrong.await([&] { return wrong.count("failures") > 0; });
  EXPECT_FALSE(wrong.up());
}

TEST(SharedCacheTest, GoesOnWithoutAServerAndComesBack) {
  RedisProcess redis;
  std::vector<std::string> lines;
  std::mutex mutex;
  set_log_sink([&](LogLevel, std::string_view line, auto) {
    std::lock_guard lock(mutex);
    lines.emplace_back(line);
  });
  {
    Cache cache(redis.url());
    cache.await_up();
    redis.kill();
    cache.await([&] { return !cache.find({Hash128{1, 1}}); });
    cache.await([&] { return cache.count("failures") >= 3; });
    cache.cache->store({{Hash128{1, 1}, {1, 1, false}}});
    EXPECT_EQ(cache.count("dropped"), 1);
    redis.start();
    cache.await_up();
  }
  set_log_sink({});
  EXPECT_THAT(lines,
              ::testing::ElementsAre(::testing::HasSubstr("is there"), ::testing::HasSubstr("going on without it"),
                                     ::testing::HasSubstr("is back")));
}

TEST(SharedCacheTest, AFrozenServerHoldsNobodyUp) {
  RedisProcess redis;
  Cache cache(redis.url(), std::chrono::milliseconds(50));
  cache.await_up();
  redis.freeze();
  const auto found = cache.find({Hash128{1, 1}});
  EXPECT_FALSE(found && (*found)[0]);
  cache.await([&] { return !cache.find({Hash128{1, 1}}); });
  redis.thaw();
  cache.await_up();
}

// Answers every connection with a script: PING rightly, then whatever the test says.
class Impostor {
 public:
  explicit Impostor(std::string answer) : answer_(std::move(answer)), socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    bind(socket_, reinterpret_cast<sockaddr*>(&address), length);
    listen(socket_, 16);
    getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~Impostor() {
    ::shutdown(socket_, SHUT_RDWR);
    thread_.join();
    close(socket_);
  }
  std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }

 private:
  void serve() {
    for (int peer; (peer = accept(socket_, nullptr, nullptr)) >= 0; close(peer)) {
      char bytes[4096];
      if (recv(peer, bytes, sizeof(bytes), 0) <= 0) continue;
      send(peer, "+PONG\r\n", 7, MSG_NOSIGNAL);
      if (recv(peer, bytes, sizeof(bytes), 0) <= 0) continue;
      send(peer, answer_.data(), answer_.size(), MSG_NOSIGNAL);
      while (recv(peer, bytes, sizeof(bytes), 0) > 0) {
      }
    }
  }
  const std::string answer_;
  int socket_;
  uint16_t port_ = 0;
  std::thread thread_;
};

TEST(SharedCacheTest, AnswersThatAreNoScoresAreNotThere) {
  const std::string magic = "RR1";
  const std::string not_a_number = magic + std::string("\0\0\0\xc0\x7f\1\0\0\0", 9);
  const std::string no_tokens = magic + std::string(9, '\0');
  const std::string odd_flag = magic + std::string("\7\0\0\0\0\1\0\0\0", 9);
  for (const std::string& value : {std::string("x"), std::string(12, 'x'), not_a_number, no_tokens, odd_flag}) {
    Impostor redis("*1\r\n$" + std::to_string(value.size()) + "\r\n" + value + "\r\n");
    Cache cache(redis.url());
    std::optional<Scores> found;
    cache.await([&] { return (found = cache.find({Hash128{1, 1}})).has_value(); });
    EXPECT_FALSE((*found)[0]);
    EXPECT_EQ(cache.count("invalid"), 1);
    EXPECT_TRUE(cache.up());
  }
}

TEST(SharedCacheTest, AnswersThatAreNoAnswersCloseTheConnection) {
  for (const char* answer : {"+OK\r\n", ":7\r\n", "-LOADING Redis is loading\r\n", "*0\r\n", "*2\r\n$-1\r\n$-1\r\n",
                             "*-1\r\n", "$3\r\nabc\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", "*2000000000\r\n",
                             "*1\r\n*1\r\n$-1\r\n", "*1\r\n$99999999999\r\n", "?"}) {
    Impostor redis(answer);
    Cache cache(redis.url(), std::chrono::milliseconds(300));
    std::optional<Scores> found;
    cache.await([&] { return (found = cache.find({Hash128{1, 1}})).has_value(); });
    EXPECT_FALSE((*found)[0]) << answer;
    if (answer != std::string("*1\r\n*1\r\n$-1\r\n")) cache.await([&] { return cache.count("failures") >= 1; });
  }
}

// Two replicas and a server that dies, freezes and comes back under load: no request fails, no score is wrong.
RerankRequest weather(int topic, bool use_cache = true) {
  return {.query = "rain today " + std::to_string(topic), .documents = {"rain", "sun", "snow"}, .use_cache = use_cache};
}

TEST(SharedCacheTest, ReplicasShareScoresAndNoRequestFails) {
  RedisProcess redis;
  const auto open = [&] {
    Options options;
    options.model.source.model = RERANKD_SOURCE_DIR "/tests/data/models/bert-a";
    options.model.engine.precision = Precision::kFp32;
    options.host.threads = 1;
    options.host.caches.cache_bytes = 0;  // everything is asked of the shared cache
    options.host.caches.cache_url = redis.url();
    options.host.caches.cache_timeout_ms = 200;
    auto metrics = std::make_shared<Metrics>();
    auto reranker = Reranker::open(options, metrics);
    EXPECT_TRUE(reranker.ok()) << reranker.status();
    return std::pair(std::move(*reranker), metrics);
  };
  auto [first, first_metrics] = open();
  auto [second, second_metrics] = open();
  const auto ask = [](Reranker& reranker, int topic) { return reranker.rerank(weather(topic)); };
  std::vector<float> expected;
  for (int topic = 0; topic < 20; ++topic) {
    auto fresh = first->rerank(weather(topic, false));
    ASSERT_TRUE(fresh.ok());
    expected.push_back(fresh->results[0].logit);
  }
  const auto up = [](Metrics& m) { return m.gauge("rerankd_shared_cache_up", "").value() == 1; };
  for (int i = 0; i < 20000 && !(up(*first_metrics) && up(*second_metrics)); ++i) usleep(1000);
  // What one has computed, the other one knows.
  for (int i = 0; i < 20000; ++i) {
    ASSERT_TRUE(ask(*first, 0).ok());
    auto known = ask(*second, 0);
    ASSERT_TRUE(known.ok());
    EXPECT_EQ(known->results[0].logit, expected[0]);
    if (known->cached_documents == 3) break;
    usleep(1000);
  }
  EXPECT_GT(second_metrics->counter("rerankd_shared_cache_hits_total", "").value(), 0);

  std::atomic<bool> stop{false};
  std::atomic<int> failed{0}, wrong{0}, answered{0};
  std::vector<std::thread> clients;
  for (int t = 0; t < 4; ++t) {
    clients.emplace_back([&, t] {
      for (int i = 0; !stop; ++i) {
        const int topic = (i + t) % 20;
        auto response = ask(t % 2 ? *first : *second, topic);
        failed += !response.ok();
        wrong += response.ok() && response->results[0].logit != expected[static_cast<size_t>(topic)];
        ++answered;
      }
    });
  }
  const auto more = [&](int count) {
    for (const int until = answered + count; answered < until;) usleep(1000);
  };
  more(50);
  redis.kill();
  more(100);
  redis.start();
  more(100);
  redis.freeze();
  more(100);
  redis.thaw();
  more(100);
  stop = true;
  for (auto& client : clients) client.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(first_metrics->counter("rerankd_shared_cache_failures_total", "").value(), 0);
}

}  // namespace
}  // namespace rerank::cache
