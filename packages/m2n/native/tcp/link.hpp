#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "protocol/frame.hpp"
#include "tcp/anonymous_memory.hpp"
#include "tcp/connection.hpp"
#include "tcp/port_setup.hpp"

namespace megascale::m2n {

// How a peer was lost: PeerLoss of src/shared-memory.ts.
struct Loss {
  enum class Code { kClosed, kFrameInvalid, kProtocolVersion };
  Code code = Code::kClosed;
  std::string why;
};

// The connection of one pair of ranks, seen from one of them: keeps this side's mirror of the
// peer's segment like the original. One thread at a time.
class Link : public MessageHandler {
 public:
  // `own` are the words of this port's segment.
  Link(const PortSetup& port, const PeerSetup& peer, std::shared_ptr<AnonymousMemory> own,
       std::shared_ptr<AnonymousMemory> mirror);

  // A connection whose hello this expert rank has checked.
  void Adopt(FileDescriptor socket, std::int64_t now_us);
  // This attention rank connects, and says hello once it has. Throws as Connect does.
  void StartConnecting(std::int64_t now_us);

  // Handles what has come and says what there is to say. True if something happened.
  bool Receive(std::int64_t now_us);
  void Send(std::int64_t now_us);
  // Deadlines, and signs of life.
  void Tick(std::int64_t now_us);
  // The own port has closed: says so once everything else is said.
  void BeginClosing();
  void Lose(Loss::Code code, std::string why);

  // Nothing is left to do for a port that closed.
  bool IsFinished() const { return !connection_.IsOpen(); }
  bool HasSocket() const { return connection_.IsOpen(); }
  int fd() const { return connection_.socket().get(); }
  bool WantsToRead() const { return !connection_.is_paused(); }
  bool WantsToWrite() const {
    return state_ == State::kConnecting || connection_.send_is_blocked();
  }
  bool IsPaused() const { return connection_.is_paused(); }
  bool IsConnected() const { return state_ == State::kOpen || state_ == State::kPeerClosed; }
  bool IsAwaited() const { return state_ == State::kAwaited; }
  // Tells an attention rank of a step that it has not heard of.
  void SendNewStep(std::int64_t now_us);
  const Loss& loss() const { return loss_; }
  const PeerSetup& peer() const { return peer_; }
  const std::shared_ptr<AnonymousMemory>& mirror() const { return mirror_; }

 protected:
  bool MayReceive() override { return true; }
  Arrival PartsArrived(const Head& head, MessageParts* in) override;
  bool MessageArrived(const Head& head) override;
  bool NextMessage(Head* head, MessageParts* out) override;
  void MessageSent() override;

  // Frames or answers.
  virtual Arrival WorkArrived(const Head& head, MessageParts* in) = 0;
  virtual bool PublishWork(const Head& head) = 0;
  virtual bool NextWork(Head* head, MessageParts* out) = 0;
  virtual void WorkSent() = 0;

  Status OwnStatus() const;
  void TakeStatus(const Status& status);
  void RingOwnDoorbell();

  const PortSetup& port_;
  const PeerSetup peer_;
  const std::shared_ptr<AnonymousMemory> own_;
  const std::shared_ptr<AnonymousMemory> mirror_;
  Status status_sent_;

 private:
  enum class State { kAwaited, kConnecting, kGreeting, kOpen, kPeerClosed, kLost };
  enum class Saying { kNothing, kGreeting, kWork, kStatus, kClose };

  void BeOpen();
  void HandleEnd(Connection::Result result);
  bool TakeRefusal(const Head& head);

  Connection connection_{this};
  State state_ = State::kAwaited;
  Saying saying_ = Saying::kNothing;
  bool greeting_is_due_ = false;
  bool status_is_due_ = false;
  bool is_closing_ = false;
  bool close_is_sent_ = false;
  std::int64_t heard_us_ = 0;
  std::int64_t sent_us_ = 0;
  std::int64_t began_us_ = 0;
  Loss loss_;
};

}  // namespace megascale::m2n
