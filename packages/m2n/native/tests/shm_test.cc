#if defined(__linux__)

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "shm/doorbell.hpp"
#include "shm/segment.hpp"
#include "shm/thread_identity.hpp"
#include "testing.hpp"

// Shared memory, doorbells and thread identities, without Node.
namespace megascale::m2n {
namespace {

using testing::Random;
using testing::Require;
using testing::RequireThrows;
using testing::Test;

struct Bell {
  std::int32_t count = 0, parked = 0;

  std::int32_t Count() { return std::atomic_ref(count).load(std::memory_order_acquire); }
  // As a sender rings: count first, then wake who sleeps.
  void Ring() {
    std::atomic_ref(count).fetch_add(1, std::memory_order_seq_cst);
    if (std::atomic_ref(parked).load(std::memory_order_seq_cst) != 0) WakeParked(&count);
  }
  void AwaitOther(std::int32_t seen, std::int64_t spin_microseconds) {
    while (Count() == seen) {
      WaitForRing(&count, &parked,
                  {.seen = seen,
                   .spin_microseconds = spin_microseconds,
                   .timeout_microseconds = 10'000'000});
    }
  }
};

// Two threads hand a plain number to and fro: a lost ring would hang, a missing order would race.
void PlayPingPong(std::int64_t spin_microseconds, int rounds) {
  Bell there, back;
  int ball = 0;
  std::thread peer([&] {
    for (int round = 0; round < rounds; ++round) {
      there.AwaitOther(round, spin_microseconds);
      ++ball;
      back.Ring();
    }
  });
  for (int round = 0; round < rounds; ++round) {
    ++ball;
    there.Ring();
    back.AwaitOther(round, spin_microseconds);
  }
  peer.join();
  Require(ball == 2 * rounds, "a ring was lost");
}

const Test spins{"doorbells carry a ball to and fro, spinning",
                 [](Random&) { PlayPingPong(50, 2000); }};
const Test sleeps{"doorbells carry a ball to and fro, asleep at once",
                  [](Random&) { PlayPingPong(0, 2000); }};

const Test times_out{"a wait without a ring ends at its timeout", [](Random&) {
                       Bell bell;
                       WaitForRing(
                           &bell.count, &bell.parked,
                           {.seen = 0, .spin_microseconds = 10, .timeout_microseconds = 1000});
                       // Spins to the end, and gives way to everyone meanwhile.
                       WaitForRing(&bell.count, &bell.parked,
                                   {.seen = 0,
                                    .spin_microseconds = 60'000'000,
                                    .spin_yields = true,
                                    .timeout_microseconds = 1000});
                       Require(bell.Count() == 0 && bell.parked == 0, "the wait left a mark");
                     }};

const Test segments{"two mappings of a segment are the same memory", [](Random& random) {
                      const std::size_t bytes = random.Between(1, 100000);
                      const Segment own = CreateSegment(bytes);
                      const Segment peer = OpenSegment(getpid(), own.fd, bytes);
                      std::memset(own.data, 0x5a, bytes);
                      Require(std::memcmp(own.data, peer.data, bytes) == 0, "the bytes differ");
                      CloseSegmentDescriptor(own.fd);
                      UnmapSegment(own.data, bytes);
                      Require(static_cast<unsigned char*>(peer.data)[bytes - 1] == 0x5a,
                              "the owner's end took the peer's memory");
                      UnmapSegment(peer.data, bytes);
                    }};

const Test refusals{"only a segment of the stated length is opened", [](Random&) {
                      const Segment own = CreateSegment(4096);
                      RequireThrows<std::runtime_error>(
                          "has 4096 bytes", [&] { OpenSegment(getpid(), own.fd, 8192); });
                      int ends[2];
                      Require(pipe(ends) == 0, "no pipe");
                      RequireThrows<std::exception>("", [&] { OpenSegment(getpid(), ends[0], 0); });
                      close(ends[0]);
                      close(ends[1]);
                      RequireThrows<std::system_error>(
                          "open", [&] { OpenSegment(getpid(), ends[0], 4096); });
                      CloseSegmentDescriptor(own.fd);
                      UnmapSegment(own.data, own.byte_length);
                    }};

const Test identities{"a thread is alive until it ends, and is no other thread", [](Random&) {
                        ThreadIdentity other;
                        std::thread([&] {
                          other = CurrentThread();
                          Require(IsAlive(other), "a running thread counts as dead");
                        }).join();
                        Require(IsAlive(CurrentThread()), "this thread counts as dead");
                        ThreadIdentity impostor = CurrentThread();
                        impostor.start_ticks -= 1;
                        Require(!IsAlive(impostor), "another start time is the same thread");
                        // The kernel takes a moment to forget a thread that was joined.
                        for (int i = 0; IsAlive(other); ++i) {
                          Require(i < 1000, "a joined thread still counts as alive");
                          std::this_thread::sleep_for(std::chrono::milliseconds(1));
                        }
                      }};

}  // namespace
}  // namespace megascale::m2n

#endif  // __linux__
