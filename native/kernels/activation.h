// Activation functions of feed-forward blocks over whole tensors, on all threads.
#pragma once
#include <ATen/core/Tensor.h>

#include "table.h"

namespace tunesmith {

// Their check of arguments, for an operator named `op`.
void check_gate(const at::Tensor& gate, const at::Tensor& up, const char* op);

// y = curve(gate) * up, or curve(gate) where `up` is undefined: contiguous tensors of one shape and type.
void activate(const at::Tensor& gate, const at::Tensor& up, const at::Tensor& y, Curve curve);

// The gradients of both from that of y, and y again where it is defined. `gate_gradient` may be `gradient` itself.
struct ActivationGradients {
  at::Tensor gate, up, y;
};
void activate_backward(const at::Tensor& gate, const at::Tensor& up, const at::Tensor& gradient,
                       const ActivationGradients& out, Curve curve);

}  // namespace tunesmith
