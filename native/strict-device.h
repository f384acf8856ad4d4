// Parts of the strict device (strict-device.cpp): its memory, its pinned memory, and its graphs. For tests only.
#pragma once
#include "accelerator.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/Allocator.h>
#include <c10/core/Storage.h>
#include <torch/library.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_set>

namespace tunesmith::strict {

using at::Tensor;
using torch::jit::Stack;

constexpr auto type = c10::DeviceType::PrivateUse1;
inline const c10::Device device(type, 0);

// What tests read: `waits` make the host wait for the device, `uploads` and `downloads` are copies of tensors.
struct Counts {
  std::atomic<int64_t> operators{0}, waits{0}, uploads{0}, downloads{0}, emptied{0}, captures{0}, replays{0};
};
inline Counts counts;

// What tests take from the device, as the GPUs of Macs lack it: float64, and operators that are computed on the CPU.
struct Lacks {
  std::atomic<bool> float64{false};
  std::atomic<bool> any{false};
  std::mutex mutex;
  std::unordered_set<std::string> operators;
};
inline Lacks lacks;

// Something makes the host wait. @throws c10::Error within a capture, as no graph can hold a wait
void note_wait(const char* what);

// ---- strict-memory.cpp ----
c10::Allocator& memory();
void register_memory();
// Memory of the CPU as memory of the device. @throws c10::OutOfMemoryError beyond the limit
c10::Storage take_over(const c10::Storage& host);
// A storage over the memory of another, on another device, which it keeps.
c10::Storage storage_over(const c10::Storage& other, c10::Device where, c10::Allocator* allocator);
// SIZE_MAX for none.
void set_limit(size_t bytes);

// Null where libtorch has no allocator of pinned memory to build on.
c10::Allocator* pinned_memory();
bool is_pinned(const void* data);
// Runs a copy from pinned memory later, before the device's next operator, as a stream would.
void enqueue_upload(const Tensor& from, const Tensor& to);
void finish_uploads();

// ---- strict-graph.cpp ----
void register_graphs();
// An operator's results, computed anew with these arguments.
Stack run_operator(const c10::OperatorHandle& op, const Stack& arguments);
// Whether a graph is recorded, so that only what can be replayed may run.
bool capturing();
void record_operator(const c10::OperatorHandle& op, const Stack& arguments, const Stack& results);
void record_copy(const Tensor& from, const Tensor& to);
// Memory that a capture made belongs to its graph.
void record_memory(const c10::Storage& made);
// Another tensor over the same memory.
Tensor alias(const Tensor& t);
// The CPU's tensor over the memory of one of the device.
Tensor host_view(const Tensor& t);

// The stream of this thread; 0 is the default one.
inline thread_local c10::StreamId stream = 0;

}  // namespace tunesmith::strict
