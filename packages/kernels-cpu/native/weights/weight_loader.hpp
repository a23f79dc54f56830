#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/checkpoint_file.hpp"
#include "runtime/host_memory.hpp"
#include "runtime/thread_pool.hpp"
#include "weights/packed_matrix.hpp"
#include "weights/tensor_source.hpp"

namespace megascale {

// Packs matrices from the checkpoint at the speed of copying it. Files are read, not mapped: a few
// panels' rows at a time into a buffer that stays in the second-level cache, so a byte of the file
// crosses memory once, no page is mapped for it and nothing adds to the process's memory. The work
// of all matrices is one list, in the order of the files, which the threads take from in pieces:
// they also fault in the pages of the result side by side.
class WeightLoader {
 public:
  // `source` and `matrix` (with `panels`) must live until `Load` returns. Opens what is not open
  // yet. Throws Failure ERR_CHECKPOINT_CORRUPT.
  void Add(const MatrixSource& source, const PackedMatrix& matrix, std::uint8_t* panels);
  // Packs all that was added. Throws Failure ERR_CHECKPOINT_CORRUPT.
  void Load(ThreadPool& pool);
  // Rows · columns f32 of a small tensor, now.
  void ReadVector(const TensorSource& source, float* out);

 private:
  // Some panels of one matrix, from one tensor.
  struct Piece {
    const TensorSource* source;
    const PackedMatrix* matrix;
    const CheckpointFile *file, *scale_file;  // null: in memory
    std::uint8_t* first_panel;
    std::size_t panel_stride;  // bytes from one of the tensor's panels to the next
    std::size_t begin, end;    // panels of the tensor
    std::size_t panels_at_once;
  };
  struct Buffers {
    HostMemory rows, scales;
  };

  const CheckpointFile* Open(const TensorSource& source);
  static bool Pack(const Piece& piece, const Buffers& buffers);
  static const std::uint8_t* Fetch(const TensorSource& source, const CheckpointFile* file,
                                   std::size_t row, std::size_t count, const HostMemory& buffer);

  std::map<std::string, std::unique_ptr<CheckpointFile>> files_;
  std::vector<Piece> pieces_;
  std::size_t row_bytes_max_ = 0, scale_bytes_max_ = 0;
};

}  // namespace megascale
