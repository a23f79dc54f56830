#pragma once

#include <stdexcept>
#include <string>

namespace megascale::m2n {

enum class PortErrorCode { kPeerTimeout, kPeerClosed, kFrameInvalid, kSlotOverflow };

// What an end throws. The text says who waited for whom, and for how long.
class PortError : public std::runtime_error {
 public:
  PortError(PortErrorCode code, const std::string& what) : std::runtime_error(what), code_(code) {}
  PortErrorCode code() const { return code_; }

 private:
  PortErrorCode code_;
};

}  // namespace megascale::m2n
