// Products with all rows of a range of a matrix of blocks, from the blocks themselves or from the layout of products,
// by vectors or, for sixteen rows of the input and more, by matrix tiles: the same sums in the same order.
#pragma once
#include "blocks.h"
#include "interleaved.h"
#include "matrix-tiles.h"

namespace tunesmith::TUNESMITH_ISA {

// Bytes between what is multiplied and what is fetched: the processor fetches no further than the end of a page by
// itself, and memory answers later than a cache. With twelve rows that hid half of the waiting (see LOG.md).
inline constexpr int64_t sides_ahead = 16384;

// R rows of the input times `lanes` of sixteen weight rows in the layout of products, fetching `ahead` where it is not
// 0. Every sum is added as in a tile.
template <class F, int R>
static void multiply_sides(const BlockProduct& job, const uint8_t* sixteen, int64_t ahead, int part, int64_t row,
                           float* sums) {
  using S = SidesOf<F>;
  const int64_t groups = job.depth / group_size, blocks = groups / F::groups;
  const int64_t row_bytes = quantized_row_bytes(job.depth);
  const uint8_t* scale_bytes = sixteen + side_scales_at<F>(blocks);
  const int8_t* codes[R];
  const float *scales[R], *offsets[R];
  Register total[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
    codes[r] = (const int8_t*)job.x + (row + r) * row_bytes;
    scales[r] = (const float*)(codes[r] + job.depth);
    offsets[r] = scales[r] + groups * F::halves;
    total[r] = Register{};
  }
  for (int64_t block = 0; block < blocks; block++) {
    constexpr int64_t code_bytes = side_rows * S::bytes.count;
    const uint8_t* own = sixteen + block * code_bytes;
    const uint8_t* own_scales = scale_bytes + block * side_rows * S::bytes.scale_bytes;
    if (ahead > 0) {
      for (int64_t i = 0; i < code_bytes; i += 64) __builtin_prefetch(own + ahead + i, 0, 2);
      __builtin_prefetch(own_scales + ahead, 0, 2);
    }
    for (int i = 0; i < F::groups; i++) {
      const int64_t group = block * F::groups + i;
      Register scale[F::halves], least = {};
      S::scales(own_scales, i, part, scale, least);
#pragma GCC unroll 2
      for (int half = 0; half < F::halves; half++) {
        Ints dots[R];
        const auto word_of = [&](int t) {
          const Words word = S::word(own, i, t, part);
          return signed_codes<F> ? word ^ splat_word(0x01010101u * F::zero) : word;
        };
        group_sums<F, R>(word_of, codes, group * group_size, half * steps / F::halves, dots);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++)
          total[r] = fused(__builtin_convertvector(dots[r], Register), scale[half] * splat(scales[r][group]), total[r]);
        if constexpr (has_offset<F>) {
          const Register offset = F::least ? least : scale[half] * splat(-float(F::zero));
#pragma GCC unroll 8
          for (int r = 0; r < R; r++) total[r] = fused(offset, splat(offsets[r][group * F::halves + half]), total[r]);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) store(sums + r * lanes, total[r]);
}

// Calls `some` with numbers of rows that a kernel is made for, until all rows had their turn.
template <class Some> TUNESMITH_INLINE void over_tiles(int64_t rows, const Some& some) {
  int64_t r = 0;
  for (; r + block_tile <= rows; r += block_tile) some(Count<block_tile>{}, r);
  int64_t left = rows - r;
  if (block_tile > 4 && left >= 4) {
    some(Count<4>{}, r);
    r += 4;
    left -= 4;
  }
  if (left == 3)
    some(Count<3>{}, r);
  else if (left == 2)
    some(Count<2>{}, r);
  else if (left == 1)
    some(Count<1>{}, r);
}

// Writes the sums of `lanes` columns from `n` on, with their bias.
TUNESMITH_INLINE void write_columns(const BlockProduct& job, int64_t n, int64_t filled, const float* sums) {
  Register bias = {};
  if (job.bias != nullptr)
    bias = job.bias_type == Type::bfloat16 ? load_upto((const uint16_t*)job.bias + n, filled)
                                           : load_upto((const float*)job.bias + n, filled);
  for (int64_t r = 0; r < job.rows; r++) {
    const Register sum = load(sums + r * lanes) + bias;
    const int64_t at = r * job.out_stride + n;
    if (job.out_type == Type::bfloat16)
      store_upto((uint16_t*)job.out + at, sum, filled);
    else
      store_upto((float*)job.out + at, sum, filled);
  }
}

template <class F> static void side_rows_of(const BlockProduct& job, int64_t first, int64_t last, float* sums) {
  const int64_t bytes = side_bytes<F>(job.depth / (F::groups * group_size));
  for (int64_t n = first; n < last; n += lanes) {
    const uint8_t* sixteen = (const uint8_t*)job.weight.interleaved + n / side_rows * bytes;
    const int part = int(n % side_rows) / lanes;
    over_tiles(job.rows, [&](auto count, int64_t r) {
      // Once for each byte: by the first rows, and by the first half of sixteen columns.
      const int64_t ahead = r == 0 && part == 0 && n + lanes < last ? sides_ahead : 0;
      multiply_sides<F, decltype(count)::value>(job, sixteen, ahead, part, r, sums + r * lanes);
    });
    write_columns(job, n, last - n < lanes ? last - n : lanes, sums);
  }
}

#if defined(TUNESMITH_TILES)
// The tile of groups [first, first + count) from the layout of products.
template <class F>
static void fill_tile_from_sides(const uint8_t* sixteen, int64_t blocks, int64_t first, int64_t count,
                                 BlockTile& tile) {
  using S = SidesOf<F>;
  for (int64_t g = first; g < first + count; g++) {
    const int64_t block = g / F::groups, group = g % F::groups, number = (g - first) * F::halves;
    const uint8_t* codes = sixteen + block * side_rows * S::bytes.count;
    const uint8_t* scale_bytes = sixteen + side_scales_at<F>(blocks) + block * side_rows * S::bytes.scale_bytes;
#pragma GCC unroll 8
    for (int t = 0; t < steps; t++) {
      const Words word = S::word(codes, int(group), t, 0);
      __builtin_memcpy(tile.codes + ((g - first) * steps + t) * lanes, &word, sizeof(word));
    }
    Register scale[F::halves], least = {};
    S::scales(scale_bytes, int(group), 0, scale, least);
    for (int half = 0; half < F::halves; half++) {
      store(tile.scales + (number + half) * lanes, scale[half]);
      if constexpr (has_offset<F>)
        store(tile.offsets + (number + half) * lanes, F::least ? least : scale[half] * splat(-float(F::zero)));
    }
  }
}

// Sixteen rows of the input times a tile, as `multiply_tile` adds them: the same integers, and sums in the same order.
template <class F>
static void multiply_sixteen(const BlockTile& tile, const BlockProduct& job, int64_t row, int64_t first, int64_t count,
                             float* sums) {
  static_assert(lanes == matrix_tile && !signed_codes<F>);
  constexpr int64_t at_once = 8 / F::halves;  // groups whose sums stay in the first cache
  const int64_t groups = job.depth / group_size, row_bytes = quantized_row_bytes(job.depth);
  const int8_t* codes = (const int8_t*)job.x + row * row_bytes;
  alignas(64) int32_t dots[at_once * F::halves * matrix_tile * lanes];
  Register total[matrix_tile];
#pragma GCC unroll 16
  for (int r = 0; r < matrix_tile; r++) total[r] = first == 0 ? Register{} : load(sums + r * lanes);
  for (int64_t from = 0; from < count; from += at_once) {
    const int64_t some = lesser(at_once, count - from);
    multiply_groups<F::halves>(codes + (first + from) * group_size, row_bytes, tile.codes + from * steps * lanes, some,
                               dots);
    for (int64_t i = 0; i < some * F::halves; i++) {
      const int64_t number = from * F::halves + i;
      const Register scale = load(tile.scales + number * lanes);
      const Register offset = has_offset<F> ? load(tile.offsets + number * lanes) : Register{};
      const char* input_scale = (const char*)(codes + job.depth) + (first + number / F::halves) * 4;
      const char* input_sum = (const char*)(codes + job.depth) + (groups * F::halves + first * F::halves + number) * 4;
#pragma GCC unroll 16
      for (int r = 0; r < matrix_tile; r++) {
        Ints dot;
        __builtin_memcpy(&dot, dots + (i * matrix_tile + r) * lanes, sizeof(dot));
        total[r] = fused(__builtin_convertvector(dot, Register),
                         scale * splat(*(const float*)(input_scale + r * row_bytes)), total[r]);
        if constexpr (has_offset<F>)
          total[r] = fused(offset, splat(*(const float*)(input_sum + r * row_bytes)), total[r]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < matrix_tile; r++) store(sums + r * lanes, total[r]);
}
#endif

template <class F>
static void block_rows_of(F format, const BlockProduct& job, int64_t first, int64_t last, float* sums) {
#if defined(TUNESMITH_TILES)
  const bool by_tiles = job.rows >= matrix_tile && matrix_tiles();
#else
  constexpr bool by_tiles = false;
#endif
  if (job.weight.interleaved != nullptr && !by_tiles) return side_rows_of<F>(job, first, last, sums);
  BlockTile tile;
  const int64_t groups = job.depth / group_size;
  const PackedMatrix& m = job.weight;
#if defined(TUNESMITH_TILES)
  if (by_tiles) begin_byte_tiles<F::halves>();
#endif
  for (int64_t n = first; n < last; n += lanes) {
    const uint8_t* rows[lanes];
    const int64_t filled = last - n < lanes ? last - n : lanes;
    for (int i = 0; i < lanes; i++) {
      const int64_t row = n + (i < filled ? i : filled - 1);
      rows[i] = (const uint8_t*)m.codes + (m.order == nullptr ? row : m.order[row]) * m.row_bytes;
    }
    const int64_t ahead = n + 2 * lanes <= last && m.order == nullptr ? lanes * m.row_bytes : 0;
    int64_t group = 0;
#if defined(TUNESMITH_ONE_ROW)
    if (job.rows == 1) {
      for (int i = 0; i < lanes; i += rows_of_one) multiply_one(format, job, rows + i, ahead, sums + i);
      group = groups;
    }
#endif
    while (group < groups) {
      const int64_t count = groups - group < chunk_groups ? groups - group : chunk_groups;
      int64_t begun = 0;
#if defined(TUNESMITH_TILES)
      if (m.interleaved != nullptr) {
        const int64_t blocks = groups / F::groups;
        fill_tile_from_sides<F>((const uint8_t*)m.interleaved + n / side_rows * side_bytes<F>(blocks), blocks, group,
                                count, tile);
      } else
#endif
        fill_tile(format, rows, ahead, group, count, tile);
#if defined(TUNESMITH_TILES)
      for (; by_tiles && begun + matrix_tile <= job.rows; begun += matrix_tile)
        multiply_sixteen<F>(tile, job, begun, group, count, sums + begun * lanes);
#endif
      over_tiles(job.rows - begun, [&](auto size, int64_t r) {
        multiply_tile<F, decltype(size)::value>(tile, job, begun + r, group, count, sums + (begun + r) * lanes);
      });
      group += count;
    }
    write_columns(job, n, filled, sums);
  }
#if defined(TUNESMITH_TILES)
  if (by_tiles) end_tiles();
#endif
}

static void block_rows(const BlockProduct& job, int64_t first, int64_t last, float* sums) {
  with_format(job.weight.code, [&](auto format) { block_rows_of(format, job, first, last, sums); });
}

// Whether all scales and minima of some rows are finite.
static bool finite_scales(const PackedMatrix& m, int64_t first, int64_t last) {
  bool finite = true;
  for (int64_t row = first; row < last && m.code == Code::int8_rows; row++)
    finite &= load_bytes<uint32_t>((const uint8_t*)m.codes + row * m.row_bytes + m.columns) << 1 < 0xff000000u;
  with_format(m.code, [&](auto format) {
    using F = decltype(format);
    for (int64_t row = first; row < last; row++) {
      const uint8_t* block = (const uint8_t*)m.codes + row * m.row_bytes;
      for (int64_t i = 0; i < m.columns / group_size; i += F::groups, block += F::bytes) {
        Scales s;
        F::scales(block, s);
        for (int j = 0; j < F::groups * F::halves; j++) finite &= as<uint32_t>(s.scale[j]) << 1 < 0xff000000u;
        for (int j = 0; F::least && j < F::groups; j++) finite &= as<uint32_t>(s.least[j]) << 1 < 0xff000000u;
      }
    }
  });
  return finite;
}

}  // namespace tunesmith::TUNESMITH_ISA
