// Rows of float32 in float16 and bfloat16, and in the integers of ONNX files; the helpers of all row types. Rounding is
// exact, so this is compiled without fused multiply-adds.
#pragma once
#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "block-search.h"

namespace tunesmith::TUNESMITH_ISA {
namespace blocks {
namespace {

uint32_t bits_of(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  return bits;
}

float float_of(uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
}

// The nearest float16, ties to even.
uint16_t to_half(float x) {
  const uint32_t sign = bits_of(x) >> 16 & 0x8000, magnitude = bits_of(x) & 0x7fffffff;
  if (magnitude >= 0x7f800000) return uint16_t(sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00));
  if (magnitude >= 0x477ff000) return uint16_t(sign | 0x7c00);
  // Below the smallest normal number: multiples of 2^-24, which adding 1/2 rounds to.
  if (magnitude < 0x38800000) return uint16_t(sign | (bits_of(float_of(magnitude) + 0.5f) - 0x3f000000));
  return uint16_t(sign | (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13);
}

float from_half(uint16_t bits) {
  const uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;
  const float size = exponent == 0 ? float(fraction) * float_of(0x33800000)  // 2^-24
                                   : float_of((exponent + 112) << 23 | fraction << 13);
  return bits & 0x8000 ? -size : size;
}

void put_half(uint8_t* out, uint16_t bits) { __builtin_memcpy(out, &bits, 2); }

float inverse(float scale) { return scale == 0 ? 0 : 1 / scale; }
// A row of values.
struct Row {
  const float* values;
  int64_t width;
  const float* importance;  // of the columns, or null; of int8 their scales; of int4 the scales of its blocks, or null
};

void halves(const Row& row, uint8_t* out) {
  int64_t i = 0;
#if defined(__F16C__)
  for (; i + 8 <= row.width; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 2 * i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(row.values + i), _MM_FROUND_TO_NEAREST_INT));
#endif
  for (; i < row.width; i++) put_half(out + 2 * i, to_half(row.values[i]));
}

void brain_floats(const Row& row, uint8_t* out) {
  for (int64_t i = 0; i < row.width; i++) {
    const uint32_t bits = bits_of(row.values[i]);
    const bool number = (bits & 0x7fffffff) <= 0x7f800000;
    put_half(out + 2 * i, number ? uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16) : uint16_t(0x7fc0));
  }
}

// Symmetric integers from -127 to 127. @source onnxruntime.quantization.quant_utils, compute_scale_zp
void int8(const Row& row, uint8_t* out) {
  for (int64_t i = 0; i < row.width; i++) {
    const float scaled = row.values[i] / row.importance[i];
    out[i] = uint8_t(int(nearest(scaled < -127 ? -127 : scaled > 127 ? 127 : scaled)));
  }
}

// At most 32 values of a row, and zeros after them.
struct FourBitBlock {
  Lanes x[32 / groups] = {};

  FourBitBlock(const Row& row, int64_t from) {
    const int64_t rest = row.width - from;
    __builtin_memcpy(x, row.values + from, sizeof(float) * uint64_t(rest < 32 ? rest : 32));
  }

  // The value of largest magnitude becomes -8. @source MlasQuantizeBlockwise
  float scale() const {
    Lanes lowest{}, highest{};
    for (const Lanes& part : x) {
      lowest = select(part < lowest, part, lowest);
      highest = select(part > highest, part, highest);
    }
    // By halves: the extremes of numbers do not depend on the order, and zeros have no sign here.
    float lows[groups], highs[groups];
    __builtin_memcpy(lows, &lowest, sizeof(lows));
    __builtin_memcpy(highs, &highest, sizeof(highs));
    for (int half = groups / 2; half > 0; half /= 2)
      for (int i = 0; i < half; i++) {
        lows[i] = lows[i + half] < lows[i] ? lows[i + half] : lows[i];
        highs[i] = highs[i + half] > highs[i] ? highs[i + half] : highs[i];
      }
    const float least = lows[0], most = highs[0];
    return (__builtin_fabsf(most) > __builtin_fabsf(least) ? most : least) / -8;
  }
};

void int4_scales(const Row& row, uint8_t* out) {
  for (int64_t from = 0; from < row.width; from += 32, out += 4) {
    const float scale = FourBitBlock(row, from).scale();
    __builtin_memcpy(out, &scale, 4);
  }
}

// Blocks are filled up with zeros, which 8 stands for. @source onnxruntime contrib operator MatMulNBits
void int4(const Row& row, uint8_t* out) {
  int32_t codes[32];
  for (int64_t from = 0; from < row.width; from += 32, out += 16) {
    const FourBitBlock block(row, from);
    const float factor = inverse(row.importance != nullptr ? row.importance[from / 32] : block.scale());
    for (int part = 0; part < 32 / groups; part++) {
      const Mask own = __builtin_convertvector(clamp(block.x[part] * factor + 8.0f, 0, 15) + 0.5f, Mask);
      __builtin_memcpy(codes + groups * part, &own, sizeof(own));
    }
    for (int64_t i = row.width - from; i < 32; i++) codes[i] = 8;
    for (int i = 0; i < 16; i++) out[i] = uint8_t(codes[2 * i] | codes[2 * i + 1] << 4);
  }
}

}  // namespace
}  // namespace blocks
}  // namespace tunesmith::TUNESMITH_ISA
