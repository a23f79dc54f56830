#pragma once

#include <cstddef>
#include <vector>

#include "kernels/kernel_table.hpp"
#include "runtime/host_memory.hpp"
#include "runtime/thread_pool.hpp"
#include "weights/packed_matrix.hpp"

namespace megascale {

// Rows times one matrix: out[r] = epilogue(in[r] · matrix).
struct GemmSegment {
  const PackedMatrix* matrix;
  const bf16* const* in;  // [rows] rows of matrix->in_width
  void* const* out;       // [rows] rows of matrix->width, f32 or bf16 as the epilogue says
  std::size_t rows;
  Epilogue epilogue;
  const float* bias;  // [matrix->width] or null
};

// Runs segments in one fork and join. Work is split over threads by output panels (and by chunks of
// rows where there are many), never along k, so the split does not show in the results. Scratch is
// allocated once.
class GemmRunner {
 public:
  // `matrices` are all that will come: the scratch fits the widest of them.
  GemmRunner(ThreadPool& pool, const KernelTable& kernels,
             const std::vector<PackedMatrix>& matrices);

  void Run(const GemmSegment* segments, std::size_t count);

 private:
  struct Share {
    std::size_t begin, end;  // in units of cost
  };

  const GemmKernels& Gemm(const PackedMatrix& matrix) const {
    return kernels_.gemm[static_cast<std::size_t>(matrix.format)];
  }
  std::size_t ChunkRows(const PackedMatrix& matrix) const;
  void RunShare(const GemmSegment* segments, std::size_t count, Share share, int thread);
  void RunUnits(const GemmSegment& segment, std::size_t row, std::size_t rows, std::size_t begin,
                std::size_t end, int thread);

  ThreadPool& pool_;
  KernelTable kernels_;
  std::vector<HostMemory> packed_rows_;  // one per thread
  std::vector<HostMemory> tiles_;        // one per thread
};

}  // namespace megascale
