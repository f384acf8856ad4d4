// The product of a linear layer as an operator of its own and inside fused layers, with the same bits.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

namespace tunesmith {

// y [M,N] = x [M,K] times weight [N,K] transposed, plus bias [N] where it is defined. No checks, no gradient.
void linear_product(const at::Tensor& y, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// The operator: input [...,K], weight [N,K] and bias [N] or none give [...,N], with gradients, on any device.
at::Tensor linear(const at::Tensor& input, const at::Tensor& weight, const std::optional<at::Tensor>& bias);

// Its gradients, of those that are wanted: dx [M,K] = dy [M,N] times weight, dw [N,K] = dy transposed times x, and the
// sums of the columns of dy.
at::Tensor linear_input_gradient(const at::Tensor& dy, const at::Tensor& weight);
at::Tensor linear_weight_gradient(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight);
at::Tensor linear_bias_gradient(const at::Tensor& dy, const at::Tensor& bias);

// The gradient of an output [...,N] as rows [M,N] that products take.
at::Tensor gradient_rows(const at::Tensor& gradient, int64_t width);

// Its checks of arguments, for an operator named `op`.
void check_linear(const at::Tensor& input, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                  const char* op, const char* name = "input");

}  // namespace tunesmith
