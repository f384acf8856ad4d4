// A plan runs the real code of a step without arithmetic and without the memory of its tensors: operators compute
// shapes only. It counts memory and floating-point operations. Planning is a dispatch key in the thread-local set, so
// that autograd carries it into backward.
#pragma once
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <c10/core/Allocator.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <cstddef>
#include <cstdint>

namespace tunesmith {

// Nothing else uses this key. It is below autograd and above the CPU's kernels.
constexpr auto planning_key = c10::DispatchKey::CustomRNGKeyId;

// Whether operators of this thread compute shapes only.
inline bool planning() {
  const auto keys = c10::impl::tls_local_dispatch_key_set();
  return keys.included_.has(planning_key) && !keys.excluded_.has(planning_key);
}

// Computes values inside a plan: with memory, which the plan counts.
struct ComputeValues {
  c10::impl::ExcludeDispatchKeyGuard guard{planning_key};
};

// at::parallel_for over the elements of tensors, which have none while planning.
template <class Body> void over_values(int64_t first, int64_t last, int64_t grain, const Body& body) {
  if (!planning()) at::parallel_for(first, last, grain, body);
}

// Counts the operations of a product [rows,depth] times [depth,columns].
void count_product(int64_t rows, int64_t columns, int64_t depth);
// Counts operations as computed, and as a plain composition without masks would compute them.
void count_operations(double computed, double plain);

// The operator that the following blocks and operations are counted for.
void name_operator(const char* name, bool backward);

// ---- for the allocator ----
c10::DataPtr planned_memory(size_t bytes);
// A block with memory that was allocated during a plan: its number, or 0 outside plans. Freed with its number.
int64_t plan_block(size_t bytes);
void unplan_block(int64_t number);
// The number that a block of the allocator got.
int64_t plan_number(const void* data);

// Throws for a tensor of a plan outside of one: it has no memory.
void expect_values(const at::Tensor& t);
// Gives a tensor of a plan memory, filled with zeros.
void give_planned_values(const at::Tensor& t);
// The tensor, or for one of a plan another of its shape whose values are invented.
at::Tensor with_values(const at::Tensor& t);

}  // namespace tunesmith
