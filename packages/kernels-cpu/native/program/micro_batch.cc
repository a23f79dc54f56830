#include "program/micro_batch.hpp"

#include <string>

#include "runtime/failure.hpp"

namespace megascale {
namespace {

std::string Text(std::int64_t value) { return std::to_string(value); }

[[noreturn]] void Refuse(const std::string& what) {
  throw ShapeFailure("The micro-batch is ill-formed: " + what + ".");
}

void CheckEach(const char* name, Int32View view, std::size_t limit) {
  for (std::size_t i = 0; i < view.size; ++i) {
    if (view.data[i] < 0 || static_cast<std::size_t>(view.data[i]) >= limit) {
      Refuse(std::string(name) + "[" + std::to_string(i) + "] is " + Text(view.data[i]) +
             ", expected 0 ≤ value < " + std::to_string(limit));
    }
  }
}

void CheckPrefixSum(const char* name, Int32View view, std::size_t total) {
  if (view.size == 0 || view.data[0] != 0) Refuse(std::string(name) + " must start with 0");
  for (std::size_t i = 1; i < view.size; ++i) {
    if (view.data[i] < view.data[i - 1]) {
      Refuse(std::string(name) + "[" + std::to_string(i) + "] is " + Text(view.data[i]) +
             ", less than the entry before it");
    }
  }
  if (static_cast<std::size_t>(view.data[view.size - 1]) != total) {
    Refuse(std::string(name) + " ends with " + Text(view.data[view.size - 1]) + ", expected " +
           std::to_string(total));
  }
}

void CheckSequence(const MicroBatchArrays& a, std::size_t sequence, std::size_t page_size) {
  const std::int32_t begin = a.offsets.data[sequence], end = a.offsets.data[sequence + 1];
  if (begin == end) return;
  for (std::int32_t token = begin + 1; token < end; ++token) {
    if (a.positions.data[token] != a.positions.data[token - 1] + 1) {
      Refuse("positions of sequence " + std::to_string(sequence) +
             " are not consecutive at token " + Text(token));
    }
  }
  const auto pages = static_cast<std::size_t>(a.kv_page_offsets.data[sequence + 1] -
                                              a.kv_page_offsets.data[sequence]);
  const auto last = static_cast<std::size_t>(a.positions.data[end - 1]);
  if (last >= pages * page_size) {
    Refuse("sequence " + std::to_string(sequence) + " has " + std::to_string(pages) +
           " KV pages of " + std::to_string(page_size) + " positions, too few for position " +
           std::to_string(last));
  }
}

void Check(const MicroBatchArrays& a, const MicroBatchLimits& limits) {
  const std::size_t tokens = a.token_ids.size;
  if (tokens > limits.tokens_max) {
    Refuse("it has " + std::to_string(tokens) + " tokens, at most " +
           std::to_string(limits.tokens_max) + " are allowed (tokensPerMicroBatchMax)");
  }
  if (a.positions.size != tokens) {
    Refuse("positions has " + std::to_string(a.positions.size) + " entries, tokenIds has " +
           std::to_string(tokens));
  }
  if (a.kv_page_offsets.size != a.offsets.size) {
    Refuse("kvPageOffsets has " + std::to_string(a.kv_page_offsets.size) +
           " entries, offsets has " + std::to_string(a.offsets.size));
  }
  CheckPrefixSum("offsets", a.offsets, tokens);
  CheckPrefixSum("kvPageOffsets", a.kv_page_offsets, a.kv_pages.size);
  CheckEach("tokenIds", a.token_ids, limits.vocab_size);
  CheckEach("positions", a.positions, limits.positions_max);
  CheckEach("kvPages", a.kv_pages, limits.kv_page_count);
  CheckEach("logitsRows", a.logits_rows, tokens);
  for (std::size_t i = 1; i < a.logits_rows.size; ++i) {
    if (a.logits_rows.data[i] <= a.logits_rows.data[i - 1]) Refuse("logitsRows must ascend");
  }
  for (std::size_t s = 0; s + 1 < a.offsets.size; ++s) CheckSequence(a, s, limits.kv_page_size);
}

void Copy(std::vector<std::int32_t>& to, Int32View from) {
  to.assign(from.data, from.data + from.size);
}

}  // namespace

void MicroBatch::Reserve(const MicroBatchLimits& limits) {
  token_ids.reserve(limits.tokens_max);
  positions.reserve(limits.tokens_max);
  logits_rows.reserve(limits.tokens_max);
  page_table_start.reserve(limits.tokens_max);
  // Tables of different sequences may name the same page; twice the pool is room for all but
  // contrived batches, which then grow it.
  kv_pages.reserve(2 * limits.kv_page_count);
}

void MicroBatch::Assign(const MicroBatchArrays& arrays, const MicroBatchLimits& limits) {
  Check(arrays, limits);
  Copy(token_ids, arrays.token_ids);
  Copy(positions, arrays.positions);
  Copy(kv_pages, arrays.kv_pages);
  Copy(logits_rows, arrays.logits_rows);
  page_table_start.resize(tokens());
  for (std::size_t s = 0; s + 1 < arrays.offsets.size; ++s) {
    for (std::int32_t token = arrays.offsets.data[s]; token < arrays.offsets.data[s + 1]; ++token) {
      page_table_start[static_cast<std::size_t>(token)] = arrays.kv_page_offsets.data[s];
    }
  }
}

}  // namespace megascale
