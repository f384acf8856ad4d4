// Packs the right operand once for all threads and the left one a block at a time, by the thread that multiplies it.
// Sums are in fp32 over slices of the depth, which depend on the depth only, so results are reproducible.
#include "tile-product.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "regions.h"
#include "scratch.h"

namespace tunesmith {
namespace {

constexpr int64_t side = 32;           // of the block that four tiles of sums hold
constexpr int64_t slice_depth = 1024;  // a block of rows of it waits in the second cache
constexpr int64_t row_block = 256;
constexpr int64_t column_block = 512;  // of it too, beside the rows
constexpr int64_t fewest = 128;        // fewer rows, or less depth, are not worth packing the other operand
constexpr int64_t packed_limit = int64_t(1) << 25;  // bf16 values of the right operand

constexpr int64_t most_rows = 128;                // from here on oneDNN's packing pays
constexpr int64_t strip = 64;                     // columns that one row of tiles computes at a time
constexpr int64_t rows_limit = int64_t(1) << 19;  // bf16 values of some rows, which wait in the second cache
constexpr int64_t strip_work = int64_t(1) << 20;  // multiplications that are worth waking a thread

}  // namespace

bool takes_tiles(const Product& p) {
  return matrix_tiles() && kernels().multiply_tile_block != nullptr && p.frozen == nullptr && p.panels == nullptr &&
         p.a.type == Type::bfloat16 && p.b.type == Type::bfloat16 && p.a.row_stride == 1 && p.a.column_stride != 1 &&
         p.rows >= fewest && p.depth >= fewest && p.columns >= side && p.depth * p.columns <= packed_limit;
}

void multiply_by_tiles(const Product& p) {
  const Kernels& k = kernels();
  const int64_t slices = (p.depth + slice_depth - 1) / slice_depth, columns = ceil_to(p.columns, side);
  // Of each slice all panels of columns, one slice after another.
  const int64_t slice_floats = columns / 16 * tile_panel(std::min(slice_depth, p.depth));
  float* packed = scratch(Scratch::columns, slices * slice_floats);
  const auto depth_of = [&](int64_t slice) { return std::min(slice_depth, p.depth - slice * slice_depth); };
  const int64_t strips = columns / side;
  at::parallel_for(0, slices * strips, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const int64_t slice = i / strips, column = i % strips * side, depth = depth_of(slice);
      k.pack_tiles(at(p.b, slice * slice_depth, column).data, p.b.column_stride, p.b.row_stride,
                   std::min(side, p.columns - column), depth, true,
                   packed + slice * slice_floats + column / 16 * tile_panel(depth));
    }
  });

  const int64_t threads = at::get_num_threads();
  const int64_t block = std::clamp(ceil_to((p.rows + threads - 1) / threads, side), side, row_block);
  at::parallel_for(0, (p.rows + block - 1) / block, 1, [&](int64_t first, int64_t last) {
    float* rows = scratch(Scratch::rows, block / 16 * tile_panel(std::min(slice_depth, p.depth)));
    float* sums = slices > 1 ? scratch(Scratch::partial, block * columns) : nullptr;
    for (int64_t row = first * block; row < std::min(p.rows, last * block); row += block)
      for (int64_t slice = 0; slice < slices; slice++) {
        TileBlock job{};
        job.depth = depth_of(slice);
        job.rows = std::min(block, p.rows - row);
        k.pack_tiles(at(p.a, row, slice * slice_depth).data, p.a.row_stride, p.a.column_stride, job.rows, job.depth,
                     false, rows);
        job.a = rows;
        job.continues = slice > 0;
        job.partial_stride = columns;
        for (int64_t column = 0; column < p.columns; column += column_block) {
          job.columns = std::min(column_block, p.columns - column);
          job.b = packed + slice * slice_floats + column / 16 * tile_panel(job.depth);
          if (sums != nullptr) job.partial = sums + column;
          if (slice == slices - 1) {
            const int64_t bytes = p.out_type == Type::bfloat16 ? 2 : 4;
            job.out = static_cast<char*>(p.out) + (row * p.out_stride + column) * bytes;
            job.out_type = p.out_type;
            job.out_stride = p.out_stride;
            job.bias_type = p.bias_type;
            const int64_t bias_bytes = p.bias_type == Type::bfloat16 ? 2 : 4;
            job.bias = p.bias == nullptr ? nullptr : static_cast<const char*>(p.bias) + column * bias_bytes;
            job.add_to_out = p.add_to_out;
          }
          k.multiply_tile_block(job);
        }
      }
  });
}

bool takes_tile_rows(const Product& p) {
  return matrix_tiles() && kernels().multiply_tile_rows != nullptr && p.frozen == nullptr && p.panels == nullptr &&
         p.a.type == Type::bfloat16 && p.b.type == Type::bfloat16 && p.a.column_stride == 1 && p.b.row_stride == 1 &&
         p.a.row_stride % 2 == 0 && p.b.column_stride % 2 == 0 && p.rows > 1 && p.rows <= most_rows &&
         p.columns >= strip && p.depth >= 32 && p.depth % 32 == 0 && p.rows * p.depth <= rows_limit;
}

void multiply_rows_by_tiles(const Product& p) {
  const Kernels& k = kernels();
  const int64_t panel = tile_panel(p.depth), pairs = (p.rows + side - 1) / side;
  float* packed = scratch(Scratch::rows, 2 * pairs * panel);
  const auto pack = [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++)
      k.pack_tiles(at(p.a, i * side, 0).data, p.a.row_stride, 1, std::min(side, p.rows - i * side), p.depth, true,
                   packed + 2 * i * panel);
  };
  share_work(pairs, std::max<int64_t>(1, 8 * strip_work / (strip * side * p.depth)), pack);

  TileBlock job{};
  job.b = packed;
  job.rows = p.rows;
  job.columns = p.columns;
  job.depth = p.depth;
  job.out = p.out;
  job.out_type = p.out_type;
  job.out_stride = p.out_stride;
  job.bias = p.bias;
  job.bias_type = p.bias_type;
  job.add_to_out = p.add_to_out;
  Matrix weight = p.b;
  weight.row_stride = p.b.column_stride;
  const int64_t strips = (p.columns + strip - 1) / strip;
  share_work(strips, std::max<int64_t>(1, strip_work / (strip * p.rows * p.depth)), [&](int64_t first, int64_t last) {
    k.multiply_tile_rows(job, weight, first * strip, std::min(p.columns, last * strip));
  });
}

}  // namespace tunesmith
