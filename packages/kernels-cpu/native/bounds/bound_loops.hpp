#pragma once

#include <cstddef>
#include <cstdint>

// The loops that measure what one thread of this machine can do. One set per instruction set, each
// in a file with that set's flags; nothing is inline here, so that no file's code ends up in
// another's.
namespace megascale {

// Streams of one thread, far apart in memory.
constexpr int kReadStreams[] = {1, 2, 4, 8};

struct BoundLoops {
  // Reads [data, data + bytes) once, in `streams` equal parts side by side, each prefetched 1 KiB
  // ahead. `bytes` is a multiple of 64 · streams. Returns a value that depends on every byte.
  std::uint64_t (*read)(const std::uint8_t* data, std::size_t bytes, int streams);
  // `rounds` times the fastest multiply-add of this instruction set on registers alone, in as many
  // independent chains as hide its latency. `rounds` ≥ 1.
  void (*multiply_add)(std::size_t rounds);
  double flops_per_round;
  const char* instruction;
};

extern const BoundLoops kScalarBounds;
extern const BoundLoops kAvx2Bounds;
extern const BoundLoops kAvx512Bounds;
extern const BoundLoops kAvx512Bf16Bounds;
extern const BoundLoops kAmxBounds;

// The loops for a kernel table's `isa`.
const BoundLoops& BoundLoopsFor(const char* isa);

}  // namespace megascale
