#if defined(__linux__)

#include "tcp/engine.hpp"

#include <linux/futex.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>

#include "protocol/frame.hpp"
#include "protocol/wire_format.hpp"

namespace megascale::m2n {
namespace {

// The I/O thread looks so often whether the port's thread still waits, while that changes often.
constexpr std::int64_t kNapUs = 200;
// After so many naps within one wait it sleeps until that wait ends.
constexpr int kNapsMax = 10;
constexpr std::int64_t kSleepUs = 20'000;
// How the I/O thread rests.
constexpr std::int32_t kNaps = 1;
constexpr std::int32_t kSleeps = 2;
// What a closed port may take to say what is left.
constexpr std::int64_t kLingerUs = 500'000;
constexpr int kPassesPerPoll = 64;
// Of a turn that takes longer than this, other threads had the rest.
constexpr std::int64_t kOwnTurnUs = 5;

std::int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void SleepOn(std::atomic<std::int32_t>* word, std::int32_t value, std::int64_t us) {
  const timespec timeout{.tv_sec = 0, .tv_nsec = static_cast<long>(us * 1000)};
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &timeout, nullptr, 0);
}

void WakeSleeper(std::atomic<std::int32_t>* word) {
  word->store(0, std::memory_order_seq_cst);
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

}  // namespace

Engine::Engine(const PortSetup& port)
    : links_(port), doorbell_(links_.own()->words() + SegmentWord::kDoorbellCount) {
  thread_ = std::thread([this] { RunThread(); });
}

Engine::~Engine() { Abort(); }

// Holds the lock; waits for it while the I/O thread finishes a pass.
class Engine::Driving {
 public:
  explicit Driving(Engine* engine) : engine_(engine) {
    while (!engine_->lock_.TryLock()) sched_yield();
  }
  ~Driving() { engine_->lock_.Unlock(); }
  Driving(const Driving&) = delete;
  Driving& operator=(const Driving&) = delete;

 private:
  Engine* engine_;
};

std::shared_ptr<AnonymousMemory> Engine::AddPeer(const PeerSetup& peer) {
  const Driving driving(this);
  auto mirror = links_.AddPeer(peer, NowUs());
  links_.poller().Interrupt();
  return mirror;
}

Loss Engine::LossOf(std::int32_t rank) {
  if (rank < 0) return {};
  const Driving driving(this);
  const Link* link = links_.Find(rank);
  return link == nullptr ? Loss{} : link->loss();
}

void Engine::StopListening() {
  const Driving driving(this);
  links_.StopListening();
}

std::int64_t Engine::RefusedCount() {
  const Driving driving(this);
  return links_.refused_count();
}

bool Engine::HasRung(std::int32_t seen) const { return LoadAcquire(doorbell_) != seen; }

void Engine::Wait(const DoorbellWait& wait) {
  if (HasRung(wait.seen) || is_closing_.load(std::memory_order_relaxed)) return;
  port_waits_.store(true, std::memory_order_seq_cst);
  {
    // The I/O thread leaves after its pass, which may bring the ring.
    const Driving driving(this);
    std::int64_t now_us = NowUs();
    const std::int64_t end_us = now_us + wait.timeout_microseconds;
    std::int64_t spin_left_us = wait.spin_microseconds;
    links_.SendNewSteps(now_us);
    LookForPending(now_us);
    for (int pass = 1; !HasRung(wait.seen); ++pass) {
      const bool polls = !links_.HasFewLinks() || pass % kPassesPerPoll == 0;
      bool happened = polls ? links_.PassOverReady(now_us) : links_.PassOverLinks(now_us);
      if (HasRung(wait.seen)) break;
      links_.Tick(now_us);
      const bool may_spin = spin_left_us > 0;
      if (may_spin && wait.spin_yields) sched_yield();
      if (!may_spin && !happened) {
        links_.poller().Wait(std::min(end_us - now_us, links_.tick_us()));
        happened = links_.PassOverReady(NowUs());
      }
      const std::int64_t then_us = now_us;
      now_us = NowUs();
      const std::int64_t turn_us = now_us - then_us;
      spin_left_us -= wait.spin_yields ? std::min(turn_us, kOwnTurnUs) : turn_us;
      if (now_us >= end_us) break;
    }
  }
  port_waits_.store(false, std::memory_order_seq_cst);
  // After a wait without a ring another one follows.
  if (HasRung(wait.seen) && io_rest_.load(std::memory_order_seq_cst) == kSleeps) {
    WakeSleeper(&io_rest_);
  }
}

void Engine::Wake(std::int32_t rank) {
  is_send_pending_.store(true, std::memory_order_seq_cst);
  if (!lock_.TryLock())
    return;  // Who holds it looks for pending sends before and after it lets go.
  is_send_pending_.store(false, std::memory_order_seq_cst);
  const std::int64_t now_us = NowUs();
  links_.Send(rank, now_us);
  const Link* link = links_.Find(rank);
  const bool is_blocked = link != nullptr && link->HasSocket() && link->WantsToWrite();
  lock_.Unlock();
  // The rest must not wait for this thread's next wait.
  if (is_blocked && io_rest_.load(std::memory_order_seq_cst) != 0) WakeSleeper(&io_rest_);
}

void Engine::LookForPending(std::int64_t now_us) {
  if (is_send_pending_.exchange(false, std::memory_order_seq_cst)) links_.SendAll(now_us);
}

void Engine::BeginClosing() {
  if (is_closing_.load(std::memory_order_relaxed)) return;
  {
    const Driving driving(this);
    const std::int64_t now_us = NowUs();
    linger_until_us_ = now_us + kLingerUs;
    links_.BeginClosing(now_us);
    is_closing_.store(true, std::memory_order_release);
  }
  links_.poller().Interrupt();
  WakeSleeper(&io_rest_);
}

void Engine::Abort() {
  if (!thread_.joinable()) return;
  is_aborted_.store(true, std::memory_order_seq_cst);
  links_.poller().Interrupt();
  WakeSleeper(&io_rest_);
  thread_.join();
}

// Returns when the port's thread no longer waits, and may be a nap late in noticing.
void Engine::StepAside() {
  for (int nap = 0; nap <= kNapsMax; ++nap) {
    const std::int32_t kind = nap < kNapsMax ? kNaps : kSleeps;
    io_rest_.store(kind, std::memory_order_seq_cst);
    if (!port_waits_.load(std::memory_order_seq_cst) || is_aborted_ || is_closing_) break;
    SleepOn(&io_rest_, kind, kind == kNaps ? kNapUs : kSleepUs);
  }
  io_rest_.store(0, std::memory_order_seq_cst);
}

void Engine::RunThread() {
  prctl(PR_SET_NAME, "megascale-tcp");
  while (!is_aborted_.load(std::memory_order_acquire)) {
    const std::int64_t now_us = NowUs();
    if (port_waits_.load(std::memory_order_seq_cst) && !is_closing_) {
      StepAside();
      continue;
    }
    if (!lock_.TryLock()) {
      sched_yield();
      continue;
    }
    LookForPending(now_us);
    const bool happened = links_.PassOverReady(now_us);
    links_.Tick(now_us);
    const bool ends = is_closing_ && (links_.IsFinished() || now_us >= linger_until_us_);
    lock_.Unlock();
    if (ends) break;
    if (is_send_pending_.load(std::memory_order_seq_cst)) continue;
    if (!happened && !is_aborted_) links_.poller().Wait(links_.tick_us());
  }
  const Driving driving(this);
  links_.CloseAll();
  is_finished_.store(true, std::memory_order_release);
}

}  // namespace megascale::m2n

#endif  // __linux__
