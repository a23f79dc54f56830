#if defined(MEGASCALE_HAS_LIBFABRIC)

#include "fabric/endpoint.hpp"

#include <rdma/fi_cm.h>
#include <rdma/fi_rma.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "protocol/allocation_count.hpp"

namespace megascale::m2n::fabric {
namespace {

constexpr std::size_t kNameBytesMax = 512;
constexpr std::size_t kPollEntries = 16;

std::uint64_t RandomKey(std::size_t key_bytes) {
  std::uint64_t key = 0;
  if (getrandom(&key, sizeof key, 0) != sizeof key) {
    throw std::runtime_error("the system gives no random numbers");
  }
  return key_bytes >= sizeof key ? key : key & ((std::uint64_t{1} << (8 * key_bytes)) - 1);
}

}  // namespace

// What the provider may keep of an operation until it completes, and whose it is.
struct Endpoint::Context {
  fi_context2 provider{};  // First: completions point here.
  std::uint32_t peer = 0;
  Context* next = nullptr;
};

Endpoint::Endpoint(const EndpointOptions& options)
    : info_(ChooseProvider(options)), contexts_(info_->tx_attr->size) {
  provider_ = info_->fabric_attr->prov_name;
  constexpr std::uint64_t kOrdered = FI_ORDER_WAW | FI_ORDER_RMA_WAW;
  keeps_order_ = (info_->tx_attr->msg_order & info_->rx_attr->msg_order & kOrdered) != 0 &&
                 info_->ep_attr->max_order_waw_size >= options.write_bytes_max;
  for (Context& context : contexts_) {
    context.next = std::exchange(free_contexts_, &context);
  }

  fid_fabric* fabric = nullptr;
  Check(LoadLibfabric().fabric(info_->fabric_attr, &fabric, nullptr), "fi_fabric");
  fabric_.reset(fabric);
  fid_domain* domain = nullptr;
  Check(fi_domain(fabric, info_.get(), &domain, nullptr), "fi_domain");
  domain_.reset(domain);
  OpenQueues(options);
  Check(fi_enable(endpoint_.get()), "fi_enable");
}

Endpoint::~Endpoint() = default;

void Endpoint::OpenQueues(const EndpointOptions& options) {
  fi_av_attr address_attributes{};
  address_attributes.type = info_->domain_attr->av_type;
  fid_av* addresses = nullptr;
  Check(fi_av_open(domain_.get(), &address_attributes, &addresses, nullptr), "fi_av_open");
  addresses_.reset(addresses);

  fid_cq* queue = nullptr;
  fi_cq_attr attributes{};
  attributes.format = FI_CQ_FORMAT_DATA;
  attributes.wait_obj = FI_WAIT_NONE;
  attributes.size = info_->tx_attr->size;
  Check(fi_cq_open(domain_.get(), &attributes, &queue, nullptr), "fi_cq_open");
  sent_.reset(queue);
  attributes.size = std::max(options.completions_max, info_->rx_attr->size);
  Check(fi_cq_open(domain_.get(), &attributes, &queue, nullptr), "fi_cq_open");
  received_.reset(queue);

  fid_ep* endpoint = nullptr;
  Check(fi_endpoint(domain_.get(), info_.get(), &endpoint, nullptr), "fi_endpoint");
  endpoint_.reset(endpoint);
  Check(fi_ep_bind(endpoint, &addresses->fid, 0), "fi_ep_bind");
  Check(fi_ep_bind(endpoint, &sent_->fid, FI_TRANSMIT), "fi_ep_bind");
  Check(fi_ep_bind(endpoint, &received_->fid, FI_RECV), "fi_ep_bind");
}

std::vector<std::uint8_t> Endpoint::Name() const {
  std::vector<std::uint8_t> name(kNameBytesMax);
  std::size_t bytes = name.size();
  Check(fi_getname(&endpoint_->fid, name.data(), &bytes), "fi_getname");
  name.resize(bytes);
  return name;
}

Region Endpoint::Register(void* data, std::size_t bytes) {
  constexpr std::uint64_t kAccess = FI_WRITE | FI_REMOTE_WRITE;
  fid_mr* region = nullptr;
  const auto mode = static_cast<std::uint64_t>(info_->domain_attr->mr_mode);
  const std::uint64_t key = RandomKey(info_->domain_attr->mr_key_size);
  Check(fi_mr_reg(domain_.get(), data, bytes, kAccess, 0, key, 0, &region, nullptr), "fi_mr_reg");
  CountAllocation();
  regions_.emplace_back(region);
  const bool is_virtual = (mode & FI_MR_VIRT_ADDR) != 0;
  return Region{.remote = {.base = is_virtual ? reinterpret_cast<std::uintptr_t>(data) : 0,
                           .key = fi_mr_key(region)},
                .descriptor = fi_mr_desc(region)};
}

fi_addr_t Endpoint::Insert(const std::vector<std::uint8_t>& name) {
  // Strings must end, and providers read as many bytes as their kind of address has.
  std::array<std::uint8_t, kNameBytesMax + 1> padded{};
  if (name.empty() || name.size() > kNameBytesMax) {
    throw std::runtime_error("its address has no valid name");
  }
  std::copy(name.begin(), name.end(), padded.begin());
  fi_addr_t address = FI_ADDR_UNSPEC;
  if (fi_av_insert(addresses_.get(), padded.data(), 1, &address, 0, nullptr) != 1) {
    throw std::runtime_error(provider_ + " takes its address for none");
  }
  return address;
}

Posted Endpoint::Post(const Write& write) {
  Context* context = free_contexts_;
  if (context == nullptr) return Posted::kFull;
  const iovec local{.iov_base = const_cast<void*>(write.data), .iov_len = write.bytes};
  const fi_rma_iov remote{.addr = write.address, .len = write.bytes, .key = write.key};
  void* descriptor = write.descriptor;
  fi_msg_rma message{};
  message.msg_iov = &local;
  message.desc = &descriptor;
  message.iov_count = 1;
  message.addr = write.to;
  message.rma_iov = &remote;
  message.rma_iov_count = 1;
  message.context = context;
  message.data = write.immediate;
  const std::uint64_t immediate = write.carries_immediate ? FI_REMOTE_CQ_DATA : 0;
  const ssize_t status = fi_writemsg(endpoint_.get(), &message, FI_COMPLETION | immediate);
  if (status == -FI_EAGAIN) return Posted::kFull;
  if (status != 0) {
    failure_ = LoadLibfabric().strerror(static_cast<int>(-status));
    return Posted::kFailed;
  }
  context->peer = write.peer;
  free_contexts_ = std::exchange(context->next, nullptr);
  ++pending_;
  return Posted::kYes;
}

bool Endpoint::Poll(CompletionSink& sink) {
  const bool received = PollQueue(received_.get(), sink);
  return PollQueue(sent_.get(), sink) || received;
}

bool Endpoint::PollQueue(fid_cq* queue, CompletionSink& sink) {
  std::array<fi_cq_data_entry, kPollEntries> entries;
  const ssize_t count = fi_cq_read(queue, entries.data(), entries.size());
  if (count == -FI_EAVAIL) ReportError(queue, sink);
  for (ssize_t index = 0; index < count; ++index) {
    const fi_cq_data_entry& entry = entries[static_cast<std::size_t>(index)];
    if (queue == sent_.get()) {
      Release(entry.op_context);
    } else if ((entry.flags & FI_REMOTE_CQ_DATA) != 0) {
      sink.OnRemoteWrite(static_cast<std::uint32_t>(entry.data));
    }
  }
  return count > 0;
}

void Endpoint::ReportError(fid_cq* queue, CompletionSink& sink) {
  fi_cq_err_entry error{};
  if (fi_cq_readerr(queue, &error, 0) <= 0) return;
  const bool is_own = queue == sent_.get() && error.op_context != nullptr;
  const std::uint32_t peer =
      is_own ? static_cast<Context*>(error.op_context)->peer : CompletionSink::kNobody;
  if (is_own) Release(error.op_context);
  sink.OnFailure(peer, LoadLibfabric().strerror(error.err));
}

void Endpoint::Release(void* context) {
  auto* own = static_cast<Context*>(context);
  if (own == nullptr) return;
  own->next = std::exchange(free_contexts_, own);
  --pending_;
}

void Endpoint::Check(int status, const char* what) const {
  if (status == 0) return;
  throw std::runtime_error(std::string(what) + " of libfabric's provider " + provider_ + ": " +
                           LoadLibfabric().strerror(-status));
}

}  // namespace megascale::m2n::fabric

#endif  // MEGASCALE_HAS_LIBFABRIC
