#pragma once

#include <cstdint>

namespace megascale::m2n {

// A doorbell is two words of shared memory: `count` grows with every ring, `parked` is 1 while the
// owner sleeps on it. Ringers add to `count` (sequentially consistent), then read `parked` and wake
// only if it is set. The owner sets `parked`, then looks at `count` again, then sleeps. Whoever
// comes second sees the other's word, so no ring is lost.

struct DoorbellWait {
  std::int32_t seen;  // Value of `count` before the caller last looked at its work.
  std::int64_t spin_microseconds;
  // A spin lets other threads have the core, and only this thread's own time counts.
  bool spin_yields = false;
  std::int64_t timeout_microseconds;  // Spinning included.
};

// Returns once `*count != wait.seen`, at the timeout, or for no reason; the caller looks again.
void WaitForRing(std::int32_t* count, std::int32_t* parked, const DoorbellWait& wait);

// Wakes the owner.
void WakeParked(std::int32_t* count);

}  // namespace megascale::m2n
