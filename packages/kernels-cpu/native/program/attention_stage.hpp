#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/dispatch/kernel_table.hpp"
#include "program/attention_runner.hpp"
#include "program/gemm_runner.hpp"
#include "program/micro_batch.hpp"
#include "program/program.hpp"
#include "runtime/host_memory.hpp"
#include "runtime/op_profile.hpp"
#include "runtime/thread_pool.hpp"
#include "weights/row_table.hpp"
#include "weights/weight_store.hpp"

namespace megascale {

struct AttentionSizes {
  std::size_t kv_page_count, kv_page_size, micro_batch_count, tokens_max, positions_max;
  KvCacheDtype kv_dtype;
};

// Memory of one slot; bytes as given, checked when bound. Borrowed: the binding keeps it alive.
struct AttentionSlotMemory {
  bf16* hidden;
  std::int32_t* expert_ids;
  float* weights;
  const bf16* answers;
};

// The attention stage of every layer. One caller at a time; every call returns when the work is
// done.
class AttentionStage {
 public:
  // Throws Failure ERR_OUT_OF_MEMORY, ERR_CHECKPOINT_CORRUPT or ERR_SHAPE.
  AttentionStage(std::shared_ptr<ThreadPool> pool, const KernelTable& kernels,
                 AttentionProgram program, const AttentionSizes& sizes);

  const AttentionProgram& program() const { return program_; }
  const AttentionSizes& sizes() const { return sizes_; }
  void BindSlots(std::vector<AttentionSlotMemory> slots) { slots_ = std::move(slots); }

  // All throw Failure ERR_SHAPE before any work.
  void Embed(std::int64_t micro_batch, const MicroBatchArrays& arrays);
  void Attend(std::int64_t layer, std::int64_t micro_batch);
  void Combine(std::int64_t layer, std::int64_t micro_batch);
  // Returns the number of rows written to `logits()`.
  std::size_t Logits(std::int64_t micro_batch);

  // [tokens_max, vocab_size] f32, for as long as the pointer is held.
  std::shared_ptr<HostMemory> logits() const { return logits_; }

  OpProfile& profile() { return profile_; }
  std::size_t weight_bytes() const { return weights_.bytes(); }
  std::size_t kv_bytes() const { return kv_memory_.bytes(); }

 private:
  struct KvCache {
    KvLayout layout;
    std::size_t offset;  // bytes, in kv_memory_
  };
  struct Rotary {
    HostMemory cosines, sines;  // [positions_max, head_size / 2]
  };
  struct Batch {
    MicroBatch arrays;
    bool embedded = false;
    std::vector<HostMemory> states;
  };

  void AllocateScratch();
  void AllocateKvCaches();
  void FillRotary(const RotaryTable& table);
  void CheckProgram() const;

  Batch& EmbeddedBatch(std::int64_t micro_batch);
  void CheckLayer(std::int64_t layer) const;
  void CheckSlots() const;
  std::size_t BatchIndex(std::int64_t micro_batch) const;

  // run_ops.cc
  void RunList(std::size_t list, std::size_t micro_batch);
  void RunTogether(const Op* first, std::size_t count, std::size_t micro_batch);
  OpWork Work(const Op* first, std::size_t count, std::size_t micro_batch) const;
  void RunOp(const Op& op, std::size_t micro_batch);
  void RunLinears(const Op* first, std::size_t count, std::size_t micro_batch);
  void RunEmbed(const Op& op, std::size_t micro_batch);
  void RunRmsNorm(const Op& op, std::size_t micro_batch);
  void RunRope(const Op& op, std::size_t micro_batch);
  void RunKvAppend(const Op& op, std::size_t micro_batch);
  void RunPagedAttention(const Op& op, std::size_t micro_batch);
  void RunAddTo(const Op& op, std::size_t micro_batch);
  void RunSiluMultiply(const Op& op, std::size_t micro_batch);
  void RunRouter(const Op& op, std::size_t micro_batch);
  void RunLmHead(const Op& op, std::size_t micro_batch);

  template <class T>
  T* ValueOf(int value, std::size_t micro_batch) {
    return static_cast<T*>(Address(value, micro_batch));
  }
  void* Address(int value, std::size_t micro_batch);
  const Value& value(int index) const { return program_.values[static_cast<std::size_t>(index)]; }

  std::shared_ptr<ThreadPool> pool_;
  KernelTable kernels_;
  AttentionProgram program_;
  AttentionSizes sizes_;
  WeightStore weights_;
  GemmRunner gemm_;
  AttentionRunner attention_;
  std::vector<RowTable> tables_;
  std::vector<Rotary> rotaries_;
  std::vector<KvCache> kv_caches_;
  HostMemory kv_memory_;
  std::vector<HostMemory> scratch_;
  HostMemory router_logits_;
  std::shared_ptr<HostMemory> logits_;
  std::vector<Batch> batches_;
  std::vector<AttentionSlotMemory> slots_;
  // Row pointers of the linear ops under way; sized once.
  std::vector<const bf16*> in_rows_;
  std::vector<void*> out_rows_;
  std::vector<GemmSegment> segments_;
  OpProfile profile_;
};

}  // namespace megascale
