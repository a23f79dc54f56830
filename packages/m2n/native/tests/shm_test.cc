#if defined(__linux__)

#include <unistd.h>

#include <atomic>
#include <cctype>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <iomanip>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
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
                      UnmapSegment(own);
                      Require(static_cast<unsigned char*>(peer.data)[bytes - 1] == 0x5a,
                              "the owner's end took the peer's memory");
                      UnmapSegment(peer);
                    }};

// What /proc/self/<file> says about the mapping at `data`: its own lines, or "" where it says none.
std::string ProcTextOf(const char* file, const void* data) {
  std::ostringstream start;
  start << std::hex << std::setw(8) << std::setfill('0') << reinterpret_cast<std::uintptr_t>(data);
  std::ifstream lines(std::string("/proc/self/") + file);
  std::string text;
  bool found = false;
  for (std::string line; std::getline(lines, line);) {
    const bool is_heading =
        std::isxdigit(static_cast<unsigned char>(line[0])) != 0 && line.find(':') > line.find(' ');
    if (is_heading) found = line.compare(0, start.str().size(), start.str()) == 0;
    if (found) text += line + "\n";
  }
  return text;
}

// The number after `name`, in kB; -1 where there is none.
std::int64_t KilobytesOf(const std::string& text, const std::string& name) {
  const std::size_t at = text.find("\n" + name);
  return at == std::string::npos ? -1 : std::atoll(text.c_str() + at + 1 + name.size());
}

const Test pages{"every page of a segment is there before it is used", [](Random&) {
                   const std::size_t bytes = std::size_t{5} << 20;
                   const Segment own = CreateSegment(bytes);
                   const Segment peer = OpenSegment(getpid(), own.fd, bytes);
                   for (const Segment* segment : {&own, &peer}) {
                     const std::int64_t present =
                         KilobytesOf(ProcTextOf("smaps", segment->data), "Rss:");
                     Require(present == 5 << 10, std::to_string(present) + " kB are there");
                   }
                   CloseSegmentDescriptor(own.fd);
                   UnmapSegment(own);
                   UnmapSegment(peer);
                 }};

const Test reserve{"huge pages come from the reserve as far as it goes", [](Random&) {
                     std::ifstream lines("/proc/meminfo");
                     const std::string memory((std::istreambuf_iterator<char>(lines)), {});
                     const std::int64_t page_kilobytes = KilobytesOf(memory, "Hugepagesize:");
                     const bool is_there = KilobytesOf(memory, "HugePages_Free:") -
                                               KilobytesOf(memory, "HugePages_Rsvd:") >=
                                           2;
                     const std::size_t bytes = (std::size_t{3} << 20) + 1;
                     const Segment own = CreateSegment(bytes, {.huge_pages = true});
                     const Segment peer = OpenSegment(getpid(), own.fd, bytes);
                     static_cast<char*>(own.data)[bytes - 1] = 7;
                     Require(static_cast<char*>(peer.data)[bytes - 1] == 7, "the bytes differ");
                     for (const Segment* segment : {&own, &peer}) {
                       const std::int64_t kilobytes =
                           KilobytesOf(ProcTextOf("smaps", segment->data), "KernelPageSize:");
                       Require((kilobytes == page_kilobytes) == is_there,
                               "pages of " + std::to_string(kilobytes) + " kB");
                     }
                     RequireThrows<std::runtime_error>(
                         "bytes, not", [&] { OpenSegment(getpid(), own.fd, 4 * bytes); });
                     CloseSegmentDescriptor(own.fd);
                     UnmapSegment(own);
                     UnmapSegment(peer);
                   }};

const Test nodes{"a segment prefers the node it was given, and does without one there is not",
                 [](Random&) {
                   const Segment own = CreateSegment(1 << 16, {.numa_node = 0});
                   const std::string policy = ProcTextOf("numa_maps", own.data);
                   // Kernels without memory nodes have no such file.
                   Require(policy.empty() || policy.find(" prefer") != std::string::npos,
                           "its policy is " + policy);
                   CloseSegmentDescriptor(own.fd);
                   UnmapSegment(own);
                   for (const std::int32_t node : {1023, 1024, -1}) {
                     const Segment other = CreateSegment(1 << 16, {.numa_node = node});
                     static_cast<char*>(other.data)[0] = 1;
                     CloseSegmentDescriptor(other.fd);
                     UnmapSegment(other);
                   }
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
                      UnmapSegment(own);
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
