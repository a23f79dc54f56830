#if defined(MEGASCALE_HAS_LIBFABRIC)

#include "fabric/port.hpp"

#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include "fabric/dead_owner.hpp"

namespace megascale::m2n::fabric {
namespace {

using std::chrono::microseconds;

constexpr std::int64_t kTickUs = 1000;
// A port that closed waits so long for its peers to know, and then so long for what is on its way.
constexpr std::int64_t kFarewellUs = 1'000'000;
constexpr std::int64_t kLingerUs = 20'000;
// So long, and looking so often, it then sees to it that nothing is left of peers that ended: one
// that closed removes its memory itself, unless it is killed before it has come to that.
constexpr std::int64_t kLeavingUs = 2'000'000;
constexpr microseconds kNapLeaving{5000};
// How the thread sleeps while no other thread drives: short after something happened, then longer.
constexpr microseconds kNapMin{20};
constexpr microseconds kNapParkedMax{100};
constexpr microseconds kNapMax{1000};
// While the port's thread drives, every waking of this one costs it its core.
constexpr microseconds kNapDriven{500};
constexpr int kNapsBeforeLonger = 50;
// A thread that holds the mutex for so long is stuck.
constexpr std::chrono::milliseconds kPatience{200};
// A process that lives and runs does not hold a lock of the provider for so many times that.
constexpr int kPatienceWithLiving = 5;

std::int64_t NowUs() {
  return std::chrono::duration_cast<microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::size_t PeersOf(const PortOptions& options) {
  const PortShape& shape = options.shape;
  return static_cast<std::size_t>(options.is_attention ? shape.expert_worker_count
                                                       : shape.attention_worker_count);
}

// Ranks of its own pool, which are the peers of its peers.
std::size_t ColleaguesOf(const PortOptions& options) {
  const PortShape& shape = options.shape;
  return static_cast<std::size_t>(options.is_attention ? shape.attention_worker_count
                                                       : shape.expert_worker_count);
}

}  // namespace

Port::Port(const PortOptions& options)
    : inbox_(PeersOf(options) * kNotices * EntryBytes(PeersOf(options))),
      outbox_(PeersOf(options) * kNotices * EntryBytes(ColleaguesOf(options))) {
  const std::size_t peers = PeersOf(options);
  context_.inbox_entry_bytes = EntryBytes(peers);
  context_.outbox_entry_bytes = EntryBytes(ColleaguesOf(options));
  context_.is_attention = options.is_attention;
  context_.rank = options.rank;
  context_.shape = options.shape;
  context_.layout = LayoutOfAttentionSegment(options.shape);
  context_.brings_weights = options.brings_weights;
  const auto attention_bytes = static_cast<std::size_t>(context_.layout.byte_length);
  const auto expert_bytes = static_cast<std::size_t>(ExpertSegmentBytes(options.shape));
  mirror_bytes_ = options.is_attention ? expert_bytes : attention_bytes;
  own_ = std::make_shared<Mapping>(options.is_attention ? attention_bytes : expert_bytes);
  mirrors_ = std::make_shared<Mapping>(peers * mirror_bytes_);
  context_.own_words = Words();

  endpoint_ = std::make_unique<Endpoint>(EndpointOptions{.provider = options.provider,
                                                         .host = options.host,
                                                         .port = options.port,
                                                         .traffic_class = options.traffic_class,
                                                         .completions_max = peers * kNotices,
                                                         .write_bytes_max = attention_bytes});
  context_.keeps_order = endpoint_->keeps_order() && !options.sends_apart;
  context_.encloses = !options.sends_apart;
  const Region inbox = endpoint_->Register(inbox_.data(), inbox_.byte_length());
  context_.outbox_region = endpoint_->Register(outbox_.data(), outbox_.byte_length());
  if (options.is_attention) {
    context_.own_region = endpoint_->Register(own_->data(), own_->byte_length());
  } else {
    context_.mirror_region = endpoint_->Register(mirrors_->data(), mirrors_->byte_length());
  }
  place_ = PortPlace{
      .provider = endpoint_->provider(),
      .name = endpoint_->Name(),
      .inbox = inbox.remote,
      .data = (options.is_attention ? context_.own_region : context_.mirror_region).remote};

  for (std::size_t peer = 0; peer < peers; ++peer) {
    const auto words = [&](const Mapping& mapping, std::size_t stride) {
      return reinterpret_cast<std::int32_t*>(mapping.data() + peer * stride);
    };
    links_.push_back(std::make_unique<Link>(
        context_, static_cast<std::uint32_t>(peer), words(*mirrors_, mirror_bytes_),
        words(inbox_, kNotices * context_.inbox_entry_bytes),
        words(outbox_, kNotices * context_.outbox_entry_bytes)));
  }
  thread_ = std::thread([this] { Run(); });
}

Port::~Port() {
  {
    const std::lock_guard lock(lock_);
    if (closed_us_ < 0) {
      for (auto& link : links_) link->Abandon();
      closed_us_ = NowUs();
    }
    parked_.notify_one();
  }
  thread_.join();
}

Link& Port::LinkOf(std::uint32_t peer) {
  if (peer >= links_.size()) throw std::out_of_range("there is no such peer");
  return *links_[peer];
}

void Port::Open(std::uint32_t peer, const std::vector<std::uint8_t>& name, PeerPlace place) {
  const std::lock_guard lock(lock_);
  Link& link = LinkOf(peer);
  if (link.is_met() || endpoint_ == nullptr) throw std::runtime_error("it was opened before");
  {
    const std::lock_guard names_lock(names_mutex_);
    peer_names_.push_back({.peer = peer, .name = name});
  }
  place.address = endpoint_->Insert(name);
  place.owner = OwnerOf(name);
  link.Meet(place, NowUs());
  Progress();
}

bool Port::IsOpen(std::uint32_t peer) {
  const std::lock_guard lock(lock_);
  return LinkOf(peer).is_open();
}

std::optional<Loss> Port::LossOf(std::uint32_t peer) {
  const std::lock_guard lock(lock_);
  return LinkOf(peer).loss();
}

void Port::Send(std::uint32_t peer) {
  const std::lock_guard lock(lock_);
  Link& link = LinkOf(peer);
  if (endpoint_ == nullptr) return;
  link.Send(*endpoint_, NowUs());
  RingIfNews(link);
}

void Port::Close() {
  const std::lock_guard lock(lock_);
  if (closed_us_ >= 0) return;
  closed_us_ = NowUs();
  Progress();
  parked_.notify_one();
}

void Port::OnRemoteWrite(std::uint32_t word) {
  const Immediate immediate = Immediate::Unpack(word);
  // Of no peer that could have a link: its sender knows a key, but is no port of this version.
  if (immediate.rank < links_.size()) links_[immediate.rank]->Note(immediate);
}

void Port::OnFailure(std::uint32_t peer, const std::string& why) {
  if (peer >= links_.size()) return;
  links_[peer]->Lose(LossCode::kPeerClosed, "libfabric could not write to it (" + why + ")");
}

void Port::RingIfNews(Link& link) {
  if (!link.TakeNews()) return;
  std::int32_t* count = Words() + SegmentWord::kDoorbellCount;
  std::atomic_ref(*count).fetch_add(1, std::memory_order_seq_cst);
  std::atomic_ref parked(Words()[SegmentWord::kDoorbellParked]);
  if (parked.load(std::memory_order_seq_cst) != 0) WakeParked(count);
}

bool Port::Progress() {
  if (endpoint_ == nullptr) return false;
  const std::int64_t now_us = NowUs();
  const bool is_due = now_us - ticked_us_ >= kTickUs;
  if (is_due) ticked_us_ = now_us;
  const bool happened = endpoint_->Poll(*this);
  for (auto& link : links_) {
    if (happened) link->Read(now_us);
    if (is_due) {
      link->Read(now_us);
      link->Tick(now_us);
    }
    link->Send(*endpoint_, now_us);
    RingIfNews(*link);
  }
  return happened;
}

void Port::Wait(const DoorbellWait& wait) {
  std::int32_t* count = Words() + SegmentWord::kDoorbellCount;
  const auto has_rung = [&] {
    return std::atomic_ref(*count).load(std::memory_order_acquire) != wait.seen;
  };
  const std::int64_t began_us = NowUs();
  const std::int64_t spin_end_us =
      began_us + std::min(wait.spin_microseconds, wait.timeout_microseconds);
  do {
    was_driven_.store(true, std::memory_order_relaxed);
    {
      const std::lock_guard lock(lock_);
      Progress();
    }
    if (has_rung()) return;
    if (wait.spin_yields) sched_yield();
  } while (NowUs() < spin_end_us);
  was_driven_.store(false, std::memory_order_relaxed);
  const std::int64_t left_us = wait.timeout_microseconds - (NowUs() - began_us);
  if (left_us <= 0) return;
  {
    const std::lock_guard lock(lock_);
    is_parked_ = true;
    parked_.notify_one();
  }
  WaitForRing(count, Words() + SegmentWord::kDoorbellParked,
              {.seen = wait.seen, .spin_microseconds = 0, .timeout_microseconds = left_us});
  const std::lock_guard lock(lock_);
  is_parked_ = false;
}

void Port::Run() {
  // The kernel may else add 50 µs to every nap.
  prctl(PR_SET_TIMERSLACK, 1);
  int idle = 0;
  std::unique_lock lock(lock_);
  while (!IsFinished(NowUs())) {
    const bool was_driven = was_driven_.exchange(false, std::memory_order_relaxed);
    if (!was_driven) idle = Progress() ? 0 : idle + 1;
    const bool was_parked = is_parked_;
    const int doublings = std::clamp(idle - kNapsBeforeLonger, 0, 6);
    const microseconds nap =
        was_driven ? kNapDriven
                   : std::min(was_parked ? kNapParkedMax : kNapMax, kNapMin * (1 << doublings));
    parked_.wait_for(lock, nap, [&] { return is_parked_ && !was_parked; });
  }
  endpoint_.reset();
  std::vector<PeerName> left = peer_names_;
  std::erase_if(left, [&](const PeerName& peer) {
    return RemoveMemoryOfDeadOwner(peer.name) || !links_[peer.peer]->HasPeerEnded();
  });
  lock.unlock();
  const std::int64_t until_us = NowUs() + kLeavingUs;
  while (!left.empty() && NowUs() < until_us) {
    std::this_thread::sleep_for(kNapLeaving);
    std::erase_if(left, [](const PeerName& peer) { return RemoveMemoryOfDeadOwner(peer.name); });
  }
}

void Port::Lock::lock() {
  for (int tries = 1; !port_.mutex_.try_lock_for(kPatience); ++tries) {
    port_.FreeProviderLocks(tries >= kPatienceWithLiving);
  }
}

void Port::FreeProviderLocks(bool of_living_too) {
  const std::lock_guard lock(names_mutex_);
  for (const auto& [_, name] : peer_names_) {
    if (of_living_too || !OwnerLives(OwnerOf(name))) FreeLockOf(name);
  }
  if (of_living_too) FreeLockOf(place_.name);
}

bool Port::IsFinished(std::int64_t now_us) {
  if (closed_us_ < 0) return false;
  const bool is_done =
      std::all_of(links_.begin(), links_.end(), [](const auto& link) { return link->IsDone(); });
  return now_us - closed_us_ >= (is_done ? kLingerUs : kFarewellUs);
}

}  // namespace megascale::m2n::fabric

#endif  // MEGASCALE_HAS_LIBFABRIC
