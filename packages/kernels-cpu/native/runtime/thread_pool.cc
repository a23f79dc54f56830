#include "runtime/thread_pool.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "runtime/thread_binding.hpp"

#if defined(__linux__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace megascale {
namespace {

constexpr std::chrono::microseconds kSpin{30};
constexpr int kPausesPerClockRead = 32;
// Of a turn that takes longer than this, others had the rest.
constexpr std::chrono::microseconds kOwnTurn{5};
constexpr std::chrono::microseconds kOwnSpin{100};

// True once word != value, false after some time.
bool SpinForChange(const std::atomic<std::uint32_t>& word, std::uint32_t value) {
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < kPausesPerClockRead; ++i) {
      if (word.load(std::memory_order_acquire) != value) return true;
      Pause();
    }
  } while (std::chrono::steady_clock::now() - start < kSpin);
  return false;
}

// The same, but other threads may have the core; only the time this one takes itself is counted.
bool YieldForChange(const std::atomic<std::uint32_t>& word, std::uint32_t value) {
  std::chrono::nanoseconds own{0};
  for (auto turn = std::chrono::steady_clock::now(); own < kOwnSpin;) {
    if (word.load(std::memory_order_acquire) != value) return true;
    std::this_thread::yield();
    const auto now = std::chrono::steady_clock::now();
    own += std::min<std::chrono::nanoseconds>(now - turn, kOwnTurn);
    turn = now;
  }
  return false;
}

void NameThread(int thread) {
  const std::string name = "megascale-cpu-" + std::to_string(thread);
  const std::string shown = name.substr(0, 15);
#if defined(__linux__)
  pthread_setname_np(pthread_self(), shown.c_str());
#elif defined(__APPLE__)
  pthread_setname_np(shown.c_str());
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads, std::vector<int> cores) : cores_(std::move(cores)) {
  if (!cores_.empty()) BindThread(cores_[0]);
  workers_.reserve(static_cast<std::size_t>(threads > 1 ? threads - 1 : 0));
  for (int thread = 1; thread < threads; ++thread) {
    workers_.emplace_back([this, thread] { Work(thread); });
  }
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

// Returns once word != value: spins first, parks after.
void ThreadPool::AwaitChange(const std::atomic<std::uint32_t>& word, std::uint32_t value) const {
  const bool changed = cores_.empty() ? SpinForChange(word, value) : YieldForChange(word, value);
  if (!changed) word.wait(value, std::memory_order_acquire);
}

void ThreadPool::Fork(Entry entry, const void* context) {
  const int count = threads();
  if (count > 1) {
    entry_ = entry;
    context_ = context;
    running_.store(static_cast<std::uint32_t>(count - 1), std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
  }
  entry(context, 0, count);
  for (std::uint32_t left = running_.load(std::memory_order_acquire); left != 0;
       left = running_.load(std::memory_order_acquire)) {
    AwaitChange(running_, left);
  }
}

void ThreadPool::Work(int thread) {
  NameThread(thread);
  if (!cores_.empty()) BindThread(cores_[static_cast<std::size_t>(thread)]);
  // Workers start at generation 0 and the pool may already be further, so the first wait compares
  // with 0.
  for (std::uint32_t seen = 0;;) {
    AwaitChange(generation_, seen);
    ++seen;
    if (stopping_.load(std::memory_order_relaxed)) return;
    entry_(context_, thread, threads());
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
  }
}

}  // namespace megascale
