#pragma once

#include <chrono>
#include <cstdint>

#include "port/end_options.hpp"

namespace megascale::m2n {

// One wait at an own doorbell: spins, then sleeps in short slices, so that a caller may look at
// lives and deadlines in between. `words` is the own segment.
class EndWait {
 public:
  EndWait(std::int32_t* words, const EndOptions& options, std::int64_t timeout_us);

  // The doorbell's count: read it before looking for what one waits for.
  std::int32_t Seen() const;
  // Until the doorbell rings, a slice has passed or the time is up.
  void Sleep(std::int32_t seen) { Sleep(seen, kSliceUs); }
  // For what nobody rings about.
  void Sleep(std::int32_t seen, std::int64_t at_most_us);
  std::int64_t WaitedUs() const;
  bool IsOver() const { return WaitedUs() >= timeout_us_; }
  // True when it is time to ask the system whether the peers are alive; starts the time anew.
  bool LifeCheckIsDue();

 private:
  static constexpr std::int64_t kSliceUs = 20'000;

  std::int32_t* words_;
  std::int64_t spin_us_;
  bool spin_yields_;
  std::int64_t timeout_us_;
  std::chrono::steady_clock::time_point began_;
  std::int64_t life_checked_us_ = 0;
};

}  // namespace megascale::m2n
