#include "schedule/shared_pairs.h"

#include <utility>

namespace rerank::schedule {

QueuePosition between(const QueuePosition* before, QueuePosition natural, const QueuePosition* after) {
  if ((before == nullptr || *before < natural) && (after == nullptr || natural < *after)) return natural;
  QueuePosition position = before != nullptr ? *before : *after;
  const bool tied =
      before != nullptr && after != nullptr && before->priority == after->priority && before->time == after->time;
  position.rank = tied ? (before->rank + after->rank) / 2 : position.rank + (before != nullptr ? 0.5 : -0.5);
  position.request = natural.request;
  return position;
}

SharedPairs::Change SharedPairs::join(const Hash128& key, const SharedPairMember& member) {
  Members& members = shared_pairs_[key];
  Change change;
  if (!members.empty()) {
    before_ = *members.begin();
    change.before = &before_;
  }
  members.insert(members.end(), member);  // most often it is the last
  change.after = &*members.begin();
  return change;
}

SharedPairs::Change SharedPairs::leave(const Hash128& key, const SharedPairMember& member) {
  Change change;
  const auto found = shared_pairs_.find(key);
  if (found == shared_pairs_.end()) return change;
  Members& members = found->second;
  before_ = *members.begin();
  change.before = &before_;
  members.erase(member);
  if (members.empty()) {
    shared_pairs_.erase(found);
  } else {
    change.after = &*members.begin();
  }
  return change;
}

SharedPairs::Members SharedPairs::take(const Hash128& key) {
  const auto found = shared_pairs_.find(key);
  if (found == shared_pairs_.end()) return {};
  Members members = std::move(found->second);
  shared_pairs_.erase(found);
  return members;
}

const SharedPairMember* SharedPairs::owner(const Hash128& key) const {
  const auto found = shared_pairs_.find(key);
  return found == shared_pairs_.end() ? nullptr : &*found->second.begin();
}

}  // namespace rerank::schedule
