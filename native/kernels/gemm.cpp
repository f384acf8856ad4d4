// Blocks the packed product for the caches and splits it among threads. Each output element belongs to one thread, and
// the slices of its sum depend on the depth only, so results are reproducible.
#include "gemm.h"

#include <ATen/Parallel.h>

#include <unistd.h>

#include <algorithm>

#include "regions.h"
#include "scratch.h"

namespace tunesmith {
namespace {

constexpr int64_t depth_block = 256;
constexpr int64_t column_block = 1536;
constexpr int64_t group = 2;                         // slices of packed rows that wait in the second cache
constexpr int64_t packed_limit = int64_t(2) << 20;   // floats of packed columns
constexpr int64_t partial_limit = int64_t(4) << 20;  // floats
constexpr int64_t turned_columns = 16;               // a cache line of fp32
constexpr int64_t few_rows = 128;                    // up to here, packing the weight costs more than it saves
constexpr int64_t fewest_gemm_rows = 16;             // and up to here in any layout
constexpr int64_t few_floats = int64_t(1) << 18;     // more of them would not wait in a cache for the next weight rows

// Floats that fill half of the second cache. No result depends on it.
int64_t half_cache() {
#ifdef _SC_LEVEL2_CACHE_SIZE
  static const int64_t bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#else
  constexpr int64_t bytes = 0;
#endif
  return std::clamp<int64_t>(bytes, 1 << 19, 1 << 21) / 2 / int64_t(sizeof(float));
}

// The part of a product that is some of its rows.
Product rows_of(const Product& p, int64_t first, int64_t count) {
  Product part = p;
  part.rows = count;
  part.a = at(p.a, first, 0);
  part.out = at(p, first, 0);
  return part;
}

// One panel of b, in the layout of packed columns.
void pack_panel(const Product& p, int64_t depth, int64_t slice, int64_t column, int64_t columns, float* packed) {
  const Kernels& k = kernels();
  if (p.frozen == nullptr) {
    k.pack_columns(at(p.b, depth, column), slice, columns, packed);
    return;
  }
  // The panel is all of a frozen matrix that exists in fp32.
  if (p.frozen_transposed) {
    float* wide = scratch(Scratch::unpacked, columns * slice);
    k.unpack(*p.frozen, column, columns, depth, slice, wide, slice);
    k.pack_columns({wide, Type::float32, 1, slice}, slice, columns, packed);
    return;
  }
  k.unpack(*p.frozen, depth, slice, column, columns, packed, k.tile_columns);
  for (int64_t i = 0; columns < k.tile_columns && i < slice; i++)
    std::fill(packed + i * k.tile_columns + columns, packed + (i + 1) * k.tile_columns, 0.0f);
}

int64_t even_step(int64_t size, int64_t limit, int64_t unit) {
  const int64_t parts = (size + limit - 1) / limit;
  return ceil_to((size + parts - 1) / parts, unit);
}

// Packed columns of b over a stretch of the depth: slices one after another, of each its panels side by side.
struct Stretch {
  float* packed;
  int64_t column, columns;  // of b
  int64_t start, end;       // of the depth
  int64_t step;             // depth of a slice
  int64_t tile_columns;

  int64_t panels() const { return (columns + tile_columns - 1) / tile_columns; }
  int64_t slices() const { return std::max<int64_t>(1, (end - start + step - 1) / step); }
  int64_t slice_at(int64_t depth) const { return std::min(step, end - depth); }
  int64_t columns_at(int64_t panel) const { return std::min(tile_columns, columns - panel * tile_columns); }
  float* panel(int64_t depth, int64_t number) const {
    return packed + ((depth - start) * panels() + number * slice_at(depth)) * tile_columns;
  }
};

// Where sums wait for the next slice: an fp32 result itself, or work memory before they become bf16.
struct Sums {
  float* data;  // null where the depth is one slice
  int64_t stride;
  bool direct;

  float* at(int64_t row, int64_t column, int64_t first_column) const {
    return data == nullptr ? nullptr : data + row * stride + column - (direct ? 0 : first_column);
  }
};

void pack(const Product& p, const Stretch& s, bool serial) {
  const int64_t panels = s.panels(), tasks = s.slices() * panels;
  const int64_t grain = std::max<int64_t>(1, 8192 / (s.tile_columns * (s.step + 1)));
  at::parallel_for(0, tasks, serial ? tasks : grain, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const int64_t depth = s.start + i / panels * s.step, panel = i % panels;
      pack_panel(p, depth, s.slice_at(depth), s.column + panel * s.tile_columns, s.columns_at(panel),
                 s.panel(depth, panel));
    }
  });
}

// Some rows of the product times some of the packed panels. A few slices at a time wait in the second cache.
void multiply_block(const Product& p, const Stretch& s, const Sums& sums, int64_t row, int64_t rows,
                    int64_t first_panel, int64_t last_panel) {
  const Kernels& k = kernels();
  // Rows of fp32 are read in place, which is as fast as packed.
  const bool in_place = p.a.type == Type::float32 && p.a.column_stride == 1 && p.a.row_stride > 0;
  const int64_t packed_rows = in_place ? 0 : rows, padded_rows = ceil_to(packed_rows, k.tile_rows);
  float* packed = scratch(Scratch::rows, padded_rows * std::min(group * s.step, s.end - s.start) + 16);
  int64_t from = s.start;
  do {
    const int64_t to = std::min(s.end, from + group * s.step);
    for (int64_t depth = from; packed_rows > 0 && depth < to; depth += s.step)
      k.pack_rows(at(p.a, row, depth), packed_rows, s.slice_at(depth), packed + padded_rows * (depth - from));
    for (int64_t panel = first_panel; panel < last_panel; panel++) {
      const int64_t column = s.column + panel * s.tile_columns;
      int64_t depth = from;
      do {
        GemmBlock block{};
        block.depth = s.slice_at(depth);
        block.b = s.panel(depth, panel);
        block.columns = s.columns_at(panel);
        block.partial_stride = sums.stride;
        block.continues = depth > 0 || (sums.direct && p.add_to_out);
        block.out_type = p.out_type;
        block.out_stride = p.out_stride;
        block.add_to_out = p.add_to_out && !sums.direct;
        block.bias = bias_at(p, column);
        block.bias_type = p.bias_type;
        block.a =
            in_place ? static_cast<const float*>(at(p.a, row, depth).data) : packed + padded_rows * (depth - from);
        block.row_stride = in_place ? p.a.row_stride : 0;
        block.rows = rows;
        block.partial = sums.at(row, column, s.column);
        block.out = depth + block.depth >= p.depth ? at(p, row, column) : nullptr;
        k.gemm_block(block);
        depth += s.step;
      } while (depth < to);
    }
    from = to;
  } while (from < s.end);
}

// How the columns and the depth of b are split: a function of their numbers only.
struct Split {
  int64_t step, columns_step, stretch;

  Split(int64_t columns, int64_t depth) {
    step = even_step(depth, depth_block, 8);
    columns_step = even_step(columns, column_block, kernels().tile_columns);
    // All of the depth is packed at once where it is not too much, so that the threads wait for each other twice only.
    stretch = std::max(step, packed_limit / columns_step / step * step);
  }

  Stretch at(const Product& p, float* packed, int64_t column, int64_t start) const {
    const int64_t end = std::min(p.depth, start + stretch);
    return {packed, column, std::min(columns_step, p.columns - column), start, end, step, kernels().tile_columns};
  }
};

// Where a stretch of kept panels begins.
int64_t panel_offset(const Product& p, const Stretch& s) {
  return s.column * p.depth + s.start * s.panels() * s.tile_columns;
}

void multiply_packed(const Product& p) {
  const Kernels& k = kernels();
  const int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  const int64_t depth = std::max<int64_t>(1, p.depth);
  const Split split_of(p.columns, depth);
  const int64_t step = split_of.step, columns_step = split_of.columns_step;

  // Whole tiles of rows split evenly into blocks that fit the second cache, a multiple of the threads where there are
  // enough.
  const int64_t row_tiles = (p.rows + k.tile_rows - 1) / k.tile_rows;
  const int64_t row_block = half_cache() / std::min(group * step, ceil_to(depth, 8));
  int64_t row_blocks = (p.rows + row_block - 1) / row_block;
  if (row_blocks > 1) row_blocks = std::min(ceil_to(row_blocks, threads), row_tiles);
  const auto row_of = [&](int64_t block) { return std::min(p.rows, row_tiles * block / row_blocks * k.tile_rows); };
  const int64_t column_splits = row_blocks >= threads ? 1 : (threads + row_blocks - 1) / row_blocks;
  const int64_t tasks = row_blocks * column_splits;
  // A small product is faster without waking threads.
  const bool serial = p.rows * p.columns * depth < 64 * 64 * 64;

  float* packed =
      p.panels != nullptr ? nullptr : scratch(Scratch::columns, columns_step * std::min(split_of.stretch, depth) + 16);
  const bool direct = p.out_type == Type::float32;
  const Sums sums = {direct           ? static_cast<float*>(p.out)
                     : p.depth > step ? scratch(Scratch::partial, p.rows * columns_step)
                                      : nullptr,
                     direct ? p.out_stride : columns_step, direct};

  for (int64_t column = 0; column < p.columns; column += columns_step) {
    int64_t start = 0;
    do {
      Stretch part = split_of.at(p, packed, column, start);
      if (p.panels == nullptr)
        pack(p, part, serial);
      else
        part.packed = const_cast<float*>(p.panels) + panel_offset(p, part);  // only read
      const int64_t panels = part.panels(), split = (panels + column_splits - 1) / column_splits;
      const auto run = [&](int64_t first, int64_t last) {
        for (int64_t task = first; task < last; task++) {
          const int64_t row = row_of(task / column_splits), end = row_of(task / column_splits + 1);
          const int64_t first_panel = task % column_splits * split;
          if (first_panel < panels)
            multiply_block(p, part, sums, row, end - row, first_panel, std::min(panels, first_panel + split));
        }
      };
      // A product with kept panels is short: one thread is faster where other processes hold the cores.
      if (p.panels != nullptr)
        share_work(tasks, serial ? tasks : 1, run);
      else
        at::parallel_for(0, tasks, serial ? tasks : 1, run);
      start = part.end;
    } while (start < p.depth);
  }
}

// The first `columns` columns of a matrix whose rows lie in one piece, each column in one piece.
void turn(Matrix m, int64_t rows, int64_t columns, void* target) {
  const auto copy = [&](auto* out) {
    const auto* source = static_cast<decltype(out)>(const_cast<void*>(m.data));
    for (int64_t row = 0; row < rows; row++, source += m.row_stride)
      for (int64_t column = 0; column < columns; column++) out[column * rows + row] = source[column];
  };
  if (m.type == Type::bfloat16)
    copy(static_cast<uint16_t*>(target));
  else
    copy(static_cast<uint32_t*>(target));
}

}  // namespace

int64_t panel_floats(int64_t columns, int64_t depth) { return ceil_to(columns, kernels().tile_columns) * depth + 16; }

void pack_panels(Matrix b, int64_t depth, int64_t columns, float* out) {
  Product p{};
  p.columns = columns;
  p.depth = depth;
  p.b = b;
  const Split split(columns, depth);
  for (int64_t column = 0; column < columns; column += split.columns_step)
    for (int64_t start = 0; start < depth; start += split.stretch) {
      Stretch part = split.at(p, nullptr, column, start);
      part.packed = out + panel_offset(p, part);
      pack(p, part, false);
    }
}

void multiply(const Product& p) {
  if (p.rows == 0 || p.columns == 0) return;
  const bool by_columns = p.frozen == nullptr && p.b.row_stride != 1 && p.b.column_stride == 1;
  const bool by_rows = p.frozen == nullptr ? p.b.row_stride == 1 || by_columns : p.frozen_transposed;
  const bool few = p.rows <= fewest_gemm_rows || (p.rows <= few_rows && p.rows * p.depth <= few_floats && !by_columns);
  if (few && !batch_invariant() && !p.add_to_out && by_rows && !by_columns && p.a.column_stride != 1) {
    // Rows in one piece, so that the bits do not depend on how the rows lie.
    float* rows = scratch(Scratch::partial, p.rows * p.depth);
    for (int64_t row = 0; row < p.rows; row++)
      for (int64_t i = 0; i < p.depth; i++)
        kernels().convert(at(p.a, row, i).data, p.a.type, rows + row * p.depth + i, Type::float32, 1);
    Product copied = p;
    copied.a = {rows, Type::float32, p.depth, 1};
    return multiply(copied);
  }
  if (few && !batch_invariant() && !p.add_to_out && p.a.column_stride == 1 && by_rows) {
    Matrix weight = p.b;
    if (p.frozen != nullptr) weight.type = Type::float32;
    weight.row_stride = p.b.column_stride;
    const Kernels& k = kernels();
    float* packed = scratch(Scratch::rows, p.rows * p.depth + 16);
    k.pack_few(p.a, p.rows, p.depth, weight.type, packed);
    // Whole tiles for each thread, and not so few that waking one costs more than it does.
    constexpr int64_t unit = 8;
    const int64_t units = (p.columns + unit - 1) / unit;
    const int64_t grain = std::max<int64_t>(1, 65536 / (unit * p.rows * std::max<int64_t>(1, p.depth)));
    share_work(units, grain, [&](int64_t first, int64_t last) {
      if (by_columns) {
        // Turned a piece at a time, so that the sums, and with them the bits, are those of the other layout.
        const int64_t end = std::min(p.columns, last * unit);
        for (int64_t column = first * unit; column < end; column += turned_columns) {
          const int64_t columns = std::min(turned_columns, end - column);
          float* turned = scratch(Scratch::unpacked, turned_columns * p.depth);
          turn(at(p.b, 0, column), p.depth, columns, turned);
          k.few_rows(packed, p.rows, {turned, p.b.type, p.depth, 1}, 0, columns, p.depth, bias_at(p, column),
                     p.bias_type, at(p, 0, column), p.out_type, p.out_stride);
        }
        return;
      }
      for (int64_t i = first; p.frozen != nullptr && i < last; i++) {
        const int64_t column = i * unit, columns = std::min(unit, p.columns - column);
        float* wide = scratch(Scratch::unpacked, unit * p.depth);
        k.unpack(*p.frozen, column, columns, 0, p.depth, wide, p.depth);
        k.few_rows(packed, p.rows, {wide, Type::float32, p.depth, 1}, 0, columns, p.depth, bias_at(p, column),
                   p.bias_type, at(p, 0, column), p.out_type, p.out_stride);
      }
      if (p.frozen != nullptr) return;
      k.few_rows(packed, p.rows, weight, first * unit, std::min(p.columns, last * unit), p.depth, p.bias, p.bias_type,
                 p.out, p.out_type, p.out_stride);
    });
    return;
  }

  // Work memory for bf16 results stays bounded: the rows go in runs.
  const int64_t run = p.out_type == Type::float32 ? p.rows : partial_limit / std::min(p.columns, column_block);
  for (int64_t row = 0; row < p.rows; row += run) multiply_packed(rows_of(p, row, std::min(run, p.rows - row)));
}

}  // namespace tunesmith
