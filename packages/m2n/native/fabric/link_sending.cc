#if defined(MEGASCALE_HAS_LIBFABRIC)

#include <algorithm>

#include "fabric/dead_owner.hpp"
#include "fabric/link.hpp"

// The half of Link that sends.
namespace megascale::m2n::fabric {
namespace {

constexpr std::int64_t kHeartbeatUs = 100'000;
// Of a peer that has said nothing: it is gone, or its host is.
constexpr std::int64_t kSilenceUs = 3'000'000;
constexpr std::uint32_t kAcknowledgeEvery = 32;

}  // namespace

void Link::Meet(const PeerPlace& place, std::int64_t now_us) {
  place_ = place;
  is_met_ = true;
  heard_us_ = now_us;
}

std::int32_t Link::OwnState() const {
  return is_abandoned_ ? SegmentState::kLost
                       : LoadAcquire(context_.own_words + SegmentWord::kState);
}

bool Link::HasPeerEnded() const {
  return loss_.has_value() || LoadAcquire(mirror_ + SegmentWord::kState) == SegmentState::kClosed;
}

bool Link::IsDone() const {
  if (loss_.has_value() || !hello_sent_) return true;
  return state_sent_ == OwnState() && !is_sending_ && taken_ == sent_;
}

void Link::Tick(std::int64_t now_us) {
  if (loss_.has_value() || !hello_sent_) return;
  const auto tail = LoadAcquire(segment_ + pair_.ring_tail);
  const bool has_news = arrivals_.read() != acknowledged_ ||
                        (!context_.is_attention &&
                         (tail != tail_sent_ ||
                          LoadLong(context_.own_words + SegmentWord::kStepSeenLow) != step_sent_));
  if (has_news || now_us - spoke_us_ >= kHeartbeatUs) wants_status_ = true;
  if (is_open_ && now_us - heard_us_ >= kSilenceUs) {
    Lose(LossCode::kPeerClosed,
         "it has not been heard of for " + std::to_string((now_us - heard_us_) / 1000) + " ms");
  }
}

void Link::Send(Endpoint& endpoint, std::int64_t now_us) {
  while (is_met_ && !loss_.has_value()) {
    if (!is_sending_ && !Begin(now_us)) return;
    if (!PostParts(endpoint) || !PostNotice(endpoint, now_us)) return;
    is_sending_ = false;
  }
}

// Hello first: the attention rank's, then the expert rank's, because two sides that connect at once
// may hinder each other. The end of the port last, after all that its peer may still read.
bool Link::Begin(std::int64_t now_us) {
  if (!hello_sent_) {
    if (!context_.is_attention && !is_open_) return false;
    BeginNotice(NoticeKind::kHello);
    std::copy_n(context_.own_words, kHeaderWords, notice_.begin() + NoticeWord::kBody);
    std::copy_n(place_.nonce, 2, notice_.begin() + NoticeWord::kBody + kHeaderWords);
    hello_sent_ = true;
    return true;
  }
  if (is_open_ && HasRoom(kNoticesForStatus)) {
    if (context_.is_attention ? BeginFrame() : BeginReply()) return true;
    if (loss_.has_value()) return false;
  }
  const std::int32_t state = OwnState();
  const bool must_acknowledge = arrivals_.read() - acknowledged_ >= kAcknowledgeEvery;
  if (state == state_sent_ && !must_acknowledge && !wants_status_) return false;
  if (!HasRoom(0)) return false;
  // Heartbeats that no peer reads must not fill the ring.
  if (state == state_sent_ && !must_acknowledge && !HasRoom(kNoticesForStatus / 2)) return false;
  BeginNotice(NoticeKind::kStatus);
  notice_[NoticeWord::kState] = state;
  state_sent_ = state;
  static_cast<void>(now_us);
  return true;
}

void Link::BeginNotice(std::int32_t kind) {
  notice_.fill(0);
  notice_[NoticeWord::kKind] = kind;
  message_ = Message();
  has_part_ = false;
  parts_ = 0;
  is_sending_ = true;
}

bool Link::BeginFrame() {
  if (LoadAcquire(segment_ + pair_.ring_head) == static_cast<std::int32_t>(frames_sent_)) {
    return false;
  }
  const std::int32_t* words =
      segment_ + pair_.ring_frames + (frames_sent_ & (kRingFrames - 1)) * kFrameWords;
  BeginNotice(NoticeKind::kFrame);
  std::copy_n(words, kFrameWords, notice_.begin() + NoticeWord::kBody);
  ++frames_sent_;
  Frame frame;
  if (!DecodeFrame(words, context_.shape, &frame)) {
    Invalid("its own port wrote an invalid frame");
    return false;
  }
  if (frame.type == FrameType::kRows && frame.row_count > 0) {
    tokens_[static_cast<std::size_t>(frame.micro_batch)] = frame.tokens;
    message_ = MessageOfFrame(frame);
    if (Enclose()) message_ = Message();
  }
  return true;
}

bool Link::BeginReply() {
  for (std::size_t index = 0; index < replies_sent_.size(); ++index) {
    const std::int32_t* reply =
        segment_ + pair_.replies + static_cast<std::int64_t>(index) * kReplyWords;
    const std::int32_t sequence = LoadAcquire(reply + ReplyWord::kSequence);
    if (sequence == replies_sent_[index]) continue;
    BeginNotice(NoticeKind::kReply);
    notice_[NoticeWord::kSlot] = static_cast<std::int32_t>(index);
    std::copy_n(reply, kReplyWords, notice_.begin() + NoticeWord::kBody);
    replies_sent_[index] = sequence;
    message_ = MessageOfReply(index);
    if (Enclose()) message_ = Message();
    return true;
  }
  return false;
}

Message Link::MessageOfFrame(const Frame& frame) const {
  const SlotSpans& slot = context_.layout.slots[static_cast<std::size_t>(frame.micro_batch)];
  return Message::OfFrame(context_.shape, slot, frame.tokens,
                          segment_ + slot.expert_ranks.byte_offset / 4, ExpertRank(),
                          context_.brings_weights);
}

Message Link::MessageOfReply(std::size_t slot) const {
  const SlotSpans& spans = context_.layout.slots[slot];
  return Message::OfReply(context_.shape, spans, tokens_[slot],
                          segment_ + spans.expert_ranks.byte_offset / 4, ExpertRank(),
                          context_.brings_weights);
}

// Of the pair.
std::int32_t Link::ExpertRank() const {
  return static_cast<std::int32_t>(context_.is_attention ? peer_ : context_.rank);
}

std::int32_t* Link::OutboxEntry() const {
  const std::size_t words = context_.outbox_entry_bytes / sizeof(std::int32_t);
  return outbox_ + (sent_ & (kNotices - 1)) * words;
}

bool Link::Enclose() {
  if (!context_.encloses) return false;
  const auto room = static_cast<std::int64_t>(context_.outbox_entry_bytes - kNoticeBytes);
  const auto* segment = reinterpret_cast<const std::byte*>(segment_);
  auto* to = reinterpret_cast<std::byte*>(OutboxEntry() + kNoticeWords);
  std::int64_t bytes = 0;
  Message message = message_;
  for (Span part; message.Next(&part);) {
    if (part.byte_length > room - bytes) return false;
    std::copy_n(segment + part.byte_offset, part.byte_length, to + bytes);
    bytes += part.byte_length;
  }
  notice_[NoticeWord::kEnclosedBytes] = static_cast<std::int32_t>(bytes);
  return true;
}

bool Link::PostParts(Endpoint& endpoint) {
  for (;;) {
    if (!has_part_) has_part_ = message_.Next(&part_);
    if (!has_part_) return true;
    // In an expert rank, mirrors of all attention ranks are one region; so they are seen from here.
    const auto offset = static_cast<std::uint64_t>(part_.byte_offset);
    const std::uint64_t mirror_start =
        context_.is_attention
            ? context_.rank * static_cast<std::uint64_t>(context_.layout.byte_length)
            : 0;
    const Write write{
        .data = reinterpret_cast<const char*>(segment_) + offset,
        .bytes = static_cast<std::size_t>(part_.byte_length),
        .descriptor =
            (context_.is_attention ? context_.own_region : context_.mirror_region).descriptor,
        .to = place_.address,
        .address = place_.data.base + mirror_start + offset,
        .key = place_.data.key,
        .carries_immediate = !context_.keeps_order,
        .immediate = Immediate{.rank = context_.rank, .entry = sent_ & (kNotices - 1)}.Pack(),
        .peer = peer_};
    if (!Post(endpoint, write)) return false;
    has_part_ = false;
    if (write.carries_immediate) ++parts_;
  }
}

bool Link::PostNotice(Endpoint& endpoint, std::int64_t now_us) {
  const std::uint32_t entry = sent_ & (kNotices - 1);
  notice_[NoticeWord::kSequence] = static_cast<std::int32_t>(sent_ + 1);
  notice_[NoticeWord::kParts] = static_cast<std::int32_t>(parts_);
  notice_[NoticeWord::kTaken] = static_cast<std::int32_t>(arrivals_.read());
  if (!context_.is_attention) {
    const std::int32_t* own = context_.own_words;
    notice_[NoticeWord::kStepSeenLow] = LoadAcquire(own + SegmentWord::kStepSeenLow);
    notice_[NoticeWord::kStepSeenHigh] = LoadAcquire(own + SegmentWord::kStepSeenHigh);
    notice_[NoticeWord::kWaitsFor] = LoadAcquire(own + SegmentWord::kWaitsFor);
    notice_[NoticeWord::kRingTail] = LoadAcquire(segment_ + pair_.ring_tail);
  }
  std::int32_t* words = OutboxEntry();
  std::copy(notice_.begin(), notice_.end(), words);
  const std::size_t entries = context_.rank * std::size_t{kNotices} + entry;
  const Write write{
      .data = words,
      .bytes = kNoticeBytes + static_cast<std::size_t>(notice_[NoticeWord::kEnclosedBytes]),
      .descriptor = context_.outbox_region.descriptor,
      .to = place_.address,
      .address = place_.inbox.base + entries * context_.outbox_entry_bytes,
      .key = place_.inbox.key,
      .carries_immediate = true,
      .immediate = Immediate{.rank = context_.rank, .entry = entry, .is_notice = true}.Pack(),
      .peer = peer_};
  if (!Post(endpoint, write)) return false;
  ++sent_;
  acknowledged_ = static_cast<std::uint32_t>(notice_[NoticeWord::kTaken]);
  tail_sent_ = notice_[NoticeWord::kRingTail];
  step_sent_ = LoadLong(notice_.data() + NoticeWord::kStepSeenLow);
  wants_status_ = false;
  spoke_us_ = now_us;
  return true;
}

bool Link::Post(Endpoint& endpoint, const Write& write) {
  if (!OwnerLives(place_.owner)) {
    Lose(LossCode::kPeerClosed, "its process has ended");
    return false;
  }
  const Posted posted = endpoint.Post(write);
  if (posted == Posted::kFailed) {
    Lose(LossCode::kPeerClosed, "libfabric could not write to it (" + endpoint.failure() + ")");
  }
  return posted == Posted::kYes;
}

}  // namespace megascale::m2n::fabric

#endif  // MEGASCALE_HAS_LIBFABRIC
