// Splits products with matrices of blocks among threads by columns, and by rows so that those of the input stay in the
// second cache while the matrix passes. No result depends on either.
#include "block-product.h"

#include <algorithm>

#include "regions.h"
#include "scratch.h"

namespace tunesmith {
namespace {

constexpr int64_t cached_bytes = int64_t(1) << 18;
constexpr int64_t column_unit = 16;
constexpr int64_t least_work = int64_t(1) << 18;  // multiplications that are worth a thread

bool has_row_scales(Code code) { return code == Code::int8_rows; }

int64_t row_bytes(int64_t depth, Code code) {
  return has_row_scales(code) ? depth + 12 : depth + depth / block_group * 16;
}

// Columns in whole sixteens; a matrix whose layout is not kept is laid out piece by piece.
void multiply_int8(const BlockProduct& product, int64_t first, int64_t last) {
  if (product.weight.interleaved != nullptr) return kernels().int8_rows(product, first, last);
  constexpr int64_t piece = 48;
  const int64_t bytes = kernels().interleaved_bytes(Code::int8_rows, product.depth);
  auto* layout = reinterpret_cast<uint8_t*>(scratch(Scratch::block_sums, piece / column_unit * bytes / 4));
  for (int64_t n = first; n < last; n += piece) {
    const int64_t end = std::min(last, n + piece);
    kernels().interleave(product.weight, product.columns, n / column_unit, (end + column_unit - 1) / column_unit,
                         layout);
    BlockProduct part = product;
    part.weight.interleaved = layout;
    part.columns = end - n;
    const int64_t item = product.out_type == Type::bfloat16 ? 2 : 4;
    part.out = static_cast<char*>(product.out) + n * item;
    if (product.bias != nullptr)
      part.bias = static_cast<const char*>(product.bias) + n * (product.bias_type == Type::bfloat16 ? 2 : 4);
    kernels().int8_rows(part, 0, end - n);
  }
}

}  // namespace

bool share_input(Code a, Code b) { return has_row_scales(a) == has_row_scales(b); }

const void* quantized(Matrix x, int64_t rows, int64_t depth, Code code) {
  const int64_t bytes = row_bytes(depth, code);
  const auto quantize = has_row_scales(code) ? kernels().quantize_int8_rows : kernels().quantize_rows;
  char* out = reinterpret_cast<char*>(scratch(Scratch::quantized, rows * bytes / int64_t(sizeof(float)) + 16));
  const int64_t item = x.type == Type::bfloat16 ? 2 : 4;
  share_work(rows, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, depth)), [&](int64_t first, int64_t last) {
    Matrix part = x;
    part.data = static_cast<const char*>(x.data) + first * x.row_stride * item;
    quantize(part, last - first, depth, out + first * bytes);
  });
  return out;
}

void multiply_some(const BlockProduct& product, int64_t first, int64_t last) {
  const int64_t bytes = row_bytes(product.depth, product.weight.code);
  const int64_t item = product.out_type == Type::bfloat16 ? 2 : 4;
  const int64_t run = std::max<int64_t>(16, cached_bytes / bytes / 8 * 8);
  const bool row_scales = has_row_scales(product.weight.code);
  float* sums = row_scales ? nullptr : scratch(Scratch::block_sums, std::min(run, product.rows) * kernels().lanes);
  for (int64_t row = 0; row < product.rows; row += run) {
    BlockProduct part = product;
    part.rows = std::min(run, product.rows - row);
    part.x = static_cast<const char*>(product.x) + row * bytes;
    part.out = static_cast<char*>(product.out) + row * product.out_stride * item;
    if (row_scales)
      multiply_int8(part, first, last);
    else
      kernels().block_rows(part, first, last, sums);
  }
}

void multiply(const BlockProduct& product) {
  const int64_t columns = product.columns;
  const int64_t units = (columns + column_unit - 1) / column_unit;
  const int64_t work = column_unit * std::max<int64_t>(1, product.rows * product.depth);
  share_work(units, std::max<int64_t>(1, least_work / work), [&](int64_t first, int64_t last) {
    multiply_some(product, first * column_unit, std::min(columns, last * column_unit));
  });
}

}  // namespace tunesmith
