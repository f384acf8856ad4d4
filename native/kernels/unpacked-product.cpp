// Rows of bf16 take the bf16 products of the machine: with matrix tiles (AMX) they have several times the fp32 speed.
// The matrix is rounded to bf16 then, as bitsandbytes rounds it; no more than a piece of it exists. Batch-invariant
// products stay in fp32.
#include "unpacked-product.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <array>

#include "checks.h"
#include "gemm.h"
#include "pair-product.h"
#include "product.h"
#include "regions.h"
#include "rounded-rows.h"
#include "scratch.h"
#include "tile-product.h"

namespace tunesmith {
namespace {

using at::Tensor;

constexpr int64_t values_of_thread = int64_t(1) << 17;
constexpr int64_t fewest_unpacked_rows = 12;  // of fewer other products take less than dequantising all at once
constexpr int64_t piece = int64_t(4) << 20;   // bf16 values
constexpr int64_t column_unit = 256;          // blocks of a format end there
constexpr int64_t values_of_task = int64_t(1) << 15;

bool rounds(const Tensor& a) {
  return is_half(a) && !batch_invariant() && (has_native_bfloat16() || has_pair_products());
}

void unpack_rounded(const PackedMatrix& m, int64_t row, int64_t rows, int64_t column, int64_t columns, uint16_t* out) {
  over_values(0, rows, std::max<int64_t>(1, values_of_task / columns), [&](int64_t first, int64_t last) {
    kernels().unpack_rounded(m, row + first, last - first, column, columns, out + first * columns, columns);
  });
}

// Whether so few rows are multiplied by strips of the matrix.
bool takes_strips(const Product& p) {
  if (p.a.column_stride != 1) return false;
  const bool tiles = fits_tile_rows(p.rows, p.depth) && fits_tile_weight(p.columns, p.depth);
  return tiles || ((p.rows < fewest_unpacked_rows || prefers_forward_pairs()) && takes_few_pairs(p.rows));
}

// Each thread dequantises some rows of the matrix at a time, and multiplies by them while they lie in its caches.
void multiply_by_strips(const Product& p) {
  const RoundedRows rows(p.a, p.rows, p.depth);
  const int64_t strip = rows.unit(), strips = (p.columns + strip - 1) / strip;
  share_work(strips, std::max<int64_t>(1, values_of_thread / (strip * p.depth)), [&](int64_t first, int64_t last) {
    auto* rounded = reinterpret_cast<uint16_t*>(scratch(Scratch::unpacked, (strip * p.depth + 1) / 2));
    for (int64_t i = first; i < last; i++) {
      // Tiles take whole strips, so the last one begins before and computes the rest of its columns.
      const int64_t end = std::min(p.columns, (i + 1) * strip), start = std::max<int64_t>(0, end - strip);
      kernels().unpack_rounded(*p.frozen, start, end - start, 0, p.depth, rounded, p.depth);
      rows.multiply({rounded, Type::bfloat16, p.depth, 1}, end - start, i * strip - start, end - start,
                    bias_at(p, start), p.bias_type, at(p, 0, start), p.out_type, p.out_stride);
    }
  });
}

}  // namespace

void unpacked_product_out(const Tensor& out, const Tensor& a, const PackedMatrix& matrix, bool transposed,
                          const Tensor& bias) {
  const int64_t columns = out.size(1), depth = a.size(1);
  if (planning()) return count_product(out.size(0), columns, depth);
  if (out.numel() == 0) return;
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
  if (!rounds(a) || depth == 0) return multiply(p);
  if (transposed && takes_strips(p)) return multiply_by_strips(p);
  if (p.rows < fewest_unpacked_rows) return multiply(p);
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
