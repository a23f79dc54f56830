#if defined(__linux__)

#include "shm/segment.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace megascale::m2n {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

[[noreturn]] void ThrowErrno(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// Closes the descriptor unless it is handed on.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { CloseSegmentDescriptor(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_;
};

void* Map(int fd, std::size_t byte_length) {
  void* data = mmap(nullptr, byte_length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) ThrowErrno("mmap of " + std::to_string(byte_length) + " bytes");
  // A wish: where the kernel does not grant huge pages the memory works the same.
  madvise(data, byte_length, MADV_HUGEPAGE);
  return data;
}

}  // namespace

Segment CreateSegment(std::size_t byte_length) {
  Descriptor fd(memfd_create("megascale-m2n", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (fd.get() < 0) ThrowErrno("memfd_create");
  if (ftruncate(fd.get(), static_cast<off_t>(byte_length)) != 0) ThrowErrno("ftruncate");
  if (fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) ThrowErrno("fcntl(F_ADD_SEALS)");
  void* data = Map(fd.get(), byte_length);
  return Segment{.data = data, .byte_length = byte_length, .fd = fd.release()};
}

Segment OpenSegment(std::int32_t process_id, std::int32_t fd, std::size_t byte_length) {
  const std::string path = "/proc/" + std::to_string(process_id) + "/fd/" + std::to_string(fd);
  // The path comes from outside: it must not block on a pipe, and only a sealed memfd passes the
  // checks below.
  const Descriptor peer(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (peer.get() < 0) ThrowErrno("open " + path);
  struct stat status{};
  if (fstat(peer.get(), &status) != 0) ThrowErrno("fstat " + path);
  if (static_cast<std::size_t>(status.st_size) != byte_length) {
    throw std::runtime_error(path + " has " + std::to_string(status.st_size) + " bytes, not " +
                             std::to_string(byte_length));
  }
  const int seals = fcntl(peer.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) {
    throw std::runtime_error(path + " is not a segment: its size is not sealed");
  }
  return Segment{.data = Map(peer.get(), byte_length), .byte_length = byte_length, .fd = -1};
}

void UnmapSegment(void* data, std::size_t byte_length) noexcept { munmap(data, byte_length); }

void CloseSegmentDescriptor(int fd) noexcept {
  if (fd >= 0) close(fd);
}

}  // namespace megascale::m2n

#endif  // __linux__
