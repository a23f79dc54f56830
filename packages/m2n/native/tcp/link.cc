#if defined(__linux__)

#include "tcp/link.hpp"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <utility>

#include "protocol/wire_format.hpp"

namespace megascale::m2n {
namespace {

// Signs of life per time of silence that is allowed.
constexpr std::int64_t kStatusPerSilence = 4;
// The peer's limit may be shorter than this side's.
constexpr std::int64_t kStatusUsMax = 100'000;

std::string Milliseconds(std::int64_t us) { return std::to_string(us / 1000) + " ms"; }

std::string DifferentVersions(int theirs) {
  return "it speaks protocol version " + std::to_string(theirs) + ", this rank version " +
         std::to_string(kProtocolVersion);
}

}  // namespace

Link::Link(const PortSetup& port, const PeerSetup& peer, std::shared_ptr<AnonymousMemory> own,
           std::shared_ptr<AnonymousMemory> mirror)
    : port_(port), peer_(peer), own_(std::move(own)), mirror_(std::move(mirror)) {}

void Link::Adopt(FileDescriptor socket, std::int64_t now_us) {
  Configure(socket, port_.socket);
  if (peer_.keys) {
    connection_.Authenticate(peer_.keys->expert_to_attention, peer_.keys->attention_to_expert, 1);
  }
  connection_.Open(std::move(socket));
  heard_us_ = sent_us_ = now_us;
  greeting_is_due_ = true;
  BeOpen();
  Send(now_us);
}

void Link::StartConnecting(std::int64_t now_us) {
  if (peer_.keys) {
    connection_.Authenticate(peer_.keys->attention_to_expert, peer_.keys->expert_to_attention, 0);
  }
  connection_.Open(Connect(peer_.endpoint, port_.socket));
  state_ = State::kConnecting;
  heard_us_ = sent_us_ = began_us_ = now_us;
  greeting_is_due_ = true;
}

// Fills the mirror's header with what the handshake has proved.
void Link::BeOpen() {
  std::int32_t* words = mirror_->words();
  StoreRelease(words + SegmentWord::kMagic,
               port_.is_attention ? SegmentMagic::kExpert : SegmentMagic::kAttention);
  StoreRelease(words + SegmentWord::kVersion, static_cast<std::int32_t>(kProtocolVersion));
  StoreRelease(words + SegmentWord::kNonceLow, peer_.nonce[0]);
  StoreRelease(words + SegmentWord::kNonceHigh, peer_.nonce[1]);
  StoreRelease(words + SegmentWord::kLayoutHash, port_.layout_hash);
  StoreRelease(words + SegmentWord::kRank, peer_.rank);
  // The port is to call wake with every ring.
  StoreRelease(words + SegmentWord::kDoorbellParked, 1);
  StoreRelease(words + SegmentWord::kState, SegmentState::kOpen);
  state_ = State::kOpen;
  StoreRelease(own_->words() + SegmentWord::kPeerMapped + peer_.rank, 1);
  RingOwnDoorbell();
}

void Link::RingOwnDoorbell() {
  std::atomic_ref(own_->words()[SegmentWord::kDoorbellCount])
      .fetch_add(1, std::memory_order_seq_cst);
}

void Link::Lose(Loss::Code code, std::string why) {
  if (state_ == State::kLost) return;
  connection_.Close();
  if (state_ == State::kPeerClosed) return;
  state_ = State::kLost;
  loss_ = Loss{.code = code, .why = std::move(why)};
  StoreRelease(mirror_->words() + SegmentWord::kState, SegmentState::kLost);
  RingOwnDoorbell();
}

void Link::HandleEnd(Connection::Result result) {
  if (result == Connection::Result::kInvalid) {
    Lose(Loss::Code::kFrameInvalid, connection_.Why());
  } else if (result == Connection::Result::kEnded) {
    Lose(Loss::Code::kClosed, connection_.Why());
  }
}

bool Link::Receive(std::int64_t now_us) {
  if (!HasSocket()) return false;
  if (state_ == State::kConnecting) {
    const int error = ConnectError(connection_.socket());
    if (error != 0) {
      Lose(Loss::Code::kClosed, "cannot connect to " + peer_.endpoint.host + " port " +
                                    std::to_string(peer_.endpoint.port) + ": " +
                                    std::generic_category().message(error));
      return true;
    }
  }
  if (close_is_sent_) {
    if (connection_.Drain() == Connection::Result::kEnded) connection_.Close();
    return false;
  }
  bool heard = false;
  const Connection::Result result = connection_.Receive(&heard);
  if (heard || connection_.is_paused()) heard_us_ = now_us;
  HandleEnd(result);
  return result != Connection::Result::kIdle;
}

void Link::Send(std::int64_t now_us) {
  if (!HasSocket() || close_is_sent_) return;
  sent_us_ = now_us;
  HandleEnd(connection_.Send());
  if (close_is_sent_) connection_.EndSending();
}

void Link::Tick(std::int64_t now_us) {
  if (!HasSocket()) return;
  if (state_ == State::kConnecting || state_ == State::kGreeting) {
    if (now_us - began_us_ >= port_.handshake_us) {
      Lose(Loss::Code::kClosed,
           "it did not welcome this rank within " + Milliseconds(port_.handshake_us));
    }
    return;
  }
  if (state_ == State::kOpen && !is_closing_ && now_us - heard_us_ >= port_.silence_us) {
    return Lose(Loss::Code::kClosed,
                "nothing was heard of it for " + Milliseconds(port_.silence_us));
  }
  const std::int64_t status_us = std::min(port_.silence_us / kStatusPerSilence, kStatusUsMax);
  if (now_us - sent_us_ >= status_us) status_is_due_ = true;
  if (OwnStatus() != status_sent_) status_is_due_ = true;
  if (status_is_due_ || connection_.send_is_blocked() || is_closing_) Send(now_us);
}

void Link::SendNewStep(std::int64_t now_us) {
  if (state_ != State::kOpen || OwnStatus().step_seen == status_sent_.step_seen) return;
  status_is_due_ = true;
  Send(now_us);
}

void Link::BeginClosing() {
  is_closing_ = true;
  // No peer is there yet that could be told.
  if (state_ == State::kConnecting || state_ == State::kGreeting) connection_.Close();
}

Status Link::OwnStatus() const {
  if (port_.is_attention) return {};
  const std::int32_t* own = own_->words();
  return Status{.step_seen = LoadLong(own + SegmentWord::kStepSeenLow),
                .waits_for = LoadAcquire(own + SegmentWord::kWaitsFor)};
}

void Link::TakeStatus(const Status& status) {
  if (!port_.is_attention || status.step_seen < 0 || status.step_seen >> 53 != 0) return;
  StoreLong(mirror_->words() + SegmentWord::kStepSeenLow, status.step_seen);
  StoreRelease(mirror_->words() + SegmentWord::kWaitsFor, status.waits_for);
}

MessageHandler::Arrival Link::PartsArrived(const Head& head, MessageParts* in) {
  const std::int32_t kind = head[HeadWord::kKind];
  const bool greets = kind == MessageKind::kWelcome || kind == MessageKind::kRefusal;
  const bool is_greeted = state_ == State::kConnecting || state_ == State::kGreeting;
  if (is_greeted && VersionOf(kind) >= 0 && VersionOf(kind) != kProtocolVersion) {
    Lose(Loss::Code::kProtocolVersion, DifferentVersions(VersionOf(kind)));
    return Arrival::kInvalid;
  }
  if (greets != is_greeted) return Arrival::kInvalid;
  if (greets || kind == MessageKind::kStatus || kind == MessageKind::kClose) {
    return BodyBytes(head) == 0 ? Arrival::kComplete : Arrival::kInvalid;
  }
  return state_ == State::kOpen ? WorkArrived(head, in) : Arrival::kInvalid;
}

bool Link::MessageArrived(const Head& head) {
  switch (head[HeadWord::kKind]) {
    case MessageKind::kWelcome:
      if (DecodeGreeting(head) != GreetingOf(port_, peer_)) return false;
      BeOpen();
      return true;
    case MessageKind::kRefusal:
      return TakeRefusal(head);
    case MessageKind::kClose:
      if (state_ != State::kOpen) return false;
      state_ = State::kPeerClosed;
      StoreRelease(mirror_->words() + SegmentWord::kState, SegmentState::kClosed);
      RingOwnDoorbell();
      return true;
    case MessageKind::kStatus:
      TakeStatus(DecodeStatus(head));
      return true;
    default:
      return PublishWork(head);
  }
}

bool Link::TakeRefusal(const Head& head) {
  switch (RefusalReasonOf(head)) {
    case RefusalReason::kVersion:
      Lose(Loss::Code::kProtocolVersion, DifferentVersions(VersionOf(head[HeadWord::kKind])));
      return true;
    case RefusalReason::kNotAuthentic:
      Lose(Loss::Code::kClosed, "it refused this rank: their pre-shared keys differ");
      return true;
    default:
      Lose(Loss::Code::kClosed, "it refused this rank: it expects others");
      return true;
  }
}

bool Link::NextMessage(Head* head, MessageParts* out) {
  saying_ = Saying::kNothing;
  if (greeting_is_due_) {
    saying_ = Saying::kGreeting;
    const auto kind = port_.is_attention ? MessageKind::kHello : MessageKind::kWelcome;
    *head = EncodeGreeting(kind, GreetingOf(port_, peer_));
  } else if (state_ != State::kOpen) {
    if (state_ != State::kPeerClosed || !is_closing_ || close_is_sent_) return false;
    saying_ = Saying::kClose;
    *head = EncodeStatus(MessageKind::kClose, {});
  } else if (NextWork(head, out)) {
    saying_ = Saying::kWork;
  } else if (is_closing_ && !close_is_sent_) {
    saying_ = Saying::kClose;
    *head = EncodeStatus(MessageKind::kClose, {});
  } else if (status_is_due_ && !close_is_sent_) {
    saying_ = Saying::kStatus;
    status_sent_ = OwnStatus();
    *head = EncodeStatus(MessageKind::kStatus, status_sent_);
    status_is_due_ = false;
  }
  return saying_ != Saying::kNothing;
}

void Link::MessageSent() {
  if (saying_ == Saying::kGreeting) {
    greeting_is_due_ = false;
    if (state_ == State::kConnecting) state_ = State::kGreeting;
  }
  if (saying_ == Saying::kWork) WorkSent();
  if (saying_ == Saying::kClose) close_is_sent_ = true;
}

}  // namespace megascale::m2n

#endif  // __linux__
