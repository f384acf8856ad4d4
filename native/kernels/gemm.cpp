// Blocks the packed product for the caches and splits it among threads. Each output element has one owner, and the slices
// of its sum depend on the depth only, so a result is the same at every run.
#include "gemm.h"

#include <ATen/Parallel.h>

#include <unistd.h>

#include <algorithm>

#include "scratch.h"

namespace tunesmith {
namespace {

constexpr int64_t depth_block = 256;
constexpr int64_t column_block = 1536;
constexpr int64_t group = 2;                         // slices of packed rows that wait in the second cache
constexpr int64_t packed_limit = int64_t(2) << 20;   // floats of packed columns
constexpr int64_t partial_limit = int64_t(4) << 20;  // floats
constexpr int64_t turned_columns = 16;               // a cache line of fp32
constexpr int64_t few_rows = 16;                     // up to here, packing the weight costs more than it saves

// Floats that fill half of the second cache. No result depends on it.
int64_t half_cache() {
#ifdef _SC_LEVEL2_CACHE_SIZE
  static const int64_t bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#else
  constexpr int64_t bytes = 0;
#endif
  return std::clamp<int64_t>(bytes, 1 << 19, 1 << 21) / 2 / int64_t(sizeof(float));
}

int64_t ceil_to(int64_t x, int64_t step) { return (x + step - 1) / step * step; }

Matrix at(Matrix m, int64_t row, int64_t column) {
  int64_t offset = row * m.row_stride + column * m.column_stride;
  m.data = static_cast<const char*>(m.data) + offset * (m.type == Type::bfloat16 ? 2 : 4);
  return m;
}

void* at(const Product& p, int64_t row, int64_t column) {
  return static_cast<char*>(p.out) + (row * p.out_stride + column) * (p.out_type == Type::bfloat16 ? 2 : 4);
}

// The part of a product that is some of its rows.
Product rows_of(const Product& p, int64_t first, int64_t count) {
  Product part = p;
  part.rows = count;
  part.a = at(p.a, first, 0);
  part.out = at(p, first, 0);
  return part;
}

const void* bias_at(const Product& p, int64_t column) {
  if (p.bias == nullptr) return nullptr;
  return static_cast<const char*>(p.bias) + column * (p.bias_type == Type::bfloat16 ? 2 : 4);
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

void multiply_packed(const Product& p) {
  const Kernels& k = kernels();
  const int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();

  const int64_t depth_step = std::max<int64_t>(1, even_step(std::max<int64_t>(1, p.depth), depth_block, 8));
  // Whole tiles of rows split evenly into blocks that fit the second cache, a multiple of the threads where there are
  // enough.
  const int64_t row_tiles = (p.rows + k.tile_rows - 1) / k.tile_rows;
  const int64_t row_block = half_cache() / std::min(group * depth_step, ceil_to(std::max<int64_t>(1, p.depth), 8));
  int64_t row_blocks = (p.rows + row_block - 1) / row_block;
  if (row_blocks > 1) row_blocks = std::min(ceil_to(row_blocks, threads), row_tiles);
  const auto row_of = [&](int64_t block) { return std::min(p.rows, row_tiles * block / row_blocks * k.tile_rows); };
  const int64_t column_splits = row_blocks >= threads ? 1 : (threads + row_blocks - 1) / row_blocks;

  // All of the depth is packed at once where it is not too much, so that the threads wait for each other twice only.
  const int64_t columns_step = even_step(p.columns, column_block, k.tile_columns);
  const int64_t stretch = std::max(depth_step, packed_limit / columns_step / depth_step * depth_step);
  // A product of few operations does not pay for waking threads.
  const bool serial = p.rows * p.columns * std::max<int64_t>(1, p.depth) < 64 * 64 * 64;

  float* packed_b = scratch(Scratch::columns, columns_step * std::min(stretch, std::max<int64_t>(1, p.depth)) + 16);
  // Sums of a slice of the depth wait in an fp32 result itself, or in work memory before they become bf16.
  const bool direct = p.out_type == Type::float32;
  const bool sliced = p.depth > depth_step;
  float* partial = direct ? static_cast<float*>(p.out)
                   : sliced ? scratch(Scratch::partial, p.rows * columns_step)
                            : nullptr;
  const bool as_they_lie = p.a.type == Type::float32 && p.a.column_stride == 1 && p.a.row_stride > 0;
  const int64_t partial_stride = direct ? p.out_stride : columns_step;

  for (int64_t column = 0; column < p.columns; column += columns_step) {
    const int64_t columns = std::min(columns_step, p.columns - column);
    const int64_t panels = (columns + k.tile_columns - 1) / k.tile_columns;
    int64_t start = 0;
    do {
      const int64_t end = std::min(p.depth, start + stretch);
      const int64_t slices = std::max<int64_t>(1, (end - start + depth_step - 1) / depth_step);
      // Panels of one slice stand side by side, slices one after another.
      const auto packed_panel = [&](int64_t depth, int64_t panel) {
        return packed_b + (depth - start) * panels * k.tile_columns +
               panel * k.tile_columns * std::min(depth_step, end - depth);
      };
      const int64_t grain = std::max<int64_t>(1, 8192 / (k.tile_columns * (depth_step + 1)));
      at::parallel_for(0, slices * panels, serial ? slices * panels : grain, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; i++) {
          const int64_t depth = start + i / panels * depth_step, from = i % panels * k.tile_columns;
          pack_panel(p, depth, std::min(depth_step, end - depth), column + from,
                     std::min<int64_t>(k.tile_columns, columns - from), packed_panel(depth, i % panels));
        }
      });
      const int64_t split_panels = (panels + column_splits - 1) / column_splits;
      const int64_t tasks = row_blocks * column_splits;
      at::parallel_for(0, tasks, serial ? tasks : 1, [&](int64_t first, int64_t last) {
        for (int64_t task = first; task < last; task++) {
          const int64_t row = row_of(task / column_splits), rows = row_of(task / column_splits + 1) - row;
          const int64_t first_panel = task % column_splits * split_panels;
          const int64_t last_panel = std::min(panels, first_panel + split_panels);
          if (first_panel >= last_panel) continue;
          // Whole tiles of fp32 rows are read as they lie, which is no slower than packed; the others are packed.
          const int64_t whole = as_they_lie ? rows / k.tile_rows * k.tile_rows : 0;
          const int64_t held_rows = ceil_to(rows - whole, k.tile_rows);
          float* packed_a = scratch(Scratch::rows, held_rows * std::min(group * depth_step, end - start) + 16);
          for (int64_t from = start; from < end || from == start; from += group * depth_step) {
            const int64_t to = std::min(end, from + group * depth_step);
            for (int64_t depth = from; whole < rows && depth < to; depth += depth_step)
              k.pack_rows(at(p.a, row + whole, depth), rows - whole, std::min(depth_step, to - depth),
                          packed_a + held_rows * (depth - from));
            for (int64_t panel = first_panel; panel < last_panel; panel++) {
              const int64_t at_column = panel * k.tile_columns;
              int64_t depth = from;
              do {
                GemmBlock block{};
                block.depth = std::min(depth_step, to - depth);
                block.b = packed_panel(depth, panel);
                block.columns = std::min<int64_t>(k.tile_columns, columns - at_column);
                block.partial_stride = partial_stride;
                block.continues = depth > 0 || (direct && p.add_to_out);
                block.out_type = p.out_type;
                block.out_stride = p.out_stride;
                block.add_to_out = p.add_to_out && !direct;
                block.bias = bias_at(p, column + at_column);
                block.bias_type = p.bias_type;
                const auto rows_from = [&](int64_t first_row, int64_t count) {
                  block.rows = count;
                  block.partial = partial == nullptr ? nullptr
                                                     : partial + (row + first_row) * partial_stride + at_column +
                                                           (direct ? column : 0);
                  block.out = depth + block.depth >= p.depth ? at(p, row + first_row, column + at_column) : nullptr;
                  k.gemm_block(block);
                };
                if (whole > 0) {
                  block.a = static_cast<const float*>(at(p.a, row, depth).data);
                  block.row_stride = p.a.row_stride;
                  rows_from(0, whole);
                }
                if (whole < rows) {
                  block.a = packed_a + held_rows * (depth - from);
                  block.row_stride = 0;
                  rows_from(whole, rows - whole);
                }
                depth += depth_step;
              } while (depth < to);
            }
          }
        }
      });
      start = end;
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
  if (m.type == Type::bfloat16) copy(static_cast<uint16_t*>(target));
  else copy(static_cast<uint32_t*>(target));
}

}  // namespace

void multiply(const Product& p) {
  if (p.rows == 0 || p.columns == 0) return;
  const bool by_columns = p.frozen == nullptr && p.b.row_stride != 1 && p.b.column_stride == 1;
  const bool by_rows = p.frozen == nullptr ? p.b.row_stride == 1 || by_columns : p.frozen_transposed;
  if (p.rows <= few_rows && !p.add_to_out && p.a.column_stride == 1 && by_rows) {
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
    at::parallel_for(0, units, grain, [&](int64_t first, int64_t last) {
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
