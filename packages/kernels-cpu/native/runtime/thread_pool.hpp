#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace megascale {

// Tells the core that a loop waits for another thread.
static inline void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// A fixed team of threads for fork and join; the caller is thread 0. Between jobs a worker spins
// for some tens of microseconds, then parks in the kernel, where it costs nothing. One job at a
// time, from one calling thread. Jobs must not throw.
//
// A bound pool takes turns with the pools of other processes on the same cores: thread i stays on
// core cores[i], the caller included, and a wait yields the core to other threads. Without
// that, each handover between pools would put a core to sleep and wake it again.
class ThreadPool {
 public:
  // `cores`: [threads] or empty; see BindThread.
  explicit ThreadPool(int threads, std::vector<int> cores = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls job(thread, threads) once on every thread and returns when all have returned.
  template <class Job>
  void Run(const Job& job) {
    Fork([](const void* context, int thread,
            int threads) { (*static_cast<const Job*>(context))(thread, threads); },
         &job);
  }

  // Whether work of about this many nanoseconds is worth more than a fork and join.
  bool IsWorthForking(std::size_t cost_ns) const {
    return !workers_.empty() && cost_ns >= kForkCostNs;
  }

  // Calls job(begin, end, thread) over [0, count), split evenly, or all on the caller where that is
  // quicker. `cost_ns` is about what one index takes.
  template <class Job>
  void For(std::size_t count, std::size_t cost_ns, const Job& job) {
    if (count < 2 || !IsWorthForking(count * cost_ns)) {
      if (count > 0) job(std::size_t{0}, count, 0);
      return;
    }
    Run([&](int thread, int threads) {
      const std::size_t begin = count * static_cast<std::size_t>(thread) / threads;
      const std::size_t end = count * (static_cast<std::size_t>(thread) + 1) / threads;
      if (begin < end) job(begin, end, thread);
    });
  }

 private:
  using Entry = void (*)(const void* context, int thread, int threads);
  static constexpr std::size_t kForkCostNs = 10000;

  void Fork(Entry entry, const void* context);
  void Work(int thread);
  void AwaitChange(const std::atomic<std::uint32_t>& word, std::uint32_t value) const;

  const std::vector<int> cores_;
  std::vector<std::thread> workers_;
  Entry entry_ = nullptr;
  const void* context_ = nullptr;
  alignas(64) std::atomic<std::uint32_t> generation_{0};
  alignas(64) std::atomic<std::uint32_t> running_{0};
  std::atomic<bool> stopping_{false};
};

}  // namespace megascale
