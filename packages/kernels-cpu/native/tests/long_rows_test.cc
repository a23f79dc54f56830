#include <string>
#include <vector>

#include "data.hpp"
#include "program/gemm_runner.hpp"
#include "variants.hpp"
#include "weights/weight_store.hpp"

// Rows so long and so many that k is cut in blocks, between which sums wait in memory.
namespace megascale::testing {
namespace {

constexpr std::size_t kInner = 1130, kWidth = 70, kRows = 45;

std::vector<float> Run(const std::vector<bf16>& in, std::size_t first, std::size_t rows,
                       const WeightStore& weights, GemmRunner& gemm) {
  std::vector<float> out(rows * kWidth);
  std::vector<const bf16*> in_rows;
  std::vector<void*> out_rows;
  for (std::size_t r = 0; r < rows; ++r) {
    in_rows.push_back(in.data() + (first + r) * kInner);
    out_rows.push_back(out.data() + r * kWidth);
  }
  const GemmSegment segment{.matrix = &weights.matrix(0),
                            .in = in_rows.data(),
                            .out = out_rows.data(),
                            .rows = rows,
                            .epilogue = Epilogue::kFloat,
                            .bias = nullptr};
  gemm.Run(&segment, 1);
  return out;
}

const Test blocks{
    "sums that wait between blocks of k have the bits of a row alone", 2, [](Random& random) {
      const auto values = RandomBf16(random, kWidth * kInner);
      const auto in = RandomBf16(random, kRows * kInner);
      TensorSource tensor;
      tensor.memory = reinterpret_cast<const std::uint8_t*>(values.data());
      tensor.rows = kWidth;
      tensor.columns = kInner;
      for (const KernelTable& kernels : Variants()) {
        ThreadPool pool(2);
        const WeightStore weights({{.parts = {tensor}}}, {}, pool);
        GemmRunner gemm(pool, kernels, weights.matrices());
        const auto found = Run(in, 0, kRows, weights, gemm);
        for (const std::size_t row : {std::size_t{0}, kRows / 2, kRows - 1}) {
          const auto alone = Run(in, row, 1, weights, gemm);
          const auto begin = found.begin() + static_cast<std::ptrdiff_t>(row * kWidth);
          RequireSameBits({begin, begin + static_cast<std::ptrdiff_t>(kWidth)}, alone,
                          std::string(kernels.isa) + ", row " + std::to_string(row));
        }
      }
    }};

}  // namespace
}  // namespace megascale::testing
