#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "shm/doorbell.hpp"
#include "tcp/drive_lock.hpp"
#include "tcp/link_set.hpp"

namespace megascale::m2n {

// The network side of one port. Two threads share it: the port's own, which calls everything here,
// and an I/O thread. The thread that waits drives: while the port's thread waits for a ring it
// sends and receives itself, so that no thread has to be woken between a packet and the work it
// brings; while it computes, the I/O thread receives behind its back. wake() sends at once in the
// caller.
class Engine {
 public:
  // Throws std::system_error, std::runtime_error.
  explicit Engine(const PortSetup& port);
  // Ends the thread at once.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  std::shared_ptr<AnonymousMemory> own() const { return links_.own(); }
  Endpoint bound() const { return links_.bound(); }
  std::shared_ptr<AnonymousMemory> AddPeer(const PeerSetup& peer);
  Loss LossOf(std::int32_t rank);
  // No further peer will come.
  void StopListening();

  // As WaitForRing of shm/doorbell.hpp, on the own segment's doorbell.
  void Wait(const DoorbellWait& wait);
  // The port has something for this rank: sends it, or leaves it to the thread that is sending.
  void Wake(std::int32_t rank);

  // The port is closed. What is left to say goes out in the background, for a short time at most.
  void BeginClosing();
  // Nothing is left of the sockets and the thread.
  bool IsFinished() const { return is_finished_.load(std::memory_order_acquire); }
  // At once, whatever was left to say.
  void Abort();

  std::int64_t RefusedCount();

 private:
  class Driving;

  void RunThread();
  void StepAside();
  bool Linger(std::int64_t now_us);
  bool HasRung(std::int32_t seen) const;
  void LookForPending(std::int64_t now_us);

  LinkSet links_;
  DriveLock lock_;
  std::int32_t* doorbell_;
  // The port's thread is in Wait.
  std::atomic<bool> port_waits_{false};
  // How the I/O thread rests while the port's wait drives; 0: it does not.
  std::atomic<std::int32_t> io_rest_{0};
  std::atomic<bool> is_send_pending_{false};
  std::atomic<bool> is_closing_{false};
  std::atomic<bool> is_aborted_{false};
  std::atomic<bool> is_finished_{false};
  std::int64_t linger_until_us_ = 0;
  std::thread thread_;
};

}  // namespace megascale::m2n
