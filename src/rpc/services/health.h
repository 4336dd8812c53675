// What health checks hear: whether requests are ranked now. Thread-safe.
#pragma once

#include <mutex>
#include <set>

namespace rerank::rpc {

class Health {
 public:
  // A call that is told each change.
  class Watcher {
   public:
    virtual void tell(bool serving) = 0;
    virtual void server_stops() = 0;  // after the last tell()

   protected:
    ~Watcher() = default;
  };

  bool serving() const;
  void set_serving(bool serving);
  void stop();  // not serving, for good

  // Tells it how things are, and what changes until it is removed or server_stops(). Not under a lock that the
  // watcher's methods take.
  void add(Watcher& watcher);
  bool remove(Watcher& watcher);  // false: it is not watching any more

 private:
  mutable std::mutex mutex_;
  bool serving_ = false, stopped_ = false;  // guarded by mutex_, as the next
  std::set<Watcher*> watchers_;
};

}  // namespace rerank::rpc
