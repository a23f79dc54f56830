// UCX. Variants "put" (into registered memory of the peer, then a flag behind a fence) and "tag"
// (two-sided).
#include <ucp/api/ucp.h>

#include <atomic>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "contender.hpp"

namespace megascale::bench {
namespace {

constexpr std::size_t kLine = 64;

void Check(ucs_status_t status, const char* what) {
  if (status != UCS_OK)
    throw std::runtime_error(std::string(what) + ": " + ucs_status_string(status));
}

std::size_t RoundUp(std::size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

class UcxEnd : public End {
 public:
  UcxEnd(const Setup& setup, Role role, int rank)
      : setup_(setup),
        role_(role),
        rank_(rank),
        peers_(role == Role::kSender ? setup.receivers : setup.senders),
        out_bytes_(role == Role::kSender ? setup.message_bytes : setup.answer_bytes),
        in_bytes_(role == Role::kSender ? setup.answer_bytes : setup.message_bytes) {
    OpenWorker();
    MapMemory();
    Tell();
    for (int peer = 0; peer < peers_; ++peer) Connect(peer);
    sent_.resize(Index(peers_, 0));
    received_.resize(Index(peers_, 0));
    if (!IsPut()) {
      receiving_.resize(Index(peers_, 0));
      sending_.resize(Index(peers_, 0));
      for (int peer = 0; peer < peers_; ++peer) {
        for (int slot = 0; slot < setup.slots; ++slot) PostReceive(peer, slot);
      }
    }
  }

  ~UcxEnd() override {
    for (Peer& peer : links_) {
      if (peer.key != nullptr) ucp_rkey_destroy(peer.key);
    }
    ucp_mem_unmap(context_, memory_);
    ucp_worker_destroy(worker_);
    ucp_cleanup(context_);
  }

  std::byte* Outgoing(int peer, int slot) override {
    Settle(peer, slot);
    if (!IsPut() && is_taken_[Index(peer, slot)]) PostReceive(peer, slot);
    return own_ + OutgoingAt(peer, slot);
  }

  bool TrySend(int peer, int slot) override {
    const std::size_t index = Index(peer, slot);
    if (!IsPut()) {
      sending_[index] = Start(ucp_tag_send_nbx(EndpointOf(peer), own_ + OutgoingAt(peer, slot),
                                               out_bytes_, TagOf(rank_, slot), &kDefault));
      ucp_worker_progress(worker_);
      return true;
    }
    const Peer& to = links_[static_cast<std::size_t>(peer)];
    const std::uint64_t at = to.base + IncomingAt(rank_, slot, setup_, out_bytes_);
    Forget(ucp_put_nbx(to.endpoint, own_ + OutgoingAt(peer, slot), out_bytes_, at + kLine, to.key,
                       &kDefault));
    Check(ucp_worker_fence(worker_), "ucp_worker_fence");
    auto* flag = reinterpret_cast<std::uint64_t*>(own_ + OutgoingFlagAt(peer, slot));
    *flag = ++sent_[index];
    Forget(ucp_put_nbx(to.endpoint, flag, sizeof(*flag), at, to.key, &kDefault));
    ucp_worker_progress(worker_);
    return true;
  }

  const std::byte* TryReceive(int peer, int slot) override {
    const std::size_t index = Index(peer, slot);
    if (!IsPut()) {
      ucp_worker_progress(worker_);
      if (is_taken_[index] || !IsDone(receiving_[index])) return nullptr;
      Free(&receiving_[index]);
      is_taken_[index] = true;
      return own_ + IncomingAt(peer, slot, setup_, in_bytes_) + kLine;
    }
    std::byte* at = own_ + IncomingAt(peer, slot, setup_, in_bytes_);
    const auto* flag = reinterpret_cast<std::atomic<std::uint64_t>*>(at);
    if (flag->load(std::memory_order_acquire) != received_[index] + 1) {
      ucp_worker_progress(worker_);
      return nullptr;
    }
    ++received_[index];
    return at + kLine;
  }

  void Finish() override {
    for (int peer = 0; peer < peers_; ++peer) {
      for (int slot = 0; slot < setup_.slots; ++slot) {
        Settle(peer, slot);
        if (!IsPut() && receiving_[Index(peer, slot)] != nullptr) {
          ucp_request_cancel(worker_, receiving_[Index(peer, slot)]);
          while (!IsDone(receiving_[Index(peer, slot)])) ucp_worker_progress(worker_);
          Free(&receiving_[Index(peer, slot)]);
        }
      }
    }
    Wait(ucp_worker_flush_nbx(worker_, &kDefault));
  }

 private:
  static inline const ucp_request_param_t kDefault{};

  struct Peer {
    ucp_ep_h endpoint = nullptr;
    ucp_rkey_h key = nullptr;
    std::uint64_t base = 0;
  };

  bool IsPut() const { return setup_.variant != "tag"; }
  std::size_t Index(int peer, int slot) const {
    return static_cast<std::size_t>(peer * setup_.slots + slot);
  }
  ucp_ep_h EndpointOf(int peer) const { return links_[static_cast<std::size_t>(peer)].endpoint; }

  // Own memory: [peers × slots] flag and incoming message, then [peers × slots] flag and outgoing
  // message.
  static std::size_t IncomingAt(int peer, int slot, const Setup& setup, std::size_t bytes) {
    return static_cast<std::size_t>(peer * setup.slots + slot) * (kLine + RoundUp(bytes));
  }
  std::size_t OutgoingFlagAt(int peer, int slot) const {
    return Index(peers_, 0) * (kLine + RoundUp(in_bytes_)) +
           Index(peer, slot) * (kLine + RoundUp(out_bytes_));
  }
  std::size_t OutgoingAt(int peer, int slot) const { return OutgoingFlagAt(peer, slot) + kLine; }
  static std::uint64_t TagOf(int rank, int slot) {
    return static_cast<std::uint64_t>(rank) << 32 | static_cast<std::uint64_t>(slot);
  }

  void OpenWorker() {
    ucp_params_t params{};
    params.field_mask = UCP_PARAM_FIELD_FEATURES;
    params.features = UCP_FEATURE_RMA | UCP_FEATURE_TAG;
    ucp_config_t* config = nullptr;
    Check(ucp_config_read(nullptr, nullptr, &config), "ucp_config_read");
    Check(ucp_init(&params, config, &context_), "ucp_init");
    ucp_config_release(config);
    ucp_worker_params_t worker{};
    worker.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE;
    worker.thread_mode = UCS_THREAD_MODE_SINGLE;
    Check(ucp_worker_create(context_, &worker, &worker_), "ucp_worker_create");
  }

  void MapMemory() {
    ucp_mem_map_params_t params{};
    params.field_mask = UCP_MEM_MAP_PARAM_FIELD_LENGTH | UCP_MEM_MAP_PARAM_FIELD_FLAGS;
    params.length = OutgoingFlagAt(peers_, 0);
    params.flags = UCP_MEM_MAP_ALLOCATE;
    Check(ucp_mem_map(context_, &params, &memory_), "ucp_mem_map");
    ucp_mem_attr_t attributes{};
    attributes.field_mask = UCP_MEM_ATTR_FIELD_ADDRESS;
    Check(ucp_mem_query(memory_, &attributes), "ucp_mem_query");
    own_ = static_cast<std::byte*>(attributes.address);
    std::memset(own_, 0, params.length);
  }

  std::string FileOf(Role role, int rank) const {
    return setup_.directory + (role == Role::kSender ? "/sender-" : "/receiver-") +
           std::to_string(rank);
  }

  // Address of the worker, of the memory, and its key: two lengths, then the three.
  void Tell() {
    ucp_address_t* address = nullptr;
    std::size_t address_bytes = 0;
    Check(ucp_worker_get_address(worker_, &address, &address_bytes), "ucp_worker_get_address");
    void* key = nullptr;
    std::size_t key_bytes = 0;
    Check(ucp_rkey_pack(context_, memory_, &key, &key_bytes), "ucp_rkey_pack");
    const std::uint64_t numbers[3] = {address_bytes, key_bytes,
                                      reinterpret_cast<std::uint64_t>(own_)};
    std::string content(reinterpret_cast<const char*>(numbers), sizeof(numbers));
    content.append(reinterpret_cast<const char*>(address), address_bytes);
    content.append(static_cast<const char*>(key), key_bytes);
    ucp_rkey_buffer_release(key);
    ucp_worker_release_address(worker_, address);
    WriteFile(FileOf(role_, rank_), content);
  }

  void Connect(int rank) {
    const std::string path = FileOf(role_ == Role::kSender ? Role::kReceiver : Role::kSender, rank);
    AwaitFile(path);
    const std::string content = ReadFile(path);
    std::uint64_t numbers[3];
    std::memcpy(numbers, content.data(), sizeof(numbers));
    Peer peer{.base = numbers[2]};
    ucp_ep_params_t params{};
    params.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS;
    params.address = reinterpret_cast<const ucp_address_t*>(content.data() + sizeof(numbers));
    Check(ucp_ep_create(worker_, &params, &peer.endpoint), "ucp_ep_create");
    Check(
        ucp_ep_rkey_unpack(peer.endpoint, content.data() + sizeof(numbers) + numbers[0], &peer.key),
        "ucp_ep_rkey_unpack");
    links_.push_back(peer);
  }

  void PostReceive(int peer, int slot) {
    if (is_taken_.empty()) is_taken_.assign(Index(peers_, 0), false);
    is_taken_[Index(peer, slot)] = false;
    // A receive that is complete at once has no request: it is told from none by a request of ours.
    ucp_request_param_t params{};
    params.op_attr_mask = UCP_OP_ATTR_FLAG_NO_IMM_CMPL;
    receiving_[Index(peer, slot)] =
        Start(ucp_tag_recv_nbx(worker_, own_ + IncomingAt(peer, slot, setup_, in_bytes_) + kLine,
                               in_bytes_, TagOf(peer, slot), ~std::uint64_t{0}, &params));
  }

  void Settle(int peer, int slot) {
    if (IsPut()) return;
    void*& request = sending_[Index(peer, slot)];
    while (request != nullptr && !IsDone(request)) ucp_worker_progress(worker_);
    Free(&request);
  }

  static void* Start(ucs_status_ptr_t result) {
    if (UCS_PTR_IS_ERR(result)) Check(UCS_PTR_STATUS(result), "ucp operation");
    return result;
  }
  // A put's source is not written before the answer is here.
  static void Forget(ucs_status_ptr_t result) {
    if (Start(result) != nullptr) ucp_request_free(result);
  }
  static bool IsDone(void* request) { return ucp_request_check_status(request) != UCS_INPROGRESS; }
  static void Free(void** request) {
    if (*request != nullptr) ucp_request_free(*request);
    *request = nullptr;
  }
  void Wait(ucs_status_ptr_t result) {
    void* request = Start(result);
    while (request != nullptr && !IsDone(request)) ucp_worker_progress(worker_);
    Free(&request);
  }

  Setup setup_;
  Role role_;
  int rank_;
  int peers_;
  std::size_t out_bytes_, in_bytes_;
  ucp_context_h context_ = nullptr;
  ucp_worker_h worker_ = nullptr;
  ucp_mem_h memory_ = nullptr;
  std::byte* own_ = nullptr;
  std::vector<Peer> links_;
  std::vector<std::uint64_t> sent_, received_;  // [peers × slots] of "put".
  std::vector<void*> sending_, receiving_;      // [peers × slots] of "tag".
  std::vector<bool> is_taken_;
};

}  // namespace

bool IsForked() { return true; }
int OwnRank(int*, char***) { return 0; }
void Prepare(const Setup&) {}

std::unique_ptr<End> Open(const Setup& setup, Role role, int rank) {
  return std::make_unique<UcxEnd>(setup, role, rank);
}

}  // namespace megascale::bench
