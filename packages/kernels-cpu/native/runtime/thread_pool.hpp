#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace megascale {

// A fixed team of threads for fork and join; the caller is thread 0. Between jobs a worker spins
// for some tens of microseconds, then parks in the kernel, where it costs nothing. One job at a
// time, from one calling thread. Jobs must not throw.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);
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

  // Calls job(begin, end, thread) over [0, count), split evenly. Work that is worth less than a
  // fork stays on the caller: `cost` is about the nanoseconds one index takes.
  template <class Job>
  void For(std::size_t count, std::size_t cost, const Job& job) {
    if (workers_.empty() || count < 2 || count * cost < kForkCostNs) {
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

  std::vector<std::thread> workers_;
  Entry entry_ = nullptr;
  const void* context_ = nullptr;
  alignas(64) std::atomic<std::uint32_t> generation_{0};
  alignas(64) std::atomic<std::uint32_t> running_{0};
  std::atomic<bool> stopping_{false};
};

}  // namespace megascale
