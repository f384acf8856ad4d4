// The low-rank change of LoRA, scale · (x aᵀ) bᵀ with a [R,K] and b [N,R], added to a product where it lies, in bf16.
#pragma once
#include <ATen/core/Tensor.h>

namespace tunesmith {

// Whether these are of bf16, on the CPU, and the processor has products of our own for them.
bool fits_low_rank(const at::Tensor& input, const at::Tensor& a, const at::Tensor& b);

// y [M,N] += scale · (x aᵀ) bᵀ. Returns scale · x aᵀ [M,R], which the gradient of b reads.
at::Tensor add_low_rank(const at::Tensor& y, const at::Tensor& x, const at::Tensor& a, const at::Tensor& b,
                        double scale);

// Its gradients. `narrow` is scale · dy b [M,R], which those of x and a read; that of x is added to dx [M,K].
at::Tensor low_rank_narrow_gradient(const at::Tensor& dy, const at::Tensor& b, double scale);
void add_low_rank_input_gradient(const at::Tensor& dx, const at::Tensor& narrow, const at::Tensor& a);
at::Tensor low_rank_a_gradient(const at::Tensor& narrow, const at::Tensor& x, const at::Tensor& a);
at::Tensor low_rank_b_gradient(const at::Tensor& dy, const at::Tensor& narrow_input, const at::Tensor& b);

// x [...,width] as rows whose values are contiguous.
at::Tensor unit_rows(const at::Tensor& x, int64_t width);

// The checks of a [R,columns], b [rows,R] and the scale, for an operator named `op`.
void check_low_rank(const at::Tensor& a, const at::Tensor& b, double scale, int64_t rows, int64_t columns,
                    const char* op);

}  // namespace tunesmith
