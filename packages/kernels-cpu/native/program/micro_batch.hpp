#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace megascale {

struct Int32View {
  const std::int32_t* data;
  std::size_t size;
};

// The arrays of core's MicroBatch, as JavaScript passes them.
struct MicroBatchArrays {
  Int32View token_ids, positions, offsets, kv_pages, kv_page_offsets, logits_rows;
};

struct MicroBatchLimits {
  std::size_t tokens_max, positions_max, vocab_size, kv_page_count, kv_page_size;
};

// What is computed together, checked and copied: the caller may reuse its arrays at once.
struct MicroBatch {
  std::vector<std::int32_t> token_ids, positions, kv_pages, logits_rows;
  // [tokens] where the page table of the token's sequence starts in kv_pages.
  std::vector<std::int32_t> page_table_start;

  std::size_t tokens() const { return token_ids.size(); }
  const std::int32_t* page_table(std::size_t token) const {
    return kv_pages.data() + page_table_start[token];
  }

  // Whether the token before this one is the one before it in the same sequence.
  bool FollowsInSequence(std::size_t token) const {
    return token > 0 && page_table_start[token] == page_table_start[token - 1] &&
           positions[token] == positions[token - 1] + 1;
  }

  // Memory for the largest batch that `limits` allow, so that Assign allocates nothing.
  void Reserve(const MicroBatchLimits& limits);
  // Throws Failure ERR_SHAPE and leaves the batch as it was.
  void Assign(const MicroBatchArrays& arrays, const MicroBatchLimits& limits);
};

}  // namespace megascale
