#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/dispatch/kernel_table.hpp"
#include "runtime/host_memory.hpp"
#include "runtime/thread_pool.hpp"
#include "weights/packed_matrix.hpp"

namespace megascale {

// Rows times one matrix: out[r] = epilogue(in[r] · matrix).
struct GemmSegment {
  static constexpr std::size_t kNone = SIZE_MAX;

  const PackedMatrix* matrix;
  const bf16* const* in;  // [rows] rows of matrix->in_width
  void* const* out;       // [rows] rows of matrix->width, f32 or bf16 as the epilogue says
  std::size_t rows;
  Epilogue epilogue;
  const float* bias;  // [matrix->width] or null
  // An earlier segment whose results are rows of this one, or kNone.
  std::size_t after = kNone;
};

// Runs segments in one fork and join. Work is cut into units, a group of panels by a chunk of rows,
// never along k, so the cut does not show in the results. Units stand in one line, in the order of
// the segments; threads take one after the other from its front, so a slow thread takes fewer.
// Scratch is allocated before. One caller at a time.
class GemmRunner {
 public:
  // The scratch fits the widest of `matrices`.
  GemmRunner(ThreadPool& pool, const KernelTable& kernels,
             const std::vector<PackedMatrix>& matrices);
  // Makes the scratch fit this one too. Between runs.
  void Fit(const PackedMatrix& matrix);

  void Run(const GemmSegment* segments, std::size_t count);

 private:
  // How one segment is cut.
  struct Cut {
    std::size_t first_unit;
    std::size_t chunk_rows;
    std::size_t group_panels, groups;
    std::atomic<std::size_t> units_left;
  };
  struct Unit {
    std::size_t segment;
    std::size_t row, rows;
    std::size_t panel, panels;
  };
  class Worker;

  const GemmKernels& Gemm(const PackedMatrix& matrix) const {
    return kernels_.gemm[static_cast<std::size_t>(matrix.format)];
  }
  // Of a chunk's rows, packed.
  std::size_t PackedBytes(const PackedMatrix& matrix) const;
  std::size_t ChunkRowsMax(const PackedMatrix& matrix) const;
  std::size_t ChunkRows(const GemmSegment& segment) const;
  // Cuts the segments and says whether a second thread would help.
  bool CutSegments();
  Unit UnitAt(std::size_t unit, std::size_t segment) const;

  ThreadPool& pool_;
  KernelTable kernels_;
  std::size_t chunk_bytes_;
  std::size_t packed_bytes_ = 0;         // Of each of packed_rows_.
  std::vector<HostMemory> packed_rows_;  // one per thread
  std::vector<HostMemory> tiles_;        // one per thread
  // Of the run under way.
  const GemmSegment* segments_ = nullptr;
  std::size_t segment_count_ = 0, unit_count_ = 0;
  std::vector<Cut> cuts_;
  alignas(64) std::atomic<std::size_t> next_unit_{0};
};

}  // namespace megascale
