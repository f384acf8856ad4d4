// Where the left operand is small, all of it is packed, and each thread packs a piece of the right one and multiplies
// it at once, while it is in the second cache. Else a stretch of the right operand is packed once for all threads, and
// the left one a block at a time, by the thread that multiplies it: the block waits in the second cache while the
// panels of the right operand pass. Sums are in fp32 over slices of the depth, which depend on the depth only, so a row
// has the same bits beside any number of others.
#include "pair-product.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

#include "regions.h"
#include "scratch.h"

namespace tunesmith {
namespace {

constexpr int64_t slice_pairs = 512;                 // of the depth: a panel of columns is read from the second cache
constexpr int64_t group_pairs = 1536;                // of the depth, whose packed rows wait in the second cache
constexpr int64_t block_pairs = int64_t(1) << 17;    // of packed rows: half of a second cache of 1 MiB
constexpr int64_t column_block = 1536;               // packed at a time
constexpr int64_t packed_limit = int64_t(2) << 20;   // pairs of packed columns
constexpr int64_t partial_limit = int64_t(4) << 20;  // floats
constexpr int64_t panels_at_once = 4;                // to pack
constexpr int64_t small_pairs = int64_t(1) << 20;    // of packed rows that wait in the third cache
constexpr int64_t panels_of_piece = 2;               // of columns, as many as are packed fastest
constexpr int64_t rows_to_pack = 32;                 // at a time
constexpr int64_t parallel_work = int64_t(1) << 20;  // multiplications that are worth waking a thread
// Measured on Zen 4: up to so many rows, packing the weight costs more than it saves, and above oneDNN is slower unless
// a product is narrow.
constexpr int64_t most_few_rows = 64;
constexpr int64_t fewest_columns = 192, fewest_depth = 64;
constexpr int64_t few_unit = 8;  // columns

int64_t even_step(int64_t size, int64_t limit, int64_t unit) {
  const int64_t parts = (size + limit - 1) / limit;
  return ceil_to((size + parts - 1) / parts, unit);
}

// How one product is split. The depth is counted in pairs.
struct Split {
  int64_t depth, step, slices;  // a slice has `step` pairs but for the last one
  int64_t group, stretch;       // slices of packed rows, and of packed columns
  int64_t columns_step;         // columns that are packed at a time
  int64_t row_tiles, row_blocks, column_splits;

  Split(int64_t rows, int64_t columns, int64_t values, int64_t threads) {
    const Kernels& k = kernels();
    depth = (values + 1) / 2;
    step = even_step(depth, slice_pairs, 8);
    slices = (depth + step - 1) / step;
    group = std::min(slices, group_pairs / step);
    columns_step = even_step(columns, column_block, k.tile_columns);
    stretch = std::min(slices, std::max(group, packed_limit / columns_step / step / group * group));
    // Whole tiles of rows, a multiple of the threads where there are enough.
    row_tiles = (rows + k.tile_rows - 1) / k.tile_rows;
    const int64_t row_block = block_pairs / (group * step);
    row_blocks = (rows + row_block - 1) / row_block;
    // Few rows are shared by their columns, if there are enough of these.
    if (row_blocks > 1 || columns_step < 4 * threads * k.tile_columns)
      row_blocks = std::min(ceil_to(row_blocks, threads), row_tiles);
    column_splits = row_blocks >= threads ? 1 : (threads + row_blocks - 1) / row_blocks;
  }
  int64_t depth_of(int64_t slice) const { return std::min(step, depth - slice * step); }
};

// A stretch of packed columns: slices one after another, of each its panels.
struct Stretch {
  const float* packed;
  int64_t column, columns;      // of b
  int64_t first, last;          // slices
  int64_t panels, panel_width;  // of the columns

  const float* panel(const Split& split, int64_t slice, int64_t number) const {
    return packed + ((slice - first) * split.step * panels + number * split.depth_of(slice)) * panel_width;
  }
};

void pack(const Product& p, const Split& split, const Stretch& s, bool serial) {
  const int64_t tasks = (s.panels + panels_at_once - 1) / panels_at_once, all = (s.last - s.first) * tasks;
  at::parallel_for(0, all, serial ? all : 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const int64_t slice = s.first + i / tasks, panel = i % tasks * panels_at_once;
      const int64_t column = panel * s.panel_width, value = 2 * slice * split.step;
      const int64_t columns = std::min(panels_at_once * s.panel_width, s.columns - column);
      kernels().pack_pair_columns(at(p.b, value, s.column + column),
                                  std::min(2 * split.depth_of(slice), p.depth - value), columns,
                                  const_cast<float*>(s.panel(split, slice, panel)));
    }
  });
}

// Where sums wait for the next slice: those of one panel, where all slices of it come one after another.
struct Sums {
  float* data;
  int64_t stride;
  bool one_panel;
};

// The last slice of a block whose first element is at a row and a column of the result.
void finish_block(const Product& p, int64_t row, int64_t column, GemmBlock& block) {
  block.out = at(p, row, column);
  block.out_type = p.out_type;
  block.out_stride = p.out_stride;
  block.add_to_out = p.add_to_out;
  block.bias = bias_at(p, column);
  block.bias_type = p.bias_type;
}

// Some rows times some of the packed panels.
void multiply_block(const Product& p, const Split& split, const Stretch& s, Sums sums, int64_t row, int64_t rows,
                    int64_t first_panel, int64_t last_panel) {
  const Kernels& k = kernels();
  const int64_t padded = ceil_to(rows, k.tile_rows);
  float* packed = scratch(Scratch::rows, padded * split.group * split.step);
  if (sums.one_panel && split.slices > 1) sums.data = scratch(Scratch::partial, padded * s.panel_width);
  for (int64_t from = s.first; from < s.last; from += split.group) {
    const int64_t to = std::min(s.last, from + split.group);
    const auto rows_at = [&](int64_t slice) { return packed + (slice - from) * split.step * padded; };
    for (int64_t slice = from; slice < to; slice++) {
      const int64_t value = 2 * slice * split.step;
      k.pack_pair_rows(at(p.a, row, value), rows, std::min(2 * split.depth_of(slice), p.depth - value), rows_at(slice));
    }
    for (int64_t panel = first_panel; panel < last_panel; panel++)
      for (int64_t slice = from; slice < to; slice++) {
        const int64_t column = s.column + panel * s.panel_width;
        GemmBlock block{};
        block.a = rows_at(slice);
        block.b = s.panel(split, slice, panel);
        block.rows = rows;
        block.columns = std::min(s.panel_width, s.columns - panel * s.panel_width);
        block.depth = split.depth_of(slice);
        block.partial = sums.one_panel ? sums.data : sums.data + row * sums.stride + panel * s.panel_width;
        block.partial_stride = sums.stride;
        block.continues = slice > 0;
        if (slice + 1 < to)
          block.next = s.panel(split, slice + 1, panel);
        else if (panel + 1 < last_panel)
          block.next = s.panel(split, from, panel + 1);
        if (slice + 1 == split.slices) finish_block(p, row, column, block);
        k.pair_block(block);
      }
  }
}

// The columns of one piece, for all rows.
struct ColumnPiece {
  const float* rows;  // packed: slices one after another
  int64_t padded_rows;
  int64_t column, columns;
  int64_t ahead;  // columns from this piece to the one that the thread is likely to take next
};

void multiply_piece(const Product& p, const Split& split, const ColumnPiece& piece) {
  const Kernels& k = kernels();
  const int64_t width = k.tile_columns, panels = (piece.columns + width - 1) / width;
  float* packed = scratch(Scratch::columns, panels_of_piece * width * ceil_to(split.step, 8));
  float* sums = split.slices == 1 ? nullptr : scratch(Scratch::partial, piece.padded_rows * panels_of_piece * width);
  // Where the depth of the next piece lies in one stretch, it is fetched meanwhile, a part with each slice.
  const bool fetches = p.b.row_stride == 1 && p.b.column_stride == p.depth &&
                       piece.column + piece.ahead + panels_of_piece * width <= p.columns;
  for (int64_t slice = 0; slice < split.slices; slice++) {
    const int64_t depth = split.depth_of(slice), value = 2 * slice * split.step;
    k.pack_pair_columns(at(p.b, value, piece.column), std::min(2 * depth, p.depth - value), piece.columns, packed);
    for (int64_t panel = 0; panel < panels; panel++) {
      const int64_t column = piece.column + panel * width;
      GemmBlock block{};
      block.a = piece.rows + slice * split.step * piece.padded_rows;
      block.b = packed + panel * depth * width;
      block.rows = p.rows;
      block.columns = std::min(width, piece.columns - panel * width);
      block.depth = depth;
      block.partial = sums == nullptr ? nullptr : sums + panel * piece.padded_rows * width;
      block.partial_stride = width;
      block.continues = slice > 0;
      if (fetches)
        block.next = reinterpret_cast<const float*>(static_cast<const char*>(at(p.b, 0, column + piece.ahead).data) +
                                                    slice * split.step * width * 4);
      if (slice + 1 == split.slices) finish_block(p, 0, column, block);
      k.pair_block(block);
    }
  }
}

// Whether products of such sizes go by pieces of the columns.
bool goes_by_pieces(const Product& p, int64_t threads) {
  const int64_t width = kernels().tile_columns;
  return ceil_to(p.rows, kernels().tile_rows) * ((p.depth + 1) / 2) <= small_pairs &&
         (threads == 1 || p.columns >= 4 * threads * width);
}

void multiply_pieces(const Product& p, const Split& split, int64_t threads) {
  const Kernels& k = kernels();
  const int64_t padded = ceil_to(p.rows, k.tile_rows), width = panels_of_piece * k.tile_columns;
  float* rows = scratch(Scratch::rows, padded * ceil_to(split.depth, 8));
  const int64_t stretches = (p.rows + rows_to_pack - 1) / rows_to_pack;
  at::parallel_for(0, stretches, threads == 1 ? stretches : 1, [&](int64_t first, int64_t last) {
    for (int64_t slice = 0; slice < split.slices; slice++) {
      const int64_t row = first * rows_to_pack, value = 2 * slice * split.step, depth = split.depth_of(slice);
      k.pack_pair_rows(at(p.a, row, value), std::min(p.rows, last * rows_to_pack) - row,
                       std::min(2 * depth, p.depth - value), rows + slice * split.step * padded + row * depth);
    }
  });
  const int64_t pieces = (p.columns + width - 1) / width;
  std::atomic<int64_t> next{0};
  at::parallel_for(0, std::min(threads, pieces), 1, [&](int64_t, int64_t) {
    for (int64_t i = next++; i < pieces; i = next++)
      multiply_piece(p, split, {rows, padded, i * width, std::min(width, p.columns - i * width), threads * width});
  });
}

void multiply_rows(const Product& p) {
  const bool serial = at::in_parallel_region() || p.rows * p.columns * p.depth < parallel_work;
  const int64_t threads = serial ? 1 : at::get_num_threads(), width = kernels().tile_columns;
  const Split split(p.rows, p.columns, p.depth, threads);
  if (goes_by_pieces(p, threads)) return multiply_pieces(p, split, threads);
  const int64_t tasks = split.row_blocks * split.column_splits;
  const auto row_of = [&](int64_t block) {
    return std::min(p.rows, split.row_tiles * block / split.row_blocks * kernels().tile_rows);
  };
  float* packed =
      scratch(Scratch::columns, split.columns_step * std::min(split.stretch * split.step, ceil_to(split.depth, 8)));
  Sums sums = {nullptr, width, split.group == split.slices};
  if (!sums.one_panel)
    sums = {scratch(Scratch::partial, ceil_to(p.rows, kernels().tile_rows) * split.columns_step), split.columns_step,
            false};
  for (int64_t column = 0; column < p.columns; column += split.columns_step)
    for (int64_t first = 0; first < split.slices; first += split.stretch) {
      Stretch s{};
      s.packed = packed;
      s.column = column;
      s.columns = std::min(split.columns_step, p.columns - column);
      s.first = first;
      s.last = std::min(split.slices, first + split.stretch);
      s.panels = (s.columns + width - 1) / width;
      s.panel_width = width;
      pack(p, split, s, serial);
      const int64_t part = (s.panels + split.column_splits - 1) / split.column_splits;
      // Each thread takes the next task when it is done, as other processes may slow one of them.
      std::atomic<int64_t> next{0};
      at::parallel_for(0, std::min(threads, tasks), 1, [&](int64_t, int64_t) {
        for (int64_t task = next++; task < tasks; task = next++) {
          const int64_t row = row_of(task / split.column_splits), end = row_of(task / split.column_splits + 1);
          const int64_t first_panel = task % split.column_splits * part;
          if (row < end && first_panel < s.panels)
            multiply_block(p, split, s, sums, row, end - row, first_panel, std::min(s.panels, first_panel + part));
        }
      });
    }
}

}  // namespace

bool has_pair_products() { return kernels().pair_block != nullptr; }

bool takes_pairs(int64_t rows, int64_t columns, int64_t depth, bool beside_library) {
  const bool wide = rows > most_few_rows && columns >= fewest_columns && depth >= fewest_depth;
  return has_pair_products() && rows >= 16 && columns >= 16 && depth >= 32 && (wide || !beside_library);
}

void multiply_by_pairs(const Product& product) {
  // Work memory for sums of a deep product stays bounded: the rows go in runs.
  const bool deep = product.depth > 2 * group_pairs;
  const int64_t run = deep ? partial_limit / column_block / 256 * 256 : product.rows;
  for (int64_t row = 0; row < product.rows; row += run) {
    Product part = product;
    part.rows = std::min(run, product.rows - row);
    part.a = at(product.a, row, 0);
    part.out = at(product, row, 0);
    multiply_rows(part);
  }
}

void add_by_pairs(float* out, Matrix a, Matrix b, int64_t rows, int64_t columns, int64_t depth) {
  Product p{};
  p.rows = rows;
  p.columns = columns;
  p.depth = depth;
  p.a = a;
  p.b = b;
  p.out = out;
  p.out_type = Type::float32;
  p.out_stride = columns;
  p.add_to_out = true;
  multiply_by_pairs(p);
}

bool takes_few_pairs(int64_t rows) { return has_pair_products() && rows > 0 && rows <= most_few_rows; }

void multiply_few_by_pairs(const Product& p) {
  Matrix weight = p.b;
  weight.row_stride = p.b.column_stride;
  // Not so few columns for a thread that waking it costs more than it does.
  const int64_t units = (p.columns + few_unit - 1) / few_unit;
  const int64_t grain = std::max<int64_t>(1, 131072 / (few_unit * p.rows * std::max<int64_t>(1, p.depth)));
  share_work(units, grain, [&](int64_t first, int64_t last) {
    kernels().few_pair_rows(p.a, p.rows, weight, first * few_unit, std::min(p.columns, last * few_unit), p.depth,
                            p.bias, p.bias_type, p.out, p.out_type, p.out_stride);
  });
}

}  // namespace tunesmith
