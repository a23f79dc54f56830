#include "runtime/memory_nodes.hpp"

#include <bit>
#include <fstream>
#include <sstream>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace megascale {
namespace {

constexpr unsigned kNodesMax = 64;

}  // namespace

unsigned long ParseNodes(const std::string& list) {
  unsigned long nodes = 0;
  std::istringstream parts(list);
  for (std::string part; std::getline(parts, part, ',');) {
    std::istringstream range(part);
    unsigned first = 0, last = 0;
    char dash = 0;
    if (!(range >> first)) continue;
    if (!(range >> dash >> last) || dash != '-') last = first;
    for (unsigned node = first; node <= last && node < kNodesMax; ++node) nodes |= 1ul << node;
  }
  return nodes;
}

void SpreadOverNodes(void* pages, std::size_t bytes) {
#if defined(__linux__) && defined(SYS_mbind) && defined(SYS_get_mempolicy)
  constexpr int kDefault = 0, kInterleave = 3;  // MPOL_DEFAULT, MPOL_INTERLEAVE
  static const unsigned long nodes = [] {
    std::string list;
    std::getline(std::ifstream("/sys/devices/system/node/has_memory"), list);
    return ParseNodes(list);
  }();
  if (std::popcount(nodes) < 2) return;
  int policy = kDefault;
  if (syscall(SYS_get_mempolicy, &policy, nullptr, 0, nullptr, 0) != 0 || policy != kDefault) {
    return;
  }
  // Advice only: where it is refused, pages lie where they are first touched. The kernel takes one
  // bit off the length it is told.
  syscall(SYS_mbind, pages, bytes, kInterleave, &nodes, kNodesMax + 1, 0);
#else
  static_cast<void>(pages);
  static_cast<void>(bytes);
#endif
}

}  // namespace megascale
