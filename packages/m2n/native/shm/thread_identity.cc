#if defined(__linux__)

#include "shm/thread_identity.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace megascale::m2n {
namespace {

constexpr int kFieldsBetweenStateAndStart = 19;  // Field 3 is the state, field 22 the start time.

struct ThreadStatus {
  bool found = false;
  char state = '?';
  std::int64_t start_ticks = 0;
};

// The second field is a name in parentheses that may hold spaces and parentheses: fields count from
// its last ')'.
ThreadStatus ParseStatus(const char* text) {
  const char* field = std::strrchr(text, ')');
  if (field == nullptr || field[1] != ' ') return {};
  field += 2;
  const char state = *field;
  for (int skipped = 0; skipped < kFieldsBetweenStateAndStart; ++skipped) {
    field = std::strchr(field, ' ');
    if (field == nullptr) return {};
    ++field;
  }
  return ThreadStatus{.found = true, .state = state, .start_ticks = std::atoll(field)};
}

ThreadStatus ReadStatus(std::int32_t process_id, std::int32_t thread_id) {
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/task/%d/stat", process_id, thread_id);
  const int fd = open(path.data(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::array<char, 1024> text{};
  const ssize_t length = read(fd, text.data(), text.size() - 1);
  close(fd);
  if (length <= 0) return {};
  return ParseStatus(text.data());
}

bool HasEnded(const ThreadStatus& status) {
  return status.state == 'Z' || status.state == 'X' || status.state == 'x';
}

}  // namespace

ThreadIdentity CurrentThread() {
  const auto process_id = static_cast<std::int32_t>(getpid());
  const auto thread_id = static_cast<std::int32_t>(syscall(SYS_gettid));
  return ThreadIdentity{.process_id = process_id,
                        .thread_id = thread_id,
                        .start_ticks = ReadStatus(process_id, thread_id).start_ticks};
}

bool IsAlive(const ThreadIdentity& thread) {
  const ThreadStatus status = ReadStatus(thread.process_id, thread.thread_id);
  return status.found && !HasEnded(status) && status.start_ticks == thread.start_ticks;
}

bool IsZombie(std::int32_t process_id) {
  const ThreadStatus status = ReadStatus(process_id, process_id);
  return status.found && HasEnded(status);
}

}  // namespace megascale::m2n

#endif  // __linux__
