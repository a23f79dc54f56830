#if defined(__linux__)

#include "tcp/lobby.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "tcp/messages/authenticator.hpp"

namespace megascale::m2n {
namespace {

// For a hello, which fits one packet.
constexpr std::int64_t kHelloUs = 2'000'000;

}  // namespace

Lobby::Lobby(const PortSetup& port, std::size_t places) : port_(port), guests_(places) {}

std::size_t Lobby::FreePlace() {
  std::size_t oldest = 0;
  for (std::size_t place = 0; place < guests_.size(); ++place) {
    if (!guests_[place].socket.IsOpen()) return place;
    const auto rank = [](const Guest& guest) {
      return std::pair(guest.is_complete, guest.until_us);
    };
    if (rank(guests_[place]) < rank(guests_[oldest])) oldest = place;
  }
  Refuse(oldest, RefusalReason::kNotExpected);
  return oldest;
}

std::size_t Lobby::Admit(FileDescriptor socket, std::int64_t now_us) {
  const std::size_t place = FreePlace();
  guests_[place] = Guest{};
  guests_[place].socket = std::move(socket);
  guests_[place].until_us = now_us + std::min(kHelloUs, port_.handshake_us);
  return place;
}

bool Lobby::Receive(std::size_t place, std::int64_t now_us) {
  Guest& guest = guests_[place];
  const std::size_t wanted = kHeadBytes + (port_.is_authenticated ? kTagBytes : 0);
  while (guest.received < wanted) {
    const bool in_head = guest.received < kHeadBytes;
    char* to = in_head ? reinterpret_cast<char*>(guest.head.data()) + guest.received
                       : reinterpret_cast<char*>(guest.tag.data()) + guest.received - kHeadBytes;
    const std::size_t left = (in_head ? kHeadBytes : wanted) - guest.received;
    const ssize_t got = recv(guest.socket.get(), to, left, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got <= 0) {
      Refuse(place, RefusalReason::kNotExpected);
      return false;
    }
    guest.received += static_cast<std::size_t>(got);
    if (in_head && guest.received == kHeadBytes && !HeadArrived(place)) return false;
  }
  guest.is_complete = true;
  guest.until_us = now_us + port_.handshake_us;
  return true;
}

bool Lobby::HeadArrived(std::size_t place) {
  const Head& head = guests_[place].head;
  const std::int32_t kind = head[HeadWord::kKind];
  const Greeting hello = DecodeGreeting(head);
  std::optional<RefusalReason> reason;
  if (VersionOf(kind) >= 0 && VersionOf(kind) != kProtocolVersion) {
    reason = RefusalReason::kVersion;
  } else if (head != EncodeGreeting(MessageKind::kHello, hello) ||
             hello.expert_rank != port_.rank || hello.expert_nonce != port_.nonce ||
             hello.layout_hash != port_.layout_hash ||
             hello.combines_at_experts != port_.combines_at_experts || hello.attention_rank < 0 ||
             hello.attention_rank >= port_.shape.attention_worker_count) {
    reason = RefusalReason::kNotExpected;
  } else if (hello.authenticated != port_.is_authenticated) {
    reason = RefusalReason::kNotAuthentic;
  }
  if (reason) Refuse(place, *reason);
  return !reason;
}

void Lobby::Tick(std::int64_t now_us) {
  for (std::size_t place = 0; place < guests_.size(); ++place) {
    if (guests_[place].socket.IsOpen() && now_us >= guests_[place].until_us) {
      Refuse(place, RefusalReason::kNotExpected);
    }
  }
}

bool Lobby::Find(std::int32_t attention_rank, std::size_t* place) const {
  for (; *place < guests_.size(); ++*place) {
    const Guest& guest = guests_[*place];
    if (guest.socket.IsOpen() && guest.is_complete &&
        DecodeGreeting(guest.head).attention_rank == attention_rank) {
      return true;
    }
  }
  return false;
}

bool Lobby::IsProved(std::size_t place, const PeerSetup& peer) const {
  const Guest& guest = guests_[place];
  const Greeting expected = GreetingOf(port_, peer);
  if (DecodeGreeting(guest.head) != expected) return false;
  if (!peer.keys) return true;
  Head head = guest.head;
  MessageParts hello;
  hello.Clear();
  hello.Add(head.data(), kHeadBytes);
  return AreEqual(guest.tag, Authenticator(peer.keys->attention_to_expert).Next(hello));
}

FileDescriptor Lobby::Take(std::size_t place) { return std::move(guests_[place].socket); }

// A guest without a head of this protocol gets no answer.
void Lobby::Refuse(std::size_t place, RefusalReason reason) {
  Guest& guest = guests_[place];
  ++refused_count_;
  if (guest.received >= kHeadBytes && VersionOf(guest.head[HeadWord::kKind]) >= 0) {
    const Head refusal = EncodeRefusal(reason);
    const ssize_t sent =
        send(guest.socket.get(), refusal.data(), kHeadBytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == static_cast<ssize_t>(kHeadBytes)) shutdown(guest.socket.get(), SHUT_WR);
  }
  guest.socket.Close();
}

void Lobby::Clear() {
  for (Guest& guest : guests_) guest.socket.Close();
}

bool Lobby::IsEmpty() const {
  return std::none_of(guests_.begin(), guests_.end(),
                      [](const Guest& guest) { return guest.socket.IsOpen(); });
}

}  // namespace megascale::m2n

#endif  // __linux__
