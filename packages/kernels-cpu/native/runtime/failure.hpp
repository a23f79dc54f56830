#pragma once

#include <stdexcept>
#include <string>

namespace megascale {

// What native code throws on purpose. The binding turns it into a JavaScript error that carries
// `code`; `code` is one of the codes of @megascale/core and the message ends with the remedy.
class Failure : public std::runtime_error {
 public:
  Failure(const char* code, const std::string& message)
      : std::runtime_error(message), code_(code) {}
  const char* code() const { return code_; }

 private:
  const char* code_;
};

inline Failure ShapeFailure(const std::string& message) { return Failure("ERR_SHAPE", message); }

}  // namespace megascale
