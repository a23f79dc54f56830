// The native contenders of hand-over.mjs: floor|ends BYTES EXCHANGES CORE CORE. Prints a line per
// exchange: end to end, hand-over, round trip in µs. Two processes, each on a core; both spin.
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

#include "port/attention_end.hpp"
#include "port/expert_end.hpp"

namespace {

using megascale::m2n::AttentionEnd;
using megascale::m2n::AttentionEndSlot;
using megascale::m2n::EndOptions;
using megascale::m2n::ExpertEnd;
using megascale::m2n::Received;
using megascale::m2n::ReceivedFrame;
using megascale::m2n::SegmentPlace;

double NowUs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

void Pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) perror("sched_setaffinity");
}

// What both sides copy, and the time stamps at the head of a payload.
struct Payload {
  explicit Payload(std::size_t bytes) : mine(bytes, 7), theirs(bytes) {}
  std::vector<char> mine, theirs;
};
struct Stamps {
  double first, second;
};

template <typename HandOver, typename AwaitAnswer>
void Exchange(std::size_t bytes, int exchanges, void* slot, const void* answers,
              const HandOver& hand_over, const AwaitAnswer& await_answer) {
  Payload payload(bytes);
  std::vector<double> samples;
  for (int index = 0; index < exchanges; ++index) {
    const double begun = NowUs();
    std::memcpy(slot, payload.mine.data(), bytes);
    const Stamps stamps{begun, NowUs()};
    std::memcpy(slot, &stamps, sizeof stamps);
    hand_over();
    await_answer();
    std::memcpy(payload.theirs.data(), answers, bytes);
    const double ended = NowUs();
    Stamps reported;
    std::memcpy(&reported, payload.theirs.data(), sizeof reported);
    samples.insert(samples.end(), {reported.first, reported.second, ended - begun});
  }
  for (std::size_t at = samples.size() / 30 * 3; at < samples.size(); at += 3) {
    std::printf("%.3f %.3f %.3f\n", samples[at], samples[at + 1], samples[at + 2]);
  }
}

void Answer(Payload* payload, const void* slot, void* answers) {
  const double received = NowUs();
  std::memcpy(payload->theirs.data(), slot, payload->theirs.size());
  const double read = NowUs();
  Stamps stamps;
  std::memcpy(&stamps, payload->theirs.data(), sizeof stamps);
  const Stamps reported{read - stamps.first, received - stamps.second};
  std::memcpy(answers, payload->mine.data(), payload->mine.size());
  std::memcpy(answers, &reported, sizeof reported);
}

void SpinUntil(const std::atomic<int>& flag, int value) {
  while (flag.load(std::memory_order_acquire) != value) __builtin_ia32_pause();
}

// Two flags, each in a cache line of its own, a slot and its answers.
void RunFloor(std::size_t bytes, int exchanges, int core, int other_core) {
  struct alignas(64) Flag {
    std::atomic<int> value{0};
  };
  const std::size_t length = 2 * sizeof(Flag) + 2 * bytes;
  void* memory =
      mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::exit(1);
  madvise(memory, length, MADV_HUGEPAGE);
  std::memset(memory, 0, length);
  auto* flags = static_cast<Flag*>(memory);
  char* slot = reinterpret_cast<char*>(flags + 2);
  char* answers = slot + bytes;
  if (fork() == 0) {
    Pin(other_core);
    Payload payload(bytes);
    for (int index = 1; index <= exchanges; ++index) {
      SpinUntil(flags[0].value, index);
      Answer(&payload, slot, answers);
      flags[1].value.store(index, std::memory_order_release);
    }
    _exit(0);
  }
  Pin(core);
  int sent = 0;
  Exchange(
      bytes, exchanges, slot, answers,
      [&] { flags[0].value.store(++sent, std::memory_order_release); },
      [&] { SpinUntil(flags[1].value, sent); });
}

SegmentPlace Trade(const SegmentPlace& own, int out, int in) {
  SegmentPlace theirs;
  const bool traded = write(out, &own, sizeof own) == sizeof own &&
                      read(in, &theirs, sizeof theirs) == sizeof theirs;
  if (!traded) std::exit(1);
  return theirs;
}

void RunEnds(std::size_t bytes, int exchanges, int core, int other_core) {
  const std::size_t row_bytes = bytes < 2048 ? bytes : 2048;
  const auto tokens = static_cast<std::int32_t>(bytes / row_bytes);
  const EndOptions options{.shape = {.attention_worker_count = 1,
                                     .expert_worker_count = 1,
                                     .layer_count = 1,
                                     .hidden_size = static_cast<std::int64_t>(row_bytes / 4),
                                     .top_k = 1,
                                     .element_bytes = 4,
                                     .tokens_per_slot_max = tokens,
                                     .slot_count = 1,
                                     .expert_count = 1},
                           .rank_of_expert = {0},
                           .spin_us = 10'000};
  int there[2], back[2];
  if (pipe(there) != 0 || pipe(back) != 0) std::exit(1);
  if (fork() == 0) {
    Pin(other_core);
    ExpertEnd end(options);
    end.Join({Trade(end.place(), back[1], there[0])});
    Payload payload(bytes);
    ReceivedFrame received;
    for (;;) {
      const Received result = end.Receive(&received, 1'000'000);
      if (result == Received::kEnded) _exit(0);
      if (result == Received::kNothing) continue;
      Answer(&payload, received.rows[0].hidden, received.rows[0].answer);
      end.Reply(received);
    }
  }
  Pin(core);
  AttentionEnd end(options);
  end.Join({Trade(end.place(), there[1], back[0])});
  const AttentionEndSlot slot = end.slot(0);
  std::memset(slot.expert_ids, 0, static_cast<std::size_t>(tokens) * sizeof(std::int32_t));
  std::int64_t step = 0;
  Exchange(
      bytes, exchanges, slot.hidden, slot.answers,
      [&] {
        ++step;
        end.Dispatch({step, 0, 0}, {step + 1, 0, 0}, tokens);
      },
      [&] { end.Combine(0); });
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 6) return 2;
  const std::string kind = arguments[1];
  const auto bytes = static_cast<std::size_t>(std::atoll(arguments[2]));
  const int exchanges = std::atoi(arguments[3]);
  const auto run = kind == "floor" ? RunFloor : RunEnds;
  run(bytes, exchanges, std::atoi(arguments[4]), std::atoi(arguments[5]));
  wait(nullptr);
  return 0;
}
