#if defined(MEGASCALE_HAS_LIBFABRIC)

#include "fabric/link.hpp"

#include <algorithm>
#include <atomic>

// The half of Link that receives. Everything that comes is checked before it is used.
namespace megascale::m2n::fabric {
namespace {

// The peer may still write the entry: every word is read once.
Notice Copy(const std::int32_t* words) {
  Notice notice;
  for (std::size_t word = 0; word < notice.size(); ++word) {
    notice[word] =
        std::atomic_ref(const_cast<std::int32_t&>(words[word])).load(std::memory_order_relaxed);
  }
  return notice;
}

}  // namespace

Link::Link(const LinkContext& context, std::uint32_t peer, std::int32_t* mirror,
           std::int32_t* inbox, std::int32_t* outbox)
    : context_(context),
      peer_(peer),
      mirror_(mirror),
      inbox_(inbox),
      outbox_(outbox),
      segment_(context.is_attention ? const_cast<std::int32_t*>(context.own_words) : mirror),
      pair_(context.layout.pairs[context.is_attention ? peer : context.rank]),
      tokens_(static_cast<std::size_t>(context.shape.slot_count)),
      replies_sent_(context.is_attention ? 0 : tokens_.size()),
      frames_(segment_, pair_) {
  // A thread that rings the copy's doorbell asks for what is new to be sent.
  StoreRelease(mirror_ + SegmentWord::kDoorbellParked, 1);
}

void Link::Note(const Immediate& immediate) {
  if (!arrivals_.Note(immediate)) Invalid("it wrote a message over one that was not read");
}

void Link::Read(std::int64_t now_us) {
  while (is_met_ && !loss_.has_value() && arrivals_.HasNotice()) {
    const std::int32_t* entry =
        inbox_ + arrivals_.next() * (context_.inbox_entry_bytes / sizeof(std::int32_t));
    const Notice notice = Copy(entry);
    if (!arrivals_.IsWhole(static_cast<std::uint32_t>(notice[NoticeWord::kParts]))) break;
    heard_us_ = now_us;
    arrivals_.Pass();
    Take(notice, reinterpret_cast<const std::byte*>(entry + kNoticeWords));
  }
}

void Link::Take(const Notice& notice, const std::byte* enclosed) {
  if (notice[NoticeWord::kSequence] != static_cast<std::int32_t>(arrivals_.read())) {
    return Invalid("it sent a notice out of order");
  }
  if (!TakeCounts(notice)) return Invalid("it counts notices that were never sent");
  const std::int32_t kind = notice[NoticeWord::kKind];
  if ((kind == NoticeKind::kHello) == is_open_) return Invalid("it did not greet once");
  switch (kind) {
    case NoticeKind::kHello:
      return TakeHello(notice);
    case NoticeKind::kStatus:
      return TakeState(notice[NoticeWord::kState]);
    case NoticeKind::kFrame:
      if (!context_.is_attention) return TakeFrame(notice, enclosed);
      break;
    case NoticeKind::kReply:
      if (context_.is_attention) return TakeReply(notice, enclosed);
      break;
    default:
      break;
  }
  Invalid("it sent a notice of an unknown kind");
}

bool Link::TakeCounts(const Notice& notice) {
  const auto taken = static_cast<std::uint32_t>(notice[NoticeWord::kTaken]);
  if (taken - taken_ > sent_ - taken_) return false;
  taken_ = taken;
  if (taken > 0) {
    // It has read the hello, so it knows this port and has its copy of this port's memory.
    auto* own = const_cast<std::int32_t*>(context_.own_words);
    StoreRelease(own + SegmentWord::kPeerMapped + peer_, 1);
  }
  if (!context_.is_attention) return true;
  StoreLong(mirror_ + SegmentWord::kStepSeenLow,
            LoadLong(notice.data() + NoticeWord::kStepSeenLow));
  StoreRelease(mirror_ + SegmentWord::kWaitsFor, notice[NoticeWord::kWaitsFor]);
  StoreRelease(segment_ + pair_.ring_tail, notice[NoticeWord::kRingTail]);
  return true;
}

void Link::TakeHello(const Notice& notice) {
  const std::int32_t* header = notice.data() + NoticeWord::kBody;
  const bool is_expected = header[SegmentWord::kNonceLow] == place_.nonce[0] &&
                           header[SegmentWord::kNonceHigh] == place_.nonce[1] &&
                           header[kHeaderWords] == context_.own_words[SegmentWord::kNonceLow] &&
                           header[kHeaderWords + 1] == context_.own_words[SegmentWord::kNonceHigh];
  if (!is_expected) return Invalid("another program greets in its name");
  std::copy_n(header, kHeaderWords, mirror_);
  is_open_ = true;
  StoreRelease(mirror_ + SegmentWord::kState, SegmentState::kOpen);
  wants_status_ = true;
}

void Link::TakeState(std::int32_t state) {
  if (state == SegmentState::kClosed) {
    StoreRelease(mirror_ + SegmentWord::kState, SegmentState::kClosed);
    wants_status_ = true;
    has_news_ = true;
  } else if (state == SegmentState::kLost) {
    Lose(LossCode::kPeerClosed, "its thread has ended");
  } else if (state != SegmentState::kOpen) {
    Invalid("it is in an unknown state");
  }
}

void Link::TakeFrame(const Notice& notice, const std::byte* enclosed) {
  Frame frame;
  if (!DecodeFrame(notice.data() + NoticeWord::kBody, context_.shape, &frame)) {
    return Invalid("it sent an invalid frame");
  }
  if (frames_.Room() <= 0) return Invalid("it sent more frames than a ring holds");
  const std::int32_t sequence = frame.sequence;
  if (frame.type == FrameType::kRows) {
    tokens_[static_cast<std::size_t>(frame.micro_batch)] = frame.tokens;
    if (!Unpack(MessageOfFrame(frame), notice, enclosed)) return;
  }
  frames_.Write(&frame);
  has_news_ = true;
  if (frame.sequence != sequence) Invalid("it sent a frame out of order");
}

void Link::TakeReply(const Notice& notice, const std::byte* enclosed) {
  const std::int32_t slot = notice[NoticeWord::kSlot];
  if (slot < 0 || slot >= context_.shape.slot_count) {
    return Invalid("it answered a micro-batch that there is not");
  }
  if (!Unpack(MessageOfReply(static_cast<std::size_t>(slot)), notice, enclosed)) return;
  std::int32_t* reply = segment_ + pair_.replies + slot * kReplyWords;
  const std::int32_t* words = notice.data() + NoticeWord::kBody;
  for (std::int64_t word = 1; word < kReplyWords; ++word) StoreRelease(reply + word, words[word]);
  StoreRelease(reply + ReplyWord::kSequence, words[ReplyWord::kSequence]);
  has_news_ = true;
}

bool Link::Unpack(Message message, const Notice& notice, const std::byte* enclosed) {
  const std::int64_t bytes = notice[NoticeWord::kEnclosedBytes];
  if (bytes == 0) return true;
  auto* segment = reinterpret_cast<std::byte*>(segment_);
  std::int64_t at = 0;
  if (bytes > 0 && bytes <= static_cast<std::int64_t>(context_.inbox_entry_bytes - kNoticeBytes)) {
    for (Span part; message.Next(&part) && part.byte_length <= bytes - at;) {
      std::copy_n(enclosed + at, part.byte_length, segment + part.byte_offset);
      at += part.byte_length;
    }
  }
  if (at != bytes) Invalid("it enclosed other rows than it announced");
  return at == bytes;
}

void Link::Lose(LossCode code, const std::string& why) {
  if (loss_.has_value()) return;
  loss_ = Loss{.code = code, .why = why};
  has_news_ = true;
  is_sending_ = false;
  // A port that closed is closed, whatever becomes of its host.
  if (LoadAcquire(mirror_ + SegmentWord::kState) != SegmentState::kClosed) {
    StoreRelease(mirror_ + SegmentWord::kState, SegmentState::kLost);
  }
}

}  // namespace megascale::m2n::fabric

#endif  // MEGASCALE_HAS_LIBFABRIC
