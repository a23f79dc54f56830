#include <memory>
#include <string>
#include <vector>

#include "data.hpp"
#include "program/gemm_runner.hpp"
#include "variants.hpp"
#include "weights/weight_store.hpp"

// Quantized matrices packed and multiplied on every variant: the bits of plain C++, whatever the
// sizes and the batch. (That plain C++ computes the stated formula is tested from TypeScript.)
namespace megascale::testing {
namespace {

// A matrix [width, inner] of random integers, or a pair of them, with as many scales per row.
struct Matrix {
  struct Part {
    std::vector<std::uint8_t> integers;
    std::vector<bf16> scales;
  };

  WeightType type;
  std::size_t width, inner, groups;
  std::vector<Part> parts;

  Matrix(Random& random, WeightType type, std::size_t inner, std::size_t groups, bool paired)
      : type(type), width(random.OneOf(kWidths)), inner(inner), groups(groups) {
    for (int part = 0; part < (paired ? 2 : 1); ++part) {
      TensorSource shape;
      shape.type = type;
      shape.rows = width;
      shape.columns = inner;
      std::vector<std::uint8_t> integers(shape.bytes());
      for (std::uint8_t& byte : integers) byte = static_cast<std::uint8_t>(random.Below(256));
      parts.push_back({std::move(integers), RandomBf16(random, width * groups)});
    }
  }
  MatrixSource source() const {
    MatrixSource source;
    for (const Part& part : parts) {
      TensorSource tensor, scales;
      scales.memory = reinterpret_cast<const std::uint8_t*>(part.scales.data());
      scales.rows = width;
      scales.columns = groups;
      tensor.type = type;
      tensor.memory = part.integers.data();
      tensor.rows = width;
      tensor.columns = inner;
      tensor.scales = std::make_shared<const TensorSource>(scales);
      source.parts.push_back(tensor);
    }
    return source;
  }
};

std::vector<Matrix> RandomMatrices(Random& random) {
  // One scale for rows of any length, and groups with whole and half steps of tiles.
  std::vector<Matrix> matrices;
  for (const WeightType type : {WeightType::kInt8, WeightType::kInt4}) {
    matrices.emplace_back(random, type, random.OneOf(kWidths), 1, random.Coin());
    const std::size_t group = 32 * random.Between(1, 10), groups = random.Between(2, 5);
    matrices.emplace_back(random, type, group * groups, groups, random.Coin());
  }
  return matrices;
}

// [matrix] rows · matrix, row by row; pairs without their SwiGLU would not fit a row of results, so
// they are stored by it.
std::vector<std::vector<bf16>> Run(const std::vector<Matrix>& matrices,
                                   const std::vector<std::vector<bf16>>& in, std::size_t rows,
                                   const KernelTable& kernels, int threads) {
  ThreadPool pool(threads);
  std::vector<MatrixSource> sources;
  for (const Matrix& matrix : matrices) sources.push_back(matrix.source());
  const WeightStore weights(sources, {}, pool);
  GemmRunner gemm(pool, kernels, weights.matrices());
  std::vector<std::vector<bf16>> out;
  std::vector<std::vector<const bf16*>> in_rows(matrices.size());
  std::vector<std::vector<void*>> out_rows(matrices.size());
  std::vector<GemmSegment> segments;
  for (const Matrix& matrix : matrices) out.emplace_back(rows * matrix.width);
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    for (std::size_t r = 0; r < rows; ++r) {
      in_rows[i].push_back(in[i].data() + r * matrices[i].inner);
      out_rows[i].push_back(out[i].data() + r * matrices[i].width);
    }
    const bool paired = matrices[i].parts.size() == 2;
    segments.push_back({.matrix = &weights.matrix(i),
                        .in = in_rows[i].data(),
                        .out = out_rows[i].data(),
                        .rows = rows,
                        .epilogue = paired ? Epilogue::kSwiglu : Epilogue::kActivation,
                        .bias = nullptr});
  }
  gemm.Run(segments.data(), segments.size());
  return out;
}

KernelTable Reference() {
  KernelTable table = FusedReference();
  table.gemm[static_cast<std::size_t>(WeightFormat::kInt8)] = kScalarQuantized.int8;
  table.gemm[static_cast<std::size_t>(WeightFormat::kInt4)] = kScalarQuantized.int4;
  return table;
}

const Test same{
    "quantized weights give the same bits on every variant, alone or in a batch", 40,
    [](Random& random) {
      const std::vector<Matrix> matrices = RandomMatrices(random);
      const std::size_t rows = random.OneOf(kRowCounts);
      std::vector<std::vector<bf16>> in, first;
      for (const Matrix& matrix : matrices) {
        in.push_back(RandomBf16(random, rows * matrix.inner));
        const std::size_t one = rows == 0 ? 0 : matrix.inner;
        first.emplace_back(in.back().begin(), in.back().begin() + static_cast<std::ptrdiff_t>(one));
      }
      const auto expected = Run(matrices, in, rows, Reference(), 1);
      for (const KernelTable& kernels : Variants()) {
        // Of 'scalar' the SwiGLU rounds otherwise.
        if (!HasFusedVectors(kernels)) continue;
        const int threads = static_cast<int>(random.Between(1, 4));
        const auto found = Run(matrices, in, rows, kernels, threads);
        const auto alone = Run(matrices, first, rows == 0 ? 0 : 1, kernels, 1);
        for (std::size_t i = 0; i < matrices.size(); ++i) {
          RequireSameBits(found[i], expected[i], kernels.isa);
          const auto end = static_cast<std::ptrdiff_t>(alone[i].size());
          RequireSameBits({found[i].begin(), found[i].begin() + end}, alone[i], kernels.isa);
        }
      }
    }};

}  // namespace
}  // namespace megascale::testing
