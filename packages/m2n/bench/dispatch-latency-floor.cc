// The native contender of dispatch-latency.mjs: BYTES EXCHANGES CORE CORE. Prints a line per
// exchange: end to end, dispatch latency, round trip in µs. Two processes, each on a core, spin on
// two flags, each in a cache line of its own, beside a slot and its outputs.
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
#include <vector>

namespace {

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

template <typename Dispatch, typename AwaitAnswer>
void Exchange(std::size_t bytes, int exchanges, void* slot, const void* answers,
              const Dispatch& dispatch, const AwaitAnswer& await_answer) {
  Payload payload(bytes);
  std::vector<double> samples;
  for (int index = 0; index < exchanges; ++index) {
    const double begun = NowUs();
    std::memcpy(slot, payload.mine.data(), bytes);
    const Stamps stamps{begun, NowUs()};
    std::memcpy(slot, &stamps, sizeof stamps);
    dispatch();
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

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) return 2;
  const auto bytes = static_cast<std::size_t>(std::atoll(arguments[1]));
  RunFloor(bytes, std::atoi(arguments[2]), std::atoi(arguments[3]), std::atoi(arguments[4]));
  wait(nullptr);
  return 0;
}
