// Products of matrices as tensors: chooses between the packed product of gemm.h and the one of ATen, by processor.
#pragma once
#include <ATen/core/Tensor.h>

namespace tunesmith {

// a [M,K] times b [K,N], any strides, float32 or bfloat16 mixed freely; sums in fp32.
// `out` [M,N] has contiguous columns and is overwritten, or added to where `add` is set. `bias` [N] may be undefined.
// `panels`: b in packed form, for batch-invariant products, or null.
void product_out(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias = {},
                 bool add = false, const float* panels = nullptr);

// Whether bf16 products of a layer are by dot products of pairs, and whether those of its gradients are, too.
bool prefers_forward_pairs();
bool prefers_pair_products();

// Sums over rows of x [M,N], fp32 [N]; partial sums by a fixed split of the rows.
at::Tensor column_sum(const at::Tensor& x);

}  // namespace tunesmith
