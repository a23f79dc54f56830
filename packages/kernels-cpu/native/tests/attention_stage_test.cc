#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "attention_model.hpp"
#include "runtime/failure.hpp"
#include "variants.hpp"

// The attention stage as a whole, from weights in memory: law 1, and all variants compared.
namespace megascale::testing {
namespace {

using Logits = std::vector<float>;

std::vector<std::int32_t> RandomTokens(Random& random, std::size_t count) {
  std::vector<std::int32_t> tokens(count);
  for (std::int32_t& token : tokens) {
    token = static_cast<std::int32_t>(random.Below(AttentionModel::kVocabulary));
  }
  return tokens;
}

// The next `tokens` positions' worth of pages, taken from the pool in a shuffled order.
class PagePool {
 public:
  explicit PagePool(Random& random) {
    for (std::size_t page = 0; page < AttentionRun::kPages; ++page) {
      free_.push_back(static_cast<std::int32_t>(page));
    }
    for (std::size_t i = free_.size(); i > 1; --i) std::swap(free_[i - 1], free_[random.Below(i)]);
  }
  std::vector<std::int32_t> Take(std::size_t tokens) {
    const std::size_t count = (tokens + AttentionRun::kPageSize - 1) / AttentionRun::kPageSize;
    Require(count <= free_.size(), "the test takes more pages than there are");
    const std::vector<std::int32_t> taken(free_.end() - static_cast<std::ptrdiff_t>(count),
                                          free_.end());
    free_.resize(free_.size() - count);
    return taken;
  }

 private:
  std::vector<std::int32_t> free_;
};

// The prompt in pieces of at most `piece` tokens, alone in its micro-batches → logits of all.
Logits RunInPieces(AttentionRun& run, const SequencePart& prompt, std::size_t piece) {
  Logits logits;
  for (std::size_t at = 0; at < prompt.tokens.size(); at += piece) {
    const std::size_t end = std::min(prompt.tokens.size(), at + piece);
    const Logits own = run.Run({{{prompt.tokens.begin() + static_cast<std::ptrdiff_t>(at),
                                  prompt.tokens.begin() + static_cast<std::ptrdiff_t>(end)},
                                 at,
                                 prompt.pages}});
    logits.insert(logits.end(), own.begin(), own.end());
  }
  return logits;
}

constexpr KvCacheDtype kKvDTypes[] = {KvCacheDtype::kBf16, KvCacheDtype::kInt8};

const Test pieces{
    "logits do not depend on the pieces of a prompt, its pages or the threads", 8,
    [](Random& random) {
      const AttentionModel model(random);
      // Past one range of positions, where ranges are folded and may be shared out.
      const std::size_t lengths[] = {1, 15, 40, 150, 300, 620};
      const std::size_t length = random.OneOf(lengths);
      const KvCacheDtype kv = random.OneOf(kKvDTypes);
      SequencePart prompt{RandomTokens(random, length), 0, PagePool(random).Take(length)};
      for (const KernelTable& kernels : Variants()) {
        AttentionRun single(model, kernels, 1, kv);
        const Logits expected = RunInPieces(single, prompt, 97);
        for (int threads = 2; threads <= 4; ++threads) {
          const std::size_t sizes[] = {1, 7, 16, 33, 160};
          const std::size_t piece = length > 100 ? 33 * random.Between(1, 4) : random.OneOf(sizes);
          AttentionRun shared(model, kernels, threads, kv);
          prompt.pages = PagePool(random).Take(length);
          RequireSameBits(RunInPieces(shared, prompt, piece), expected,
                          std::string(kernels.isa) + ", " + std::to_string(threads) +
                              " threads, pieces of " + std::to_string(piece));
        }
      }
    }};

const Test batch_invariance{
    "a sequence does not depend on the others in its micro-batch", 8, [](Random& random) {
      const AttentionModel model(random);
      const KvCacheDtype kv = random.OneOf(kKvDTypes);
      const std::size_t length = random.Between(1, 60);
      PagePool pages(random);
      const SequencePart own{RandomTokens(random, length), 0, pages.Take(length)};
      std::vector<SequencePart> batch;
      const std::size_t row_counts[] = {1, 2, 15, 16, 17, 31, 33, 100};
      const std::size_t others = random.OneOf(row_counts) - 1;
      for (std::size_t i = 0; i < others; ++i) {
        batch.push_back({RandomTokens(random, 1), 0, pages.Take(1)});
      }
      const std::size_t place = random.Below(others + 1);
      batch.insert(batch.begin() + static_cast<std::ptrdiff_t>(place), own);
      for (const KernelTable& kernels : Variants()) {
        AttentionRun alone(model, kernels, 1, kv);
        const Logits expected = alone.Run({own});
        for (const int threads : {1, 3}) {
          AttentionRun run(model, kernels, threads, kv);
          const Logits found = run.Run(batch);
          const auto first =
              found.begin() + static_cast<std::ptrdiff_t>(place * AttentionModel::kVocabulary);
          RequireSameBits({first, first + static_cast<std::ptrdiff_t>(expected.size())}, expected,
                          std::string(kernels.isa) + " among " + std::to_string(others));
        }
      }
    }};

const Test variants{"all variants give nearly the same logits", 20, [](Random& random) {
                      const AttentionModel model(random);
                      const std::size_t length = random.Between(1, 70);
                      const SequencePart prompt{RandomTokens(random, length), 0,
                                                PagePool(random).Take(length)};
                      AttentionRun scalar(model, Variant("scalar"), 1, KvCacheDtype::kBf16);
                      const Logits expected = scalar.Run({prompt});
                      float largest = 0;
                      for (const float logit : expected)
                        largest = std::max(largest, std::fabs(logit));
                      for (const KernelTable& kernels : Variants()) {
                        for (const KvCacheDtype kv : kKvDTypes) {
                          AttentionRun run(model, kernels, 2, kv);
                          const Logits found = run.Run({prompt});
                          // Two layers of values that are rounded to 8 bits; keys to 7 bits.
                          const double bound = largest * (kv == KvCacheDtype::kBf16 ? 0.03 : 0.06);
                          for (std::size_t i = 0; i < found.size(); ++i) {
                            RequireNear(found[i], expected[i], bound,
                                        std::string(kernels.isa) + ", logit " + std::to_string(i));
                          }
                        }
                      }
                    }};

const Test refusals{"the attention stage refuses what does not fit", [](Random& random) {
                      const AttentionModel model(random);
                      AttentionRun run(model, Variant("scalar"), 1, KvCacheDtype::kBf16);
                      const auto refuses = [&](const char* part, const SequencePart& sequence) {
                        RequireThrows<Failure>(part, [&] { run.Run({sequence}); });
                      };
                      const auto beyond = static_cast<std::int32_t>(AttentionRun::kPages);
                      refuses("tokenIds[0] is 40", {{40}, 0, {0}});
                      refuses("kvPages[0] is 120", {{1}, 0, {beyond}});
                      refuses("too few for position 16", {{1}, 16, {0}});
                      refuses("positions[0] is 2000", {{1}, 2000, {0}});
                      refuses("at most 160 are allowed", {RandomTokens(random, 161), 0, {0}});
                      Require(run.Run({{{1}, 0, {0}}}).size() == AttentionModel::kVocabulary,
                              "a batch after a refused one does not run");
                    }};

}  // namespace
}  // namespace megascale::testing
