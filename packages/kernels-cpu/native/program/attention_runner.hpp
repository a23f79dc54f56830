#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/dispatch/kernel_table.hpp"
#include "program/attention_plan.hpp"
#include "program/micro_batch.hpp"
#include "runtime/host_memory.hpp"
#include "runtime/thread_pool.hpp"

namespace megascale {

// Attention of all tokens of a micro-batch over their pages.
struct AttentionJob {
  const bf16* q;  // [tokens, kv_heads · group · head_size]
  bf16* out;      // likewise
  const std::uint8_t* cache;
  const KvLayout* layout;
  std::size_t group;   // heads per KV head
  std::size_t window;  // 0 = all positions
  float scale;
};

// Runs attention on the pool: tasks are claimed one by one, because some are longer than others and
// some threads slower. One caller at a time.
class AttentionRunner {
 public:
  AttentionRunner(ThreadPool& pool, const AttentionKernels& kernels)
      : pool_(pool), kernels_(kernels) {}

  // Makes room for `tokens_max` tokens of an op of this shape; once for each shape, before Run.
  // Throws Failure ERR_OUT_OF_MEMORY.
  void Reserve(const KvLayout& layout, std::size_t group, std::size_t tokens_max);
  void Run(const MicroBatch& batch, const AttentionJob& job);

 private:
  void RunTask(const MicroBatch& batch, const AttentionJob& job, const AttentionTask& task,
               std::size_t thread);

  ThreadPool& pool_;
  const AttentionKernels& kernels_;
  AttentionPlan plan_;
  std::vector<HostMemory> scratch_;  // one per thread
  HostMemory slots_;                 // [AttentionPlan::kSlotsMax] partial results
  std::size_t kv_heads_ = 0, scratch_floats_ = 0, slot_floats_ = 0;
};

}  // namespace megascale
