// Many rows of bf16 take the bf16 products of the machine, as dequantising a matrix costs little beside them: with
// matrix tiles (AMX) they have several times the fp32 speed. The matrix is rounded to bf16 then, as bitsandbytes rounds
// it; no more than a piece of it exists. Batch-invariant products stay in fp32, whatever their rows.
#include "unpacked-product.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <array>

#include "checks.h"
#include "gemm.h"
#include "pair-product.h"
#include "product.h"
#include "scratch.h"

namespace tunesmith {
namespace {

using at::Tensor;

constexpr int64_t fewest_rows = 12;          // of fewer the fp32 product takes less than dequantising
constexpr int64_t piece = int64_t(4) << 20;  // bf16 values
constexpr int64_t column_unit = 256;         // blocks of a format end there
constexpr int64_t values_at_once = 2048;     // that wait in the first cache in fp32
constexpr int64_t values_of_task = int64_t(1) << 15;

bool rounds(const Tensor& a) {
  return is_half(a) && a.size(0) >= fewest_rows && !batch_invariant() && (has_native_bfloat16() || has_pair_products());
}

void unpack_rounded(const PackedMatrix& m, int64_t row, int64_t rows, int64_t column, int64_t columns, uint16_t* out) {
  over_values(0, rows, std::max<int64_t>(1, values_of_task / columns), [&](int64_t first, int64_t last) {
    alignas(64) float wide[values_at_once];
    for (int64_t r = first; r < last; r++)
      for (int64_t i = 0; i < columns; i += values_at_once) {
        const int64_t count = std::min(values_at_once, columns - i);
        kernels().unpack(m, row + r, 1, column + i, count, wide, values_at_once);
        kernels().convert(wide, Type::float32, out + r * columns + i, Type::bfloat16, count);
      }
  });
}

}  // namespace

void unpacked_product_out(const Tensor& out, const Tensor& a, const PackedMatrix& matrix, bool transposed,
                          const Tensor& bias) {
  const int64_t columns = out.size(1), depth = a.size(1);
  if (planning()) return count_product(out.size(0), columns, depth);
  if (out.numel() == 0) return;
  if (!rounds(a) || depth == 0) {
    Product p{};
    p.rows = out.size(0);
    p.columns = columns;
    p.depth = depth;
    p.a = matrix_of(a);
    p.frozen = &matrix;
    p.frozen_transposed = transposed;
    p.out = mutable_address(out);
    p.out_type = type_of(out);
    p.out_stride = out.stride(0);
    p.bias = address_or_null(bias);
    p.bias_type = bias.defined() ? type_of(bias) : Type::float32;
    return multiply(p);
  }
  const int64_t fitting = std::max<int64_t>(1, piece / depth / column_unit) * column_unit;
  const int64_t parts = (columns + fitting - 1) / fitting;
  const int64_t step = ceil_to((columns + parts - 1) / parts, column_unit);
  auto* rounded = reinterpret_cast<uint16_t*>(scratch(Scratch::dequantized, (std::min(step, columns) * depth + 1) / 2));
  for (int64_t column = 0; column < columns; column += step) {
    const int64_t count = std::min(step, columns - column);
    const std::array<int64_t, 2> shape = {transposed ? count : depth, transposed ? depth : count};
    if (transposed)
      unpack_rounded(matrix, column, count, 0, depth, rounded);
    else
      unpack_rounded(matrix, 0, depth, column, count, rounded);
    const Tensor part = at::from_blob(rounded, shape, a.options());
    product_out(out.narrow(1, column, count), a, transposed ? part.t() : part,
                bias.defined() ? bias.narrow(0, column, count) : bias);
  }
}

}  // namespace tunesmith
