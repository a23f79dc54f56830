#include <string>
#include <vector>

#include "data.hpp"
#include "program/gemm_runner.hpp"
#include "variants.hpp"
#include "weights/weight_store.hpp"

// Segments whose rows are the results of others in the same run, as an expert's down stands after
// its gate and up.
namespace megascale::testing {
namespace {

constexpr std::size_t kHidden = 96, kInnerWidth = 80, kExperts = 3;

MatrixSource Source(const std::vector<bf16>& values, std::size_t rows, std::size_t columns,
                    std::size_t parts) {
  MatrixSource source;
  for (std::size_t part = 0; part < parts; ++part) {
    TensorSource tensor;
    tensor.memory = reinterpret_cast<const std::uint8_t*>(values.data() + part * rows * columns);
    tensor.rows = rows;
    tensor.columns = columns;
    source.parts.push_back(tensor);
  }
  return source;
}

// Gate-up and down of some experts, all of the same weights, on random rows, with room for both
// results.
struct Experts {
  std::vector<bf16> gate_up, down, in, inner, out;
  std::vector<std::size_t> rows;
  std::vector<const bf16*> in_rows, inner_in;
  std::vector<void*> inner_out, out_rows;

  explicit Experts(Random& random)
      : gate_up(RandomBf16(random, 2 * kInnerWidth * kHidden)),
        down(RandomBf16(random, kHidden * kInnerWidth)) {
    std::size_t count = 0;
    for (std::size_t e = 0; e < kExperts; ++e) {
      const std::size_t choices[] = {0, 1, 2, 7, 40, 300};
      rows.push_back(random.OneOf(choices));
      count += rows.back();
    }
    in = RandomBf16(random, count * kHidden);
    inner.resize(count * kInnerWidth);
    out.resize(count * kHidden);
    for (std::size_t r = 0; r < count; ++r) {
      in_rows.push_back(in.data() + r * kHidden);
      inner_in.push_back(inner.data() + r * kInnerWidth);
      inner_out.push_back(inner.data() + r * kInnerWidth);
      out_rows.push_back(out.data() + r * kHidden);
    }
  }

  std::vector<MatrixSource> sources() const {
    std::vector<MatrixSource> sources;
    for (std::size_t e = 0; e < kExperts; ++e) {
      sources.push_back(Source(gate_up, kInnerWidth, kHidden, 2));
      sources.push_back(Source(down, kHidden, kInnerWidth, 1));
    }
    return sources;
  }
};

// In one run, each down after its gate-up; or every segment in a run of its own.
std::vector<bf16> Run(Experts& experts, const KernelTable& kernels, int threads, bool together) {
  ThreadPool pool(threads);
  const WeightStore weights(experts.sources(), {}, pool);
  GemmRunner gemm(pool, kernels, weights.matrices());
  std::vector<GemmSegment> segments;
  std::size_t row = 0;
  for (std::size_t e = 0; e < kExperts; row += experts.rows[e++]) {
    const std::size_t gate_up = segments.size();
    segments.push_back({.matrix = &weights.matrix(2 * e),
                        .in = experts.in_rows.data() + row,
                        .out = experts.inner_out.data() + row,
                        .rows = experts.rows[e],
                        .epilogue = Epilogue::kSwiglu,
                        .bias = nullptr});
    segments.push_back({.matrix = &weights.matrix(2 * e + 1),
                        .in = experts.inner_in.data() + row,
                        .out = experts.out_rows.data() + row,
                        .rows = experts.rows[e],
                        .epilogue = Epilogue::kActivation,
                        .bias = nullptr,
                        .after = together ? gate_up : GemmSegment::kNone});
  }
  if (together) {
    gemm.Run(segments.data(), segments.size());
  } else {
    for (const GemmSegment& segment : segments) gemm.Run(&segment, 1);
  }
  return experts.out;
}

const Test chained{
    "rows that another segment of the run computes are complete before they are read", 20,
    [](Random& random) {
      Experts experts(random);
      for (const KernelTable& kernels : Variants()) {
        const auto expected = Run(experts, kernels, 1, false);
        const int threads = static_cast<int>(random.Between(1, 5));
        RequireSameBits(Run(experts, kernels, threads, true), expected,
                        std::string(kernels.isa) + " on " + std::to_string(threads) + " threads");
      }
    }};

}  // namespace
}  // namespace megascale::testing
