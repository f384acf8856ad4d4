// Blocks the packed product for the caches and splits it among threads. The split depends on the shapes and the number
// of threads only, and each output element has one owner, so a result is the same at every run.
#include "gemm.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "scratch.h"

namespace tunesmith {
namespace {

constexpr int64_t depth_block = 256;
constexpr int64_t row_block = 192;
constexpr int64_t column_block = 1536;
constexpr int64_t partial_limit = int64_t(4) << 20;  // floats
constexpr int64_t turned_columns = 16;               // a cache line of fp32
constexpr int64_t few_rows = 16;                     // up to here, packing the weight costs more than it saves

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

  // Rows split evenly into blocks that fit the second cache, a multiple of the threads where there are enough.
  int64_t row_blocks = (p.rows + row_block - 1) / row_block;
  if (row_blocks > 1) row_blocks = ceil_to(row_blocks, threads);
  const int64_t block_rows = ceil_to((p.rows + row_blocks - 1) / row_blocks, k.tile_rows);
  row_blocks = (p.rows + block_rows - 1) / block_rows;
  int64_t column_splits = row_blocks >= threads ? 1 : (threads + row_blocks - 1) / row_blocks;

  const int64_t columns_step = even_step(p.columns, column_block, k.tile_columns);
  const int64_t depth_step = std::max<int64_t>(1, even_step(std::max<int64_t>(1, p.depth), depth_block, 8));
  // A product of few operations does not pay for waking threads.
  const bool serial = p.rows * p.columns * std::max<int64_t>(1, p.depth) < 64 * 64 * 64;

  float* packed_b = scratch(Scratch::columns, columns_step * depth_step + 16);
  // Sums of a slice of the depth wait in an fp32 result itself, or in work memory before they become bf16.
  const bool direct = p.out_type == Type::float32;
  const bool sliced = p.depth > depth_step;
  float* partial = direct ? static_cast<float*>(p.out)
                   : sliced ? scratch(Scratch::partial, p.rows * columns_step)
                            : nullptr;
  const int64_t partial_stride = direct ? p.out_stride : columns_step;

  for (int64_t column = 0; column < p.columns; column += columns_step) {
    const int64_t columns = std::min(columns_step, p.columns - column);
    int64_t depth = 0;
    do {
      const int64_t slice = std::min(depth_step, p.depth - depth);
      const int64_t panels = (columns + k.tile_columns - 1) / k.tile_columns;
      at::parallel_for(0, panels, serial ? panels : std::max<int64_t>(1, 8192 / (k.tile_columns * (slice + 1))),
                       [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; i++) {
          int64_t from = i * k.tile_columns;
          pack_panel(p, depth, slice, column + from, std::min<int64_t>(k.tile_columns, columns - from),
                     packed_b + from * slice);
        }
      });
      const bool ends = depth + slice >= p.depth;
      const int64_t split_columns = ceil_to((columns + column_splits - 1) / column_splits, k.tile_columns);
      const int64_t tasks = row_blocks * column_splits;
      at::parallel_for(0, tasks, serial ? tasks : 1, [&](int64_t first, int64_t last) {
        float* packed_a = scratch(Scratch::rows, block_rows * slice + 16);
        int64_t packed = -1;
        for (int64_t task = first; task < last; task++) {
          const int64_t row = task / column_splits * block_rows;
          const int64_t from = task % column_splits * split_columns;
          if (from >= columns) continue;
          const int64_t rows = std::min(block_rows, p.rows - row);
          if (packed != row) k.pack_rows(at(p.a, row, depth), rows, slice, packed_a);
          packed = row;
          GemmBlock block{};
          block.a = packed_a;
          block.b = packed_b + from * slice;
          block.rows = rows;
          block.columns = std::min(split_columns, columns - from);
          block.depth = slice;
          block.partial = partial == nullptr ? nullptr : partial + row * partial_stride + from + (direct ? column : 0);
          block.partial_stride = partial_stride;
          block.continues = depth > 0 || (direct && p.add_to_out);
          block.out = ends ? at(p, row, column + from) : nullptr;
          block.out_type = p.out_type;
          block.out_stride = p.out_stride;
          block.add_to_out = p.add_to_out && !direct;
          block.bias = bias_at(p, column + from);
          block.bias_type = p.bias_type;
          k.gemm_block(block);
        }
      });
      depth += slice;
    } while (depth < p.depth);
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
