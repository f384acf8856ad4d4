// The inner part of a bf16 product by matrix tiles (AMX). A panel is 16 rows of a, or 16 columns of b, over the depth:
// tiles of 16 x 16 units one after another, with zeros where the matrix ends. There is an even number of panels.
#pragma once
#include "../table.h"
#include "matrix-tiles.h"

namespace tunesmith::TUNESMITH_ISA {

#if defined(TUNESMITH_TILES)
inline constexpr int64_t tile_units = matrix_tile * matrix_tile;
inline constexpr int64_t tile_depth = depth_step<TilePair>;

// One tile of a panel: lanes are rows of a, or columns of b, of which `count` are left. `by_depth` is b's form, where a
// row of the tile is a unit of the depth; in a's it is a lane.
static void pack_tile(const uint16_t* source, int64_t lane_stride, int64_t depth_stride, int64_t count, int64_t depth,
                      bool by_depth, TilePair* target) {
  const bool whole = count >= matrix_tile && depth >= tile_depth;
  if (whole && depth_stride == 1 && lane_stride % 2 == 0) {
    const TilePair* lane = (const TilePair*)source;
    if (by_depth) return turn_tile(lane, lane_stride / 2, target);
    for (int64_t i = 0; i < matrix_tile; i++)
      __builtin_memcpy((void*)(target + i * matrix_tile), (const void*)(lane + i * (lane_stride / 2)), 64);
    return;
  }
  if (whole && lane_stride == 1) {
    alignas(64) TilePair units[tile_units];
    TilePair* to = by_depth ? target : units;
    for (int64_t unit = 0; unit < matrix_tile; unit++) {
      Halves one, two;
      __builtin_memcpy(&one, source + 2 * unit * depth_stride, sizeof(one));
      __builtin_memcpy(&two, source + (2 * unit + 1) * depth_stride, sizeof(two));
      store(to + unit * matrix_tile, paired(one, two));
    }
    if (!by_depth) turn_tile(units, matrix_tile, target);
    return;
  }
  for (int64_t lane = 0; lane < matrix_tile; lane++)
    for (int64_t unit = 0; unit < matrix_tile; unit++) {
      const uint16_t* from = source + lane * lane_stride + 2 * unit * depth_stride;
      const uint32_t low = lane < count && 2 * unit < depth ? from[0] : 0;
      const uint32_t high = lane < count && 2 * unit + 1 < depth ? from[depth_stride] : 0;
      target[by_depth ? unit * matrix_tile + lane : lane * matrix_tile + unit].bits = low | high << 16;
    }
}

static void pack_tiles(const void* source, int64_t lane_stride, int64_t depth_stride, int64_t lane_count, int64_t depth,
                       bool by_depth, float* packed) {
  const int64_t panel = tile_panel(depth), panels = round_up(lane_count, 2 * matrix_tile) / matrix_tile;
  // Along what lies side by side in memory.
  const bool lanes_first = lane_stride == 1;
  const int64_t steps = round_up(depth, tile_depth) / tile_depth, all = panels * steps;
  for (int64_t i = 0; i < all; i++) {
    const int64_t lane = (lanes_first ? i % panels : i / steps) * matrix_tile;
    const int64_t step = lanes_first ? i / panels : i % steps, k = step * tile_depth;
    TilePair* target = (TilePair*)packed + lane / matrix_tile * panel + step * tile_units;
    if (lane >= lane_count)
      __builtin_memset((void*)target, 0, size_t(tile_units) * sizeof(TilePair));
    else
      pack_tile((const uint16_t*)source + lane * lane_stride + k * depth_stride, lane_stride, depth_stride,
                lane_count - lane, depth - k, by_depth, target);
  }
}

// Two tiles of rows over the depth: in panels, or where they lie.
struct TileRows {
  const TilePair* data;
  int64_t row, next, step;  // units to the next row, to the other tile, and to the tile that follows in depth
};

// sums[32, 32] (+)= rows of a times two panels of b.
TUNESMITH_TILE_CODE static void multiply_four(const TileRows& rows, const TilePair* b, int64_t panel, float* sums,
                                              int64_t stride, bool add) {
  __asm__ volatile("" ::: "memory");
  TUNESMITH_TILE_STATE;
  const TilePair* a = rows.data;
  const int64_t bytes = stride * 4, row_bytes = rows.row * 4;
  float* below = sums + matrix_tile * stride;
  if (add) {
    TUNESMITH_TILE_LOAD(0, sums, bytes);
    TUNESMITH_TILE_LOAD(1, sums + matrix_tile, bytes);
    TUNESMITH_TILE_LOAD(2, below, bytes);
    TUNESMITH_TILE_LOAD(3, below + matrix_tile, bytes);
  } else {
    TUNESMITH_TILE_ZERO(0);
    TUNESMITH_TILE_ZERO(1);
    TUNESMITH_TILE_ZERO(2);
    TUNESMITH_TILE_ZERO(3);
  }
  for (int64_t k = 0; k < panel; k += tile_units, a += rows.step) {
    TUNESMITH_TILE_LOAD(4, a, row_bytes);
    TUNESMITH_TILE_LOAD(6, b + k, 64);
    TUNESMITH_TILE_LOAD(7, b + panel + k, 64);
    TUNESMITH_TILE_MULTIPLY(0, 4, 6);
    TUNESMITH_TILE_LOAD(5, a + rows.next, row_bytes);
    TUNESMITH_TILE_MULTIPLY(1, 4, 7);
    TUNESMITH_TILE_MULTIPLY(2, 5, 6);
    TUNESMITH_TILE_MULTIPLY(3, 5, 7);
  }
  TUNESMITH_TILE_STORE(0, sums, bytes);
  TUNESMITH_TILE_STORE(1, sums + matrix_tile, bytes);
  TUNESMITH_TILE_STORE(2, below, bytes);
  TUNESMITH_TILE_STORE(3, below + matrix_tile, bytes);
  __asm__ volatile("" ::: "memory");
}

// sums[64, 16] = four tiles of rows of a times one panel of b. Each sum is that of multiply_four.
TUNESMITH_TILE_CODE static void multiply_column(const TileRows& rows, const TilePair* b, int64_t panel, float* sums) {
  __asm__ volatile("" ::: "memory");
  TUNESMITH_TILE_STATE;
  const TilePair* a = rows.data;
  const int64_t row_bytes = rows.row * 4;
  TUNESMITH_TILE_ZERO(0);
  TUNESMITH_TILE_ZERO(1);
  TUNESMITH_TILE_ZERO(2);
  TUNESMITH_TILE_ZERO(3);
  for (int64_t k = 0; k < panel; k += tile_units, a += rows.step) {
    TUNESMITH_TILE_LOAD(4, b + k, 64);
    TUNESMITH_TILE_LOAD(5, a, row_bytes);
    TUNESMITH_TILE_MULTIPLY(0, 5, 4);
    TUNESMITH_TILE_LOAD(6, a + rows.next, row_bytes);
    TUNESMITH_TILE_MULTIPLY(1, 6, 4);
    TUNESMITH_TILE_LOAD(7, a + 2 * rows.next, row_bytes);
    TUNESMITH_TILE_MULTIPLY(2, 7, 4);
    TUNESMITH_TILE_LOAD(5, a + 3 * rows.next, row_bytes);
    TUNESMITH_TILE_MULTIPLY(3, 5, 4);
  }
  TUNESMITH_TILE_STORE(0, sums, 64);
  TUNESMITH_TILE_STORE(1, sums + tile_units, 64);
  TUNESMITH_TILE_STORE(2, sums + 2 * tile_units, 64);
  TUNESMITH_TILE_STORE(3, sums + 3 * tile_units, 64);
  __asm__ volatile("" ::: "memory");
}

template <class T>
TUNESMITH_INLINE void finish_row(const float* sums, int64_t columns, const Register (&bias)[2], bool add, T* out) {
  if (columns == 2 * matrix_tile) {
    Register x = load(sums) + bias[0], y = load(sums + lanes) + bias[1];
    if (add) x += load(out), y += load(out + lanes);
    store(out, x);
    return store(out + lanes, y);
  }
  for (int64_t n = 0; n < columns; n += lanes) {
    Register x = load(sums + n) + bias[n / lanes];
    if (add) x += load_upto(out + n, columns - n);
    store_upto(out + n, x, columns - n);
  }
}

// Sums to results, with the bias from column `column` of the block on.
template <class T>
static void finish_values(const float* sums, int64_t stride, int64_t rows, int64_t columns, const TileBlock& job,
                          T* out, int64_t column) {
  static_assert(lanes == matrix_tile);
  Register bias[2] = {};
  for (int64_t n = 0; job.bias != nullptr && n < columns; n += lanes)
    bias[n / lanes] = job.bias_type == Type::bfloat16 ? load_upto((const uint16_t*)job.bias + column + n, columns - n)
                                                      : load_upto((const float*)job.bias + column + n, columns - n);
  for (int64_t r = 0; r < rows; r++)
    finish_row(sums + r * stride, columns, bias, job.add_to_out, out + r * job.out_stride);
}

// At most 32 columns, from row `row` and column `column` of the block.
static void finish_tiles(const float* sums, int64_t stride, int64_t rows, int64_t columns, const TileBlock& job,
                         int64_t row, int64_t column) {
  const int64_t at = row * job.out_stride + column;
  if (job.out_type == Type::bfloat16)
    finish_values(sums, stride, rows, columns, job, (uint16_t*)job.out + at, column);
  else
    finish_values(sums, stride, rows, columns, job, (float*)job.out + at, column);
}

static void multiply_tile_block(const TileBlock& job) {
  const int64_t panel = tile_panel(job.depth);
  constexpr int64_t side = 2 * matrix_tile;
  alignas(64) float own[side * side];
  begin_tiles();
  for (int64_t r = 0; r < job.rows; r += side)
    for (int64_t n = 0; n < job.columns; n += side) {
      float* sums = job.partial == nullptr ? own : job.partial + r * job.partial_stride + n;
      const int64_t stride = job.partial == nullptr ? side : job.partial_stride;
      multiply_four({(const TilePair*)job.a + r / matrix_tile * panel, matrix_tile, panel, tile_units},
                    (const TilePair*)job.b + n / matrix_tile * panel, panel, sums, stride, job.continues);
      if (job.out != nullptr)
        finish_tiles(sums, stride, lesser(side, job.rows - r), lesser(side, job.columns - n), job, r, n);
    }
  end_tiles();
}

// The weight is the left operand, as its rows are in the form of one where they lie; `b` are rows of x in panels. The
// sums are those of the transposed result, and are turned a tile at a time.
static void multiply_tile_rows(const TileBlock& job, Matrix weight, int64_t first, int64_t last) {
  const int64_t panel = tile_panel(job.depth), row = weight.row_stride / 2;
  const bool one = job.rows <= matrix_tile;
  const int64_t strip = (one ? 4 : 2) * matrix_tile, side = one ? matrix_tile : 2 * matrix_tile;
  alignas(64) float sums[4 * tile_units], turned[4 * tile_units];
  begin_tiles();
  for (int64_t n = first; n < last; n += strip) {
    // The last strip begins before, and gives the rest of its columns.
    const int64_t start = lesser(n, job.columns - strip), end = lesser(n + strip, last);
    const TileRows rows = {(const TilePair*)weight.data + start * row, row, matrix_tile * row, matrix_tile};
    for (int64_t r = 0; r < job.rows; r += side) {
      const TilePair* x = (const TilePair*)job.b + r / matrix_tile * panel;
      if (one)
        multiply_column(rows, x, panel, sums);
      else
        multiply_four(rows, x, panel, sums, side, false);
      for (int64_t i = 0; i < strip; i += matrix_tile)
        for (int64_t j = 0; j < side; j += matrix_tile)
          turn_tile((const TilePair*)sums + i * side + j, side, (TilePair*)turned + j * strip + i, strip);
      for (int64_t column = n; column < end; column += 2 * matrix_tile)
        finish_tiles(turned + column - start, strip, lesser(side, job.rows - r), lesser(2 * matrix_tile, end - column),
                     job, r, column);
    }
  }
  end_tiles();
}
#endif

}  // namespace tunesmith::TUNESMITH_ISA
