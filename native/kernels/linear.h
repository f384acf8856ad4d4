// The product of a linear layer as an operator of its own and inside fused layers, with the same bits.
#pragma once
#include <ATen/core/Tensor.h>

namespace tunesmith {

// y [M,N] = x [M,K] times weight [N,K] transposed, plus bias [N] where it is defined. No checks, no gradient.
void linear_product(const at::Tensor& y, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

}  // namespace tunesmith
