#pragma once

#include <atomic>

namespace megascale::m2n {

// Who holds it drives the sockets. Held by the port's thread for as long as it waits, by the I/O
// thread for one pass.
class DriveLock {
 public:
  bool TryLock() { return !is_held_.exchange(true, std::memory_order_acquire); }
  void Unlock() { is_held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> is_held_{false};
};

}  // namespace megascale::m2n
