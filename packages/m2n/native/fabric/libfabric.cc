#if defined(MEGASCALE_HAS_LIBFABRIC)

#include "fabric/libfabric.hpp"

#include <dlfcn.h>

#include <stdexcept>
#include <string>

namespace megascale::m2n::fabric {
namespace {

constexpr const char* kFileName = "libfabric.so.1";

// The library keeps old layouts of its structures under old symbol versions; the one of the headers
// that this file was compiled with is meant. Of later headers the number is not known: there the
// library must be of the same release.
#if FI_MAJOR_VERSION == 1 && FI_MINOR_VERSION <= 17
constexpr bool kLayoutIsKnown = true;
#else
constexpr bool kLayoutIsKnown = false;
#endif

template <class Function>
void Resolve(void* library, const char* name, const char* layout, Function* function) {
  void* symbol = kLayoutIsKnown ? dlvsym(library, name, layout) : dlsym(library, name);
  if (symbol == nullptr) {
    throw std::runtime_error(std::string(kFileName) + " has no " + name + " of version " + layout +
                             "; install libfabric 1.14 or later");
  }
  *function = reinterpret_cast<Function>(symbol);
}

std::string Text(std::uint32_t version) {
  return std::to_string(FI_MAJOR(version)) + "." + std::to_string(FI_MINOR(version));
}

Libfabric Load() {
  // Never closed: providers leave threads and handlers behind.
  void* library = dlopen(kFileName, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw std::runtime_error(std::string("libfabric is not installed (") + dlerror() +
                             "); on Debian and Ubuntu: apt install libfabric1");
  }
  Libfabric result;
  Resolve(library, "fi_getinfo", "FABRIC_1.3", &result.getinfo);
  Resolve(library, "fi_freeinfo", "FABRIC_1.3", &result.freeinfo);
  Resolve(library, "fi_dupinfo", "FABRIC_1.3", &result.dupinfo);
  Resolve(library, "fi_fabric", "FABRIC_1.1", &result.fabric);
  Resolve(library, "fi_strerror", "FABRIC_1.0", &result.strerror);
  Resolve(library, "fi_version", "FABRIC_1.0", &result.version);
  const std::uint32_t built = FI_VERSION(FI_MAJOR_VERSION, FI_MINOR_VERSION);
  if (!kLayoutIsKnown && result.version() != built) {
    throw std::runtime_error("libfabric is " + Text(result.version()) +
                             ", this addon was built for " + Text(built) +
                             "; build it again: npm run build:native -w packages/m2n");
  }
  return result;
}

}  // namespace

const Libfabric& LoadLibfabric() {
  static const Libfabric library = Load();
  return library;
}

}  // namespace megascale::m2n::fabric

#endif  // MEGASCALE_HAS_LIBFABRIC
