// Dequantises rectangles of a matrix to fp32. Elements are counted along the rows without gaps.
// @source int8 by rows: arXiv:2208.07339; NF4: arXiv:2305.14314, appendix E
#pragma once
#include "../table.h"
#include "block-formats.h"
#include "vector.h"

namespace tunesmith::TUNESMITH_ISA {

alignas(64) static const float nf4_values[16] = {-1.0f,
                                                 -0.6961928009986877f,
                                                 -0.5250730514526367f,
                                                 -0.39491748809814453f,
                                                 -0.28444138169288635f,
                                                 -0.18477343022823334f,
                                                 -0.09105003625154495f,
                                                 0.0f,
                                                 0.07958029955625534f,
                                                 0.16093020141124725f,
                                                 0.24611230194568634f,
                                                 0.33791524171829224f,
                                                 0.44070982933044434f,
                                                 0.5626170039176941f,
                                                 0.7229568362236023f,
                                                 1.0f};

// The earlier of two elements of a byte lies in its upper half.
TUNESMITH_INLINE float nf4_value(const uint8_t* codes, int64_t at) {
  const uint8_t both = codes[at >> 1];
  return nf4_values[at & 1 ? both & 15 : both >> 4];
}

// Elements of one block, which share a scale.
TUNESMITH_INLINE void unpack_nf4_block(const uint8_t* codes, int64_t at, int64_t count, float scale, float* out) {
  int64_t i = 0;
  if ((at & 1) && count > 0) out[i++] = nf4_value(codes, at) * scale;
#if defined(__AVX512F__)
  // One choice among sixteen reads the four bits that it needs. Upper and lower halves of bytes alternate in the
  // result.
  const __m512 table = _mm512_load_ps(nf4_values), wide_factor = _mm512_set1_ps(scale);
  const __m512i start = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23),
                end = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  for (; i + 32 <= count; i += 32) {
    const __m512i both = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)(codes + ((at + i) >> 1))));
    const __m512 upper = _mm512_mul_ps(_mm512_permutexvar_ps(_mm512_srli_epi32(both, 4), table), wide_factor);
    const __m512 lower = _mm512_mul_ps(_mm512_permutexvar_ps(both, table), wide_factor);
    _mm512_storeu_ps(out + i, _mm512_permutex2var_ps(upper, start, lower));
    _mm512_storeu_ps(out + i + 16, _mm512_permutex2var_ps(upper, end, lower));
  }
#endif
#if defined(__AVX2__)
  const __m256 low = _mm256_load_ps(nf4_values), high = _mm256_load_ps(nf4_values + 8), factor = _mm256_set1_ps(scale);
  const __m256i shifts = _mm256_setr_epi32(4, 0, 12, 8, 20, 16, 28, 24);
  for (; i + 8 <= count; i += 8) {
    uint32_t eight;
    __builtin_memcpy(&eight, codes + ((at + i) >> 1), 4);
    // A choice among eight reads three bits; the fourth chooses between the halves of the table.
    const __m256i code = _mm256_srlv_epi32(_mm256_set1_epi32(int(eight)), shifts);
    const __m256 value = _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, code), _mm256_permutevar8x32_ps(high, code),
                                          _mm256_castsi256_ps(_mm256_slli_epi32(code, 28)));
    _mm256_storeu_ps(out + i, _mm256_mul_ps(value, factor));
  }
#endif
  for (; i < count; i++) out[i] = nf4_value(codes, at + i) * scale;
}

static void unpack(const PackedMatrix& m, int64_t row, int64_t rows, int64_t column, int64_t columns, float* out,
                   int64_t out_stride) {
  if (m.code == Code::int8_rows) {
    for (int64_t r = row; r < row + rows; r++, out += out_stride) {
      const uint8_t* from = (const uint8_t*)m.codes + (m.order == nullptr ? r : m.order[r]) * m.row_bytes;
      const float scale = load_bytes<float>(from + m.columns);
      for (int64_t i = 0; i < columns; i++) out[i] = float(int8_t(from[column + i])) * scale;
    }
    return;
  }
  if (m.code != Code::int8 && m.code != Code::nf4) {
    with_format(m.code, [&](auto format) {
      for (int64_t r = row; r < row + rows; r++, out += out_stride)
        unpack_blocks(format, (const uint8_t*)m.codes + (m.order == nullptr ? r : m.order[r]) * m.row_bytes, column,
                      columns, out);
    });
    return;
  }
  for (int64_t r = 0; r < rows; r++, out += out_stride) {
    int64_t at = (row + r) * m.columns + column;
    if (m.code == Code::int8) {
      const int8_t* codes = (const int8_t*)m.codes + at;
      const float scale = m.scales[row + r];
      for (int64_t i = 0; i < columns; i++) out[i] = float(codes[i]) * scale;
      continue;
    }
    for (int64_t done = 0; done < columns;) {
      const int64_t block = (at + done) / nf4_block;
      const int64_t left = (block + 1) * nf4_block - (at + done);
      const int64_t count = left < columns - done ? left : columns - done;
      unpack_nf4_block((const uint8_t*)m.codes, at + done, count, m.scales[block], out + done);
      done += count;
    }
  }
}

#if defined(__AVX512BF16__)
inline constexpr int64_t codes_ahead = 4096;  // bytes between what is dequantised and what is fetched

static void unpack_rounded_int8(const int8_t* codes, int64_t count, float scale, uint16_t* out) {
  const __m512 factor = _mm512_set1_ps(scale);
  int64_t i = 0;
  for (; i + 32 <= count; i += 32) {
    __builtin_prefetch(codes + i + codes_ahead, 0, 2);
    __m512 value[2];
    for (int half = 0; half < 2; half++) {
      const __m128i bytes = _mm_loadu_si128((const __m128i*)(codes + i + 16 * half));
      value[half] = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)), factor);
    }
    _mm512_storeu_si512(out + i, as<__m512i>(_mm512_cvtne2ps_pbh(value[1], value[0])));
  }
  for (; i < count; i++) out[i] = narrow(float(codes[i]) * scale);
}

// The sixteen values of a block are rounded once, and chosen in pairs.
TUNESMITH_INLINE void unpack_rounded_nf4(const uint8_t* codes, float scale, uint16_t* out) {
  const __m512 values = _mm512_mul_ps(_mm512_load_ps(nf4_values), _mm512_set1_ps(scale));
  __builtin_prefetch(codes + codes_ahead, 0, 2);
  // A choice among 32 reads five bits, the fifth of which is another code's: both halves of the table are the same.
  const __m512i table = _mm512_broadcast_i64x4(as<__m256i>(_mm512_cvtneps_pbh(values)));
#pragma GCC unroll 2
  for (int i = 0; i < nf4_block; i += 32) {
    const __m512i both = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)(codes + i / 2)));
    const __m512i choices = _mm512_or_si512(_mm512_srli_epi32(both, 4), _mm512_slli_epi32(both, 16));
    _mm512_storeu_si512(out + i, _mm512_permutexvar_epi16(choices, table));
  }
}

static void unpack_rounded_nf4_row(const PackedMatrix& m, int64_t at, int64_t columns, uint16_t* out) {
  const auto* codes = (const uint8_t*)m.codes;
  int64_t i = 0;
  while (i < columns) {
    for (; (at + i) % nf4_block == 0 && i + nf4_block <= columns; i += nf4_block)
      unpack_rounded_nf4(codes + (at + i) / 2, m.scales[(at + i) / nf4_block], out + i);
    if (i < columns) out[i] = narrow(nf4_value(codes, at + i) * m.scales[(at + i) / nf4_block]), i++;
  }
}
#endif

static void unpack_rounded(const PackedMatrix& m, int64_t row, int64_t rows, int64_t column, int64_t columns,
                           uint16_t* out, int64_t out_stride) {
  for (int64_t r = row; r < row + rows; r++, out += out_stride) {
#if defined(__AVX512BF16__)
    if (m.code == Code::int8) {
      unpack_rounded_int8((const int8_t*)m.codes + r * m.columns + column, columns, m.scales[r], out);
      continue;
    }
    if (m.code == Code::nf4) {
      unpack_rounded_nf4_row(m, r * m.columns + column, columns, out);
      continue;
    }
#endif
    constexpr int64_t step = 1024;  // blocks of every format end there
    alignas(64) float wide[step];
    for (int64_t done = 0; done < columns; done += step) {
      const int64_t count = lesser(step, columns - done);
      unpack(m, r, 1, column + done, count, wide, step);
      for (int64_t i = 0; i < count; i += lanes) store_upto(out + done + i, load(wide + i), count - i);
    }
  }
}

}  // namespace tunesmith::TUNESMITH_ISA
