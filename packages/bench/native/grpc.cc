// gRPC: a bidirectional stream over a Unix socket for each pair. Senders are clients, receivers
// servers; a thread of each stream reads.
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "contender.hpp"
#include "frame.grpc.pb.h"

namespace megascale::bench {
namespace {

constexpr int kMessageBytesMax = 64 << 20;

std::string SocketOf(const Setup& setup, int receiver) {
  return "unix:" + setup.directory + "/grpc-" + std::to_string(receiver);
}

// What a reader thread hands to the harness's thread.
class Mailbox {
 public:
  void Put(Frame frame) {
    const std::lock_guard lock(mutex_);
    frames_.push_back(std::move(frame));
    count_.fetch_add(1, std::memory_order_release);
  }
  bool TryTake(Frame* frame) {
    if (count_.load(std::memory_order_acquire) == 0) return false;
    const std::lock_guard lock(mutex_);
    *frame = std::move(frames_.front());
    frames_.pop_front();
    count_.fetch_sub(1, std::memory_order_relaxed);
    return true;
  }

 private:
  std::mutex mutex_;
  std::deque<Frame> frames_;
  std::atomic<int> count_{0};
};

using Stream = grpc::internal::WriterInterface<Frame>;

// One pair, seen from either side.
struct Link {
  Stream* stream = nullptr;
  Mailbox mailbox;
  Frame outgoing, incoming;
};

const std::byte* BytesOf(const Frame& frame) {
  return reinterpret_cast<const std::byte*>(frame.payload().data());
}

class GrpcEnd : public End {
 public:
  GrpcEnd(std::size_t peers, std::size_t out_bytes) : links_(peers) {
    for (Link& link : links_) link.outgoing.mutable_payload()->resize(out_bytes);
  }
  std::byte* Outgoing(int peer, int) override {
    return reinterpret_cast<std::byte*>(LinkOf(peer).outgoing.mutable_payload()->data());
  }
  bool TrySend(int peer, int) override {
    if (!LinkOf(peer).stream->Write(LinkOf(peer).outgoing, grpc::WriteOptions())) {
      throw std::runtime_error("the stream has ended");
    }
    return true;
  }
  const std::byte* TryReceive(int peer, int) override {
    Link& link = LinkOf(peer);
    return link.mailbox.TryTake(&link.incoming) ? BytesOf(link.incoming) : nullptr;
  }

 protected:
  Link& LinkOf(int peer) { return links_[static_cast<std::size_t>(peer)]; }

  std::vector<Link> links_;
};

class ClientEnd : public GrpcEnd {
 public:
  ClientEnd(const Setup& setup, int rank)
      : GrpcEnd(static_cast<std::size_t>(setup.receivers), setup.message_bytes),
        contexts_(static_cast<std::size_t>(setup.receivers)) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
    for (int receiver = 0; receiver < setup.receivers; ++receiver) {
      auto channel = grpc::CreateCustomChannel(SocketOf(setup, receiver),
                                               grpc::InsecureChannelCredentials(), arguments);
      stubs_.push_back(Rows::NewStub(channel));
      grpc::ClientContext& context = contexts_[static_cast<std::size_t>(receiver)];
      context.AddMetadata("sender", std::to_string(rank));
      context.set_wait_for_ready(true);
      streams_.push_back(stubs_.back()->Exchange(&context));
      Link& link = LinkOf(receiver);
      link.stream = streams_.back().get();
      readers_.emplace_back([&link, stream = streams_.back().get()] {
        for (Frame frame; stream->Read(&frame);) link.mailbox.Put(std::move(frame));
      });
    }
  }

  void Finish() override {
    for (auto& stream : streams_) stream->WritesDone();
    for (std::thread& reader : readers_) reader.join();
    for (auto& stream : streams_) stream->Finish();
  }

 private:
  std::vector<std::unique_ptr<Rows::Stub>> stubs_;
  std::vector<grpc::ClientContext> contexts_;
  std::vector<std::unique_ptr<grpc::ClientReaderWriter<Frame, Frame>>> streams_;
  std::vector<std::thread> readers_;
};

class ServerEnd : public GrpcEnd, private Rows::Service {
 public:
  ServerEnd(const Setup& setup, int rank)
      : GrpcEnd(static_cast<std::size_t>(setup.senders), setup.answer_bytes) {
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(kMessageBytesMax);
    builder.AddListeningPort(SocketOf(setup, rank), grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) throw std::runtime_error("gRPC cannot listen");
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return here_ == setup.senders; });
  }

  void Finish() override {
    {
      const std::lock_guard lock(mutex_);
      is_finished_ = true;
      changed_.notify_all();
    }
    server_->Shutdown();
    server_->Wait();
  }

 private:
  grpc::Status Exchange(grpc::ServerContext* context,
                        grpc::ServerReaderWriter<Frame, Frame>* stream) override {
    const auto& metadata = context->client_metadata();
    const auto sender = metadata.find("sender");
    if (sender == metadata.end()) return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "");
    Link& link = LinkOf(std::stoi(std::string(sender->second.data(), sender->second.size())));
    link.stream = stream;
    stream->SendInitialMetadata();
    {
      const std::lock_guard lock(mutex_);
      ++here_;
      changed_.notify_all();
    }
    for (Frame frame; stream->Read(&frame);) link.mailbox.Put(std::move(frame));
    // The stream ends with this call, and the harness's thread may still be leaving its last Write.
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return is_finished_; });
    return grpc::Status::OK;
  }

  std::unique_ptr<grpc::Server> server_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int here_ = 0;
  bool is_finished_ = false;
};

}  // namespace

bool IsForked() { return true; }
int OwnRank(int*, char***) { return 0; }
void Prepare(const Setup&) {}

std::unique_ptr<End> Open(const Setup& setup, Role role, int rank) {
  if (role == Role::kSender) return std::make_unique<ClientEnd>(setup, rank);
  return std::make_unique<ServerEnd>(setup, rank);
}

}  // namespace megascale::bench
