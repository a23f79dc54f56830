#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "runtime/host_memory.hpp"

// What the ops of a stage cost: always counted, and, while recording, noted one by one.
namespace megascale {

// The kinds that are told apart, in the order of `kProfiledOpNames`.
enum class ProfiledOp : std::uint8_t {
  kEmbed,
  kRmsNorm,
  kLinear,
  kRope,
  kKvAppend,
  kPagedAttention,
  kAddTo,
  kSwiglu,
  kRouter,
  kLmHead,
  kCombine,
  kExperts,
};
constexpr const char* kProfiledOpNames[] = {"embed",    "rmsNorm",        "linear",  "rope",
                                            "kvAppend", "pagedAttention", "addTo",   "swiglu",
                                            "router",   "lmHead",         "combine", "experts"};
constexpr std::size_t kProfiledOps = sizeof kProfiledOpNames / sizeof *kProfiledOpNames;

// What one run of an op must read and compute: weights as they are stored, keys and values read and
// written, and arithmetic on numbers of the model. Activations are not counted: they stay in
// caches.
struct OpWork {
  std::uint64_t weight_bytes = 0, kv_bytes = 0, flops = 0;

  OpWork& operator+=(const OpWork& other) {
    weight_bytes += other.weight_bytes;
    kv_bytes += other.kv_bytes;
    flops += other.flops;
    return *this;
  }
};

struct OpTotals {
  std::uint64_t calls = 0, nanoseconds = 0;
  OpWork work;
};

// One run of an op. Times are of the steady clock, which all processes of a machine share.
struct OpRecord {
  ProfiledOp op;
  std::int32_t layer, micro_batch;  // −1: none
  std::uint64_t start_ns, end_ns;
  OpWork work;
};

// Belongs to one stage, whose calls come one at a time. Counting allocates nothing.
class OpProfile {
 public:
  // Where the ops that follow belong.
  void Enter(std::int64_t layer, std::int64_t micro_batch) {
    layer_ = static_cast<std::int32_t>(layer);
    micro_batch_ = static_cast<std::int32_t>(micro_batch);
  }

  // Runs `action` and counts it; `work` may depend on what the action found out.
  template <class Action, class Work>
  void Measure(ProfiledOp op, const Action& action, const Work& work) {
    const std::uint64_t start = Now();
    action();
    const std::uint64_t end = Now();
    Add(op, start, end, work());
  }

  const std::array<OpTotals, kProfiledOps>& totals() const { return totals_; }

  // Forgets what was recorded and notes the next `capacity` ops; 0 stops.
  void Record(std::size_t capacity) {
    records_ = HostMemory(capacity * sizeof(OpRecord), HostMemory::Pages::kSparse, "op records");
    capacity_ = capacity;
    recorded_ = 0;
  }
  const OpRecord* records() const { return records_.as<OpRecord>(); }
  std::size_t record_count() const { return recorded_ < capacity_ ? recorded_ : capacity_; }
  // Ops that found no room.
  std::size_t records_lost() const { return recorded_ - record_count(); }

 private:
  static std::uint64_t Now() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
  }

  void Add(ProfiledOp op, std::uint64_t start, std::uint64_t end, const OpWork& work) {
    OpTotals& total = totals_[static_cast<std::size_t>(op)];
    total.calls += 1;
    total.nanoseconds += end - start;
    total.work += work;
    if (capacity_ == 0) return;
    if (recorded_ < capacity_) {
      records_.as<OpRecord>()[recorded_] = {op, layer_, micro_batch_, start, end, work};
    }
    ++recorded_;
  }

  std::array<OpTotals, kProfiledOps> totals_{};
  HostMemory records_;
  std::size_t capacity_ = 0, recorded_ = 0;
  std::int32_t layer_ = -1, micro_batch_ = -1;
};

}  // namespace megascale
