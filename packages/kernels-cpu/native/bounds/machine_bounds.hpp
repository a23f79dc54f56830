#pragma once

#include <cstddef>
#include <vector>

#include "bounds/bound_loops.hpp"
#include "kernels/dispatch/kernel_table.hpp"
#include "runtime/thread_pool.hpp"

// What a pool's threads can do together on this machine: the bounds of every figure. Each call
// blocks while it measures; memory is returned before it returns.
namespace megascale {

struct ReadRate {
  int streams;
  double bytes_per_second;
};

// Each number of streams, by the median of its passes over `bytes` in huge pages, taken in turns.
// Throws Failure ERR_OUT_OF_MEMORY.
std::vector<ReadRate> MeasureRead(ThreadPool& pool, const BoundLoops& loops, std::size_t bytes);

// FLOP/s of bf16 matrix products of 128 × 128 × 1024 by the table's own multiply, packed and in the
// second-level cache, one on each thread: the median piece.
double MeasureGemm(ThreadPool& pool, const GemmKernels& gemm);

// FLOP/s of the multiply-add alone.
double MeasureInstruction(ThreadPool& pool, const BoundLoops& loops);

struct ForkJoinTimes {
  double spinning_us, parked_us;
};
ForkJoinTimes MeasureForkJoin(ThreadPool& pool);

struct CopyTimes {
  double fresh_us, touched_us;
};
CopyTimes MeasureCopy(ThreadPool& pool, std::size_t bytes);

}  // namespace megascale
