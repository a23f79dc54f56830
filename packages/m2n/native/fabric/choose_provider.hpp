#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "fabric/libfabric.hpp"

namespace megascale::m2n::fabric {

struct EndpointOptions {
  std::string provider;             // Empty: the best there is.
  std::string host;                 // Of IP networks; empty: the provider's choice.
  std::string port;                 // Empty: any free one.
  int traffic_class = -1;           // DSCP × 4; negative: none.
  std::size_t completions_max = 0;  // Remote writes that may complete before Poll looks.
  std::size_t write_bytes_max = 0;  // Of one write.
};

struct InfoFreer {
  void operator()(fi_info* info) const { LoadLibfabric().freeinfo(info); }
};
using Info = std::unique_ptr<fi_info, InfoFreer>;

// A provider that can do what Endpoint needs: reliable datagrams, writes into a peer's memory that
// carry immediate data. Throws std::runtime_error that names what was looked for.
Info ChooseProvider(const EndpointOptions& options);

}  // namespace megascale::m2n::fabric
