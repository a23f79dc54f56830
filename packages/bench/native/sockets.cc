// Plain stream sockets, non-blocking, one for each pair; variants "unix" and "tcp" (loopback).
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <vector>

#include "contender.hpp"

namespace megascale::bench {
namespace {

constexpr int kBufferBytes = 4 << 20;

// [senders × receivers] both ends, made before the processes are.
struct Pair {
  int sender;
  int receiver;
};
std::vector<Pair> pairs;

[[noreturn]] void Fail(const char* what) { throw std::runtime_error(what); }

Pair UnixPair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) Fail("socketpair");
  return Pair{.sender = ends[0], .receiver = ends[1]};
}

Pair TcpPair() {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0) Fail("bind");
  if (listen(listener, 1) != 0) Fail("listen");
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  const int sender = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(sender, reinterpret_cast<sockaddr*>(&address), length) != 0) Fail("connect");
  const int receiver = accept(listener, nullptr, nullptr);
  close(listener);
  const int on = 1;
  setsockopt(sender, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(receiver, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return Pair{.sender = sender, .receiver = receiver};
}

void Tune(int socket) {
  setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &kBufferBytes, sizeof(kBufferBytes));
  setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &kBufferBytes, sizeof(kBufferBytes));
  fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK);
}

class SocketEnd : public End {
 public:
  SocketEnd(const Setup& setup, Role role, int rank) {
    const bool sends = role == Role::kSender;
    const int peers = sends ? setup.receivers : setup.senders;
    const std::size_t out = sends ? setup.message_bytes : setup.answer_bytes;
    const std::size_t in = sends ? setup.answer_bytes : setup.message_bytes;
    for (int peer = 0; peer < peers; ++peer) {
      const int sender = sends ? rank : peer, receiver = sends ? peer : rank;
      const Pair& pair = pairs[static_cast<std::size_t>(sender * setup.receivers + receiver)];
      links_.push_back(Link{.socket = sends ? pair.sender : pair.receiver,
                            .outgoing = std::vector<std::byte>(out),
                            .incoming = std::vector<std::byte>(in)});
    }
  }

  // One buffer for all slots: once sent, a message is the kernel's.
  std::byte* Outgoing(int peer, int) override { return LinkOf(peer).outgoing.data(); }

  bool TrySend(int peer, int) override {
    Link& link = LinkOf(peer);
    const ssize_t sent = send(link.socket, link.outgoing.data() + link.sent,
                              link.outgoing.size() - link.sent, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) Fail("send");
    if (sent > 0) link.sent += static_cast<std::size_t>(sent);
    if (link.sent < link.outgoing.size()) return false;
    link.sent = 0;
    return true;
  }

  const std::byte* TryReceive(int peer, int) override {
    Link& link = LinkOf(peer);
    const ssize_t got = recv(link.socket, link.incoming.data() + link.received,
                             link.incoming.size() - link.received, 0);
    if (got == 0) Fail("the peer has gone");
    if (got < 0 && errno != EAGAIN) Fail("recv");
    if (got > 0) link.received += static_cast<std::size_t>(got);
    if (link.received < link.incoming.size()) return nullptr;
    link.received = 0;
    return link.incoming.data();
  }

 private:
  struct Link {
    int socket;
    std::vector<std::byte> outgoing, incoming;
    std::size_t sent = 0, received = 0;
  };
  Link& LinkOf(int peer) { return links_[static_cast<std::size_t>(peer)]; }

  std::vector<Link> links_;
};

}  // namespace

bool IsForked() { return true; }
int OwnRank(int*, char***) { return 0; }

void Prepare(const Setup& setup) {
  for (int pair = 0; pair < setup.senders * setup.receivers; ++pair) {
    pairs.push_back(setup.variant == "tcp" ? TcpPair() : UnixPair());
    Tune(pairs.back().sender);
    Tune(pairs.back().receiver);
  }
}

std::unique_ptr<End> Open(const Setup& setup, Role role, int rank) {
  return std::make_unique<SocketEnd>(setup, role, rank);
}

}  // namespace megascale::bench
