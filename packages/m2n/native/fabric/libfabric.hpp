#pragma once

#include <rdma/fabric.h>

namespace megascale::m2n::fabric {

// The few functions that libfabric exports under a name; everything else is reached through tables
// in its objects. Loaded at run time, so that the addon works without the library.
struct Libfabric {
  decltype(&fi_getinfo) getinfo = nullptr;
  decltype(&fi_freeinfo) freeinfo = nullptr;
  decltype(&fi_dupinfo) dupinfo = nullptr;
  decltype(&fi_fabric) fabric = nullptr;
  decltype(&fi_strerror) strerror = nullptr;
  decltype(&fi_version) version = nullptr;
};

// The library, loaded once and kept. Throws std::runtime_error that says how to get it.
const Libfabric& LoadLibfabric();

}  // namespace megascale::m2n::fabric
