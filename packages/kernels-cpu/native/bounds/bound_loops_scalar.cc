#include <cstring>

#include "bounds/bound_loops.hpp"

namespace megascale {
namespace {

constexpr std::size_t kAhead = 1024, kLine = 64;

// What the compiler makes of plain words with the baseline's instructions.
std::uint64_t Read(const std::uint8_t* data, std::size_t bytes, int streams) {
  const std::size_t part = bytes / static_cast<std::size_t>(streams);
  std::uint64_t seen[8] = {};
  for (std::size_t at = 0; at < part; at += kLine) {
    for (int s = 0; s < streams; ++s) {
      const std::uint8_t* line = data + static_cast<std::size_t>(s) * part + at;
      __builtin_prefetch(line + kAhead);
      std::uint64_t words[kLine / 8];
      std::memcpy(words, line, kLine);
      for (int i = 0; i < 8; ++i) seen[i] ^= words[i];
    }
  }
  for (int i = 1; i < 8; ++i) seen[0] ^= seen[i];
  return seen[0];
}

constexpr int kChains = 8, kLanes = 4;

void MultiplyAdd(std::size_t rounds) {
  float sums[kChains * kLanes];
  for (int i = 0; i < kChains * kLanes; ++i) sums[i] = static_cast<float>(i);
  for (std::size_t round = 0; round < rounds; ++round) {
    for (int i = 0; i < kChains * kLanes; ++i) sums[i] = sums[i] * 0.999f + 0.001f;
  }
  // The compiler must believe that the sums are used.
  asm volatile("" ::"m"(sums) : "memory");
}

}  // namespace

extern const BoundLoops kScalarBounds = {.read = Read,
                                         .multiply_add = MultiplyAdd,
                                         .flops_per_round = kChains * kLanes * 2.0,
                                         .instruction = "multiplication and addition, as compiled"};

}  // namespace megascale
