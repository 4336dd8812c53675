#include "schedule/flights.h"

#include <algorithm>
#include <utility>

namespace rerank::schedule {

Place between(const Place* before, Place natural, const Place* after) {
  if ((before == nullptr || *before < natural) && (after == nullptr || natural < *after)) return natural;
  Place place = before != nullptr ? *before : *after;
  const bool tied =
      before != nullptr && after != nullptr && before->priority == after->priority && before->time == after->time;
  place.rank = tied ? (before->rank + after->rank) / 2 : place.rank + (before != nullptr ? 0.5 : -0.5);
  place.request = natural.request;
  return place;
}

Flights::Change Flights::join(const Hash128& key, const FlightMember& member) {
  Members& members = flights_[key];
  Change change;
  if (!members.empty()) {
    before_ = members.front();
    change.before = &before_;
  }
  members.insert(std::upper_bound(members.begin(), members.end(), member), member);
  change.after = &members.front();
  return change;
}

Flights::Change Flights::leave(const Hash128& key, const FlightMember& member) {
  Change change;
  const auto found = flights_.find(key);
  if (found == flights_.end()) return change;
  Members& members = found->second;
  before_ = members.front();
  change.before = &before_;
  const auto at = std::lower_bound(members.begin(), members.end(), member);
  if (at != members.end() && !(member < *at)) members.erase(at);
  if (members.empty()) {
    flights_.erase(found);
  } else {
    change.after = &members.front();
  }
  return change;
}

Flights::Members Flights::take(const Hash128& key) {
  const auto found = flights_.find(key);
  if (found == flights_.end()) return {};
  Members members = std::move(found->second);
  flights_.erase(found);
  return members;
}

const FlightMember* Flights::owner(const Hash128& key) const {
  const auto found = flights_.find(key);
  return found == flights_.end() ? nullptr : &found->second.front();
}

}  // namespace rerank::schedule
