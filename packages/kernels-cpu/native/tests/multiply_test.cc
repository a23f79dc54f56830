#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "data.hpp"
#include "program/gemm_runner.hpp"
#include "variants.hpp"
#include "weights/weight_store.hpp"

// The multiply with all that stands around it: weights packed, rows packed, work shared out,
// results stored; on every variant, against sums in double precision and against plain C++ to the
// bit.
namespace megascale::testing {
namespace {

// A matrix [width, inner], or a pair of them.
struct Matrix {
  std::size_t width, inner;
  std::vector<std::vector<bf16>> parts;

  Matrix(Random& random, std::size_t width, std::size_t inner, bool paired)
      : width(width), inner(inner) {
    for (int part = 0; part < (paired ? 2 : 1); ++part) {
      parts.push_back(RandomBf16(random, width * inner));
    }
  }
  MatrixSource source() const {
    MatrixSource source;
    for (const std::vector<bf16>& part : parts) {
      TensorSource tensor;
      tensor.memory = reinterpret_cast<const std::uint8_t*>(part.data());
      tensor.rows = width;
      tensor.columns = inner;
      source.parts.push_back(tensor);
    }
    return source;
  }
};

// Rows for one matrix, and what to do with the results.
struct Case {
  std::size_t matrix, rows;
  Epilogue epilogue;
  std::vector<bf16> in;     // [rows, inner]
  std::vector<float> bias;  // [width] or empty
};

struct Problem {
  std::vector<Matrix> matrices;
  std::vector<Case> cases;
};

Epilogue EpilogueOf(Random& random, const Matrix& matrix) {
  if (matrix.parts.size() == 2) return Epilogue::kSwiglu;
  return random.Coin() ? Epilogue::kFloat : Epilogue::kActivation;
}

Problem RandomProblem(Random& random) {
  Problem problem;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::size_t width = random.OneOf(kWidths), inner = random.OneOf(kWidths);
    problem.matrices.emplace_back(random, width, inner, random.Coin());
  }
  // Matrices may come twice in one run, or not at all.
  for (std::size_t i = 0; i < 3; ++i) {
    Case c{random.Below(3), random.OneOf(kRowCounts), Epilogue::kFloat, {}, {}};
    const Matrix& matrix = problem.matrices[c.matrix];
    c.epilogue = EpilogueOf(random, matrix);
    c.in = RandomBf16(random, c.rows * matrix.inner);
    if (c.epilogue == Epilogue::kActivation && random.Coin()) {
      c.bias = RandomFloats(random, matrix.width);
    }
    problem.cases.push_back(std::move(c));
  }
  return problem;
}

// Rows of results, each its own allocation and one element too long: the last one must stay.
class ResultRows {
 public:
  ResultRows(std::size_t rows, std::size_t width, Epilogue epilogue)
      : width_(width), element_(epilogue == Epilogue::kFloat ? sizeof(float) : sizeof(bf16)) {
    rows_.assign(rows, std::vector<std::uint8_t>((width + 1) * element_, kUntouched));
  }

  std::vector<void*> pointers() {
    std::vector<void*> pointers;
    for (std::vector<std::uint8_t>& row : rows_) pointers.push_back(row.data());
    return pointers;
  }

  // [rows, width] as f32.
  std::vector<float> Read() const {
    std::vector<float> values;
    for (const std::vector<std::uint8_t>& row : rows_) {
      for (std::size_t j = 0; j < width_; ++j) values.push_back(Element(row.data() + j * element_));
      for (std::size_t i = width_ * element_; i < row.size(); ++i) {
        Require(row[i] == kUntouched, "a column past the matrix's width was stored");
      }
    }
    return values;
  }

 private:
  static constexpr std::uint8_t kUntouched = 0xa5;

  float Element(const std::uint8_t* at) const {
    float value;
    bf16 half;
    std::memcpy(element_ == sizeof value ? static_cast<void*>(&value) : &half, at, element_);
    return element_ == sizeof value ? value : Bf16ToFloat(half);
  }

  std::size_t width_, element_;
  std::vector<std::vector<std::uint8_t>> rows_;
};

// [case] its results, row by row.
std::vector<std::vector<float>> Run(const Problem& problem, const KernelTable& kernels,
                                    int threads) {
  ThreadPool pool(threads);
  std::vector<MatrixSource> sources;
  for (const Matrix& matrix : problem.matrices) sources.push_back(matrix.source());
  const WeightStore weights(sources, {}, pool);
  GemmRunner gemm(pool, kernels, weights.matrices());
  std::vector<ResultRows> out;
  std::vector<std::vector<const bf16*>> in_rows;
  std::vector<std::vector<void*>> out_rows;
  for (const Case& c : problem.cases) {
    const Matrix& matrix = problem.matrices[c.matrix];
    out.emplace_back(c.rows, matrix.width, c.epilogue);
    out_rows.push_back(out.back().pointers());
    in_rows.emplace_back();
    for (std::size_t r = 0; r < c.rows; ++r) {
      in_rows.back().push_back(c.in.data() + r * matrix.inner);
    }
  }
  std::vector<GemmSegment> segments;
  for (std::size_t i = 0; i < problem.cases.size(); ++i) {
    const Case& c = problem.cases[i];
    segments.push_back({.matrix = &weights.matrix(c.matrix),
                        .in = in_rows[i].data(),
                        .out = out_rows[i].data(),
                        .rows = c.rows,
                        .epilogue = c.epilogue,
                        .bias = c.bias.empty() ? nullptr : c.bias.data()});
  }
  gemm.Run(segments.data(), segments.size());
  std::vector<std::vector<float>> results;
  for (const ResultRows& rows : out) results.push_back(rows.Read());
  return results;
}

struct Sum {
  double value, bound;
};

// Σₖ in[k] · weights[k] and how far a sum in f32, in whatever order, may be from it.
Sum DotProduct(const bf16* in, const bf16* weights, std::size_t inner) {
  double sum = 0, magnitudes = 0;
  for (std::size_t k = 0; k < inner; ++k) {
    const double product =
        static_cast<double>(Bf16ToFloat(in[k])) * static_cast<double>(Bf16ToFloat(weights[k]));
    sum += product;
    magnitudes += std::fabs(product);
  }
  return {sum, static_cast<double>(inner + 2) * 0x1p-23 * magnitudes + 1e-36};
}

double Silu(double x) { return x / (1.0 + std::exp(-x)); }

Sum Expected(const Case& c, const Matrix& matrix, std::size_t row, std::size_t column) {
  const bf16* in = c.in.data() + row * matrix.inner;
  const auto dot = [&](std::size_t part) {
    return DotProduct(in, matrix.parts[part].data() + column * matrix.inner, matrix.inner);
  };
  const Sum first = dot(0);
  switch (c.epilogue) {
    case Epilogue::kFloat:
      return first;
    case Epilogue::kActivation: {
      const double value = first.value + (c.bias.empty() ? 0.0 : c.bias[column]);
      return {value, first.bound + Bf16Rounding(std::fabs(value) + first.bound)};
    }
    case Epilogue::kSwiglu: {
      const Sum up = dot(1);
      const double value = Silu(first.value) * up.value;
      // silu's slope is at most 1.1.
      const double bound = 1.1 * first.bound * (std::fabs(up.value) + up.bound) +
                           std::fabs(Silu(first.value)) * up.bound + std::fabs(value) * 1e-6;
      return {value, bound + Bf16Rounding(std::fabs(value) + bound)};
    }
  }
  throw TestFailure("no such epilogue");
}

void RequireRight(const Problem& problem, const std::vector<std::vector<float>>& found,
                  const std::string& isa) {
  for (std::size_t i = 0; i < problem.cases.size(); ++i) {
    const Case& c = problem.cases[i];
    const Matrix& matrix = problem.matrices[c.matrix];
    for (std::size_t at = 0; at < found[i].size(); ++at) {
      const std::size_t row = at / matrix.width, column = at % matrix.width;
      const Sum expected = Expected(c, matrix, row, column);
      RequireNear(found[i][at], expected.value, expected.bound,
                  isa + ", matrix [" + std::to_string(matrix.width) + ", " +
                      std::to_string(matrix.inner) + "], row " + std::to_string(row) + " of " +
                      std::to_string(c.rows) + ", column " + std::to_string(column));
    }
  }
}

const Test right{"the multiply agrees with sums in double precision", 60, [](Random& random) {
                   const Problem problem = RandomProblem(random);
                   const int threads = static_cast<int>(random.Between(1, 4));
                   for (const KernelTable& kernels : Variants()) {
                     RequireRight(problem, Run(problem, kernels, threads), kernels.isa);
                   }
                 }};

const Test fused{"variants that fuse multiply and add give the bits of plain C++", 20,
                 [](Random& random) {
                   const Problem problem = RandomProblem(random);
                   const auto expected = Run(problem, FusedReference(), 1);
                   for (const KernelTable& kernels : Variants()) {
                     if (!IsFused(kernels)) continue;
                     const auto found = Run(problem, kernels, 2);
                     for (std::size_t i = 0; i < found.size(); ++i) {
                       RequireSameBits(found[i], expected[i], kernels.isa);
                     }
                   }
                 }};

// Law 1 where it is made: each row alone on one thread, then all together on several.
const Test alone{
    "a row times a matrix does not depend on the other rows", 25, [](Random& random) {
      const Problem together = RandomProblem(random);
      for (const KernelTable& kernels : Variants()) {
        const int threads = static_cast<int>(random.Between(1, 4));
        const auto found = Run(together, kernels, threads);
        for (std::size_t i = 0; i < together.cases.size(); ++i) {
          Case c = together.cases[i];
          if (c.rows == 0) continue;
          const Matrix& matrix = together.matrices[c.matrix];
          const std::size_t row = random.Below(c.rows);
          c.in = {c.in.begin() + static_cast<std::ptrdiff_t>(row * matrix.inner),
                  c.in.begin() + static_cast<std::ptrdiff_t>((row + 1) * matrix.inner)};
          c.rows = 1;
          const auto single = Run({together.matrices, {c}}, kernels, 1);
          const auto begin = found[i].begin() + static_cast<std::ptrdiff_t>(row * matrix.width);
          RequireSameBits({begin, begin + static_cast<std::ptrdiff_t>(matrix.width)}, single[0],
                          kernels.isa);
        }
      }
    }};

}  // namespace
}  // namespace megascale::testing
