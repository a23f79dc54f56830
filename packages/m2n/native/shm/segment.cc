#if defined(__linux__)

#include "shm/segment.hpp"

#include "protocol/allocation_count.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace megascale::m2n {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
constexpr std::size_t kReserveBytesMin = std::size_t{1} << 20;

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

struct stat StatusOf(int fd, const std::string& what) {
  struct stat status{};
  if (fstat(fd, &status) != 0) ThrowErrno("fstat " + what);
  return status;
}

// Of the huge pages that back this descriptor, or 0.
std::size_t HugePageBytes(int fd) {
  constexpr std::uint32_t kHugeTlbFs = 0x958458f6;  // HUGETLBFS_MAGIC
  struct statfs system{};
  if (fstatfs(fd, &system) != 0 || static_cast<std::uint32_t>(system.f_type) != kHugeTlbFs) {
    return 0;
  }
  return static_cast<std::size_t>(system.f_bsize);
}

// How long the file of a segment is.
std::size_t FileBytes(int fd, std::size_t byte_length) {
  const std::size_t page = HugePageBytes(fd);
  return page == 0 ? byte_length : (byte_length + page - 1) / page * page;
}

// Ends the mapping unless it is handed on.
class Mapping {
 public:
  Mapping(int fd, std::size_t byte_length)
      : segment_{.byte_length = byte_length, .mapped_length = FileBytes(fd, byte_length)} {
    void* data = mmap(nullptr, segment_.mapped_length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) ThrowErrno("mmap of " + std::to_string(byte_length) + " bytes");
    segment_.data = data;
    CountAllocation();
  }
  ~Mapping() {
    if (segment_.data != nullptr) UnmapSegment(segment_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  void* data() const { return segment_.data; }
  Segment release(int fd) {
    Segment segment = segment_;
    segment.fd = fd;
    segment_.data = nullptr;
    return segment;
  }

 private:
  Segment segment_;
};

Segment CreateWith(unsigned flags, std::size_t byte_length, std::int32_t numa_node) {
  Descriptor fd(memfd_create("megascale-m2n", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags));
  if (fd.get() < 0) ThrowErrno("memfd_create");
  if (ftruncate(fd.get(), static_cast<off_t>(FileBytes(fd.get(), byte_length))) != 0) {
    ThrowErrno("ftruncate");
  }
  if (fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) ThrowErrno("fcntl(F_ADD_SEALS)");
  Mapping mapping(fd.get(), byte_length);
  // A wish: where the kernel does not grant huge pages the memory works the same.
  madvise(mapping.data(), byte_length, MADV_HUGEPAGE);
  PreferNode(mapping.data(), byte_length, numa_node);
  MakePresent(mapping.data(), byte_length);
  return mapping.release(fd.release());
}

}  // namespace

Segment CreateSegment(std::size_t byte_length, const PageWishes& wishes) {
  // A control segment is not worth a page of the reserve.
  if (wishes.huge_pages && byte_length >= kReserveBytesMin) {
    try {
      return CreateWith(MFD_HUGETLB, byte_length, wishes.numa_node);
    } catch (const std::system_error&) {
      // The reserve is empty, or there is none.
    }
  }
  return CreateWith(0, byte_length, wishes.numa_node);
}

Segment OpenSegment(std::int32_t process_id, std::int32_t fd, std::size_t byte_length) {
  const std::string path = "/proc/" + std::to_string(process_id) + "/fd/" + std::to_string(fd);
  // The path comes from outside: it must not block on a pipe, and only a sealed memfd passes the
  // checks below.
  const Descriptor peer(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (peer.get() < 0) ThrowErrno("open " + path);
  const auto size = static_cast<std::size_t>(StatusOf(peer.get(), path).st_size);
  if (size != FileBytes(peer.get(), byte_length)) {
    throw std::runtime_error(path + " has " + std::to_string(size) + " bytes, not " +
                             std::to_string(byte_length));
  }
  const int seals = fcntl(peer.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) {
    throw std::runtime_error(path + " is not a segment: its size is not sealed");
  }
  Mapping mapping(peer.get(), byte_length);
  madvise(mapping.data(), byte_length, MADV_HUGEPAGE);
  MakePresent(mapping.data(), byte_length);
  return mapping.release(-1);
}

void UnmapSegment(const Segment& segment) noexcept { munmap(segment.data, segment.mapped_length); }

void CloseSegmentDescriptor(int fd) noexcept {
  if (fd >= 0) close(fd);
}

}  // namespace megascale::m2n

#endif  // __linux__
