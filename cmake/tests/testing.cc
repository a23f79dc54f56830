#include "testing.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <vector>

namespace megascale::testing {
namespace {

struct Registered {
  const char* sentence;
  std::size_t cases;
  TestBody body;
};

// Tests register before main, in any order of files.
std::vector<Registered>& Tests() {
  static std::vector<Registered> tests;
  return tests;
}

struct Options {
  std::uint64_t seed = 1;
  // Runs the case of exactly this seed: what a failure prints.
  bool one_case = false;
  std::size_t cases_percent = 100;
  const char* only = "";
};

[[noreturn]] void Usage(const char* program) {
  std::fprintf(stderr,
               "usage: %s [--only PART] [--seed N | --case-seed N] [--cases PERCENT]\n"
               "  --only PART       tests whose sentence contains PART\n"
               "  --seed N          the cases of properties follow from it (1)\n"
               "  --case-seed N     one case, as a failure names it\n"
               "  --cases PERCENT   of the cases of every property, at least one (100)\n",
               program);
  std::exit(2);
}

Options Parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; i += 2) {
    if (i + 1 == count) Usage(arguments[0]);
    const char *name = arguments[i], *value = arguments[i + 1];
    if (std::strcmp(name, "--only") == 0) {
      options.only = value;
    } else if (std::strcmp(name, "--seed") == 0) {
      options.seed = std::strtoull(value, nullptr, 10);
    } else if (std::strcmp(name, "--case-seed") == 0) {
      options.seed = std::strtoull(value, nullptr, 10);
      options.one_case = true;
    } else if (std::strcmp(name, "--cases") == 0) {
      options.cases_percent = std::strtoull(value, nullptr, 10);
    } else {
      Usage(arguments[0]);
    }
  }
  return options;
}

// Runs every case of a test; false after the first that fails, which it reports.
bool Passes(const Registered& test, const Options& options) {
  Random seeds(options.seed);
  const std::size_t wanted = test.cases * options.cases_percent / 100;
  const std::size_t cases = options.one_case || wanted == 0 ? 1 : wanted;
  for (std::size_t i = 0; i < cases; ++i) {
    const std::uint64_t seed = options.one_case ? options.seed : seeds.Next();
    std::string why;
    try {
      Random random(seed);
      test.body(random);
      continue;
    } catch (const std::exception& error) {
      why = error.what();
    }
    std::printf("FAILED %s\n  %s\n  again: --only '%s' --case-seed %llu\n", test.sentence,
                why.c_str(), test.sentence, static_cast<unsigned long long>(seed));
    return false;
  }
  return true;
}

}  // namespace

std::uint64_t Random::Next() {
  state_ += 0x9e3779b97f4a7c15u;
  std::uint64_t mixed = state_;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  return mixed ^ (mixed >> 31);
}

float Random::Uniform() {
  return static_cast<float>(static_cast<std::int64_t>(Next() >> 40) - (1 << 23)) / (1 << 23);
}

Test::Test(const char* sentence, std::size_t cases, TestBody body) {
  Tests().push_back({sentence, cases, body});
}

int Run(int count, char** arguments) {
  const Options options = Parse(count, arguments);
  std::size_t passed = 0, failed = 0;
  for (const Registered& test : Tests()) {
    if (std::strstr(test.sentence, options.only) == nullptr) continue;
    const auto start = std::chrono::steady_clock::now();
    const bool passes = Passes(test, options);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (passes) std::printf("ok %s (%.1f s)\n", test.sentence, seconds.count());
    std::fflush(stdout);
    (passes ? passed : failed) += 1;
  }
  std::printf("native tests: %zu passed, %zu failed\n", passed, failed);
  // A misspelt --only must not look like a success.
  return failed == 0 && passed > 0 ? 0 : 1;
}

}  // namespace megascale::testing

int main(int count, char** arguments) { return megascale::testing::Run(count, arguments); }
