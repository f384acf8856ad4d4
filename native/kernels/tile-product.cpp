// Each thread packs some lanes of one operand (rows of a or columns of b), which wait in its second cache, and reads
// the other operand where it lies, a slice of 32 lanes at a time, which waits in the first cache: no thread waits for
// another. Sums are in fp32 in the order of the depth, so a row has the same bits beside any others.
#include "tile-product.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

#include "checks.h"
#include "regions.h"
#include "scratch.h"

namespace tunesmith {
namespace {

constexpr int64_t side = 32;         // lanes of a panel
constexpr int64_t most_lanes = 384;  // that wait, and at least so many before the depth is split
constexpr int64_t fewest_lanes = 192;
constexpr int64_t waiting_limit = int64_t(1) << 19;   // bf16 values
constexpr int64_t sums_limit = int64_t(1) << 20;      // floats that wait for more of the depth
constexpr int64_t prepared_limit = int64_t(8) << 20;  // bf16 values that are packed for all threads
constexpr int64_t fewest_tile_rows = 128;             // fewer are not worth packing a weight

constexpr int64_t most_rows = 256;                // that are multiplied without packing the weight
constexpr int64_t rows_limit = int64_t(1) << 19;  // bf16 values of some rows, which wait in the second cache
constexpr int64_t strip = 64;                     // columns that one row of tiles computes at a time
constexpr int64_t strip_work = int64_t(1) << 20;  // multiplications that are worth waking a thread
constexpr int64_t parallel_work = int64_t(1) << 22;

int64_t even_step(int64_t size, int64_t parts) { return ceil_to((size + parts - 1) / parts, side); }

// Lanes of an operand in memory.
struct Lanes {
  Matrix matrix;  // [lanes, depth]
  int64_t count;

  const void* at(int64_t lane, int64_t depth) const { return tunesmith::at(matrix, lane, depth).data; }
};

// Blocks of one operand, from `fewest` on: a multiple of the threads, or else a divisor of them, if `most` allow it.
// The threads share the other operand then: smaller blocks take longer to pack the other one for than to multiply.
int64_t shared_blocks(int64_t fewest, int64_t most, int64_t threads) {
  const int64_t even = ceil_to(fewest, threads);
  if (even <= std::max(fewest, most)) return even;
  for (int64_t blocks = std::min(most, threads); blocks > fewest; blocks--)
    if (threads % blocks == 0) return blocks;
  return fewest;
}

// How one product is split.
struct Split {
  bool left;  // lanes of a wait: where packing them means turning them
  Lanes waiting, passing;
  int64_t lanes, depth;   // of the operand that waits, at a time
  int64_t blocks, parts;  // of it, and of the other one's lanes, which threads share
  int64_t run;            // lanes of the other one whose sums wait at a time
  bool prepared;          // the other one is packed for all threads first: where its lanes do not lie in one piece

  Split(const Product& p, int64_t threads) {
    left = p.a.column_stride != 1;
    const Lanes rows = {p.a, p.rows}, columns = {transposed(p.b), p.columns};
    waiting = left ? rows : columns;
    passing = left ? columns : rows;
    const int64_t fitting = std::clamp(waiting_limit / p.depth, fewest_lanes, most_lanes);
    blocks = shared_blocks((waiting.count + fitting - 1) / fitting, waiting.count / fewest_lanes, threads);
    lanes = even_step(waiting.count, blocks);
    blocks = (waiting.count + lanes - 1) / lanes;
    depth = even_step(p.depth, (lanes * p.depth + waiting_limit * 5 / 4 - 1) / (waiting_limit * 5 / 4));
    parts = blocks >= threads ? 1 : std::min((threads + blocks - 1) / blocks, (passing.count + side - 1) / side);
    prepared = passing.matrix.column_stride != 1 && blocks > threads;
    const int64_t bound = depth < p.depth ? sums_limit / lanes : prepared ? prepared_limit / p.depth : passing.count;
    run = bound >= passing.count ? passing.count : std::max(side, bound / side * side);
  }
};

// Panels of lanes `from` to `to` of the operand that passes: of each step of the depth all panels, one after another.
struct Prepared {
  float* data;
  int64_t from, to;

  float* at(const Split& split, int64_t lane, int64_t depth, int64_t count) const {
    return data + (ceil_to(to - from, side) * depth + (lane - from) * ceil_to(count, side)) / 2;
  }
};

void prepare(const Product& p, const Split& split, const Prepared& prepared) {
  const int64_t panels = (prepared.to - prepared.from + side - 1) / side;
  const int64_t tasks = panels * ((p.depth + split.depth - 1) / split.depth);
  const Matrix& passing = split.passing.matrix;
  at::parallel_for(0, tasks, std::max<int64_t>(1, 65536 / (side * split.depth)), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const int64_t lane = prepared.from + i % panels * side, depth = i / panels * split.depth;
      const int64_t count = std::min(split.depth, p.depth - depth);
      kernels().pack_tiles(split.passing.at(lane, depth), passing.row_stride, passing.column_stride,
                           std::min(side, prepared.to - lane), count, split.left,
                           prepared.at(split, lane, depth, count));
    }
  });
}

// Some lanes of the operand that waits times lanes `from` to `to` of the other.
void multiply_block(const Product& p, const Split& split, int64_t first, int64_t from, int64_t to,
                    const Prepared& prepared) {
  const Kernels& k = kernels();
  TileBlock job{};
  job.lanes = std::min(split.lanes, split.waiting.count - first);
  job.left = split.left;
  if (!split.prepared) {
    job.lane_stride = split.passing.matrix.row_stride;
    job.depth_stride = split.passing.matrix.column_stride;
  }
  job.source_lanes = to - from;
  float* panels = scratch(Scratch::columns, ceil_to(job.lanes, side) / side * tile_panel(split.depth));
  const int64_t sums = ceil_to(job.lanes, side) * side;
  job.sums_step = split.depth >= p.depth ? 0 : sums;
  job.sums = scratch(Scratch::partial, job.sums_step == 0 ? sums : sums * ((to - from + side - 1) / side));
  job.panels = panels;
  const int64_t row = split.left ? first : from, column = split.left ? from : first;
  job.out.type = p.out_type;
  job.out.stride = p.out_stride;
  job.out.add = p.add_to_out;
  job.out.bias_type = p.bias_type;
  job.out.bias = bias_at(p, column);
  const Matrix& waiting = split.waiting.matrix;
  for (int64_t depth = 0; depth < p.depth; depth += split.depth) {
    job.depth = std::min(split.depth, p.depth - depth);
    k.pack_tiles(split.waiting.at(first, depth), waiting.row_stride, waiting.column_stride, job.lanes, job.depth,
                 !split.left, panels);
    job.source = split.prepared ? prepared.at(split, from, depth, job.depth) : split.passing.at(from, depth);
    job.continues = depth > 0;
    if (depth + job.depth >= p.depth) job.out.data = tunesmith::at(p, row, column);
    k.multiply_tile_block(job);
  }
}

bool has_unit_stride(Matrix m) { return m.row_stride == 1 || m.column_stride == 1; }

}  // namespace

bool fits_tiles(const Product& p) {
  return matrix_tiles() && kernels().multiply_tile_block != nullptr && p.frozen == nullptr && p.panels == nullptr &&
         p.a.type == Type::bfloat16 && p.b.type == Type::bfloat16 && has_unit_stride(p.a) && has_unit_stride(p.b) &&
         p.rows > 0 && p.columns > 0 && p.depth > 0;
}

bool takes_tiles(const Product& p) {
  return fits_tiles(p) && p.rows >= fewest_tile_rows && p.depth >= side && p.columns >= side && !takes_tile_rows(p);
}

void multiply_by_tiles(const Product& p) {
  const bool serial = at::in_parallel_region() || p.rows * p.columns * p.depth < parallel_work;
  const int64_t threads = serial ? 1 : at::get_num_threads();
  const Split split(p, threads);
  const int64_t tasks = split.blocks * split.parts;
  for (int64_t from = 0; from < split.passing.count; from += split.run) {
    const int64_t to = std::min(split.passing.count, from + split.run), step = even_step(to - from, split.parts);
    Prepared prepared = {nullptr, from, to};
    if (split.prepared) {
      prepared.data = scratch(Scratch::unpacked, ceil_to(to - from, side) * ceil_to(p.depth, side) / 2);
      prepare(p, split, prepared);
    }
    // Each thread takes the next block when it is done, as other processes may slow one of them.
    std::atomic<int64_t> next{0};
    at::parallel_for(0, std::min(threads, tasks), 1, [&](int64_t, int64_t) {
      for (int64_t i = next++; i < tasks; i = next++) {
        const int64_t begin = from + i % split.parts * step, end = std::min(to, begin + step);
        if (begin < end) multiply_block(p, split, i / split.parts * split.lanes, begin, end, prepared);
      }
    });
  }
}

bool fits_tile_rows(int64_t rows, int64_t depth) {
  return matrix_tiles() && kernels().multiply_tile_rows != nullptr && rows > 1 && rows <= most_rows && depth >= 32 &&
         depth % 32 == 0 && rows * depth <= rows_limit;
}

bool fits_tile_weight(int64_t columns, int64_t row_stride) { return columns >= strip && row_stride % 2 == 0; }

// Rows that share sets of the cache are copied for each block of a weight that is packed (isa/tile-product.h), so that
// more of them are multiplied without.
bool takes_tile_rows(const Product& p) {
  return p.frozen == nullptr && p.panels == nullptr && p.a.type == Type::bfloat16 && p.b.type == Type::bfloat16 &&
         p.a.column_stride == 1 && p.b.row_stride == 1 && p.a.row_stride % 2 == 0 && fits_tile_rows(p.rows, p.depth) &&
         (p.rows < fewest_tile_rows || p.a.row_stride % shared_sets == 0) &&
         fits_tile_weight(p.columns, p.b.column_stride);
}

int64_t tile_rows_floats(int64_t rows, int64_t depth) { return ceil_to(rows, side) / side * tile_panel(depth); }

void pack_tile_rows(Matrix rows, int64_t count, int64_t depth, float* packed) {
  kernels().pack_tiles(rows.data, rows.row_stride, 1, count, depth, true, packed);
}

void multiply_rows_by_tiles(const Product& p) {
  const Kernels& k = kernels();
  const int64_t pairs = (p.rows + side - 1) / side;
  float* packed = scratch(Scratch::rows, tile_rows_floats(p.rows, p.depth));
  const auto pack = [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++)
      pack_tile_rows(at(p.a, i * side, 0), std::min(side, p.rows - i * side), p.depth,
                     packed + i * tile_rows_floats(side, p.depth));
  };
  share_work(pairs, std::max<int64_t>(1, 8 * strip_work / (strip * side * p.depth)), pack);

  TileRowsProduct job{};
  job.panels = packed;
  job.rows = p.rows;
  job.columns = p.columns;
  job.depth = p.depth;
  job.out = {p.out, p.out_type, p.out_stride, p.bias, p.bias_type, p.add_to_out};
  Matrix weight = p.b;
  weight.row_stride = p.b.column_stride;
  const int64_t strips = (p.columns + strip - 1) / strip;
  share_work(strips, std::max<int64_t>(1, strip_work / (strip * p.rows * p.depth)), [&](int64_t first, int64_t last) {
    k.multiply_tile_rows(job, weight, first * strip, std::min(p.columns, last * strip));
  });
}

}  // namespace tunesmith
