// Row-free kernels over contiguous memory: conversion, sums, activation functions, dropout, rotary embedding, AdamW.
#pragma once
#include "../table.h"
#include "math.h"

namespace tunesmith::TUNESMITH_ISA {

// Calls body(pointer of the right type, ...) for a type known at run time.
#define TUNESMITH_FOR_TYPE(type, ...) \
  if ((type) == Type::bfloat16) {     \
    typedef uint16_t Scalar;          \
    __VA_ARGS__                       \
  } else {                            \
    typedef float Scalar;             \
    __VA_ARGS__                       \
  }

template <class Body> TUNESMITH_INLINE void each(int64_t count, const Body& body) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) body(i, int64_t(lanes));
  if (i < count) body(i, count - i);
}

static void convert(const void* source, Type source_type, void* target, Type target_type, int64_t count) {
  TUNESMITH_FOR_TYPE(source_type, {
    const Scalar* from = (const Scalar*)source;
    if (target_type == Type::bfloat16)
      each(count, [&](int64_t i, int64_t n) { store_upto((uint16_t*)target + i, load_upto(from + i, n), n); });
    else
      each(count, [&](int64_t i, int64_t n) { store_upto((float*)target + i, load_upto(from + i, n), n); });
  })
}

static void scale(void* data, Type type, float factor, int64_t count) {
  TUNESMITH_FOR_TYPE(type, {
    Scalar* x = (Scalar*)data;
    each(count, [&](int64_t i, int64_t n) { store_upto(x + i, load_upto(x + i, n) * factor, n); });
  })
}

// Rows of `width` each, so that the bits of a row do not depend on where it is.
static void soft_cap(const void* x, Type type, void* y, int64_t rows, int64_t width, float cap) {
  TUNESMITH_FOR_TYPE(type, {
    for (int64_t r = 0; r < rows; r++) {
      const Scalar* from = (const Scalar*)x + r * width;
      Scalar* to = (Scalar*)y + r * width;
      each(width, [&](int64_t i, int64_t n) { store_upto(to + i, capped(load_upto(from + i, n), cap), n); });
    }
  })
}
// `y` is what soft_cap gave.
static void soft_cap_backward(const void* y, const void* gradient, Type type, void* out, int64_t count, float cap) {
  TUNESMITH_FOR_TYPE(type, {
    const Scalar* from = (const Scalar*)y;
    const Scalar* g = (const Scalar*)gradient;
    Scalar* to = (Scalar*)out;
    each(count, [&](int64_t i, int64_t n) {
      store_upto(to + i, load_upto(g + i, n) * capped_slope(load_upto(from + i, n), cap), n);
    });
  })
}

// sums[j] += the sum of column j.
static void column_sums(const void* source, Type type, int64_t rows, int64_t width, int64_t stride, float* sums) {
  TUNESMITH_FOR_TYPE(type, {
    const Scalar* x = (const Scalar*)source;
    for (int64_t r = 0; r < rows; r++)
      each(width, [&](int64_t i, int64_t n) {
        store_upto(sums + i, load_upto(sums + i, n) + load_upto(x + r * stride + i, n), n);
      });
  })
}

// target = the sum of the rows, in their order.
static void add_rows(const void* const* rows, Type type, int64_t count, int64_t width, void* target, Type target_type) {
  TUNESMITH_FOR_TYPE(type, {
    each(width, [&](int64_t i, int64_t n) {
      Register sum = {};
      for (int64_t r = 0; r < count; r++) sum += load_upto((const Scalar*)rows[r] + i, n);
      if (target_type == Type::bfloat16)
        store_upto((uint16_t*)target + i, sum, n);
      else
        store_upto((float*)target + i, sum, n);
    });
  })
}

// Sums of 4096 squares in fp32, added up in double.
static double square_sum(const void* data, Type type, int64_t count) {
  double sum = 0;
  TUNESMITH_FOR_TYPE(type, {
    const Scalar* x = (const Scalar*)data;
    for (int64_t start = 0; start < count; start += 4096) {
      int64_t part = count - start < 4096 ? count - start : 4096;
      Register lane[4] = {};
      int64_t i = 0;
      for (; i + 4 * lanes <= part; i += 4 * lanes)
        for (int v = 0; v < 4; v++) {
          Register value = load(x + start + i + v * lanes);
          lane[v] += value * value;
        }
      for (; i < part; i += lanes) {
        Register value = load_upto(x + start + i, part - i);
        lane[0] += value * value;
      }
      sum += double(total((lane[0] + lane[1]) + (lane[2] + lane[3])));
    }
  })
  return sum;
}

inline constexpr float gelu_slope = 0.7978845608f;
inline constexpr float gelu_cubic = 0.044715f;

// An activation function and its derivative.
template <Curve curve> TUNESMITH_INLINE Register curve_value(Register x) {
  if (curve == Curve::silu) return x * sigmoid(x);
  if (curve == Curve::gelu_tanh) return x * sigmoid(x * (x * x * (2 * gelu_slope * gelu_cubic) + 2 * gelu_slope));
  Register cumulative, density;
  normal(x, cumulative, density);
  return x * cumulative;
}
template <Curve curve> TUNESMITH_INLINE void curve_slope(Register x, Register& value, Register& slope) {
  if (curve == Curve::gelu) {
    Register cumulative, density;
    normal(x, cumulative, density);
    value = x * cumulative;
    slope = cumulative + x * density;
    return;
  }
  if (curve == Curve::silu) {
    Register s = sigmoid(x);
    value = x * s;
    slope = s + value * (1.0f - s);
    return;
  }
  Register square = x * x;
  Register s = sigmoid(x * (square * (2 * gelu_slope * gelu_cubic) + 2 * gelu_slope));
  value = x * s;
  slope = s + x * s * (1.0f - s) * (square * (6 * gelu_slope * gelu_cubic) + 2 * gelu_slope);
}

template <Curve curve, class Scalar>
static void activate_by(const Scalar* gate, const Scalar* up, Scalar* y, int64_t count) {
  if (up == nullptr)
    each(count, [&](int64_t i, int64_t n) { store_upto(y + i, curve_value<curve>(load_upto(gate + i, n)), n); });
  else
    each(count, [&](int64_t i, int64_t n) {
      store_upto(y + i, curve_value<curve>(load_upto(gate + i, n)) * load_upto(up + i, n), n);
    });
}

static void activate(const void* gate, const void* up, Type type, void* y, int64_t count, Curve curve) {
  TUNESMITH_FOR_TYPE(type, {
    const Scalar *g = (const Scalar*)gate, *u = (const Scalar*)up;
    if (curve == Curve::silu) activate_by<Curve::silu>(g, u, (Scalar*)y, count);
    if (curve == Curve::gelu) activate_by<Curve::gelu>(g, u, (Scalar*)y, count);
    if (curve == Curve::gelu_tanh) activate_by<Curve::gelu_tanh>(g, u, (Scalar*)y, count);
  })
}

template <Curve curve> static void activate_backward_by(const ActivationGradient& job, int64_t count) {
  TUNESMITH_FOR_TYPE(job.type, {
    const Scalar *gate = (const Scalar*)job.gate, *up = (const Scalar*)job.up, *gradient = (const Scalar*)job.gradient;
    Scalar *dgate = (Scalar*)job.gate_gradient, *dup = (Scalar*)job.up_gradient, *y = (Scalar*)job.y;
    const bool again = y != nullptr;
    if (up == nullptr)
      each(count, [&](int64_t i, int64_t n) {
        Register value, slope, dy = load_upto(gradient + i, n);
        curve_slope<curve>(load_upto(gate + i, n), value, slope);
        store_upto(dgate + i, dy * slope, n);
        if (again) store_upto(y + i, value, n);
      });
    else
      each(count, [&](int64_t i, int64_t n) {
        Register value, slope, dy = load_upto(gradient + i, n), u = load_upto(up + i, n);
        curve_slope<curve>(load_upto(gate + i, n), value, slope);
        store_upto(dgate + i, dy * u * slope, n);
        store_upto(dup + i, dy * value, n);
        if (again) store_upto(y + i, value * u, n);
      });
  })
}

static void activate_backward(const ActivationGradient& job, int64_t count) {
  if (job.curve == Curve::silu) activate_backward_by<Curve::silu>(job, count);
  if (job.curve == Curve::gelu) activate_backward_by<Curve::gelu>(job, count);
  if (job.curve == Curve::gelu_tanh) activate_backward_by<Curve::gelu_tanh>(job, count);
}

// Which lanes survive depends on the seed of the row and on the column alone.
TUNESMITH_INLINE Register survivors(uint64_t seed, Words column, uint32_t threshold) {
  return as<Register>(Ints(random_words(seed, column) >= splat_word(threshold)));
}

static void dropout(const Dropout& job, int64_t first, int64_t last) {
  const Words numbers = lane_numbers();
  const uint32_t threshold = job.threshold;
  const float factor = job.factor;
  TUNESMITH_FOR_TYPE(job.type, {
    for (int64_t at = first; at < last;) {
      const int64_t row = at / job.width, column = at % job.width;
      const int64_t count = lesser(job.width - column, last - at);
      const uint64_t seed = row_seed(job.seed, uint64_t(job.row_keys == nullptr ? row : job.row_keys[row]));
      const Scalar* from = (const Scalar*)job.input + at;
      Scalar* to = (Scalar*)job.output + at;
      each(count, [&](int64_t i, int64_t n) {
        Register kept = survivors(seed, numbers + uint32_t(column + i), threshold);
        Register value = load_upto(from + i, n) * factor;
        store_upto(to + i, as<Register>(as<Ints>(value) & as<Ints>(kept)), n);
      });
      at += count;
    }
  })
}

// One head of one token. Halves: (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin); interleaved: the same on neighbours.
static void rotary_row(const void* x, Type type, void* y, const float* cosine, const float* sine, int64_t size,
                       int64_t rotated, bool interleaved, bool inverse) {
  const int64_t half = rotated / 2;
  const float sign = inverse ? -1.0f : 1.0f;
  TUNESMITH_FOR_TYPE(type, {
    const Scalar* from = (const Scalar*)x;
    Scalar* to = (Scalar*)y;
    if (interleaved) {
      for (int64_t i = 0; i < half; i++) {
        float a, b;
        if constexpr (sizeof(Scalar) == 2)
          a = widen(from[2 * i]), b = widen(from[2 * i + 1]);
        else
          a = from[2 * i], b = from[2 * i + 1];
        float s = sine[i] * sign, first = a * cosine[i] - b * s, second = b * cosine[i] + a * s;
        if constexpr (sizeof(Scalar) == 2)
          to[2 * i] = narrow(first), to[2 * i + 1] = narrow(second);
        else
          to[2 * i] = first, to[2 * i + 1] = second;
      }
    } else {
      each(half, [&](int64_t i, int64_t n) {
        Register a = load_upto(from + i, n), b = load_upto(from + half + i, n);
        Register c = load_upto(cosine + i, n), s = load_upto(sine + i, n) * sign;
        store_upto(to + i, a * c - b * s, n);
        store_upto(to + half + i, b * c + a * s, n);
      });
    }
    if (size > rotated && to != from)
      __builtin_memcpy(to + rotated, from + rotated, size_t(size - rotated) * sizeof(Scalar));
  })
}

template <class G>
static void adamw_typed(const AdamW& job, float* parameter, float* average, float* square_average, const G* gradient,
                        uint16_t* copy, int64_t count) {
  each(count, [&](int64_t i, int64_t n) {
    Register g = load_upto(gradient + i, n) * job.gradient_scale;
    Register m = load_upto(average + i, n), v = load_upto(square_average + i, n);
    m = m + (g - m) * job.one_minus_beta1;
    v = v * job.beta2 + g * g * job.one_minus_beta2;
    Register p = load_upto(parameter + i, n) * job.keep;
    p = p - m * job.step_size / (square_root(v) * job.correction2 + job.epsilon);
    store_upto(average + i, m, n);
    store_upto(square_average + i, v, n);
    store_upto(parameter + i, p, n);
    if (copy != nullptr) store_upto(copy + i, p, n);
  });
}

static void adamw(const AdamW& job, float* parameter, float* average, float* square_average, const void* gradient,
                  Type gradient_type, uint16_t* copy, int64_t count) {
  TUNESMITH_FOR_TYPE(gradient_type,
                     { adamw_typed(job, parameter, average, square_average, (const Scalar*)gradient, copy, count); })
}

}  // namespace tunesmith::TUNESMITH_ISA
