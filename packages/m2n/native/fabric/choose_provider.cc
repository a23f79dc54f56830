#if defined(MEGASCALE_HAS_LIBFABRIC)

#include "fabric/choose_provider.hpp"

#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>

#include <cstring>
#include <stdexcept>
#include <string_view>

namespace megascale::m2n::fabric {
namespace {

constexpr std::size_t kImmediateBytes = 4;
constexpr std::size_t kQueueEntries = 256;

// Best first. `tcp` has reliable datagrams of its own from libfabric 1.18 on.
constexpr const char* kProviders[] = {"verbs;ofi_rxm", "efa", "tcp", "tcp;ofi_rxm", "shm"};

Info Hints(const std::string& provider, const EndpointOptions& options) {
  const Libfabric& library = LoadLibfabric();
  Info hints(library.dupinfo(nullptr));
  if (hints == nullptr) throw std::bad_alloc();
  hints->caps = FI_RMA | FI_WRITE | FI_REMOTE_WRITE;
  hints->mode = FI_CONTEXT | FI_CONTEXT2;
  hints->ep_attr->type = FI_EP_RDM;
  hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
  hints->domain_attr->threading = FI_THREAD_DOMAIN;
  hints->domain_attr->cq_data_size = kImmediateBytes;
  hints->domain_attr->resource_mgmt = FI_RM_ENABLED;
  // What is in flight is little; queues as long as providers like by themselves cost tens of
  // megabytes a port, and the time to touch them.
  hints->tx_attr->size = kQueueEntries;
  hints->rx_attr->size = kQueueEntries;
  if (options.traffic_class >= 0) {
    hints->tx_attr->tclass = fi_tc_dscp_set(static_cast<std::uint8_t>(options.traffic_class / 4));
  }
  // Freed with the hints.
  hints->fabric_attr->prov_name = strdup(provider.c_str());
  return hints;
}

bool UsesIp(const std::string& provider) {
  return provider.find("tcp") != std::string::npos || provider.find("net") != std::string::npos ||
         provider.find("verbs") != std::string::npos || provider.find("sockets") == 0;
}

Info Find(const std::string& provider, const EndpointOptions& options, int* status) {
  const Info hints = Hints(provider, options);
  const bool names_host = UsesIp(provider) && !options.host.empty();
  const char* host = names_host ? options.host.c_str() : nullptr;
  const char* port = names_host && !options.port.empty() ? options.port.c_str() : nullptr;
  fi_info* info = nullptr;
  *status = LoadLibfabric().getinfo(FI_VERSION(1, 14), host, port, names_host ? FI_SOURCE : 0,
                                    hints.get(), &info);
  return Info(*status == 0 ? info : nullptr);
}

}  // namespace

Info ChooseProvider(const EndpointOptions& options) {
  int status = 0;
  std::string tried;
  for (const char* name : kProviders) {
    const std::string_view known(name);
    // 'verbs' means its reliable datagrams, which 'ofi_rxm' adds.
    const bool is_asked_for = known.substr(0, known.find(';')) == options.provider;
    if (!options.provider.empty() && !is_asked_for) continue;
    if (Info info = Find(name, options, &status)) return info;
    tried += tried.empty() ? name : std::string(", ") + name;
  }
  if (!options.provider.empty()) {
    if (Info info = Find(options.provider, options, &status)) return info;
    tried = options.provider;
  }
  const std::string at = options.host.empty() ? "" : " at " + options.host;
  throw std::runtime_error(
      "no provider of libfabric can write with immediate data into a peer's "
      "memory (tried " +
      tried + at + ": " + LoadLibfabric().strerror(-status) +
      "); fi_info -t FI_EP_RDM -c FI_RMA lists what there is");
}

}  // namespace megascale::m2n::fabric

#endif  // MEGASCALE_HAS_LIBFABRIC
