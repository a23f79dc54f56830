// ZeroMQ PAIR sockets over ipc, one for each pair; messages are sent without a copy of ours.
#include <zmq.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "contender.hpp"

namespace megascale::bench {
namespace {

class ZeroMqEnd : public End {
 public:
  ZeroMqEnd(const Setup& setup, Role role, int rank) : setup_(setup), context_(zmq_ctx_new()) {
    const bool sends = role == Role::kSender;
    const int peers = sends ? setup.receivers : setup.senders;
    out_bytes_ = sends ? setup.message_bytes : setup.answer_bytes;
    links_.resize(static_cast<std::size_t>(peers));
    for (int peer = 0; peer < peers; ++peer) {
      const int sender = sends ? rank : peer, receiver = sends ? peer : rank;
      const std::string name = "ipc://" + setup.directory + "/" + std::to_string(sender) + "-" +
                               std::to_string(receiver);
      Link& link = links_[static_cast<std::size_t>(peer)];
      link.outgoing.resize(static_cast<std::size_t>(setup.slots),
                           std::vector<std::byte>(out_bytes_));
      link.socket = zmq_socket(context_, ZMQ_PAIR);
      const int result =
          sends ? zmq_connect(link.socket, name.c_str()) : zmq_bind(link.socket, name.c_str());
      if (result != 0) throw std::runtime_error(zmq_strerror(zmq_errno()));
      zmq_msg_init(&link.incoming);
    }
  }

  ~ZeroMqEnd() override {
    for (Link& link : links_) {
      zmq_msg_close(&link.incoming);
      zmq_close(link.socket);
    }
    zmq_ctx_term(context_);
  }

  std::byte* Outgoing(int peer, int slot) override { return BufferOf(peer, slot).data(); }

  bool TrySend(int peer, int slot) override {
    // The slot is not written before its answer is here, so the buffer may be lent.
    zmq_msg_t message;
    zmq_msg_init_data(&message, BufferOf(peer, slot).data(), out_bytes_, nullptr, nullptr);
    if (zmq_msg_send(&message, LinkOf(peer).socket, ZMQ_DONTWAIT) >= 0) return true;
    zmq_msg_close(&message);
    if (zmq_errno() != EAGAIN) throw std::runtime_error(zmq_strerror(zmq_errno()));
    return false;
  }

  const std::byte* TryReceive(int peer, int) override {
    Link& link = LinkOf(peer);
    if (zmq_msg_recv(&link.incoming, link.socket, ZMQ_DONTWAIT) >= 0) {
      return static_cast<const std::byte*>(zmq_msg_data(&link.incoming));
    }
    if (zmq_errno() != EAGAIN) throw std::runtime_error(zmq_strerror(zmq_errno()));
    return nullptr;
  }

 private:
  struct Link {
    void* socket = nullptr;
    zmq_msg_t incoming;
    std::vector<std::vector<std::byte>> outgoing;  // [slots]
  };
  Link& LinkOf(int peer) { return links_[static_cast<std::size_t>(peer)]; }
  std::vector<std::byte>& BufferOf(int peer, int slot) {
    return LinkOf(peer).outgoing[static_cast<std::size_t>(slot)];
  }

  Setup setup_;
  void* context_;
  std::size_t out_bytes_ = 0;
  std::vector<Link> links_;
};

}  // namespace

bool IsForked() { return true; }
int OwnRank(int*, char***) { return 0; }
void Prepare(const Setup&) {}

std::unique_ptr<End> Open(const Setup& setup, Role role, int rank) {
  return std::make_unique<ZeroMqEnd>(setup, role, rank);
}

}  // namespace megascale::bench
