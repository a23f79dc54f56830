#include "data.hpp"

#include <cmath>
#include <cstring>

namespace megascale::testing {
namespace {

template <class T>
void RequireSame(const std::vector<T>& found, const std::vector<T>& expected,
                 const std::string& what) {
  Require(found.size() == expected.size(), what + ": sizes differ");
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (std::memcmp(&found[i], &expected[i], sizeof(T)) == 0) continue;
    throw TestFailure(what + ": element " + std::to_string(i) + " is " + std::to_string(found[i]) +
                      ", expected " + std::to_string(expected[i]) + " to the bit");
  }
}

}  // namespace

std::vector<float> RandomFloats(Random& random, std::size_t count) {
  std::vector<float> values(count);
  for (float& value : values) value = random.Uniform();
  return values;
}

std::vector<bf16> RandomBf16(Random& random, std::size_t count) {
  std::vector<bf16> values(count);
  for (bf16& value : values) value = FloatToBf16(random.Uniform());
  return values;
}

std::vector<double> Widen(const std::vector<bf16>& values) {
  std::vector<double> wide(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) wide[i] = Bf16ToFloat(values[i]);
  return wide;
}

void RequireNear(double found, double expected, double bound, const std::string& what) {
  // Written so that a NaN fails.
  if (std::fabs(found - expected) <= bound) return;
  throw TestFailure(what + ": found " + std::to_string(found) + ", expected " +
                    std::to_string(expected) + " within " + std::to_string(bound));
}

void RequireSameBits(const std::vector<bf16>& found, const std::vector<bf16>& expected,
                     const std::string& what) {
  RequireSame(found, expected, what);
}

void RequireSameBits(const std::vector<float>& found, const std::vector<float>& expected,
                     const std::string& what) {
  RequireSame(found, expected, what);
}

double Bf16Rounding(double x) { return std::fabs(x) * 0x1.1p-8 + 1e-37; }

}  // namespace megascale::testing
