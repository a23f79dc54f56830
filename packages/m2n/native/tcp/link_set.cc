#if defined(__linux__)

#include "tcp/link_set.hpp"

#include <algorithm>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "tcp/attention_link.hpp"
#include "tcp/expert_link.hpp"

namespace megascale::m2n {
namespace {

constexpr std::size_t kListenerNumber = 0;
// On top of one place for every attention rank.
constexpr std::size_t kSparePlaces = 16;
constexpr std::int64_t kTicksPerSilence = 16;
constexpr std::int64_t kTickUsMin = 5'000;
constexpr std::int64_t kTickUsMax = 50'000;
// More than these are found by the poller.
constexpr std::size_t kFewLinks = 2;

std::size_t PeerCount(const PortSetup& port) {
  return static_cast<std::size_t>(port.is_attention ? port.shape.expert_worker_count
                                                    : port.shape.attention_worker_count);
}

std::size_t OwnBytes(const PortSetup& port, bool is_attention) {
  return static_cast<std::size_t>(is_attention ? LayoutOfAttentionSegment(port.shape).byte_length
                                               : ExpertSegmentBytes(port.shape));
}

}  // namespace

LinkSet::LinkSet(const PortSetup& port)
    : port_(port),
      own_(std::make_shared<AnonymousMemory>(OwnBytes(port, port.is_attention))),
      links_(PeerCount(port)),
      interests_(links_.size()),
      lobby_(port_, port.is_attention ? 0 : links_.size() + kSparePlaces),
      tick_us_(std::clamp(port.silence_us / kTicksPerSilence, kTickUsMin, kTickUsMax)),
      few_links_(links_.size() <= kFewLinks) {
  if (port.is_attention) return;
  listener_ = Listen(port.listen, &bound_);
  poller_.Add(listener_.get(), kListenerNumber, true, false);
}

std::shared_ptr<AnonymousMemory> LinkSet::AddPeer(const PeerSetup& peer, std::int64_t now_us) {
  const auto index = static_cast<std::size_t>(peer.rank);
  if (index >= links_.size() || links_[index] != nullptr) {
    throw std::logic_error("there is no such peer, or it was added before");
  }
  auto mirror = std::make_shared<AnonymousMemory>(OwnBytes(port_, !port_.is_attention));
  if (port_.is_attention) {
    links_[index] = std::make_unique<AttentionLink>(port_, peer, own_, mirror);
    links_[index]->StartConnecting(now_us);
    Touch(index);
  } else {
    links_[index] = std::make_unique<ExpertLink>(port_, peer, own_, mirror);
    Welcome(links_[index].get(), now_us);
  }
  return mirror;
}

// The first guest that proves to be the link's peer becomes it; others that say so are refused.
void LinkSet::Welcome(Link* link, std::int64_t now_us) {
  const PeerSetup& peer = link->peer();
  for (std::size_t place = 0; lobby_.Find(peer.rank, &place); ++place) {
    if (!link->IsAwaited()) {
      lobby_.Refuse(place, RefusalReason::kTwice);
    } else if (!lobby_.IsProved(place, peer)) {
      lobby_.Refuse(place, peer.keys ? RefusalReason::kNotAuthentic : RefusalReason::kNotExpected);
    } else {
      link->Adopt(lobby_.Take(place), now_us);
      Touch(static_cast<std::size_t>(peer.rank));
    }
  }
}

void LinkSet::StopListening() {
  listener_.Close();
  lobby_.Clear();
}

// Tells the poller what the link waits for now.
void LinkSet::Touch(std::size_t index) {
  const Link& link = *links_[index];
  Interest& told = interests_[index];
  const Interest now{.fd = link.HasSocket() ? link.fd() : -1,
                     .read = link.WantsToRead(),
                     .write = link.WantsToWrite()};
  if (now.fd < 0) {
    told = Interest{};
    return;
  }
  if (told.fd < 0) {
    poller_.Add(now.fd, 1 + index, now.read, now.write);
  } else if (told.read != now.read || told.write != now.write) {
    poller_.Change(now.fd, 1 + index, now.read, now.write);
  }
  told = now;
}

Link* LinkSet::Find(std::int32_t rank) {
  const auto index = static_cast<std::size_t>(rank);
  return index < links_.size() ? links_[index].get() : nullptr;
}

void LinkSet::Send(std::int32_t rank, std::int64_t now_us) {
  const auto index = static_cast<std::size_t>(rank);
  if (index >= links_.size() || links_[index] == nullptr) return;
  links_[index]->Send(now_us);
  Touch(index);
}

void LinkSet::SendAll(std::int64_t now_us) {
  for (std::size_t index = 0; index < links_.size(); ++index) {
    Send(static_cast<std::int32_t>(index), now_us);
  }
}

bool LinkSet::PassOverLinks(std::int64_t now_us) {
  bool happened = false;
  for (std::size_t index = 0; index < links_.size(); ++index) {
    Link* link = links_[index].get();
    if (link == nullptr || !link->HasSocket()) continue;
    if (link->Receive(now_us)) happened = true;
    if (link->WantsToWrite()) link->Send(now_us);
    Touch(index);
  }
  return happened;
}

bool LinkSet::PassOverReady(std::int64_t now_us) {
  bool happened = false;
  poller_.ForEachReady([&](std::size_t number) {
    happened = true;
    if (number == kListenerNumber) return Accept(now_us);
    if (number > links_.size()) return GuestIsReady(number - 1 - links_.size(), now_us);
    Link* link = links_[number - 1].get();
    if (!link->HasSocket()) return;
    link->Receive(now_us);
    if (link->WantsToWrite()) link->Send(now_us);
    Touch(number - 1);
  });
  // A paused link is not polled; the port may have made room.
  for (std::size_t index = 0; index < links_.size(); ++index) {
    Link* link = links_[index].get();
    if (link == nullptr || !link->HasSocket() || !link->IsPaused()) continue;
    if (link->Receive(now_us)) happened = true;
    Touch(index);
  }
  return happened;
}

void LinkSet::Accept(std::int64_t now_us) {
  if (!listener_.IsOpen()) return;
  // A few at a time: links come first.
  for (int accepted = 0; accepted < 8; ++accepted) {
    FileDescriptor socket = megascale::m2n::Accept(listener_);
    if (!socket.IsOpen()) return;
    const std::size_t place = lobby_.Admit(std::move(socket), now_us);
    poller_.Add(lobby_.fd(place), GuestNumber(place), true, false);
  }
}

void LinkSet::GuestIsReady(std::size_t place, std::int64_t now_us) {
  const int fd = lobby_.fd(place);
  if (fd < 0 || !lobby_.Receive(place, now_us)) return;
  // It has said all that a guest may say.
  poller_.Remove(fd);
  for (const auto& link : links_) {
    if (link != nullptr) Welcome(link.get(), now_us);
  }
}

void LinkSet::Tick(std::int64_t now_us) {
  if (now_us < next_tick_us_) return;
  next_tick_us_ = now_us + tick_us_;
  lobby_.Tick(now_us);
  for (std::size_t index = 0; index < links_.size(); ++index) {
    if (links_[index] == nullptr) continue;
    links_[index]->Tick(now_us);
    Touch(index);
  }
}

void LinkSet::SendNewSteps(std::int64_t now_us) {
  for (std::size_t index = 0; index < links_.size(); ++index) {
    if (links_[index] == nullptr) continue;
    links_[index]->SendNewStep(now_us);
    Touch(index);
  }
}

void LinkSet::BeginClosing(std::int64_t now_us) {
  StopListening();
  for (std::size_t index = 0; index < links_.size(); ++index) {
    if (links_[index] == nullptr) continue;
    links_[index]->BeginClosing();
    Send(static_cast<std::int32_t>(index), now_us);
  }
}

bool LinkSet::IsFinished() const {
  return std::all_of(links_.begin(), links_.end(), [](const std::unique_ptr<Link>& link) {
    return link == nullptr || link->IsFinished();
  });
}

void LinkSet::CloseAll() {
  StopListening();
  for (const auto& link : links_) {
    if (link != nullptr) link->Lose(Loss::Code::kClosed, "this rank's port is closed");
  }
}

}  // namespace megascale::m2n

#endif  // __linux__
