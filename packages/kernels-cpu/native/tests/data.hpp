#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "runtime/bfloat16.hpp"
#include "testing.hpp"

namespace megascale::testing {

// Around the ends of register blocks, tiles and chunks of rows.
constexpr std::size_t kRowCounts[] = {0, 1, 2, 15, 16, 17, 31, 33, 100};
// Inner and outer widths: odd ones, ones just beside panels and tile steps, and round ones.
constexpr std::size_t kWidths[] = {1, 3, 15, 16, 17, 31, 33, 48, 63, 77, 96, 130};

std::vector<float> RandomFloats(Random& random, std::size_t count);
std::vector<bf16> RandomBf16(Random& random, std::size_t count);
std::vector<double> Widen(const std::vector<bf16>& values);

// A value as found, as expected, and how far they may be apart.
void RequireNear(double found, double expected, double bound, const std::string& what);
void RequireSameBits(const std::vector<bf16>& found, const std::vector<bf16>& expected,
                     const std::string& what);
void RequireSameBits(const std::vector<float>& found, const std::vector<float>& expected,
                     const std::string& what);

// Half a unit in the last place of the bf16 nearest to x, and a little.
double Bf16Rounding(double x);

}  // namespace megascale::testing
