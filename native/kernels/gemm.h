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
  // All of b as pack_panels leaves it, or null.
  const float* panels = nullptr;
  void* out;  // [rows, columns], columns contiguous
  Type out_type;
  int64_t out_stride;
  const void* bias = nullptr;
  Type bias_type = Type::float32;
  bool add_to_out = false;
};

void multiply(const Product& product);

inline int64_t ceil_to(int64_t x, int64_t step) { return (x + step - 1) / step * step; }

// The part of a matrix that begins at a row and a column.
inline Matrix at(Matrix m, int64_t row, int64_t column) {
  const int64_t offset = row * m.row_stride + column * m.column_stride;
  m.data = static_cast<const char*>(m.data) + offset * (m.type == Type::bfloat16 ? 2 : 4);
  return m;
}

// The part of the result that begins at a row and a column, and that of the bias.
inline void* at(const Product& p, int64_t row, int64_t column) {
  return static_cast<char*>(p.out) + (row * p.out_stride + column) * (p.out_type == Type::bfloat16 ? 2 : 4);
}
inline const void* bias_at(const Product& p, int64_t column) {
  if (p.bias == nullptr) return nullptr;
  return static_cast<const char*>(p.bias) + column * (p.bias_type == Type::bfloat16 ? 2 : 4);
}

// The packed form of a matrix [depth, columns] and its size. It does not depend on the rows of a product.
int64_t panel_floats(int64_t columns, int64_t depth);
void pack_panels(Matrix b, int64_t depth, int64_t columns, float* out);

}  // namespace tunesmith
