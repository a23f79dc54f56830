// Makes the processes of a contender, lets them do the work every contender does, and prints one
// JSON document of what it took:
//
//   contender --senders 1 --receivers 1 --bytes 262144 --iterations 1000 --slots 4 --variant put
//
// Latency: every sender writes a message for every receiver, hands it over, and waits for all
// answers; a receiver reads each message and answers with one of the same length. One way, write to
// read: `endToEndUs`; from the last byte written to the moment the receiver may read: `dispatchUs`.
// Times of several processes are of one clock, CLOCK_MONOTONIC.
//
// Throughput: `slots` messages of each pair are under way. One direction: answers are one cache
// line. Both: answers are as long as messages.
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "contender.hpp"

namespace megascale::bench {

void AwaitFile(const std::string& path) {
  struct stat status{};
  while (stat(path.c_str(), &status) != 0) usleep(1000);
}

void WriteFile(const std::string& path, const std::string& content) {
  const std::string draft = path + ".draft";
  std::ofstream(draft, std::ios::binary) << content;
  if (rename(draft.c_str(), path.c_str()) != 0) throw std::runtime_error("cannot name " + path);
}

std::string ReadFile(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

namespace {

constexpr std::size_t kCacheLine = 64;
constexpr int kWarmUpDivisor = 5;
constexpr int kProcessesMax = 32;

double NowUs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

struct Arguments {
  Setup setup;
  int iterations = 1000;
  int throughput_messages = 2000;
};

// What all processes see. The samples follow it.
struct Shared {
  std::atomic<int> arrived[8];
  std::atomic<int> finished;
  double throughput_us[2][kProcessesMax];
  std::int64_t samples_max;  // Of each process and kind.
  std::atomic<std::int64_t> sample_count[kProcessesMax][3];
};

enum Kind { kEndToEnd = 0, kDispatch = 1, kRoundTrip = 2 };

class Board {
 public:
  Board(const std::string& path, const Arguments& arguments) {
    const Setup& setup = arguments.setup;
    const std::int64_t peers = std::max(setup.senders, setup.receivers);
    const std::int64_t samples_max = arguments.iterations * peers;
    const std::size_t bytes =
        sizeof(Shared) + static_cast<std::size_t>(samples_max) * kProcessesMax * 3 * sizeof(float);
    std::FILE* file = std::fopen(path.c_str(), "a+b");
    if (file == nullptr || ftruncate(fileno(file), static_cast<off_t>(bytes)) != 0) {
      throw std::runtime_error("cannot make " + path);
    }
    void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
    std::fclose(file);
    if (data == MAP_FAILED) throw std::runtime_error("cannot map " + path);
    shared_ = static_cast<Shared*>(data);
    shared_->samples_max = samples_max;
    samples_ = reinterpret_cast<float*>(shared_ + 1);
  }

  Shared& shared() { return *shared_; }

  void Add(int process, Kind kind, double microseconds) {
    const std::int64_t index = shared_->sample_count[process][kind].fetch_add(1);
    if (index >= shared_->samples_max) return;
    At(process, kind)[index] = static_cast<float>(microseconds);
  }

  std::vector<float> All(Kind kind) {
    std::vector<float> all;
    for (int process = 0; process < kProcessesMax; ++process) {
      const std::int64_t count =
          std::min(shared_->sample_count[process][kind].load(), shared_->samples_max);
      const float* begin = At(process, kind);
      all.insert(all.end(), begin, begin + count);
    }
    std::sort(all.begin(), all.end());
    return all;
  }

  // Returns once `count` processes have come to this place.
  void Meet(int place, int count) {
    shared_->arrived[place].fetch_add(1);
    while (shared_->arrived[place].load() < count) usleep(200);
  }

 private:
  float* At(int process, Kind kind) {
    return samples_ + (static_cast<std::int64_t>(process) * 3 + kind) * shared_->samples_max;
  }

  Shared* shared_ = nullptr;
  float* samples_ = nullptr;
};

// Every message begins with the times of its writing.
struct Stamps {
  double began_us;
  double written_us;
};

// The same bytes for everyone, from memory that stays in the cache.
class Author {
 public:
  Author() : source_(kSourceBytes) {
    for (std::size_t index = 0; index < source_.size(); ++index) {
      source_[index] = static_cast<std::byte>(index * 131);
    }
  }

  void Write(std::byte* message, std::size_t bytes) {
    Stamps stamps{.began_us = NowUs(), .written_us = 0};
    for (std::size_t offset = 0; offset < bytes; offset += kSourceBytes) {
      std::memcpy(message + offset, source_.data(), std::min(kSourceBytes, bytes - offset));
    }
    stamps.written_us = NowUs();
    std::memcpy(message, &stamps, sizeof(stamps));
  }

 private:
  static constexpr std::size_t kSourceBytes = 64 * 1024;
  std::vector<std::byte> source_;
};

// Reads every byte.
std::uint64_t Read(const std::byte* message, std::size_t bytes) {
  std::uint64_t sum = 0;
  const auto* words = reinterpret_cast<const std::uint64_t*>(message);
  for (std::size_t index = 0; index < bytes / sizeof(std::uint64_t); ++index) sum += words[index];
  return sum;
}

class Runner {
 public:
  Runner(const Arguments& arguments, Board* board, Role role, int rank)
      : arguments_(arguments),
        setup_(arguments.setup),
        board_(board),
        role_(role),
        process_(role == Role::kSender ? rank : arguments.setup.senders + rank),
        rank_(rank) {}

  void Run() {
    Pin();
    MeasureLatency();
    MeasureThroughput(0, kCacheLine);
    MeasureThroughput(1, arguments_.setup.message_bytes);
    // The compiler must believe that the sums are used.
    if (sum_ == 42) std::fputs("", stderr);
  }

 private:
  int PeerCount() const { return role_ == Role::kSender ? setup_.receivers : setup_.senders; }
  int ProcessCount() const { return setup_.senders + setup_.receivers; }

  void Pin() {
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (ProcessCount() > cores) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(process_, &set);
    sched_setaffinity(0, sizeof(set), &set);
  }

  void Pause() const {
    if (setup_.yields) sched_yield();
  }

  std::unique_ptr<End> OpenFor(const char* name, int slots, std::size_t answer_bytes) {
    Setup setup = setup_;
    setup.slots = slots;
    setup.answer_bytes = answer_bytes;
    setup.directory += std::string("/") + name;
    std::unique_ptr<End> end = Open(setup, role_, rank_);
    board_->Meet(place_++, ProcessCount());
    return end;
  }

  void Close(std::unique_ptr<End> end) {
    end->Finish();
    board_->Meet(place_++, ProcessCount());
  }

  void MeasureLatency() {
    std::unique_ptr<End> end = OpenFor("latency", 1, setup_.message_bytes);
    const int warm_up = std::max(1, arguments_.iterations / kWarmUpDivisor);
    for (int iteration = -warm_up; iteration < arguments_.iterations; ++iteration) {
      if (role_ == Role::kSender) {
        SendToAll(end.get(), iteration >= 0);
      } else {
        AnswerAll(end.get(), iteration >= 0);
      }
    }
    Close(std::move(end));
  }

  void SendToAll(End* end, bool counts) {
    const double began_us = NowUs();
    for (int peer = 0; peer < setup_.receivers; ++peer) Send(end, peer, setup_.message_bytes);
    TakeFromAll(end, counts, [](int) {});
    if (counts) board_->Add(process_, kRoundTrip, NowUs() - began_us);
  }

  void AnswerAll(End* end, bool counts) {
    TakeFromAll(end, counts, [&](int peer) { Send(end, peer, setup_.message_bytes); });
  }

  void Send(End* end, int peer, std::size_t bytes) {
    author_.Write(end->Outgoing(peer, 0), bytes);
    while (!end->TrySend(peer, 0)) Pause();
  }

  template <typename Then>
  void TakeFromAll(End* end, bool counts, Then then) {
    std::vector<bool>& taken = taken_;
    taken.assign(static_cast<std::size_t>(PeerCount()), false);
    for (int left = PeerCount(); left > 0;) {
      bool found = false;
      for (int peer = 0; peer < PeerCount(); ++peer) {
        if (taken[static_cast<std::size_t>(peer)]) continue;
        const std::byte* message = end->TryReceive(peer, 0);
        if (message == nullptr) continue;
        Take(message, counts);
        taken[static_cast<std::size_t>(peer)] = true;
        found = true;
        --left;
        then(peer);
      }
      if (!found) Pause();
    }
  }

  void Take(const std::byte* message, bool counts) {
    const double readable_us = NowUs();
    sum_ += Read(message, setup_.message_bytes);
    const double read_us = NowUs();
    if (!counts) return;
    Stamps stamps;
    std::memcpy(&stamps, message, sizeof(stamps));
    board_->Add(process_, kDispatch, readable_us - stamps.written_us);
    board_->Add(process_, kEndToEnd, read_us - stamps.began_us);
  }

  // Every pair carries the same number of messages; each of its slots is in one of three states.
  void MeasureThroughput(int directions, std::size_t answer_bytes) {
    std::unique_ptr<End> end =
        OpenFor(directions == 0 ? "one" : "both", setup_.slots, answer_bytes);
    const int warm_up = arguments_.throughput_messages / kWarmUpDivisor;
    Stream(end.get(), warm_up, answer_bytes);
    const double began_us = NowUs();
    Stream(end.get(), arguments_.throughput_messages, answer_bytes);
    board_->shared().throughput_us[directions][process_] = NowUs() - began_us;
    Close(std::move(end));
  }

  struct Progress {
    int sent = 0, received = 0;
    bool is_written = false;  // The next message waits to be handed over.
    bool is_done = false;
  };

  void Stream(End* end, int count, std::size_t answer_bytes) {
    const bool sends = role_ == Role::kSender;
    const std::size_t out_bytes = sends ? setup_.message_bytes : answer_bytes;
    const std::size_t in_bytes = sends ? answer_bytes : setup_.message_bytes;
    std::vector<Progress> pairs(static_cast<std::size_t>(PeerCount()));
    for (int left = PeerCount(); left > 0;) {
      bool moved = false;
      for (int peer = 0; peer < PeerCount(); ++peer) {
        Progress& pair = pairs[static_cast<std::size_t>(peer)];
        const int may_send = sends ? std::min(count, pair.received + setup_.slots) : pair.received;
        if (pair.sent < may_send) moved |= TryNext(end, peer, &pair, out_bytes);
        if (pair.received < count && (!sends || pair.received < pair.sent)) {
          const std::byte* message = end->TryReceive(peer, pair.received % setup_.slots);
          if (message != nullptr) {
            sum_ += Read(message, in_bytes);
            ++pair.received;
            moved = true;
          }
        }
        if (!pair.is_done && pair.sent == count && pair.received == count) {
          pair.is_done = true;
          --left;
        }
      }
      if (!moved) Pause();
    }
  }

  bool TryNext(End* end, int peer, Progress* pair, std::size_t bytes) {
    const int slot = pair->sent % setup_.slots;
    if (!pair->is_written) author_.Write(end->Outgoing(peer, slot), bytes);
    pair->is_written = !end->TrySend(peer, slot);
    if (pair->is_written) return false;
    ++pair->sent;
    return true;
  }

  const Arguments& arguments_;
  Setup setup_;
  Board* board_;
  Role role_;
  int process_;
  int rank_;
  int place_ = 0;
  Author author_;
  std::vector<bool> taken_;
  std::uint64_t sum_ = 0;
};

float PercentileOf(const std::vector<float>& sorted, double share) {
  if (sorted.empty()) return 0;
  const auto index = static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5);
  return sorted[index];
}

void PrintPercentiles(const char* name, const std::vector<float>& sorted) {
  std::printf("\"%s\":{\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f},", name, PercentileOf(sorted, 0.5),
              PercentileOf(sorted, 0.99), PercentileOf(sorted, 0.999));
}

void Print(const Arguments& arguments, Board* board) {
  std::printf("{");
  PrintPercentiles("endToEndUs", board->All(kEndToEnd));
  PrintPercentiles("dispatchUs", board->All(kDispatch));
  PrintPercentiles("roundTripUs", board->All(kRoundTrip));
  const Setup& setup = arguments.setup;
  const double bytes = static_cast<double>(setup.message_bytes) * setup.senders * setup.receivers *
                       arguments.throughput_messages;
  double gigabytes_per_second[2];
  for (int directions = 0; directions < 2; ++directions) {
    const double* begin = board->shared().throughput_us[directions];
    const double us = *std::max_element(begin, begin + setup.senders + setup.receivers);
    gigabytes_per_second[directions] = bytes * (directions + 1) / us / 1e3;
  }
  std::printf("\"gigabytesPerSecond\":%.4f,\"bothDirectionsGigabytesPerSecond\":%.4f}\n",
              gigabytes_per_second[0], gigabytes_per_second[1]);
}

int IntegerOf(const std::map<std::string, std::string>& flags, const char* name, int fallback) {
  const auto found = flags.find(name);
  return found == flags.end() ? fallback : std::atoi(found->second.c_str());
}

Arguments Parse(int argc, char** argv) {
  std::map<std::string, std::string> flags;
  for (int index = 1; index + 1 < argc; index += 2) flags[argv[index]] = argv[index + 1];
  Arguments arguments;
  Setup& setup = arguments.setup;
  setup.senders = IntegerOf(flags, "--senders", 1);
  setup.receivers = IntegerOf(flags, "--receivers", 1);
  setup.slots = IntegerOf(flags, "--slots", 4);
  setup.message_bytes = static_cast<std::size_t>(IntegerOf(flags, "--bytes", 2048));
  setup.variant = flags["--variant"];
  setup.directory = flags["--directory"];
  arguments.iterations = IntegerOf(flags, "--iterations", 1000);
  arguments.throughput_messages = IntegerOf(flags, "--messages", 1000);
  if (setup.senders + setup.receivers > kProcessesMax || setup.message_bytes < kCacheLine ||
      setup.directory.empty()) {
    throw std::runtime_error("needs --directory, at least 64 bytes and at most 32 processes");
  }
  setup.yields = setup.senders + setup.receivers > sysconf(_SC_NPROCESSORS_ONLN);
  setup.answer_bytes = setup.message_bytes;
  return arguments;
}

void RunProcess(const Arguments& arguments, int process) {
  Board board(arguments.setup.directory + "/board", arguments);
  const int senders = arguments.setup.senders;
  const Role role = process < senders ? Role::kSender : Role::kReceiver;
  Runner(arguments, &board, role, process < senders ? process : process - senders).Run();
  board.shared().finished.fetch_add(1);
  if (process != 0) return;
  while (board.shared().finished.load() < senders + arguments.setup.receivers) usleep(200);
  Print(arguments, &board);
  std::fflush(stdout);
}

// The first process to fail ends all.
int RunForked(const Arguments& arguments) {
  std::vector<pid_t> children;
  for (int process = 0; process < arguments.setup.senders + arguments.setup.receivers; ++process) {
    const pid_t child = fork();
    if (child == 0) {
      int code = 0;
      try {
        RunProcess(arguments, process);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        code = 1;
      }
      std::fflush(nullptr);
      _exit(code);
    }
    children.push_back(child);
  }
  int failed = 0;
  for (std::size_t left = children.size(); left > 0; --left) {
    int status = 0;
    wait(&status);
    if (status == 0 || failed != 0) continue;
    failed = 1;
    for (const pid_t child : children) kill(child, SIGKILL);
  }
  return failed;
}

}  // namespace
}  // namespace megascale::bench

int main(int argc, char** argv) {
  using namespace megascale::bench;
  try {
    if (!IsForked()) {
      const int process = OwnRank(&argc, &argv);
      RunProcess(Parse(argc, argv), process);
      return 0;
    }
    const Arguments arguments = Parse(argc, argv);
    for (const char* name : {"latency", "one", "both"}) {
      mkdir((arguments.setup.directory + "/" + name).c_str(), 0700);
    }
    Prepare(arguments.setup);
    return RunForked(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
