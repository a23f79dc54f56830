#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include "tcp/messages/authenticator.hpp"
#include "tcp/messages/message.hpp"
#include "tcp/messages/message_parts.hpp"
#include "tcp/socket.hpp"

namespace megascale::m2n {

// What the messages of a connection mean: AttentionLink and ExpertLink.
class MessageHandler {
 public:
  virtual ~MessageHandler() = default;
  // False while there is no room for another message: what has come stays in the kernel.
  virtual bool MayReceive() = 0;
  enum class Arrival { kMore, kComplete, kInvalid };
  // All parts added to `in` have come, `head` first. Checks them, and adds those that follow
  // (kMore) or says that the message is complete but for its tag.
  virtual Arrival PartsArrived(const Head& head, MessageParts* in) = 0;
  // The message is complete and authentic. False: it is not allowed here.
  virtual bool MessageArrived(const Head& head) = 0;
  // Fills the head and adds what follows it; false when there is nothing to say.
  virtual bool NextMessage(Head* head, MessageParts* out) = 0;
  // The kernel has got all of it.
  virtual void MessageSent() = 0;
};

// Sends and receives messages over a socket that does not block, in pieces of any length, straight
// from and into the memory they belong to. Only what comes together with a head, at most
// kStagingBytes, is copied once more. Allocates nothing once open.
class Connection {
 public:
  explicit Connection(MessageHandler* handler) : handler_(handler) {}

  void Open(FileDescriptor socket);
  // From the first message of each direction, or of the number given, on.
  void Authenticate(const Key& sent, const Key& received, std::uint64_t first_received);
  void Close() { socket_.Close(); }
  bool IsOpen() const { return socket_.IsOpen(); }
  const FileDescriptor& socket() const { return socket_; }

  enum class Result {
    kIdle,      // Nothing more to do now.
    kProgress,  // At least one message was handled.
    kEnded,     // The peer has ended the connection, or it broke: Why().
    kInvalid    // The peer broke the protocol: Why().
  };
  // `heard` becomes true when bytes came.
  Result Receive(bool* heard);
  // Sends all there is to say until the kernel takes no more.
  Result Send();
  // Reads what still comes and forgets it. kEnded once the peer has said everything.
  Result Drain();
  // Nothing more will be sent.
  void EndSending();

  bool send_is_blocked() const { return send_is_blocked_; }
  bool is_paused() const { return is_paused_; }
  const std::string& Why() const { return why_; }

 private:
  static constexpr std::size_t kStagingBytes = 8192;
  static constexpr int kPiecesMax = 256;

  Result HandleStaged();
  // kProgress: the message under way is complete and was handled.
  Result ContinueMessage();
  Result Fail(Result result, std::string why);
  void BeginReceiving();
  bool BeginSending();

  MessageHandler* handler_;
  FileDescriptor socket_;
  std::string why_;
  std::optional<Authenticator> sent_authenticator_;
  std::optional<Authenticator> received_authenticator_;

  // The message that is being received: its head is its first part.
  MessageParts in_;
  Head in_head_{};
  Tag in_tag_{};
  bool in_is_whole_ = false;  // All parts are known, the tag included.
  bool is_paused_ = false;
  std::array<char, kStagingBytes> staging_;
  std::size_t staged_begin_ = 0;
  std::size_t staged_end_ = 0;

  MessageParts out_;
  Head out_head_{};
  Tag out_tag_{};
  bool is_sending_ = false;
  bool send_is_blocked_ = false;
};

}  // namespace megascale::m2n
