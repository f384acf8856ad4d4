// Accelerators through libtorch's own interfaces, which CUDA, MPS, XPU and the strict device of tests implement alike.
#pragma once
#include <ATen/ATen.h>

// Memory statistics, pinned memory and graphs of accelerators; older versions of libtorch lack them or have other
// forms.
#if __has_include(<ATen/accelerator/Graph.h>)
#define TUNESMITH_HAS_ACCELERATOR 1
#endif

namespace tunesmith {

// A tensor of the CPU on a device. The copy is from pinned memory, so the host does not wait for it, but on the GPU of
// a Mac.
at::Tensor upload(const at::Tensor& host, c10::Device device);

// Whether a device computes in float64, which the GPUs of Macs do not.
bool has_float64(c10::Device device);

// Settings that libraries of accelerators read at their first use.
void prepare_accelerators();

// Stands around operators, and compares the memory of tensors with the limit of their device. The allocators of
// accelerators share no limit of their own, so it is exceeded for as long as one operator or backward pass takes.
class LimitedMemory {
 public:
  LimitedMemory();
  // Throws an out-of-memory error where the limit was exceeded meanwhile.
  void expect_within() const;

 private:
  int64_t peak_before_ = 0;
};

}  // namespace tunesmith
