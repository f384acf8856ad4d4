// The inner part of a bf16 product by matrix tiles (AMX). A panel is 32 rows of a, or 32 columns of b, over the depth:
// the two tiles of 16 x 16 units of a step of the depth, then those of the next one, with zeros where the matrix ends.
#pragma once
#include "../table.h"
#include "matrix-tiles.h"

namespace tunesmith::TUNESMITH_ISA {

#if defined(TUNESMITH_TILES)
inline constexpr int64_t tile_units = matrix_tile * matrix_tile;
inline constexpr int64_t tile_depth = depth_step<TilePair>;
// Of the depth: so much of a panel waits in the first cache while the panels of the other operand pass.
inline constexpr int64_t steps_of_slice = 8;

// One tile of a panel: lanes are rows of a, or columns of b, of which `count` are left. `by_depth` is b's form, where a
// row of the tile is a unit of the depth; in a's it is a lane.
static void pack_tile(const uint16_t* source, int64_t lane_stride, int64_t depth_stride, int64_t count, int64_t depth,
                      bool by_depth, TilePair* target) {
  const bool whole = count >= matrix_tile && depth >= tile_depth;
  if (depth_stride == 1) {
    if (whole && by_depth && lane_stride % 2 == 0) return turn_tile((const TilePair*)source, lane_stride / 2, target);
    alignas(64) TilePair units[tile_units];
    TilePair* to = by_depth ? units : target;
    for (int64_t i = 0; i < matrix_tile; i++) {
      Words values = {};
      if (i < count && depth >= tile_depth)
        values = operand((const Pair*)(source + i * lane_stride));
      else if (i < count)
        values = words_end(source + i * lane_stride, depth);
      store(to + i * matrix_tile, values);
    }
    if (by_depth) turn_tile(units, matrix_tile, target);
    return;
  }
  if (count >= matrix_tile && lane_stride == 1) {
    alignas(64) TilePair units[tile_units];
    TilePair* to = by_depth ? target : units;
    for (int64_t unit = 0; unit < matrix_tile; unit++) {
      const uint16_t* from = source + 2 * unit * depth_stride;
      Halves one = {}, two = {};
      if (2 * unit < depth) __builtin_memcpy(&one, from, sizeof(one));
      if (2 * unit + 1 < depth) __builtin_memcpy(&two, from + depth_stride, sizeof(two));
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

// A band is 32 rows of memory: lanes of a panel where they lie by rows, or a step of the depth of all panels. While one
// is packed, a part at a time, the next one is fetched in the order of its addresses, as the processor foresees that.
TUNESMITH_INLINE void fetch_band(const uint16_t* source, int64_t stride, int64_t part, int64_t parts) {
  for (int64_t i = 32 * part; i < 32 * (part + 1); i++)
    __builtin_prefetch(source + i / parts * stride + i % parts * 32, 0, 2);
}

static void pack_tiles(const void* source, int64_t lane_stride, int64_t depth_stride, int64_t lane_count, int64_t depth,
                       bool by_depth, float* packed) {
  constexpr int64_t side = 2 * matrix_tile;
  const uint16_t* from = (const uint16_t*)source;
  const bool by_lane = depth_stride == 1;
  const int64_t steps = round_up(depth, tile_depth) / tile_depth, panels = round_up(lane_count, side) / side;
  const int64_t bands = by_lane ? panels : steps, parts = by_lane ? steps : panels;
  const int64_t stride = by_lane ? lane_stride : depth_stride;
  for (int64_t band = 0; band < bands; band++)
    for (int64_t part = 0; part < parts; part++) {
      if (band + 2 < bands) fetch_band(from + (band + 1) * 32 * stride, stride, part, parts);
      const int64_t panel = by_lane ? band : part, step = by_lane ? part : band, k = step * tile_depth;
      TilePair* target = (TilePair*)packed + (panel * steps + step) * 2 * tile_units;
      for (int64_t lane = panel * side; lane < (panel + 1) * side; lane += matrix_tile, target += tile_units)
        if (lane >= lane_count)
          __builtin_memset((void*)target, 0, size_t(tile_units) * sizeof(TilePair));
        else
          pack_tile(from + lane * lane_stride + k * depth_stride, lane_stride, depth_stride, lane_count - lane,
                    depth - k, by_depth, target);
    }
}

// Two tiles of rows over the depth: in panels, or where they lie.
struct TileRows {
  const TilePair* data;
  int64_t row, next, step;  // units to the next row, to the other tile, and to the tile that follows in depth
};

// Four tiles of sums (+)= two tiles of rows of a times a panel of b over some steps of the depth.
TUNESMITH_TILE_CODE static void multiply_four(const TileRows& rows, const TilePair* b, int64_t steps, float* sums,
                                              bool add) {
  __asm__ volatile("" ::: "memory");
  TUNESMITH_TILE_STATE;
  const TilePair* a = rows.data;
  const int64_t row_bytes = rows.row * 4;
  if (add) {
    TUNESMITH_TILE_LOAD(0, sums, 64);
    TUNESMITH_TILE_LOAD(1, sums + tile_units, 64);
    TUNESMITH_TILE_LOAD(2, sums + 2 * tile_units, 64);
    TUNESMITH_TILE_LOAD(3, sums + 3 * tile_units, 64);
  } else {
    TUNESMITH_TILE_ZERO(0);
    TUNESMITH_TILE_ZERO(1);
    TUNESMITH_TILE_ZERO(2);
    TUNESMITH_TILE_ZERO(3);
  }
  for (int64_t step = 0; step < steps; step++, a += rows.step, b += 2 * tile_units) {
    TUNESMITH_TILE_LOAD(6, b, 64);
    TUNESMITH_TILE_LOAD(4, a, row_bytes);
    TUNESMITH_TILE_LOAD(7, b + tile_units, 64);
    TUNESMITH_TILE_MULTIPLY(0, 4, 6);
    TUNESMITH_TILE_LOAD(5, a + rows.next, row_bytes);
    TUNESMITH_TILE_MULTIPLY(1, 4, 7);
    TUNESMITH_TILE_MULTIPLY(2, 5, 6);
    TUNESMITH_TILE_MULTIPLY(3, 5, 7);
  }
  TUNESMITH_TILE_STORE(0, sums, 64);
  TUNESMITH_TILE_STORE(1, sums + tile_units, 64);
  TUNESMITH_TILE_STORE(2, sums + 2 * tile_units, 64);
  TUNESMITH_TILE_STORE(3, sums + 3 * tile_units, 64);
  __asm__ volatile("" ::: "memory");
}

// Four tiles of sums = four tiles of rows of a times the first half of a panel of b. Each sum is that of multiply_four.
TUNESMITH_TILE_CODE static void multiply_column(const TileRows& rows, const TilePair* b, int64_t steps, float* sums) {
  __asm__ volatile("" ::: "memory");
  TUNESMITH_TILE_STATE;
  const TilePair* a = rows.data;
  const int64_t row_bytes = rows.row * 4;
  TUNESMITH_TILE_ZERO(0);
  TUNESMITH_TILE_ZERO(1);
  TUNESMITH_TILE_ZERO(2);
  TUNESMITH_TILE_ZERO(3);
  for (int64_t step = 0; step < steps; step++, a += rows.step, b += 2 * tile_units) {
    TUNESMITH_TILE_LOAD(4, b, 64);
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

// Where sums lie: floats from a row to the next in a tile, from tile to tile below, and to the next 16 columns.
struct SumsLayout {
  int64_t row, below, beside;
};
inline constexpr SumsLayout in_tiles = {matrix_tile, 2 * tile_units, tile_units};

template <class T>
TUNESMITH_INLINE void finish_row(const float* sums, int64_t beside, int64_t columns, const Register (&bias)[2],
                                 bool add, T* out) {
  static_assert(lanes == matrix_tile);
  if (columns == 2 * matrix_tile) {
    Register x = load(sums) + bias[0], y = load(sums + beside) + bias[1];
    if (add) x += load(out), y += load(out + lanes);
    store(out, x);
    return store(out + lanes, y);
  }
  for (int64_t n = 0; n < columns; n += lanes) {
    Register x = load(sums + n / lanes * beside) + bias[n / lanes];
    if (add) x += load_upto(out + n, columns - n);
    store_upto(out + n, x, columns - n);
  }
}

// Sums to results, from row `row` and column `column` of the product on.
template <class T>
static void finish_values(const float* sums, SumsLayout layout, int64_t rows, int64_t columns, const TileOutput& to,
                          int64_t row, int64_t column) {
  T* out = (T*)to.data + row * to.stride + column;
  Register bias[2] = {};
  for (int64_t n = 0; to.bias != nullptr && n < columns; n += lanes)
    bias[n / lanes] = to.bias_type == Type::bfloat16 ? load_upto((const uint16_t*)to.bias + column + n, columns - n)
                                                     : load_upto((const float*)to.bias + column + n, columns - n);
  for (int64_t r = 0; r < rows; r++)
    finish_row(sums + r / matrix_tile * layout.below + r % matrix_tile * layout.row, layout.beside, columns, bias,
               to.add, out + r * to.stride);
}

// At most 32 columns.
static void finish_tiles(const float* sums, SumsLayout layout, int64_t rows, int64_t columns, const TileOutput& to,
                         int64_t row, int64_t column) {
  if (to.type == Type::bfloat16)
    finish_values<uint16_t>(sums, layout, rows, columns, to, row, column);
  else
    finish_values<float>(sums, layout, rows, columns, to, row, column);
}

// Part `part` of `parts` of the slice that follows, into the second cache: where it lies, or packed.
TUNESMITH_INLINE void fetch_slice(const TileBlock& job, int64_t lane, int64_t depth, int64_t part, int64_t parts) {
  constexpr int64_t side = 2 * matrix_tile, depths = steps_of_slice * tile_depth;
  const char* from = (const char*)job.source + (lane * job.lane_stride + depth * job.depth_stride) * 2;
  // Cache lines of 32 values: along a lane, or across all lanes.
  const int64_t lines = side * depths / 32, end = lines * (part + 1) / parts;
  for (int64_t i = lines * part / parts; i < end; i++) {
    const int64_t along = depths / 32;
    __builtin_prefetch(job.depth_stride == 1 ? from + i / along * job.lane_stride * 2 + i % along * 64
                                             : from + i * job.depth_stride * 2,
                       0, 2);
  }
}

TUNESMITH_INLINE void fetch_packed(const TilePair* next, int64_t part, int64_t parts) {
  constexpr int64_t lines = steps_of_slice * 2 * matrix_tile;
  for (int64_t i = lines * part / parts; i < lines * (part + 1) / parts; i++)
    __builtin_prefetch(next + i * matrix_tile, 0, 2);
}

// A part of the operand that passes: up to 32 lanes from `lane` on, and `count` steps of the depth from `step` on.
struct TileSlice {
  int64_t lane, step, count;
};

// A slice times what waits. It is packed in `slice`, or else its rows are multiplied where they lie.
TUNESMITH_INLINE void multiply_slice(const TileBlock& job, const TileSlice& at, const TilePair* slice, bool in_panels,
                                     const TileRows* in_place) {
  constexpr int64_t side = 2 * matrix_tile, step_units = 2 * tile_units;
  const int64_t panel = tile_panel(job.depth), steps = panel / step_units, panels = round_up(job.lanes, side) / side;
  const int64_t here = lesser(side, job.source_lanes - at.lane);
  const bool last = at.step + at.count == steps;
  for (int64_t i = 0; i < panels; i++) {
    if (in_panels)
      fetch_packed(slice + at.count * step_units, i, panels);
    else
      fetch_slice(job, last ? at.lane + side : at.lane, last ? 0 : (at.step + at.count) * tile_depth, i, panels);
    const TilePair* waiting = (const TilePair*)job.panels + i * panel + at.step * step_units;
    float* sums = job.sums + at.lane / side * job.sums_step + i * (4 * tile_units);
    const bool add = job.continues || at.step > 0;
    if (in_place != nullptr)
      multiply_four(*in_place, waiting, at.count, sums, add);
    else
      multiply_four({job.left ? waiting : slice, matrix_tile, tile_units, step_units}, job.left ? slice : waiting,
                    at.count, sums, add);
    if (!last || job.out.data == nullptr) continue;
    const int64_t other = lesser(side, job.lanes - i * side);
    if (job.left)
      finish_tiles(sums, in_tiles, other, here, job.out, i * side, at.lane);
    else
      finish_tiles(sums, in_tiles, here, other, job.out, at.lane, i * side);
  }
}

static void multiply_tile_block(const TileBlock& job) {
  constexpr int64_t side = 2 * matrix_tile, step_units = 2 * tile_units;
  const int64_t panel = tile_panel(job.depth), steps = panel / step_units;
  alignas(64) TilePair packed[steps_of_slice * step_units];
  // A stride alone may be 0, where all lanes are the same memory.
  const bool in_panels = job.lane_stride == 0 && job.depth_stride == 0;
  // Rows of a are tiles where they lie.
  const bool lies_well =
      !job.left && job.depth_stride == 1 && job.lane_stride % 2 == 0 && job.lane_stride % shared_sets != 0;
  begin_tiles();
  for (int64_t lane = 0; lane < job.source_lanes; lane += side) {
    const int64_t here = lesser(side, job.source_lanes - lane);
    for (int64_t step = 0; step < steps; step += steps_of_slice) {
      const TileSlice at = {lane, step, lesser(steps_of_slice, steps - step)};
      const int64_t depth = step * tile_depth, left = job.depth - depth;
      const uint16_t* source = (const uint16_t*)job.source + lane * job.lane_stride + depth * job.depth_stride;
      if (in_panels) {
        multiply_slice(job, at, (const TilePair*)job.source + lane / side * panel + step * step_units, true, nullptr);
      } else if (lies_well && here == side && left >= at.count * tile_depth) {
        const int64_t row = job.lane_stride / 2;
        const TileRows rows = {(const TilePair*)source, row, matrix_tile * row, matrix_tile};
        multiply_slice(job, at, nullptr, false, &rows);
      } else {
        pack_tiles(source, job.lane_stride, job.depth_stride, here, lesser(at.count * tile_depth, left), job.left,
                   (float*)packed);
        multiply_slice(job, at, packed, false, nullptr);
      }
    }
  }
  end_tiles();
}

// The weight is the left operand, as its rows are in the form of one where they lie. The sums are those of the
// transposed result, and are turned a tile at a time.
static void multiply_tile_rows(const TileRowsProduct& job, Matrix weight, int64_t first, int64_t last) {
  const int64_t panel = tile_panel(job.depth), steps = panel / (2 * tile_units), row = weight.row_stride / 2;
  const bool one = job.rows <= matrix_tile;
  const int64_t tiles = one ? 4 : 2, strip = tiles * matrix_tile, side = one ? matrix_tile : 2 * matrix_tile;
  alignas(64) float sums[4 * tile_units], turned[4 * tile_units];
  begin_tiles();
  for (int64_t n = first; n < last; n += strip) {
    // The last strip begins before, and gives the rest of its columns.
    const int64_t start = lesser(n, job.columns - strip), end = lesser(n + strip, last);
    const TileRows rows = {(const TilePair*)weight.data + start * row, row, matrix_tile * row, matrix_tile};
    for (int64_t r = 0; r < job.rows; r += side) {
      const TilePair* x = (const TilePair*)job.panels + r / (2 * matrix_tile) * panel;
      if (one)
        multiply_column(rows, x, steps, sums);
      else
        multiply_four(rows, x, steps, sums, false);
      for (int64_t i = 0; i < tiles; i++)
        for (int64_t j = 0; j < 4 / tiles; j++)
          turn_tile((const TilePair*)sums + (i * (4 / tiles) + j) * tile_units, matrix_tile,
                    (TilePair*)turned + j * matrix_tile * strip + i * matrix_tile, strip);
      for (int64_t column = n; column < end; column += 2 * matrix_tile)
        finish_tiles(turned + column - start, {strip, matrix_tile * strip, matrix_tile}, lesser(side, job.rows - r),
                     lesser(2 * matrix_tile, end - column), job.out, r, column);
    }
  }
  end_tiles();
}
#endif

}  // namespace tunesmith::TUNESMITH_ISA
