#if defined(MEGASCALE_HAS_LIBFABRIC)

#include "fabric/dead_owner.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <string>
#include <string_view>

#include "shm/thread_identity.hpp"

namespace megascale::m2n::fabric {
namespace {

// 'fi_shm://' and the file's name: process, domain and endpoint, as in '1234:0:5'.
constexpr std::string_view kScheme = "fi_shm://";
constexpr int kNumbers = 3;

// What such a file begins with, by version 4 of the provider's layout (libfabric 1.17).
struct RegionHead {
  std::uint8_t version;
  std::uint8_t unread[3];
  std::int32_t process;
  std::uint8_t unread_too[16];
  std::int32_t lock;  // A pthread_spinlock_t: 1 is free, less is taken.
};
constexpr std::uint8_t kVersionKnown = 4;
constexpr std::int32_t kFree = 1;

std::string PathOf(std::string_view file) { return std::string("/").append(file); }

// The owner's process of a name of that form and no other, else 0: nothing else may be removed.
pid_t OwnerOfFile(std::string_view file) {
  pid_t owner = 0;
  const char* at = file.data();
  const char* const end = at + file.size();
  for (int index = 0; index < kNumbers; ++index) {
    int number = 0;
    const auto [after, error] = std::from_chars(at, end, number);
    if (error != std::errc() || number < 0) return 0;
    if (index == 0) owner = number;
    const bool is_last = index == kNumbers - 1;
    if (is_last ? after != end : after == end || *after != ':') return 0;
    at = after + 1;
  }
  return owner;
}

bool Exists(const std::string& path) {
  const int descriptor = shm_open(path.c_str(), O_RDONLY, 0);
  if (descriptor >= 0) close(descriptor);
  return descriptor >= 0 || errno != ENOENT;
}

// Empty for other providers.
std::string_view FileOf(const std::vector<std::uint8_t>& name) {
  std::string_view text(reinterpret_cast<const char*>(name.data()), name.size());
  text = text.substr(0, text.find('\0'));
  if (text.substr(0, kScheme.size()) != kScheme) return {};
  return text.substr(kScheme.size());
}

}  // namespace

std::int32_t OwnerOf(const std::vector<std::uint8_t>& name) { return OwnerOfFile(FileOf(name)); }

bool OwnerLives(std::int32_t owner) { return owner <= 0 || kill(owner, 0) == 0 || errno != ESRCH; }

bool RemoveMemoryOfDeadOwner(const std::vector<std::uint8_t>& name) {
  const std::string_view file = FileOf(name);
  const pid_t owner = OwnerOfFile(file);
  if (owner <= 0 || !Exists(PathOf(file))) return true;
  if (OwnerLives(owner) && !IsZombie(owner)) return false;
  shm_unlink(PathOf(file).c_str());
  return true;
}

void FreeLockOf(const std::vector<std::uint8_t>& name) {
  const std::string_view file = FileOf(name);
  const pid_t owner = OwnerOfFile(file);
  if (owner <= 0) return;
  const int descriptor = shm_open(PathOf(file).c_str(), O_RDWR, 0);
  if (descriptor < 0) return;
  struct stat found{};
  const bool is_whole =
      fstat(descriptor, &found) == 0 && found.st_size >= static_cast<off_t>(sizeof(RegionHead));
  void* memory = is_whole ? mmap(nullptr, sizeof(RegionHead), PROT_READ | PROT_WRITE, MAP_SHARED,
                                 descriptor, 0)
                          : MAP_FAILED;
  close(descriptor);
  if (memory == MAP_FAILED) return;
  auto* head = static_cast<RegionHead*>(memory);
  if (head->version == kVersionKnown && head->process == owner) {
    const std::atomic_ref lock(head->lock);
    if (lock.load(std::memory_order_relaxed) < kFree) lock.store(kFree, std::memory_order_release);
  }
  munmap(memory, sizeof(RegionHead));
}

}  // namespace megascale::m2n::fabric

#endif  // MEGASCALE_HAS_LIBFABRIC
