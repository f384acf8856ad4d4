#include "rounded-rows.h"

#include "pair-product.h"
#include "product.h"
#include "scratch.h"
#include "tile-product.h"

namespace tunesmith {

bool rounds_rows(int64_t rows) { return rows > 4 && (prefers_forward_pairs() || matrix_tiles()); }

RoundedRows::RoundedRows(Matrix x, int64_t rows, int64_t depth) : rows_(x), count_(rows), depth_(depth) {
  const bool tiles = fits_tile_rows(rows, depth);
  const int64_t copied = x.type == Type::bfloat16 ? 0 : ceil_to((rows * depth + 1) / 2, 16);
  float* memory = scratch(Scratch::rows, copied + (tiles ? tile_rows_floats(rows, depth) : 0));
  if (copied > 0) {
    kernels().convert(x.data, x.type, memory, Type::bfloat16, rows * depth);
    rows_ = {memory, Type::bfloat16, depth, 1};
  }
  if (!tiles) return;
  pack_tile_rows(rows_, rows, depth, memory + copied);
  panels_ = memory + copied;
}

void RoundedRows::multiply(Matrix weight, int64_t columns, int64_t first, int64_t last, const void* bias,
                           Type bias_type, void* out, Type out_type, int64_t out_stride) const {
  if (panels_ == nullptr || !fits_tile_weight(columns, weight.row_stride))
    return kernels().few_pair_rows(rows_, count_, weight, first, last, depth_, bias, bias_type, out, out_type,
                                   out_stride);
  TileRowsProduct job{};
  job.panels = panels_;
  job.rows = count_;
  job.columns = columns;
  job.depth = depth_;
  job.out = {out, out_type, out_stride, bias, bias_type, false};
  kernels().multiply_tile_rows(job, weight, first, last);
}

}  // namespace tunesmith
