#if defined(__linux__)

#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include "heap_count.hpp"
#include "protocol/allocation_count.hpp"
#include "protocol/frame.hpp"
#include "protocol/wire_format.hpp"
#include "tcp/engine.hpp"
#include "testing.hpp"

// Two engines in one process: what one port stores, the other one finds in its copy.
namespace megascale::m2n {
namespace {

using testing::Random;
using testing::Require;
using testing::Test;

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr int kTokens = 3;

PortSetup SetupOf(bool is_attention) {
  PortSetup setup;
  setup.is_attention = is_attention;
  setup.shape = {.attention_worker_count = 1,
                 .expert_worker_count = 1,
                 .layer_count = 2,
                 .hidden_size = 300,
                 .top_k = 2,
                 .element_bytes = 4,
                 .tokens_per_slot_max = 4,
                 .slot_count = 1,
                 .expert_count = 2};
  setup.layout_hash = 7;
  setup.nonce = is_attention ? Nonce{1, 2} : Nonce{3, 4};
  setup.silence_us = setup.handshake_us = 10 * kSecondUs;
  setup.listen = {.host = "127.0.0.1", .port = 0};
  return setup;
}

struct Pair {
  std::unique_ptr<Engine> attention = std::make_unique<Engine>(SetupOf(true));
  std::unique_ptr<Engine> expert = std::make_unique<Engine>(SetupOf(false));
  std::shared_ptr<AnonymousMemory> at_attention, at_expert;

  Pair() {
    at_attention =
        attention->AddPeer({.rank = 0, .nonce = {3, 4}, .keys = {}, .endpoint = expert->bound()});
    at_expert = expert->AddPeer({.rank = 0, .nonce = {1, 2}, .keys = {}, .endpoint = {}});
    AwaitState(attention.get(), *at_attention, SegmentState::kOpen);
    AwaitState(expert.get(), *at_expert, SegmentState::kOpen);
  }

  static std::int32_t StateOf(const AnonymousMemory& mirror) {
    return LoadAcquire(mirror.words() + SegmentWord::kState);
  }

  // As a port waits: it drives.
  template <typename Condition>
  static void Await(Engine* engine, Condition condition) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      Require(std::chrono::steady_clock::now() < until, "nothing came");
      const std::int32_t seen = LoadAcquire(engine->own()->words() + SegmentWord::kDoorbellCount);
      if (condition()) return;
      engine->Wait({.seen = seen, .spin_microseconds = 20, .timeout_microseconds = 5000});
    }
  }

  static void AwaitState(Engine* engine, const AnonymousMemory& mirror, std::int32_t state) {
    Await(engine, [&] { return StateOf(mirror) == state; });
  }
};

// A slot's parts in a segment or in its copy.
struct SlotMemory {
  explicit SlotMemory(const AnonymousMemory& memory)
      : layout(LayoutOfAttentionSegment(SetupOf(true).shape)), bytes(memory.bytes()) {}
  template <typename Value>
  Value* At(const Span& span) const {
    return reinterpret_cast<Value*>(bytes + span.byte_offset);
  }
  const SlotSpans& slot() const { return layout.slots[0]; }
  AttentionSegmentLayout layout;
  char* bytes;
};

void Dispatch(const Pair& pair, const SlotMemory& own, FrameWriter* writer, int round) {
  for (int route = 0; route < kTokens * 2; ++route) {
    // Every token but the second has an expert.
    const bool is_routed = route / 2 != 1;
    own.At<std::int32_t>(own.slot().expert_ids)[route] = is_routed ? route % 2 : -1;
    own.At<std::int32_t>(own.slot().expert_ranks)[route] = is_routed ? 0 : -1;
  }
  for (int value = 0; value < kTokens * 300; ++value) {
    own.At<float>(own.slot().hidden)[value] = static_cast<float>(round * 10'000 + value);
  }
  Frame frame;
  frame.step = round;
  frame.tokens = kTokens;
  frame.row_count = 4;
  frame.next = {.step = round + 1, .layer = 0, .micro_batch = 0};
  writer->Write(&frame);
  pair.attention->Wake(0);
}

void Answer(const Pair& pair, const SlotMemory& copy, const Frame& frame) {
  for (int route : {0, 1, 4, 5}) {
    for (int value = 0; value < 300; ++value) {
      copy.At<float>(copy.slot().answers)[route * 300 + value] =
          copy.At<float>(copy.slot().hidden)[route / 2 * 300 + value] + static_cast<float>(route);
    }
  }
  std::int32_t* reply = pair.at_expert->words() + copy.layout.pairs[0].replies;
  StoreRelease(reply + ReplyWord::kSequence, frame.sequence);
  pair.expert->Wake(0);
}

const Test kRounds{
    "tcp keeps copies of slots alike, there and back, and tells of the end", [](Random&) {
      Pair pair;
      std::thread expert([&] {
        const SlotMemory copy(*pair.at_expert);
        FrameReader reader(pair.at_expert->words(), copy.layout.pairs[0], SetupOf(false).shape);
        for (int round = 1; round <= 200; ++round) {
          Frame frame;
          Pair::Await(pair.expert.get(), [&] { return reader.Read(&frame) == ReadResult::kFrame; });
          Require(frame.step == round && frame.row_count == 4, "another frame came");
          Answer(pair, copy, frame);
        }
        Pair::AwaitState(pair.expert.get(), *pair.at_expert, SegmentState::kClosed);
        pair.expert->BeginClosing();
      });
      const SlotMemory own(*pair.attention->own());
      FrameWriter writer(pair.attention->own()->words(), own.layout.pairs[0]);
      const std::int32_t* reply =
          pair.attention->own()->words() + own.layout.pairs[0].replies + ReplyWord::kSequence;
      for (int round = 1; round <= 200; ++round) {
        Dispatch(pair, own, &writer, round);
        Pair::Await(pair.attention.get(), [&] { return LoadAcquire(reply) == round; });
        const float* answers = own.At<float>(own.slot().answers);
        const float* hidden = own.At<float>(own.slot().hidden);
        for (int route : {0, 1, 4, 5}) {
          Require(answers[route * 300 + 299] ==
                      hidden[route / 2 * 300 + 299] + static_cast<float>(route),
                  "an answer went astray");
        }
        Require(answers[2 * 300] == 0, "a row without an expert was answered");
      }
      pair.attention->BeginClosing();
      expert.join();
    }};

const Test kFrugal{
    "joined tcp engines allocate nothing for a message, on any thread", [](Random&) {
      constexpr int kRoundCount = 1020;
      Pair pair;
      std::thread expert([&] {
        const SlotMemory copy(*pair.at_expert);
        FrameReader reader(pair.at_expert->words(), copy.layout.pairs[0], SetupOf(false).shape);
        for (int round = 1; round <= kRoundCount; ++round) {
          Frame frame;
          Pair::Await(pair.expert.get(), [&] { return reader.Read(&frame) == ReadResult::kFrame; });
          Answer(pair, copy, frame);
        }
      });
      const SlotMemory own(*pair.attention->own());
      FrameWriter writer(pair.attention->own()->words(), own.layout.pairs[0]);
      const std::int32_t* reply =
          pair.attention->own()->words() + own.layout.pairs[0].replies + ReplyWord::kSequence;
      std::int64_t heap = 0, mapped = 0;
      for (int round = 1; round <= kRoundCount; ++round) {
        // The first messages size lists.
        if (round == 21) {
          heap = testing::HeapAllocations();
          mapped = AllocationCount();
        }
        Dispatch(pair, own, &writer, round);
        Pair::Await(pair.attention.get(), [&] { return LoadAcquire(reply) == round; });
      }
      // Before the texts of what is required, which are on the heap.
      heap = testing::HeapAllocations() - heap;
      mapped = AllocationCount() - mapped;
      expert.join();
      Require(heap == 0, "the heap was used " + std::to_string(heap) + " times");
      Require(mapped == 0, "memory was mapped");
    }};

const Test kGone{"a tcp peer that vanishes is lost, with a reason", [](Random&) {
                   Pair pair;
                   pair.expert->Abort();
                   Pair::AwaitState(pair.attention.get(), *pair.at_attention, SegmentState::kLost);
                   Require(!pair.attention->LossOf(0).why.empty(), "the loss has no reason");
                 }};

}  // namespace
}  // namespace megascale::m2n

#endif  // __linux__
