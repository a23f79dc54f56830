#include <cmath>
#include <cstring>
#include <memory>
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

// A matrix [width, inner], or a pair of them, in one of the weight formats.
class Matrix {
 public:
  std::size_t width, inner;

  Matrix(Random& random, WeightType type, std::size_t width, std::size_t inner, bool paired)
      : width(width), inner(inner), type_(type) {
    // Groups are a multiple of 32 columns, or whole rows.
    groups_ = inner % 32 == 0 && random.Coin() ? inner / 32 : 1;
    for (int part = 0; part < (paired ? 2 : 1); ++part) parts_.push_back(MakePart(random));
  }

  bool paired() const { return parts_.size() == 2; }
  bool quantized() const { return IsQuantized(type_); }

  double At(std::size_t part, std::size_t row, std::size_t column) const {
    const Part& p = parts_[part];
    const std::size_t at = row * inner + column;
    if (!quantized()) return Bf16ToFloat(p.plain[at]);
    const float scale = p.scales[row * groups_ + column / (inner / groups_)];
    return static_cast<double>(p.integers[at]) * static_cast<double>(scale);
  }

  MatrixSource source() const {
    MatrixSource source;
    for (const Part& part : parts_) {
      TensorSource tensor = Tensor(type_, part.bytes.data(), inner);
      if (quantized()) {
        tensor.scales = std::make_shared<TensorSource>(Tensor(
            WeightType::kF32, reinterpret_cast<const std::uint8_t*>(part.scales.data()), groups_));
      }
      source.parts.push_back(tensor);
    }
    return source;
  }

 private:
  struct Part {
    std::vector<bf16> plain;
    std::vector<int> integers;
    std::vector<float> scales;        // [width, groups]
    std::vector<std::uint8_t> bytes;  // as in a checkpoint
  };

  TensorSource Tensor(WeightType type, const std::uint8_t* memory, std::size_t columns) const {
    TensorSource tensor;
    tensor.memory = memory;
    tensor.type = type;
    tensor.rows = width;
    tensor.columns = columns;
    return tensor;
  }

  Part MakePart(Random& random) const {
    Part part;
    part.bytes.resize(Tensor(type_, nullptr, inner).bytes());
    if (!quantized()) {
      part.plain = RandomBf16(random, width * inner);
      std::memcpy(part.bytes.data(), part.plain.data(), part.bytes.size());
      return part;
    }
    const std::size_t row_bytes = part.bytes.size() / width;
    for (std::size_t row = 0; row < width; ++row) {
      for (std::size_t column = 0; column < inner; ++column) {
        std::uint8_t* bytes = part.bytes.data() + row * row_bytes;
        if (type_ == WeightType::kInt8) {
          part.integers.push_back(static_cast<int>(random.Between(1, 255)) - 128);
          bytes[column] = static_cast<std::uint8_t>(part.integers.back());
        } else {
          part.integers.push_back(static_cast<int>(random.Below(16)) - 8);
          const int stored = (part.integers.back() + 8) << (column % 2 * 4);
          bytes[column / 2] = static_cast<std::uint8_t>(bytes[column / 2] | stored);
        }
      }
    }
    for (std::size_t i = 0; i < width * groups_; ++i) {
      // A power of two and a little: exact in bf16.
      part.scales.push_back(std::ldexp(1.0f + static_cast<float>(random.Below(8)) / 8.0f,
                                       -8 - static_cast<int>(random.Below(3))));
    }
    return part;
  }

  WeightType type_;
  std::size_t groups_;
  std::vector<Part> parts_;
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
  if (matrix.paired()) return Epilogue::kSwiglu;
  return random.Coin() ? Epilogue::kFloat : Epilogue::kActivation;
}

constexpr WeightType kTypes[] = {WeightType::kBf16, WeightType::kBf16, WeightType::kInt8,
                                 WeightType::kInt4};

Problem RandomProblem(Random& random) {
  Problem problem;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::size_t width = random.OneOf(kWidths), inner = random.OneOf(kWidths);
    problem.matrices.emplace_back(random, random.OneOf(kTypes), width, inner, random.Coin());
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

// Σₖ in[k] · weights[row, k] and how far the result may be from it: a sum in f32, in whatever
// order; of quantized weights also half a step of the row's 8 bits in every product.
Sum DotProduct(const bf16* in, const Matrix& matrix, std::size_t part, std::size_t row) {
  double sum = 0, magnitudes = 0, weights = 0, largest = 0;
  for (std::size_t k = 0; k < matrix.inner; ++k) {
    const double x = Bf16ToFloat(in[k]), weight = matrix.At(part, row, k);
    sum += x * weight;
    magnitudes += std::fabs(x * weight);
    weights += std::fabs(weight);
    largest = std::fmax(largest, std::fabs(x));
  }
  const double step = matrix.quantized() ? largest / 127.0 : 0.0;
  const double products = magnitudes + step * weights;
  return {sum, static_cast<double>(matrix.inner + 2) * 0x1p-23 * products + 0.51 * step * weights +
                   1e-36};
}

double Silu(double x) { return x / (1.0 + std::exp(-x)); }

Sum Expected(const Case& c, const Matrix& matrix, std::size_t row, std::size_t column) {
  const bf16* in = c.in.data() + row * matrix.inner;
  const auto dot = [&](std::size_t part) { return DotProduct(in, matrix, part, column); };
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

const Test right{"the multiply agrees with sums in double precision", 150, [](Random& random) {
                   const Problem problem = RandomProblem(random);
                   const int threads = static_cast<int>(random.Between(1, 4));
                   for (const KernelTable& kernels : Variants()) {
                     RequireRight(problem, Run(problem, kernels, threads), kernels.isa);
                   }
                 }};

const Test fused{"variants that fuse multiply and add give the bits of plain C++", 40,
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

// The stated sum of quantized weights rounds after every step, so even the scalar variant has it.
const Test quantized{
    "quantized weights give the same bits on every variant", 30, [](Random& random) {
      Problem problem = RandomProblem(random);
      std::erase_if(problem.cases, [&](const Case& c) {
        // SiLU multiplies and adds in the variant's own way.
        return !problem.matrices[c.matrix].quantized() || c.epilogue == Epilogue::kSwiglu;
      });
      const auto expected = Run(problem, Variant("scalar"), 1);
      for (const KernelTable& kernels : Variants()) {
        const auto found = Run(problem, kernels, 2);
        for (std::size_t i = 0; i < found.size(); ++i) {
          RequireSameBits(found[i], expected[i], kernels.isa);
        }
      }
    }};

// Law 1 where it is made: each row alone on one thread, then all together on several.
const Test alone{
    "a row times a matrix does not depend on the other rows", 40, [](Random& random) {
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
