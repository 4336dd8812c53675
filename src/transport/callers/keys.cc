#include "transport/callers/keys.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>
#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

#include "base/file_stamp.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "transport/errors.h"

namespace rerank::transport {
namespace {

constexpr size_t kMaxKeys = 10000;
constexpr size_t kLeastKey = 8;
constexpr size_t kMaxFileBytes = 4u << 20;
constexpr std::chrono::seconds kLookEvery(1);
constexpr double kLongestWait = 3600;  // seconds that Retry-After says

bool same_secret(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return difference == 0;
}

// nullptr, or why a key is refused.
const char* what_is_wrong(std::string_view key) {
  if (key.size() < kLeastKey) return "a key has at least 8 characters";
  const auto sendable = [](unsigned char c) { return c > 0x20 && c < 0x7f; };
  return std::all_of(key.begin(), key.end(), sendable) ? nullptr
                                                       : "a key has only letters that a header can carry: ASCII";
}

Status read_setting(const std::string& word, KeyRule& rule) {
  const size_t equals = word.find('=');
  const std::string name = word.substr(0, equals), value = equals == word.npos ? "" : word.substr(equals + 1);
  if (name == "rate" && absl::SimpleAtod(value, &rule.rate) && rule.rate > 0 && rule.rate <= 1e6) return ok_status();
  if (name == "tokens" && absl::SimpleAtod(value, &rule.tokens) && rule.tokens > 0 && rule.tokens <= 1e9)
    return ok_status();
  if (name == "priority" && absl::SimpleAtoi(value, &rule.priority) && std::abs(rule.priority) <= 100)
    return ok_status();
  return absl::InvalidArgumentError(
      str_cat("\"", name,
              "\": want rate=REQUESTS_PER_SECOND or tokens=TOKENS_PER_SECOND above 0, or priority=N from -100 to 100"));
}

}  // namespace

Result<std::vector<KeyRule>> parse_key_file(std::string_view text, std::string_view origin) {
  std::vector<KeyRule> rules;
  std::set<std::string> names;
  size_t number = 0;
  for (const std::string& line :
       std::vector<std::string>(absl::StrSplit(absl::string_view(text.data(), text.size()), '\n'))) {
    ++number;
    const std::vector<std::string> words = absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.empty() || words[0][0] == '#') continue;
    const auto wrong = [&](std::string_view what) {
      return absl::InvalidArgumentError(str_cat(origin, ":", number, ": ", what));
    };
    if (words.size() < 2) return wrong("want NAME KEY [rate=N] [tokens=N] [priority=N]");
    if (!names.insert(words[0]).second) return wrong("this name is there twice");
    if (const char* why = what_is_wrong(words[1])) return wrong(why);
    if (rules.size() == kMaxKeys) return wrong("more than 10000 keys");
    KeyRule rule{words[0], words[1]};
    for (size_t i = 2; i < words.size() && words[i][0] != '#'; ++i) {
      if (Status read = read_setting(words[i], rule); !read.ok()) return wrong(message_of(read));
    }
    rules.push_back(std::move(rule));
  }
  return rules;
}

KeyRing::KeyRing(std::string_view keys) : asked_(!keys.empty()) {
  for (const std::string& key : std::vector<std::string>(absl::StrSplit(
           absl::string_view(keys.data(), keys.size()), absl::ByAnyChar(", \t\r\n"), absl::SkipEmpty()))) {
    fixed_.push_back({"key", key});
    rules_.push_back({fixed_.back()});
  }
}

Result<std::unique_ptr<KeyRing>> KeyRing::open(std::string_view keys, const std::string& path) {
  auto ring = std::make_unique<KeyRing>(keys);
  ring->path_ = path;
  for (const KeyRule& rule : ring->fixed_) {
    if (const char* wrong = what_is_wrong(rule.secret))
      return absl::InvalidArgumentError(str_cat("--api-key: ", wrong));
  }
  // A list that was made and came out empty is no wish for an open server.
  if (ring->asked_ && ring->fixed_.empty()) {
    return absl::InvalidArgumentError("--api-key is set and holds no key: leave it out to ask for none");
  }
  RETURN_IF_ERROR(ring->read());
  return ring;
}

Status KeyRing::read() {
  std::vector<KeyRule> found = fixed_;
  if (!path_.empty()) {
    stamp_ = file_stamp(path_);
    std::ifstream in(path_, std::ios::binary);
    std::ostringstream text;
    if (!in || !(text << in.rdbuf())) return absl::NotFoundError(str_cat("--api-key-file ", path_, ": cannot read"));
    if (text.str().size() > kMaxFileBytes)
      return absl::OutOfRangeError(str_cat("--api-key-file ", path_, ": over 4 MiB"));
    ASSIGN_OR_RETURN(auto rules, parse_key_file(text.str(), path_));
    if (rules.empty()) return absl::InvalidArgumentError(str_cat("--api-key-file ", path_, ": no key in it"));
    found.insert(found.end(), rules.begin(), rules.end());
  }
  std::vector<Entry> made;
  for (KeyRule& rule : found) {
    Entry entry{std::move(rule)};
    // Who kept its rate keeps what it has used of it.
    for (const Entry& old : rules_) {
      const bool same = old.rule.rate == entry.rule.rate && old.rule.tokens == entry.rule.tokens;
      if (old.rule.name == entry.rule.name && same)
        entry.saved = old.saved, entry.saved_tokens = old.saved_tokens, entry.filled = old.filled;
    }
    made.push_back(std::move(entry));
  }
  rules_ = std::move(made);
  return ok_status();
}

void KeyRing::reload() {
  const std::lock_guard lock(mutex_);
  stamp_ = "";
  looked_ = TimePoint();
  look_for_changes(Clock::now());
}

void KeyRing::look_for_changes(TimePoint now) {
  if (path_.empty() || now - looked_ < kLookEvery) return;
  looked_ = now;
  if (file_stamp(path_) == stamp_) return;
  if (Status status = read(); status.ok()) {
    log_info(str_cat("--api-key-file ", path_, ": read again, ", rules_.size(), " keys"));
  } else {
    log_error(str_cat(message_of(status), "; the keys read before stay"));
  }
}

KeyRing::Entry* KeyRing::find(std::string_view secret) {
  Entry* owner = nullptr;
  for (Entry& entry : rules_) {
    if (same_secret(entry.rule.secret, secret)) owner = &entry;
  }
  return owner;
}

// One second's worth may be saved up.
void KeyRing::fill(Entry& entry, TimePoint now) {
  const double passed = std::chrono::duration<double>(now - entry.filled).count();
  entry.saved = std::min(std::max(1.0, entry.rule.rate), entry.saved + passed * entry.rule.rate);
  entry.saved_tokens = std::min(entry.rule.tokens, entry.saved_tokens + passed * entry.rule.tokens);
  entry.filled = now;
}

Result<KeyRule> KeyRing::admit(std::string_view secret, TimePoint now) {
  const std::lock_guard lock(mutex_);
  look_for_changes(now);
  Entry* owner = find(secret);
  if (!owner) return absl::UnauthenticatedError("a valid API key is required");
  const KeyRule& rule = owner->rule;
  if (rule.rate == 0 && rule.tokens == 0) return rule;
  fill(*owner, now);
  const auto refuse = [](double wait, std::string_view what) {
    return with_retry_after(make_error(ErrorKind::kRateLimited, what),
                            static_cast<int>(std::ceil(std::min(wait, kLongestWait))));
  };
  if (rule.rate > 0 && owner->saved < 1) {
    return refuse((1 - owner->saved) / rule.rate, str_cat("this key may ask ", rule.rate, " times a second"));
  }
  if (rule.tokens > 0 && owner->saved_tokens <= 0) {
    return refuse((1 - owner->saved_tokens) / rule.tokens,
                  str_cat("this key may have ", rule.tokens, " tokens scored a second, and has had more"));
  }
  owner->saved -= 1;
  return rule;
}

std::string KeyRing::name_of(std::string_view secret) {
  const std::lock_guard lock(mutex_);
  const Entry* owner = find(secret);
  return owner ? owner->rule.name : "";
}

void KeyRing::charge(std::string_view name, size_t tokens, TimePoint now) {
  if (name.empty() || tokens == 0) return;
  const std::lock_guard lock(mutex_);
  for (Entry& entry : rules_) {
    if (entry.rule.tokens == 0 || entry.rule.name != name) continue;
    fill(entry, now);
    entry.saved_tokens -= static_cast<double>(tokens);
  }
}

}  // namespace rerank::transport
