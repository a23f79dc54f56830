#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "data.hpp"
#include "variants.hpp"

// The kernels that go over rows once, on every variant: against double precision, and where vectors
// multiply and add with one rounding, against plain C++ to the bit.
namespace megascale::testing {
namespace {

// Calls visit(table, reference): every variant, and the table whose bits it must give, or null.
template <class Visit>
void ForVariants(const Visit& visit) {
  for (const KernelTable& kernels : Variants()) {
    visit(kernels, HasFusedVectors(kernels) ? &FusedReference() : nullptr);
  }
}

std::string At(const KernelTable& kernels, std::size_t index) {
  return std::string(kernels.isa) + ", element " + std::to_string(index);
}

const Test norms{
    "rmsNorm divides by the root mean square", 100, [](Random& random) {
      const std::size_t rows = random.OneOf(kRowCounts), groups = random.Between(1, 3);
      const std::size_t width = random.OneOf(kWidths), count = rows * groups * width;
      const bool is_float = random.Coin();
      const std::vector<float> floats = RandomFloats(random, count);
      const std::vector<bf16> halves = RandomBf16(random, count);
      const std::vector<float> weight = RandomFloats(random, width);
      constexpr float kEpsilon = 1e-5f;
      const auto run = [&](const KernelTable& kernels) {
        std::vector<bf16> out(count);
        kernels.rms_norm({.x = is_float ? static_cast<const void*>(floats.data()) : halves.data(),
                          .x_is_float = is_float,
                          .weight = weight.data(),
                          .out = out.data(),
                          .rows = rows,
                          .groups = groups,
                          .width = width,
                          .epsilon = kEpsilon});
        return out;
      };
      const auto x = [&](std::size_t i) -> double {
        return is_float ? floats[i] : Bf16ToFloat(halves[i]);
      };
      ForVariants([&](const KernelTable& kernels, const KernelTable* reference) {
        const std::vector<bf16> found = run(kernels);
        if (reference != nullptr) RequireSameBits(found, run(*reference), kernels.isa);
        for (std::size_t i = 0; i < count; ++i) {
          const std::size_t first = i / width * width;
          double squares = 0;
          for (std::size_t j = first; j < first + width; ++j) squares += x(j) * x(j);
          const double root = std::sqrt(squares / static_cast<double>(width) + kEpsilon);
          const double expected = x(i) / root * weight[i % width];
          RequireNear(Bf16ToFloat(found[i]), expected,
                      Bf16Rounding(expected) + std::fabs(expected) * 1e-5, At(kernels, i));
        }
      });
    }};

const Test rotations{
    "rope turns the pairs of every head by their position's angle", 50, [](Random& random) {
      const std::size_t sizes[] = {2, 6, 16, 30, 32, 34, 64, 66};
      const std::size_t rows = random.Below(20), heads = random.Between(1, 4);
      const std::size_t head_size = random.OneOf(sizes), half = head_size / 2, positions = 50;
      std::vector<float> cosines(positions * half), sines(positions * half);
      for (std::size_t i = 0; i < cosines.size(); ++i) {
        const double angle = 3.2 * static_cast<double>(random.Uniform());
        cosines[i] = static_cast<float>(std::cos(angle));
        sines[i] = static_cast<float>(std::sin(angle));
      }
      std::vector<std::int32_t> at(rows);
      for (std::int32_t& position : at) {
        position = static_cast<std::int32_t>(random.Below(positions));
      }
      const std::vector<bf16> x = RandomBf16(random, rows * heads * head_size);
      const auto run = [&](const KernelTable& kernels) {
        std::vector<bf16> out(x.size());
        kernels.rope({.x = x.data(),
                      .out = out.data(),
                      .positions = at.data(),
                      .cosines = cosines.data(),
                      .sines = sines.data(),
                      .rows = rows,
                      .heads = heads,
                      .head_size = head_size});
        return out;
      };
      ForVariants([&](const KernelTable& kernels, const KernelTable* reference) {
        const std::vector<bf16> found = run(kernels);
        if (reference != nullptr) RequireSameBits(found, run(*reference), kernels.isa);
        for (std::size_t i = 0; i < x.size(); ++i) {
          const std::size_t head = i / head_size * head_size, pair = i % head_size % half;
          const auto position = static_cast<std::size_t>(at[i / head_size / heads]);
          const double first = Bf16ToFloat(x[head + pair]);
          const double second = Bf16ToFloat(x[head + half + pair]);
          const double cosine = cosines[position * half + pair];
          const double sine = sines[position * half + pair];
          const double expected = i % head_size < half ? first * cosine - second * sine
                                                       : second * cosine + first * sine;
          RequireNear(Bf16ToFloat(found[i]), expected, Bf16Rounding(expected) + 1e-6,
                      At(kernels, i));
        }
      });
    }};

const Test sums{"add and siluMultiply go element by element", 50, [](Random& random) {
                  const std::size_t count = random.Below(300);
                  const std::vector<bf16> x = RandomBf16(random, count);
                  const std::vector<bf16> y = RandomBf16(random, count);
                  const std::vector<float> into = RandomFloats(random, count);
                  ForVariants([&](const KernelTable& kernels, const KernelTable* reference) {
                    const auto add = [&](const KernelTable& table) {
                      std::vector<float> sum = into;
                      table.add({count, x.data(), nullptr, sum.data(), nullptr});
                      return sum;
                    };
                    const auto multiply = [&](const KernelTable& table) {
                      std::vector<bf16> out(count);
                      table.silu_multiply({count, x.data(), y.data(), nullptr, out.data()});
                      return out;
                    };
                    const std::vector<float> sum = add(kernels);
                    const std::vector<bf16> product = multiply(kernels);
                    if (reference != nullptr) {
                      RequireSameBits(sum, add(*reference), kernels.isa);
                      RequireSameBits(product, multiply(*reference), kernels.isa);
                    }
                    for (std::size_t i = 0; i < count; ++i) {
                      const double gate = Bf16ToFloat(x[i]), up = Bf16ToFloat(y[i]);
                      RequireNear(sum[i], into[i] + gate, 1.3e-7, At(kernels, i));
                      const double expected = gate / (1.0 + std::exp(-gate)) * up;
                      RequireNear(Bf16ToFloat(product[i]), expected,
                                  Bf16Rounding(expected) + std::fabs(expected) * 1e-6,
                                  At(kernels, i));
                    }
                  });
                }};

const Test combines{
    "combine adds the weighted answers and leaves out experts that are not there", 50,
    [](Random& random) {
      const std::size_t rows = random.OneOf(kRowCounts), top_k = random.Between(1, 5);
      const std::size_t width = random.OneOf(kWidths);
      const std::vector<float> residual = RandomFloats(random, rows * width);
      const std::vector<bf16> answers = RandomBf16(random, rows * top_k * width);
      const std::vector<float> weights = RandomFloats(random, rows * top_k);
      std::vector<std::int32_t> ids(rows * top_k);
      // −1: no expert. The same expert may come twice.
      for (std::int32_t& id : ids) id = static_cast<std::int32_t>(random.Below(4)) - 1;
      const auto run = [&](const KernelTable& kernels) {
        std::vector<float> sum = residual;
        kernels.combine({.residual = sum.data(),
                         .answers = answers.data(),
                         .expert_ids = ids.data(),
                         .weights = weights.data(),
                         .rows = rows,
                         .top_k = top_k,
                         .width = width});
        return sum;
      };
      ForVariants([&](const KernelTable& kernels, const KernelTable* reference) {
        const std::vector<float> found = run(kernels);
        if (reference != nullptr) RequireSameBits(found, run(*reference), kernels.isa);
        for (std::size_t i = 0; i < found.size(); ++i) {
          const std::size_t row = i / width;
          double expected = residual[i];
          for (std::size_t k = 0; k < top_k; ++k) {
            const std::size_t at = row * top_k + k;
            if (ids[at] < 0) continue;
            expected += static_cast<double>(weights[at]) *
                        static_cast<double>(Bf16ToFloat(answers[at * width + i % width]));
          }
          RequireNear(found[i], expected, 2e-6, At(kernels, i));
        }
      });
    }};

const Test routers{
    "the router picks the best experts, ties to the lower id", 80, [](Random& random) {
      const std::size_t rows = random.OneOf(kRowCounts), experts = random.Between(1, 70);
      const std::size_t top_k = random.Between(1, std::min<std::size_t>(experts, 8));
      const RouterScore score = random.Coin() ? RouterScore::kSoftmax : RouterScore::kSigmoid;
      const bool renormalize = random.Coin();
      std::vector<float> logits(rows * experts);
      // Few different values, so that there are ties.
      for (float& logit : logits) logit = static_cast<float>(random.Below(12)) * 0.5f - 3.0f;
      ForVariants([&](const KernelTable& kernels, const KernelTable*) {
        std::vector<float> scores = logits, weights(rows * top_k);
        std::vector<std::int32_t> ids(rows * top_k);
        kernels.router({.logits = scores.data(),
                        .rows = rows,
                        .stride = experts,
                        .experts = experts,
                        .top_k = top_k,
                        .score = score,
                        .renormalize = renormalize,
                        .scale = 1.5f,
                        .expert_ids = ids.data(),
                        .weights = weights.data()});
        for (std::size_t row = 0; row < rows; ++row) {
          const float* own = logits.data() + row * experts;
          std::vector<std::size_t> best(experts);
          std::iota(best.begin(), best.end(), 0);
          std::stable_sort(best.begin(), best.end(),
                           [&](std::size_t a, std::size_t b) { return own[a] > own[b]; });
          double total = 0, chosen = 0;
          const auto expected = [&](std::size_t expert) {
            const double power = std::exp(static_cast<double>(own[expert]));
            return score == RouterScore::kSoftmax ? power / total : power / (1.0 + power);
          };
          for (std::size_t e = 0; e < experts; ++e) total += std::exp(double{own[e]});
          for (std::size_t k = 0; k < top_k; ++k) chosen += expected(best[k]);
          for (std::size_t k = 0; k < top_k; ++k) {
            const std::size_t at = row * top_k + k;
            Require(ids[at] == static_cast<std::int32_t>(best[k]),
                    At(kernels, at) + ": expert " + std::to_string(ids[at]));
            const double weight = 1.5 * expected(best[k]) / (renormalize ? chosen : 1.0);
            RequireNear(weights[at], weight, weight * 2e-6, At(kernels, at));
          }
        }
      });
    }};

}  // namespace
}  // namespace megascale::testing
