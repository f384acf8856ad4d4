// Rows of the input of products with blocks, quantised to int8 in groups of 32.
#pragma once
#include "block-formats.h"

namespace tunesmith::TUNESMITH_ISA {

// A quantised row of the input: int8 codes, then the scales of its groups, then scale times sum of the codes for every
// group, and for both halves of every group.
TUNESMITH_INLINE int64_t quantized_row_bytes(int64_t depth) { return depth + depth / group_size * 16; }

typedef int8_t Bytes __attribute__((vector_size(lanes)));

TUNESMITH_INLINE bool all_of(Ints mask) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask(as<__m512i>(mask)) == 0xffff;
#else
  int32_t all = -1;
  for (int i = 0; i < lanes; i++) all &= mask[i];
  return all != 0;
#endif
}

TUNESMITH_INLINE int32_t sum_of(Ints x) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_epi32(as<__m512i>(x));
#else
  int32_t sum = 0;
  for (int i = 0; i < lanes; i++) sum += x[i];
  return sum;
#endif
}

static void quantize_rows(Matrix x, int64_t rows, int64_t depth, void* out) {
  constexpr int parts = group_size / lanes;
  const Register shift = splat(rounding);
  const int64_t groups = depth / group_size;
  const bool in_place = x.type == Type::float32 && x.column_stride == 1;
  for (int64_t r = 0; r < rows; r++) {
    int8_t* codes = (int8_t*)out + r * quantized_row_bytes(depth);
    float* scales = (float*)(codes + depth);
    float *sums = scales + groups, *half_sums = sums + groups;
    for (int64_t g = 0; g < groups; g++) {
      float copy[group_size];
      const float* values = copy;
      const int64_t first = r * x.row_stride + g * group_size * x.column_stride;
      if (in_place) {
        values = (const float*)x.data + first;
      } else {
        for (int i = 0; i < group_size; i++) {
          const int64_t at = first + i * x.column_stride;
          copy[i] = x.type == Type::bfloat16 ? widen(((const uint16_t*)x.data)[at]) : ((const float*)x.data)[at];
        }
      }
      Register part[parts], peak = {};
      Ints finite_lanes = ~Ints{};
      for (int i = 0; i < parts; i++) {
        part[i] = load(values + i * lanes);
        peak = maximum(peak, maximum(part[i], -part[i]));
        finite_lanes &= Ints(as<Words>(part[i]) << 1 < splat_word(0xff000000u));
      }
      const float most = largest(peak);
      // Infinity and NaN must not become numbers: the scale passes them on.
      const bool finite = all_of(finite_lanes);
      const float scale = finite ? most / 127.0f : __builtin_nanf("");
      const Register factor = splat(finite && most > 0 ? 127.0f / most : 0.0f);
      int32_t sum[2] = {0, 0};
      for (int i = 0; i < parts; i++) {
        const Register rounded = finite ? fused(part[i], factor, shift) : shift;
        const Ints code = as<Ints>(rounded) - as<Ints>(shift);
        const Bytes bytes = __builtin_convertvector(code, Bytes);
        __builtin_memcpy(codes + g * group_size + i * lanes, &bytes, sizeof(bytes));
        sum[i * lanes / 16] += sum_of(code);
      }
      scales[g] = scale;
      sums[g] = scale * float(sum[0] + sum[1]);
      half_sums[2 * g] = scale * float(sum[0]);
      half_sums[2 * g + 1] = scale * float(sum[1]);
    }
  }
}

}  // namespace tunesmith::TUNESMITH_ISA
