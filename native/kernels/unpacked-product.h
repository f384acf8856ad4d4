// Products of a quantised matrix, dequantised a piece at a time: to bf16 for many rows of bf16, else to fp32.
#pragma once
#include <ATen/core/Tensor.h>

#include "table.h"

namespace tunesmith {

// out [M,N] = a [M,K] times `matrix` [K,N], or `transposed`, its transpose [N,K], plus `bias` [N], which may be
// undefined. The columns of `out` and those of `a`, or its rows, are contiguous.
void unpacked_product_out(const at::Tensor& out, const at::Tensor& a, const PackedMatrix& matrix, bool transposed,
                          const at::Tensor& bias = {});

}  // namespace tunesmith
