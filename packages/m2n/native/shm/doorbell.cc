#if defined(__linux__)

#include "shm/doorbell.hpp"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <ctime>

namespace megascale::m2n {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Reads of the clock are dearer than reads of the word.
constexpr int kPollsPerClockRead = 64;

inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

bool SpinForRing(std::atomic_ref<std::int32_t> count, std::int32_t seen,
                 SteadyClock::time_point end) {
  for (;;) {
    for (int poll = 0; poll < kPollsPerClockRead; ++poll) {
      if (count.load(std::memory_order_acquire) != seen) return true;
      Pause();
    }
    if (SteadyClock::now() >= end) return false;
  }
}

// Of a turn that takes longer than this, others had the rest.
constexpr std::chrono::microseconds kOwnTurn{5};

bool YieldForRing(std::atomic_ref<std::int32_t> count, std::int32_t seen, const DoorbellWait& wait,
                  SteadyClock::time_point end) {
  const std::chrono::nanoseconds spin = std::chrono::microseconds(wait.spin_microseconds);
  std::chrono::nanoseconds own{0};
  for (auto turn = SteadyClock::now();;) {
    if (count.load(std::memory_order_acquire) != seen) return true;
    sched_yield();
    const auto now = SteadyClock::now();
    own += std::min<std::chrono::nanoseconds>(now - turn, kOwnTurn);
    if (own >= spin || now >= end) return count.load(std::memory_order_acquire) != seen;
    turn = now;
  }
}

}  // namespace

void WaitForRing(std::int32_t* count, std::int32_t* parked, const DoorbellWait& wait) {
  const auto start = SteadyClock::now();
  const auto timeout = std::chrono::microseconds(wait.timeout_microseconds);
  const auto spin = std::min(std::chrono::microseconds(wait.spin_microseconds), timeout);
  std::atomic_ref<std::int32_t> count_word(*count);
  if (spin.count() > 0) {
    const bool rang = wait.spin_yields ? YieldForRing(count_word, wait.seen, wait, start + timeout)
                                       : SpinForRing(count_word, wait.seen, start + spin);
    if (rang) return;
  }

  std::atomic_ref<std::int32_t> parked_word(*parked);
  parked_word.store(1, std::memory_order_seq_cst);
  const auto left = timeout - (SteadyClock::now() - start);
  if (left.count() > 0 && count_word.load(std::memory_order_seq_cst) == wait.seen) {
    const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
    const timespec relative{.tv_sec = static_cast<time_t>(nanoseconds / 1'000'000'000),
                            .tv_nsec = static_cast<long>(nanoseconds % 1'000'000'000)};
    // Not FUTEX_PRIVATE: the word is shared between processes. A signal or a changed word ends the
    // sleep early.
    syscall(SYS_futex, count, FUTEX_WAIT, wait.seen, &relative, nullptr, 0);
  }
  parked_word.store(0, std::memory_order_seq_cst);
}

void WakeParked(std::int32_t* count) {
  syscall(SYS_futex, count, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace megascale::m2n

#endif  // __linux__
