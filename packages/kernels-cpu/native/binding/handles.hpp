#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "kernels/dispatch/kernel_table.hpp"
#include "program/attention_stage.hpp"
#include "program/expert_stage.hpp"
#include "runtime/thread_pool.hpp"

// The three classes that JavaScript sees. Each method unwraps, calls and wraps; `close` frees the
// native object at once, and later calls throw ERR_DEVICE. Handles are created and used on one
// JavaScript thread.
namespace megascale {

class BackendHandle : public Napi::ObjectWrap<BackendHandle> {
 public:
  static Napi::Function Define(Napi::Env env);
  // new Backend(threads, isa): isa '' takes the best.
  explicit BackendHandle(const Napi::CallbackInfo& info);
  // The handle in `value`; throws ERR_SHAPE when it is anything else.
  static BackendHandle& From(const Napi::Value& value);

  const std::shared_ptr<ThreadPool>& pool() const { return pool_; }
  const KernelTable& kernels() const { return kernels_; }

 private:
  Napi::Value Isa(const Napi::CallbackInfo& info);
  // allocate(byteLength) → ArrayBuffer
  Napi::Value Allocate(const Napi::CallbackInfo& info);
  // What machine_bounds.hpp measures. readBandwidth(byteLength) → Float64Array of (streams, bytes
  // per second); multiplyPeak() → [FLOP/s of the product, of the instruction, its name]; forkJoin()
  // and copyTime(byteLength) → Float64Array of two times in microseconds.
  Napi::Value ReadBandwidth(const Napi::CallbackInfo& info);
  Napi::Value MultiplyPeak(const Napi::CallbackInfo& info);
  Napi::Value ForkJoin(const Napi::CallbackInfo& info);
  Napi::Value CopyTime(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  ThreadPool& Pool();

  std::shared_ptr<ThreadPool> pool_;
  KernelTable kernels_{};
};

class AttentionStageHandle : public Napi::ObjectWrap<AttentionStageHandle> {
 public:
  static Napi::Function Define(Napi::Env env);
  // new AttentionStage(backend, program)
  explicit AttentionStageHandle(const Napi::CallbackInfo& info);

 private:
  AttentionStage& Stage();
  void BindSlots(const Napi::CallbackInfo& info);
  void Embed(const Napi::CallbackInfo& info);
  void Attend(const Napi::CallbackInfo& info);
  void Combine(const Napi::CallbackInfo& info);
  // logits(microBatch) → rows written
  Napi::Value Logits(const Napi::CallbackInfo& info);
  // The ArrayBuffer that `logits` writes to.
  Napi::Value LogitsBuffer(const Napi::CallbackInfo& info);
  // opTotals() and opRecords() as profile_arrays.hpp says; record(capacity); [weight bytes, KV
  // bytes] of memoryBytes().
  Napi::Value OpTotals(const Napi::CallbackInfo& info);
  Napi::Value OpRecords(const Napi::CallbackInfo& info);
  void Record(const Napi::CallbackInfo& info);
  Napi::Value MemoryBytes(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  std::unique_ptr<AttentionStage> stage_;
  std::vector<Napi::ObjectReference> bound_;
};

class ExpertStageHandle : public Napi::ObjectWrap<ExpertStageHandle> {
 public:
  static Napi::Function Define(Napi::Env env);
  // new ExpertStage(backend, program)
  explicit ExpertStageHandle(const Napi::CallbackInfo& info);

 private:
  ExpertStage& Stage();
  void BindSlots(const Napi::CallbackInfo& info);
  void Run(const Napi::CallbackInfo& info);
  Napi::Value Load(const Napi::CallbackInfo& info);
  Napi::Value Drop(const Napi::CallbackInfo& info);
  Napi::Value OpTotals(const Napi::CallbackInfo& info);
  Napi::Value OpRecords(const Napi::CallbackInfo& info);
  void Record(const Napi::CallbackInfo& info);
  Napi::Value MemoryBytes(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  std::unique_ptr<ExpertStage> stage_;
  std::vector<Napi::ObjectReference> bound_;
};

}  // namespace megascale
