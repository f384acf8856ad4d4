// Matrix product over strided fp32 and bf16 operands with fp32 sums, on all threads; addresses, not tensors.
#pragma once
#include "table.h"

namespace tunesmith {

struct Product {
  int64_t rows, columns, depth;
  Matrix a;  // [rows, depth]
  Matrix b;  // [depth, columns]
  // Stands for b where there is one: itself, or its transpose.
  const PackedMatrix* frozen = nullptr;
  bool frozen_transposed = false;
  void* out;  // [rows, columns], columns contiguous
  Type out_type;
  int64_t out_stride;
  const void* bias = nullptr;
  Type bias_type = Type::float32;
  bool add_to_out = false;
};

void multiply(const Product& product);

}  // namespace tunesmith
