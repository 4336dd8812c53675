#include "engine/devices/devices.h"

#include <algorithm>
#include <chrono>
#include <latch>
#include <mutex>
#include <numeric>

#include "absl/strings/numbers.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/worker_pool.h"
#include "engine/encoder.h"

namespace rerank::engine {
namespace {

constexpr size_t kMostDevices = 64;  // more than any machine has: a list that long is a mistake

using Clock = std::chrono::steady_clock;

// What a device has shown: sums over its batches, the older the less.
struct Speed {
  double tokens = 0, seconds = 0;

  void add(double batch_tokens, double batch_seconds) {
    constexpr double kFade = 0.9;
    tokens = tokens * kFade + batch_tokens;
    seconds = seconds * kFade + batch_seconds;
  }
  double rate() const { return seconds > 0 ? tokens / seconds : 0; }
};

// A part of a batch for one device.
struct Share {
  std::vector<uint32_t> sequences;  // rising
  OwnedBatch batch;
  std::vector<Contest> contests;
  std::vector<float> logits;  // or vectors, as forward() has them
  std::vector<uint8_t> depths;
  Status status;
};

class DevicesBackend : public Backend {
 public:
  DevicesBackend(std::shared_ptr<const model::Model> model, std::vector<Device> devices) : model_(std::move(model)) {
    for (Device& device : devices) members_.push_back(std::make_unique<Member>(std::move(device)));
    describe();
  }

  const BackendInfo& info() const override { return info_; }

  std::vector<std::shared_ptr<const DeviceState>> devices() const override {
    std::vector<std::shared_ptr<const DeviceState>> states;
    for (const auto& member : members_) states.push_back(member->state);
    return states;
  }

  Status forward(const Batch& batch, std::span<float> logits) override {
    std::vector<uint8_t> depths(batch.size());
    return forward_contests(batch, {}, logits, depths);
  }

  Status forward_contests(const Batch& batch, std::span<const Contest> contests, std::span<float> logits,
                          std::span<uint8_t> depths) override {
    RETURN_IF_ERROR(check_batch(model_->architecture(), batch));
    const std::vector<size_t> places = result_places(batch);
    std::vector<uint32_t> left(batch.size());
    std::iota(left.begin(), left.end(), 0u);
    for (;;) {
      std::vector<Share> shares(members_.size());
      compute(batch, contests, left, shares);
      left.clear();
      for (size_t m = 0; m < members_.size(); ++m) {
        Share& share = shares[m];
        if (!share.status.ok()) {
          if (!take_out(m, share.status)) return share.status;
          left.insert(left.end(), share.sequences.begin(), share.sequences.end());
          continue;
        }
        const float* from = share.logits.data();
        for (size_t i = 0; i < share.sequences.size(); ++i) {
          const uint32_t s = share.sequences[i];
          const size_t count = places[s + 1] - places[s];
          std::copy_n(from, count, logits.data() + places[s]);
          from += count;
          depths[s] = share.depths[i];
        }
      }
      if (left.empty()) return ok_status();
      std::sort(left.begin(), left.end());
    }
  }

  Status forward_with_states(const Batch& batch, std::span<float> logits, std::span<float> states) override {
    for (size_t m = 0; m < members_.size(); ++m) {
      if (!members_[m]->lives()) continue;
      Status status = members_[m]->device.backend->forward_with_states(batch, logits, states);
      if (status.ok() || absl::IsInvalidArgument(status) || !take_out(m, status)) return status;
    }
    return absl::UnavailableError("no device is left");
  }

 private:
  struct Member {
    explicit Member(Device d) : device(std::move(d)) { state->name = device.name; }
    bool lives() const { return state->up; }
    Device device;
    Speed speed;                 // this and the next: guarded by mutex_
    Clock::time_point last_end;  // of a share: the next one began no sooner
    std::shared_ptr<DeviceState> state = std::make_shared<DeviceState>();
    WorkerPool threads{device.backend->info().batches_in_flight};  // end before the device does
  };

  // Where the results of each sequence begin, and where the last ends: each has one, or its marked tokens' vectors.
  std::vector<size_t> result_places(const Batch& batch) const {
    std::vector<size_t> places(batch.size() + 1);
    std::iota(places.begin(), places.end(), size_t{0});
    const model::Architecture& a = model_->architecture();
    if (!a.scoring.marks) return places;
    size_t s = 0;
    std::fill(places.begin(), places.end(), size_t{0});
    for (const uint32_t row : marked_rows(a, batch)) {
      while (row >= batch.offsets[s + 1]) ++s;
      places[s + 1] += a.scoring.labels;
    }
    std::partial_sum(places.begin(), places.end(), places.begin());
    return places;
  }

  void describe() {
    info_ = members_[0]->device.backend->info();
    info_.threads = 0;
    info_.packed_bytes = 0;
    info_.batch_tokens = 0;  // together as many as those that have a bound; whose share is larger computes it in pieces
    info_.engines.clear();
    info_.precisions.clear();
    info_.kernel.clear();
    const auto add = [](auto& to, const auto& more) {
      for (const auto what : more)
        if (std::ranges::find(to, what) == to.end()) to.push_back(what);
    };
    for (const auto& member : members_) {
      const BackendInfo& one = member->device.backend->info();
      add(info_.engines, one.engines);
      add(info_.precisions, one.precisions);
      info_.kernel += str_cat(info_.kernel.empty() ? "" : ", ", member->device.name, ":", one.kernel);
      info_.threads += one.threads;
      info_.max_length = std::min(info_.max_length, one.max_length);
      info_.depth = info_.depth && one.depth;
      info_.offloads = info_.offloads && one.offloads;
      // Shares for a device that takes fewer wait in its threads.
      info_.batches_in_flight = std::max(info_.batches_in_flight, one.batches_in_flight);
      info_.batch_tokens += one.batch_tokens;
      info_.packed_bytes += one.packed_bytes;
      info_.files.insert(info_.files.end(), one.files.begin(), one.files.end());
    }
  }

  // The longest sequences first, each to the device that would be done with it first. A device that has shown nothing
  // yet is taken to be as fast as the fastest.
  void share_out(const Batch& batch, std::span<const Contest> contests, const std::vector<uint32_t>& sequences,
                 std::vector<Share>& shares) const {
    double fastest = 0;
    for (const auto& member : members_) fastest = std::max(fastest, member->speed.rate());
    std::vector<double> rates(members_.size()), ends(members_.size());
    for (size_t m = 0; m < members_.size(); ++m) {
      const double rate = members_[m]->speed.rate();
      rates[m] = rate > 0 ? rate : fastest > 0 ? fastest : 1;
    }
    std::vector<uint32_t> order = sequences;
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return batch.length(a) > batch.length(b); });
    for (uint32_t s : order) {
      size_t best = members_.size();
      double best_end = 0;
      for (size_t m = 0; m < members_.size(); ++m) {
        if (!members_[m]->lives()) continue;
        const double end = ends[m] + static_cast<double>(batch.length(s)) / rates[m];
        if (best == members_.size() || end < best_end) best = m, best_end = end;
      }
      ends[best] = best_end;
      shares[best].sequences.push_back(s);
    }
    for (Share& share : shares) {
      std::sort(share.sequences.begin(), share.sequences.end());
      share.batch.assign(batch, share.sequences);
      share.contests = contests_among(share.sequences, contests);
      share.logits.resize(result_count(model_->architecture(), share.batch));
      share.depths.resize(share.sequences.size());
    }
  }

  // The same contests, of those competitors that are there: who is not among the best of some is not among those of
  // all.
  static std::vector<Contest> contests_among(const std::vector<uint32_t>& sequences,
                                             std::span<const Contest> contests) {
    std::vector<Contest> found;
    for (const Contest& contest : contests) {
      const auto begin = std::lower_bound(sequences.begin(), sequences.end(), contest.first);
      const auto end = std::lower_bound(begin, sequences.end(), contest.first + contest.size);
      if (begin == end) continue;
      Contest part = contest;
      part.first = static_cast<uint32_t>(begin - sequences.begin());
      part.size = static_cast<uint32_t>(end - begin);
      found.push_back(part);
    }
    return found;
  }

  // Batches are posted one after another, so that all devices compute them in the same order.
  void compute(const Batch& batch, std::span<const Contest> contests, const std::vector<uint32_t>& sequences,
               std::vector<Share>& shares) {
    std::unique_lock lock(mutex_);
    share_out(batch, contests, sequences, shares);
    const auto has_work = [](const Share& share) { return !share.sequences.empty(); };
    std::latch done(std::count_if(shares.begin(), shares.end(), has_work));
    for (size_t m = 0; m < shares.size(); ++m) {
      if (!has_work(shares[m])) continue;
      members_[m]->threads.post([this, &member = *members_[m], &share = shares[m], &done] {
        compute_share(member, share);
        done.count_down();
      });
    }
    lock.unlock();
    done.wait();
  }

  void compute_share(Member& member, Share& share) {
    const Clock::time_point handed_over = Clock::now();
    const Batch batch = share.batch.view();
    share.status = member.device.backend->forward_contests(batch, share.contests, share.logits, share.depths);
    const Clock::time_point end = Clock::now();
    const std::lock_guard lock(mutex_);
    const std::chrono::duration<double> seconds = end - std::max(handed_over, member.last_end);
    member.last_end = std::max(member.last_end, end);
    if (share.status.ok()) member.speed.add(static_cast<double>(batch.tokens()), std::max(1e-9, seconds.count()));
  }

  // False: it stays, for nobody could take its place, or because memory comes back.
  bool take_out(size_t m, const Status& status) {
    const std::lock_guard lock(mutex_);
    if (!members_[m]->lives()) return true;  // another batch has met the same
    const auto living =
        std::count_if(members_.begin(), members_.end(), [](const auto& member) { return member->lives(); });
    if (living == 1 || absl::IsResourceExhausted(status)) return false;
    members_[m]->state->up = false;
    log_error(str_cat("device ", members_[m]->device.name,
                      " is taken out; its work is done by the others: ", message_of(status)));
    return true;
  }

  std::mutex mutex_;  // batches in flight share what is below
  std::shared_ptr<const model::Model> model_;
  std::vector<std::unique_ptr<Member>> members_;
  BackendInfo info_;
};

}  // namespace

std::unique_ptr<Backend> join_devices(std::shared_ptr<const model::Model> model, std::vector<Device> devices) {
  return std::make_unique<DevicesBackend>(std::move(model), std::move(devices));
}

Result<std::vector<std::string>> parse_devices(const std::string& list) {
  std::vector<std::string> names;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const std::string name = list.substr(begin, end - begin);
    uint32_t number = 0;
    if (name != "cpu" && (!absl::SimpleAtoi(absl::string_view(name), &number) || name != std::to_string(number))) {
      return absl::InvalidArgumentError(str_cat("--devices ", list, ": \"", name,
                                                "\" is no device; want numbers of GPUs and cpu, as in 0,1 or cpu,0"));
    }
    if (std::find(names.begin(), names.end(), name) != names.end())
      return absl::InvalidArgumentError(str_cat("--devices ", list, ": ", name, " is there twice"));
    if (names.size() == kMostDevices) return absl::InvalidArgumentError(str_cat("--devices: at most ", kMostDevices));
    names.push_back(name);
    begin = end + 1;
  }
  return names;
}

}  // namespace rerank::engine
