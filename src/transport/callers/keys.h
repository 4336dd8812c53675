// API keys: from the --api-key option, and from a file that is read again whenever it changes. Thread-safe.
//
// The file has one key a line: NAME KEY [rate=REQUESTS_PER_SECOND] [tokens=TOKENS_PER_SECOND] [priority=N]; `#` begins
// a comment. The name stands in logs and metrics instead of the key. Who has a rate may save up one second's worth of
// requests; more is refused. Tokens are known only when they have been scored: who has used more than the second's
// worth that it may save up is refused until that has been made up for.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "rerank/status.h"
#include "rerank/types.h"

namespace rerank::transport {

struct KeyRule {
  std::string name;
  std::string secret;
  double rate = 0;    // requests per second; 0: no limit
  double tokens = 0;  // tokens scored per second; 0: no limit
  int priority = 0;   // of this key's requests among waiting work; -100 to 100
};

// InvalidArgument naming `origin` and line. At most 10,000 keys.
Result<std::vector<KeyRule>> parse_key_file(std::string_view text, std::string_view origin);

class KeyRing {
 public:
  // `keys`: separated by commas or white space, all named "key"; not empty and without a key: nobody is let in.
  explicit KeyRing(std::string_view keys);
  // And those of the file at `path`, which may be empty. Errors: `keys` is not empty and holds no key, a key is shorter
  // than 8 letters or cannot be sent in a header, the file cannot be read or is wrong. Later, a file that cannot be
  // read or is wrong is told to the log, and the keys that were read last stay.
  static Result<std::unique_ptr<KeyRing>> open(std::string_view keys, const std::string& path);

  // Reads the file now, whether it has changed or not.
  void reload();

  bool empty() const { return !asked_ && path_.empty() && rules_.empty(); }

  // Whose secret it is; Unauthenticated when nobody's, kRateLimited with a time to retry when that key's rate, or its
  // tokens, are used up. Takes as long for a key that is nearly right as for one that is not.
  Result<KeyRule> admit(std::string_view secret, TimePoint now = Clock::now());
  // The name of the key, without using anything of its rate; empty when nobody's.
  std::string name_of(std::string_view secret);
  // Takes what a request has cost from what the key of this name may use.
  void charge(std::string_view name, size_t tokens, TimePoint now = Clock::now());

 private:
  struct Entry {
    KeyRule rule;
    double saved = 0;         // requests that may come at once
    double saved_tokens = 0;  // below 0: to be made up for
    TimePoint filled{};
  };
  static void fill(Entry& entry, TimePoint now);
  Entry* find(std::string_view secret);  // under mutex_
  void look_for_changes(TimePoint now);
  Status read();

  bool asked_ = false;  // keys were given, also if there was none among them
  std::string path_;
  std::vector<KeyRule> fixed_;  // of the option
  std::mutex mutex_;            // guards what follows
  std::vector<Entry> rules_;
  std::string stamp_;  // of the file as read
  TimePoint looked_{};
};

}  // namespace rerank::transport
