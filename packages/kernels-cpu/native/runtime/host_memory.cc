#include "runtime/host_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>

#include "runtime/available_memory.hpp"
#include "runtime/failure.hpp"
#include "runtime/memory_nodes.hpp"

namespace megascale {
namespace {

constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

// Below this the question costs more than a refusal by the system.
constexpr std::size_t kAskedAboutBytes = std::size_t{64} << 20;

// The system promises more than it has and ends processes later; better to refuse now, with
// numbers.
void RequireAvailable(std::size_t bytes, const char* purpose) {
  const std::uint64_t available = AvailableMemory();
  if (bytes <= available) return;
  const auto mebibytes = [](std::uint64_t n) { return std::to_string(n >> 20) + " MiB"; };
  throw Failure("ERR_OUT_OF_MEMORY",
                "Need " + mebibytes(bytes) + " for " + purpose + ", " + mebibytes(available) +
                    " are free. Ask for less, or use a machine with more memory.");
}

}  // namespace

HostMemory::HostMemory(std::size_t bytes, Pages pages, const char* purpose) : bytes_(bytes) {
  if (bytes == 0) return;
  if (bytes >= kAskedAboutBytes && pages != Pages::kSparse) RequireAvailable(bytes, purpose);
  const bool huge = pages == Pages::kHuge && bytes >= kHugePageBytes;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#if defined(MAP_NORESERVE)
  if (pages == Pages::kSparse) flags |= MAP_NORESERVE;
#endif
  mapping_bytes_ = huge ? bytes + kHugePageBytes : bytes;
  void* mapping = mapping_bytes_ < bytes
                      ? MAP_FAILED
                      : mmap(nullptr, mapping_bytes_, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (mapping == MAP_FAILED) {
    throw Failure("ERR_OUT_OF_MEMORY",
                  "Need " + std::to_string(bytes) + " bytes for " + purpose +
                      " and the system refused. Ask for less, or use a machine with more memory.");
  }
  mapping_ = mapping;
  data_ = mapping;
  if (huge) {
    const auto address = reinterpret_cast<std::uintptr_t>(mapping);
    data_ = reinterpret_cast<void*>(RoundUp(address, kHugePageBytes));
#if defined(MADV_HUGEPAGE)
    // Advice only: without huge pages everything works the same, with more TLB misses.
    madvise(data_, bytes, MADV_HUGEPAGE);
#endif
    SpreadOverNodes(data_, bytes);
  }
}

HostMemory::~HostMemory() {
  if (mapping_ != nullptr) munmap(mapping_, mapping_bytes_);
}

void HostMemory::Release(std::size_t offset, std::size_t bytes) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(data_) + offset;
  const std::uintptr_t first = RoundUp(begin, page), end = (begin + bytes) / page * page;
  if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
}

HostMemory::HostMemory(HostMemory&& other) noexcept { *this = std::move(other); }

HostMemory& HostMemory::operator=(HostMemory&& other) noexcept {
  std::swap(mapping_, other.mapping_);
  std::swap(mapping_bytes_, other.mapping_bytes_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace megascale
