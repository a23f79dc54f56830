#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

// A small frame for native tests, so that a compiler is all they need. A test is a sentence and a
// function; it fails by throwing, which Require does. testing.cc holds main().
namespace megascale::testing {

class TestFailure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Numbers that depend on the seed alone, on every machine (splitmix64).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next();
  // 0 … below − 1.
  std::size_t Below(std::size_t below) { return static_cast<std::size_t>(Next() % below); }
  // least … most.
  std::size_t Between(std::size_t least, std::size_t most) {
    return least + Below(most - least + 1);
  }
  bool Coin() { return Below(2) == 1; }
  // [−1, 1), in steps of 2⁻²³.
  float Uniform();
  template <class T, std::size_t N>
  const T& OneOf(const T (&choices)[N]) {
    return choices[Below(N)];
  }

 private:
  std::uint64_t state_;
};

using TestBody = void (*)(Random&);

// Registers a test by being defined at namespace scope:
//   const Test fork{"every thread runs a job once", [](Random&) { … }};
// `cases` > 1 makes it a property: it runs once for each of so many seeds, which follow from the
// seed of the run; the first failing one is printed with what repeats it.
struct Test {
  Test(const char* sentence, TestBody body) : Test(sentence, 1, body) {}
  Test(const char* sentence, std::size_t cases, TestBody body);
};

// Throws TestFailure where `condition` does not hold.
inline void Require(bool condition, const std::string& otherwise) {
  if (!condition) throw TestFailure(otherwise);
}

// Runs `body`; fails unless it throws an E whose text contains `part`.
template <class E, class Body>
void RequireThrows(const std::string& part, const Body& body) {
  try {
    body();
  } catch (const E& error) {
    const std::string text = error.what();
    return Require(text.find(part) != std::string::npos, "threw '" + text + "', not " + part);
  }
  throw TestFailure("did not throw '" + part + "'");
}

}  // namespace megascale::testing
