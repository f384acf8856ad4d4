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

int64_t row_bytes(int64_t depth) { return depth + depth / block_group * 16; }

}  // namespace

const void* quantized(Matrix x, int64_t rows, int64_t depth) {
  const int64_t bytes = row_bytes(depth);
  char* out = reinterpret_cast<char*>(scratch(Scratch::quantized, rows * bytes / int64_t(sizeof(float)) + 16));
  const int64_t item = x.type == Type::bfloat16 ? 2 : 4;
  share_work(rows, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, depth)), [&](int64_t first, int64_t last) {
    Matrix part = x;
    part.data = static_cast<const char*>(x.data) + first * x.row_stride * item;
    kernels().quantize_rows(part, last - first, depth, out + first * bytes);
  });
  return out;
}

void multiply_some(const BlockProduct& product, int64_t first, int64_t last) {
  const int64_t bytes = row_bytes(product.depth), item = product.out_type == Type::bfloat16 ? 2 : 4;
  const int64_t run = std::max<int64_t>(16, cached_bytes / bytes / 8 * 8);
  float* sums = scratch(Scratch::block_sums, std::min(run, product.rows) * kernels().lanes);
  for (int64_t row = 0; row < product.rows; row += run) {
    BlockProduct part = product;
    part.rows = std::min(run, product.rows - row);
    part.x = static_cast<const char*>(product.x) + row * bytes;
    part.out = static_cast<char*>(product.out) + row * product.out_stride * item;
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
