#if defined(__linux__)

#include "port/end_wait.hpp"

#include <algorithm>

#include "protocol/frame.hpp"
#include "protocol/wire_format.hpp"
#include "shm/doorbell.hpp"

namespace megascale::m2n {
namespace {

constexpr std::int64_t kLifeCheckUs = 200'000;

}  // namespace

EndWait::EndWait(std::int32_t* words, const EndOptions& options, std::int64_t timeout_us)
    : words_(words),
      spin_us_(options.spin_us),
      spin_yields_(options.spin_yields),
      timeout_us_(timeout_us),
      began_(std::chrono::steady_clock::now()) {}

std::int32_t EndWait::Seen() const { return LoadAcquire(words_ + SegmentWord::kDoorbellCount); }

void EndWait::Sleep(std::int32_t seen, std::int64_t at_most_us) {
  const std::int64_t waited_us = WaitedUs();
  // A spin that yields ends by the time that it took itself, or with the first slice.
  const std::int64_t spin_left_us = spin_yields_ ? (waited_us < kSliceUs ? spin_us_ : 0)
                                                 : std::max<std::int64_t>(0, spin_us_ - waited_us);
  WaitForRing(
      words_ + SegmentWord::kDoorbellCount, words_ + SegmentWord::kDoorbellParked,
      {.seen = seen,
       .spin_microseconds = spin_left_us,
       .spin_yields = spin_yields_,
       .timeout_microseconds = std::clamp<std::int64_t>(timeout_us_ - waited_us, 0, at_most_us)});
}

std::int64_t EndWait::WaitedUs() const {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() -
                                                               began_)
      .count();
}

bool EndWait::LifeCheckIsDue() {
  const std::int64_t waited_us = WaitedUs();
  if (waited_us - life_checked_us_ < kLifeCheckUs) return false;
  life_checked_us_ = waited_us;
  return true;
}

}  // namespace megascale::m2n

#endif  // __linux__
