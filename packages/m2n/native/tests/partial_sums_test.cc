#include "combine/partial_sums.hpp"

#include <bit>
#include <cstdint>
#include <vector>

#include "testing.hpp"

// Partial sums of an expert rank against the sum written down.
namespace megascale::m2n {
namespace {

using testing::Random;
using testing::Require;
using testing::Test;

float Bf16(std::uint16_t value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

template <typename T>
void RequirePlainSums(Random& random, float (*value)(T), T (*make)(Random&),
                      bool (*same)(float, T)) {
  const std::size_t tokens = random.Below(4), top_k = random.Between(1, 8);
  const std::size_t hidden = random.Between(1, 600);
  std::vector<T> answers(tokens * top_k * hidden);
  for (T& answer : answers) answer = make(random);
  std::vector<float> weights(tokens * top_k);
  for (float& weight : weights) weight = random.Uniform();
  std::vector<std::int32_t> ranks(tokens * top_k);
  for (auto& rank : ranks) rank = static_cast<std::int32_t>(random.Below(4)) - 1;
  const std::vector<T> before = answers;
  SumPartialRows({.weights = weights.data(),
                  .expert_ranks = ranks.data(),
                  .rank = 1,
                  .tokens = static_cast<std::int64_t>(tokens),
                  .top_k = static_cast<std::int64_t>(top_k),
                  .hidden_size = static_cast<std::int64_t>(hidden)},
                 answers.data());
  for (std::size_t token = 0; token < tokens; ++token) {
    bool is_first = true;
    for (std::size_t row = token * top_k; row < (token + 1) * top_k; ++row) {
      for (std::size_t i = 0; i < hidden; ++i) {
        const T found = answers[row * hidden + i];
        if (ranks[row] != 1 || !is_first) {
          Require(found == before[row * hidden + i], "a row that is none of the sums was changed");
          continue;
        }
        float sum = 0;
        for (std::size_t k = row; k < (token + 1) * top_k; ++k) {
          volatile float product = weights[k] * value(before[k * hidden + i]);
          if (ranks[k] == 1) sum = sum + product;
        }
        Require(same(sum, found), "another sum than in ascending k, step by step");
      }
      is_first = is_first && ranks[row] != 1;
    }
  }
}

const Test sums_floats{
    "partial sums of f32 answers are those of ascending k", 100, [](Random& random) {
      RequirePlainSums<float>(
          random, [](float value) { return value; }, [](Random& r) { return r.Uniform(); },
          [](float sum, float found) { return sum == found; });
    }};

const Test sums_bf16{
    "partial sums of bf16 answers are rounded once, to nearest", 100, [](Random& random) {
      RequirePlainSums<std::uint16_t>(
          random, Bf16,
          [](Random& r) {
            return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(r.Uniform()) >> 16);
          },
          [](float sum, std::uint16_t found) {
            // The neighbours of the value found are no nearer.
            const float error = sum - Bf16(found);
            const float up = Bf16(static_cast<std::uint16_t>(found + 1)) - sum;
            const float down = sum - Bf16(static_cast<std::uint16_t>(found - 1));
            const auto size = [](float x) { return x < 0 ? -x : x; };
            return size(error) <= size(up) && size(error) <= size(down);
          });
    }};

const Test keeps_nan{"a NaN answer stays NaN", [](Random&) {
                       std::uint16_t answer = 0x7f81;
                       const float weight = 1;
                       const std::int32_t rank = 0;
                       SumPartialRows({.weights = &weight,
                                       .expert_ranks = &rank,
                                       .rank = 0,
                                       .tokens = 1,
                                       .top_k = 1,
                                       .hidden_size = 1},
                                      &answer);
                       Require((answer & 0x7fff) > 0x7f80, "NaN became a number");
                     }};

}  // namespace
}  // namespace megascale::m2n
