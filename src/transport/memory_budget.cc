#include "transport/memory_budget.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_replace.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/system/memory.h"
#include "transport/errors.h"

namespace rerank::transport {
namespace {

constexpr size_t kLeastBudget = size_t{256} << 20;

}  // namespace

MemoryBudget::MemoryBudget(size_t total, Metrics* metrics)
    : total_(total != 0 ? total : std::max(kLeastBudget, usable_memory() / 4)) {
  if (!metrics) return;
  gauge_ = &metrics->gauge("rerankd_request_memory_bytes", "Memory that requests hold, of --max-memory-bytes.");
  refused_ = &metrics->counter("rerankd_request_memory_refused_total", "Requests refused for want of such memory.");
}

size_t MemoryBudget::held() const {
  const std::lock_guard lock(mutex_);
  return held_;
}

Status MemoryBudget::change(const std::string& client, size_t from, size_t to) {
  const std::lock_guard lock(mutex_);
  size_t& own = clients_[client];
  Status status;
  if (to > from) {
    const size_t more = to - from;
    if (to > total_ / 2) {
      status = make_error(ErrorKind::kBodyTooLarge,
                          str_cat("this request may need ", to >> 20, " MiB of memory, more than the ", total_ >> 21,
                                  " MiB that one client may hold: send fewer or shorter documents at once, or raise "
                                  "--max-memory-bytes"));
    } else if (own + more > total_ / 2 || held_ + more > total_) {
      status =
          make_error(ErrorKind::kUnavailable,
                     own + more > total_ / 2 ? "requests of this client hold too much memory at the moment; try again"
                                             : "requests hold too much memory at the moment; try again");
    }
    if (!status.ok() && refused_) refused_->add();
  }
  if (status.ok()) {
    own = own - from + to;
    held_ = held_ - from + to;
    if (gauge_) gauge_->set(static_cast<double>(held_));
  }
  if (own == 0) clients_.erase(client);
  return status;
}

MemoryHold::MemoryHold(std::shared_ptr<MemoryBudget> budget, std::string client)
    : budget_(std::move(budget)), client_(std::move(client)) {}

MemoryHold::~MemoryHold() {
  if (budget_) change(0, 0).IgnoreError();
}

Status MemoryHold::change(size_t bytes, size_t added) {
  if (bytes == bytes_ && added == added_) return ok_status();
  RETURN_IF_ERROR(budget_->change(client_, bytes_ + added_, bytes + added));
  bytes_ = bytes;
  added_ = added;
  return ok_status();
}

Status MemoryHold::resize(size_t bytes) {
  if (!budget_) return ok_status();
  const std::lock_guard lock(mutex_);
  return change(bytes, added_);
}

void MemoryHold::shrink(size_t bytes) {
  if (!budget_) return;
  const std::lock_guard lock(mutex_);
  if (bytes < bytes_) change(bytes, added_).IgnoreError();
}

Status MemoryHold::add(size_t bytes) {
  if (!budget_) return ok_status();
  const std::lock_guard lock(mutex_);
  return change(bytes_, added_ + bytes);
}

void MemoryHold::remove(size_t bytes) {
  if (!budget_) return;
  const std::lock_guard lock(mutex_);
  change(bytes_, added_ - std::min(bytes, added_)).IgnoreError();
}

Status MemoryHold::move_to(const std::string& client) {
  if (!budget_) return ok_status();
  const std::lock_guard lock(mutex_);
  if (client == client_) return ok_status();
  const size_t held = bytes_ + added_;
  budget_->change(client_, held, 0).IgnoreError();  // first: the same bytes are not held twice
  Status status = budget_->change(client, 0, held);
  if (!status.ok()) {
    bytes_ = added_ = 0;
    return status;
  }
  client_ = client;
  return status;
}

std::string peer_of(std::string_view address) {
  std::string text = absl::StrReplaceAll(absl::string_view(address.data(), address.size()),
                                         {{"%5B", "["}, {"%5D", "]"}, {"ipv4:", ""}, {"ipv6:", ""}});
  if (text.starts_with('[')) {
    text = text.substr(1, text.find(']') - 1);
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    text.resize(text.find(':'));
  }
  in6_addr v6{};
  if (inet_pton(AF_INET6, text.c_str(), &v6) != 1) return text;
  if (IN6_IS_ADDR_V4MAPPED(&v6)) {
    char v4[INET_ADDRSTRLEN];
    return inet_ntop(AF_INET, v6.s6_addr + 12, v4, sizeof(v4));
  }
  std::memset(v6.s6_addr + 8, 0, 8);
  char network[INET6_ADDRSTRLEN];
  return std::string(inet_ntop(AF_INET6, &v6, network, sizeof(network))) + "/64";
}

std::string client_of_key(std::string_view key_name) { return str_cat("key ", key_name); }

}  // namespace rerank::transport
