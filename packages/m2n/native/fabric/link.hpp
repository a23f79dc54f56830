#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fabric/arrivals.hpp"
#include "fabric/endpoint.hpp"
#include "fabric/message.hpp"
#include "fabric/notice.hpp"
#include "protocol/frame.hpp"
#include "protocol/segment_layout.hpp"

namespace megascale::m2n::fabric {

// What all links of a port share. The pointers outlive the links.
struct LinkContext {
  bool is_attention = false;
  std::uint32_t rank = 0;  // Own.
  PortShape shape;
  AttentionSegmentLayout layout;
  bool brings_weights = false;
  const std::int32_t* own_words = nullptr;
  Region own_region;     // Of an attention rank's segment; its peers' answers land there.
  Region mirror_region;  // Of an expert rank's mirrors, where attention ranks write.
  Region outbox_region;
  bool keeps_order = false;
  bool encloses = true;
  std::size_t inbox_entry_bytes = 0;
  std::size_t outbox_entry_bytes = 0;  // As in the peers' inboxes.
};

// Where one peer's memory is, of its address.
struct PeerPlace {
  fi_addr_t address = FI_ADDR_UNSPEC;
  RemoteMemory inbox;  // Notices of all its peers, by rank.
  RemoteMemory data;   // Attention ranks: the segment. Expert ranks: the mirrors, by rank.
  std::int32_t nonce[2] = {0, 0};
  // Of the provider shm, the peer's process: one that was killed may have left a lock taken in its
  // memory, for which the provider would wait for ever.
  std::int32_t owner = 0;
};

enum class LossCode { kPeerClosed, kFrameInvalid };

struct Loss {
  LossCode code = LossCode::kPeerClosed;
  std::string why;
};

// One pair of ranks as one of them sees it: sends what its port's memory says is new, and brings
// the port's copy of the peer's memory up to date. Not thread-safe; neither allocates nor waits.
class Link {
 public:
  // `mirror`: the copy of the peer's segment. `inbox`, `outbox`: kNotices entries of registered
  // memory, of the size that the context says.
  Link(const LinkContext& context, std::uint32_t peer, std::int32_t* mirror, std::int32_t* inbox,
       std::int32_t* outbox);

  // The peer's address is known: greets it.
  void Meet(const PeerPlace& place, std::int64_t now_us);
  // Posts all that is new, as far as the provider takes it.
  void Send(Endpoint& endpoint, std::int64_t now_us);
  // At least every few milliseconds: says what changed slowly, shows that this side lives, and
  // notices that the peer does not.
  void Tick(std::int64_t now_us);
  // A completion of the peer's. Read() follows.
  void Note(const Immediate& immediate);
  // Takes the messages that are whole.
  void Read(std::int64_t now_us);
  // True once after something came that the port waits for.
  bool TakeNews() { return std::exchange(has_news_, false); }
  void Lose(LossCode code, const std::string& why);
  // The port's thread ended without closing it.
  void Abandon() { is_abandoned_ = true; }

  bool is_met() const { return is_met_; }
  bool is_open() const { return is_open_; }
  const std::optional<Loss>& loss() const { return loss_; }
  // The peer has closed, or is lost.
  bool HasPeerEnded() const;
  // Nothing more will be said, or the peer has read all of it.
  bool IsDone() const;

 private:
  // Sending.
  bool Begin(std::int64_t now_us);
  bool BeginFrame();
  bool BeginReply();
  std::int32_t* OutboxEntry() const;
  std::int32_t ExpertRank() const;
  Message MessageOfFrame(const Frame& frame) const;
  Message MessageOfReply(std::size_t slot) const;
  void BeginNotice(std::int32_t kind);
  // Copies the parts of the message behind its notice and returns true, if they have room there.
  bool Enclose();
  bool PostParts(Endpoint& endpoint);
  bool PostNotice(Endpoint& endpoint, std::int64_t now_us);
  bool HasRoom(std::uint32_t reserve) const { return sent_ - taken_ + reserve < kNotices; }
  bool Post(Endpoint& endpoint, const Write& write);
  std::int32_t OwnState() const;

  // Receiving.
  void Take(const Notice& notice, const std::byte* enclosed);
  void TakeHello(const Notice& notice);
  void TakeFrame(const Notice& notice, const std::byte* enclosed);
  void TakeReply(const Notice& notice, const std::byte* enclosed);
  // Puts the enclosed parts where they belong; false if they are not those of the message.
  bool Unpack(Message message, const Notice& notice, const std::byte* enclosed);
  void TakeState(std::int32_t state);
  bool TakeCounts(const Notice& notice);
  void Invalid(const std::string& why) { Lose(LossCode::kFrameInvalid, why); }

  const LinkContext& context_;
  const std::uint32_t peer_;
  std::int32_t* const mirror_;
  const std::int32_t* const inbox_;
  std::int32_t* const outbox_;
  // The attention segment of the pair as it is here: own or mirror.
  std::int32_t* const segment_;
  const PairWords& pair_;
  PeerPlace place_;
  bool is_met_ = false;
  bool is_open_ = false;  // The peer's hello has come.
  bool is_abandoned_ = false;
  std::optional<Loss> loss_;

  // The message under way.
  bool is_sending_ = false;
  Notice notice_{};
  Message message_;
  Span part_;
  bool has_part_ = false;
  std::uint32_t parts_ = 0;
  std::vector<std::int32_t> tokens_;  // [slots] of the last frame of the pair.
  // Sent so far.
  bool hello_sent_ = false;
  std::uint32_t sent_ = 0;   // Notices.
  std::uint32_t taken_ = 0;  // Notices that the peer has read.
  std::uint32_t frames_sent_ = 0;
  std::vector<std::int32_t> replies_sent_;  // [slots] sequence numbers.
  std::int32_t state_sent_ = SegmentState::kOpen;
  std::uint32_t acknowledged_ = 0;  // Of what was read, as last said.
  std::int32_t tail_sent_ = 0;
  std::int64_t step_sent_ = 0;
  bool wants_status_ = false;
  std::int64_t spoke_us_ = 0;

  // Received so far.
  Arrivals arrivals_;
  FrameWriter frames_;
  std::int64_t heard_us_ = 0;
  bool has_news_ = false;
};

}  // namespace megascale::m2n::fabric
