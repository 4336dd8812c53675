// Whether requests are ranked now, for health checks. Thread-safe.
#pragma once

#include <mutex>
#include <set>

namespace rerank::rpc {

class Health {
 public:
  // A call that sends each change to its client.
  class Watcher {
   public:
    virtual void on_change(bool serving) = 0;
    virtual void on_stop() = 0;  // after the last on_change()

   protected:
    ~Watcher() = default;
  };

  bool serving() const;
  void set_serving(bool serving);
  void stop();  // not serving, for good

  // Calls on_change() with the state now, and at each change until it is removed or on_stop(). Not under a lock that
  // the watcher's methods take.
  void add(Watcher& watcher);
  bool remove(Watcher& watcher);  // false: it is not watching any more

 private:
  mutable std::mutex mutex_;
  bool serving_ = false, stopped_ = false;  // guarded by mutex_, as the next
  std::set<Watcher*> watchers_;
};

}  // namespace rerank::rpc
