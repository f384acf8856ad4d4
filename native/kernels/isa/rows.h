// Kernels that reduce along a row: layer norm, RMS norm, softmax cross entropy.
#pragma once
#include "elementwise.h"

namespace tunesmith::TUNESMITH_ISA {

// A row of any type read as fp32.
struct RowReader {
  const void* data;
  Type type;
};
TUNESMITH_INLINE Register read(const RowReader& row, int64_t i, int64_t n) {
  return row.type == Type::bfloat16 ? load_upto((const uint16_t*)row.data + i, n)
                                    : load_upto((const float*)row.data + i, n);
}
TUNESMITH_INLINE RowReader row_of(const void* data, Type type, int64_t row, int64_t width) {
  return {(const char*)data + row * width * (type == Type::bfloat16 ? 2 : 4), type};
}
TUNESMITH_INLINE void write(void* data, Type type, int64_t at, Register x, int64_t n) {
  if (type == Type::bfloat16)
    store_upto((uint16_t*)data + at, x, n);
  else
    store_upto((float*)data + at, x, n);
}

// The sum of term(i, n) over a row, in four chains so that the additions do not wait for each other.
template <class Term> TUNESMITH_INLINE float total_of(int64_t width, const Term& term) {
  Register sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * lanes <= width; i += 4 * lanes)
    for (int v = 0; v < 4; v++) sums[v] += term(i + v * lanes, int64_t(lanes));
  for (; i + lanes <= width; i += lanes) sums[0] += term(i, int64_t(lanes));
  if (i < width) sums[0] += term(i, width - i);
  return total((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// What is normalized is the sum as stored, after rounding to its type, so that the backward sees the same numbers.
TUNESMITH_INLINE void norm_rows_with(const NormRows& job, int64_t first, int64_t last) {
  const int64_t width = job.width;
  for (int64_t r = first; r < last; r++) {
    RowReader input = row_of(job.input, job.input_type, r, width);
    RowReader sum = input;
    if (job.residual != nullptr) {
      RowReader residual = row_of(job.residual, job.residual_type, r, width);
      each(width, [&](int64_t i, int64_t n) {
        write(job.sum, job.sum_type, r * width + i, read(input, i, n) + read(residual, i, n), n);
      });
      sum = row_of(job.sum, job.sum_type, r, width);
    }
    float mean = 0;
    if (job.mean != nullptr) {
      mean = total_of(width, [&](int64_t i, int64_t n) { return read(sum, i, n); }) / float(width);
    }
    const float squares = total_of(width, [&](int64_t i, int64_t n) {
      Register x = n == lanes                   ? read(sum, i, n)
                   : sum.type == Type::bfloat16 ? load_part((const uint16_t*)sum.data + i, n, mean)
                                                : load_part((const float*)sum.data + i, n, mean);
      x -= mean;
      return x * x;
    });
    float scale = 1.0f / __builtin_sqrtf(squares / float(width) + job.epsilon);
    if (job.mean != nullptr) job.mean[r] = mean;
    job.scale[r] = scale;
    RowReader weight = {job.weight, job.weight_type}, bias = {job.bias, job.bias_type};
    each(width, [&](int64_t i, int64_t n) {
      Register y = (read(sum, i, n) - mean) * scale * read(weight, i, n);
      if (job.bias != nullptr) y += read(bias, i, n);
      write(job.output, job.output_type, r * width + i, y, n);
    });
  }
}

// Where all types are one, the compiler sees them as constants.
static void norm_rows(const NormRows& job, int64_t first, int64_t last) {
  const Type type = job.input_type;
  const bool uniform = (job.residual == nullptr || job.residual_type == type) && job.sum_type == type &&
                       job.weight_type == type && (job.bias == nullptr || job.bias_type == type) &&
                       job.output_type == type;
  if (!uniform) return norm_rows_with(job, first, last);
  NormRows known = job;
  if (type == Type::bfloat16) {
    known.input_type = known.residual_type = known.sum_type = Type::bfloat16;
    known.weight_type = known.bias_type = known.output_type = Type::bfloat16;
    norm_rows_with(known, first, last);
  } else {
    known.input_type = known.residual_type = known.sum_type = Type::float32;
    known.weight_type = known.bias_type = known.output_type = Type::float32;
    norm_rows_with(known, first, last);
  }
}

TUNESMITH_INLINE void norm_rows_backward_with(const NormRowsBackward& job, int64_t first, int64_t last) {
  const int64_t width = job.width;
  RowReader weight = {job.weight, job.weight_type};
  for (int64_t r = first; r < last; r++) {
    RowReader sum = row_of(job.sum, job.sum_type, r, width);
    RowReader gradient = row_of(job.gradient, job.gradient_type, r, width);
    const float mean = job.mean == nullptr ? 0.0f : job.mean[r], scale = job.scale[r];
    Register plain = {}, weighted = {};
    each(width, [&](int64_t i, int64_t n) {
      Register dy = read(gradient, i, n);
      Register x = (read(sum, i, n) - mean) * scale;
      Register g = dy * read(weight, i, n);
      plain += g;
      weighted += g * x;
      store_upto(job.weight_gradient + i, load_upto(job.weight_gradient + i, n) + dy * x, n);
      if (job.bias_gradient != nullptr) store_upto(job.bias_gradient + i, load_upto(job.bias_gradient + i, n) + dy, n);
    });
    const float offset = job.mean == nullptr ? 0.0f : total(plain) / float(width);
    const float slope = total(weighted) / float(width);
    RowReader other = job.sum_gradient == nullptr ? RowReader{nullptr, Type::float32}
                                                  : row_of(job.sum_gradient, job.sum_gradient_type, r, width);
    each(width, [&](int64_t i, int64_t n) {
      Register x = (read(sum, i, n) - mean) * scale;
      Register g = read(gradient, i, n) * read(weight, i, n);
      Register dx = (g - offset - x * slope) * scale;
      if (other.data != nullptr) dx += read(other, i, n);
      write(job.input_gradient, job.input_gradient_type, r * width + i, dx, n);
    });
  }
}

static void norm_rows_backward(const NormRowsBackward& job, int64_t first, int64_t last) {
  const Type type = job.sum_type;
  const bool uniform = job.gradient_type == type && (job.sum_gradient == nullptr || job.sum_gradient_type == type) &&
                       job.weight_type == type && job.input_gradient_type == type;
  if (!uniform) return norm_rows_backward_with(job, first, last);
  NormRowsBackward known = job;
  if (type == Type::bfloat16) {
    known.sum_type = known.gradient_type = known.sum_gradient_type = Type::bfloat16;
    known.weight_type = known.input_gradient_type = Type::bfloat16;
    norm_rows_backward_with(known, first, last);
  } else {
    known.sum_type = known.gradient_type = known.sum_gradient_type = Type::float32;
    known.weight_type = known.input_gradient_type = Type::float32;
    norm_rows_backward_with(known, first, last);
  }
}

template <class T> static void cap_logits(T* logits, int64_t width, float cap) {
  each(width, [&](int64_t i, int64_t n) { store_upto(logits + i, capped(load_upto(logits + i, n), cap), n); });
}

// Loss of one row; with smoothing e the target distribution is (1 - e) at the target and e / width everywhere.
template <class T> static float entropy_typed(const EntropyRow& row, T* logits) {
  const int64_t width = row.width;
  const float cap = row.cap;
  if (cap > 0) cap_logits(logits, width, cap);
  const Register lowest = splat(-__builtin_inff());
  Register high = lowest, logit_sums = {};
  each(width, [&](int64_t i, int64_t n) {
    Register x = load_upto(logits + i, n, -__builtin_inff());
    high = maximum(high, x);
  });
  if (row.smoothing > 0) each(width, [&](int64_t i, int64_t n) { logit_sums += load_upto(logits + i, n); });
  const float top = largest(high);
  Register sums = {};
  each(width, [&](int64_t i, int64_t n) {
    if (n == lanes)
      sums += exponential(load(logits + i) - top);
    else {
      float lane[lanes];
      store(lane, exponential(load_upto(logits + i, n) - top));
      for (int64_t j = 0; j < n; j++) sums[0] += lane[j];
    }
  });
  const float sum = total(sums);
  const float log_sum = top + __builtin_logf(sum);
  float at_target;
  if constexpr (sizeof(T) == 2)
    at_target = widen(logits[row.target]);
  else
    at_target = logits[row.target];
  float loss = log_sum - at_target;
  if (row.smoothing > 0)
    loss = (1 - row.smoothing) * loss + row.smoothing * (log_sum - total(logit_sums) / float(width));
  if (row.want_gradient) {
    const float inverse = 1.0f / sum, share = row.smoothing / float(width);
    const float probability = __builtin_expf(at_target - log_sum);
    each(width, [&](int64_t i, int64_t n) {
      const Register x = load_upto(logits + i, n), slope = exponential(x - top) * inverse - share;
      store_upto(logits + i, cap > 0 ? slope * capped_slope(x, cap) : slope, n);
    });
    if (row.padded_width > width) __builtin_memset(logits + width, 0, size_t(row.padded_width - width) * sizeof(T));
    const float bend = cap > 0 ? (1 - at_target / cap) * (1 + at_target / cap) : 1.0f;
    const float at = (probability - share - (1 - row.smoothing)) * bend;
    if constexpr (sizeof(T) == 2)
      logits[row.target] = narrow(at);
    else
      logits[row.target] = at;
  }
  return loss;
}

static float entropy_row(const EntropyRow& row, void* logits, Type type) {
  if (type == Type::bfloat16) return entropy_typed(row, (uint16_t*)logits);
  return entropy_typed(row, (float*)logits);
}

TUNESMITH_INLINE float value_at(const float* values, int64_t i) { return values[i]; }
TUNESMITH_INLINE float value_at(const uint16_t* values, int64_t i) { return widen(values[i]); }

template <class T> static LogProbResult log_prob_typed(const LogProbRow& row, T* logits) {
  const int64_t width = row.width;
  const float heat = row.inverse_temperature, cap = row.cap;
  if (cap > 0) cap_logits(logits, width, cap);
  Register high = splat(-__builtin_inff());
  each(width, [&](int64_t i, int64_t n) {
    Register x = load_upto(logits + i, n, -__builtin_inff());
    high = maximum(high, x);
  });
  // The temperature is positive, so the highest logit stays the highest.
  const float top = largest(high);
  Register sums = {}, squares = {}, weighted = {};
  int64_t i = 0;
  for (; i + lanes <= width; i += lanes) {
    const Register below = (load(logits + i) - top) * heat;
    const Register p = exponential(below);
    sums += p;
    squares += p * p;
    // A probability of zero times a logit of minus infinity would be NaN.
    weighted += p * maximum(below, splat(-1e30f));
  }
  for (; i < width; i++) {
    const float below = (value_at(logits, i) - top) * heat;
    const float p = __builtin_expf(below);
    sums[0] += p;
    squares[0] += p * p;
    weighted[0] += p * (below > -1e30f ? below : -1e30f);
  }
  const float sum = total(sums), log_sum = __builtin_logf(sum);
  const float capped_target = value_at(logits, row.target), at_target = (capped_target - top) * heat;
  LogProbResult result = {at_target - log_sum, log_sum - total(weighted) / sum,
                          __builtin_logf(total(squares)) - 2 * log_sum};
  if (row.want_gradient) {
    const float inverse = 1.0f / sum, slope = heat * row.factor;
    const float probability = __builtin_expf(result.log_prob);
    each(width, [&](int64_t at, int64_t n) {
      const Register x = load_upto(logits + at, n), down = exponential((x - top) * heat) * (-inverse * slope);
      store_upto(logits + at, cap > 0 ? down * capped_slope(x, cap) : down, n);
    });
    const float bend = cap > 0 ? (1 - capped_target / cap) * (1 + capped_target / cap) : 1.0f;
    const float at = (1 - probability) * slope * bend;
    if constexpr (sizeof(T) == 2)
      logits[row.target] = narrow(at);
    else
      logits[row.target] = at;
  }
  return result;
}

static LogProbResult log_prob_row(const LogProbRow& row, void* logits, Type type) {
  if (type == Type::bfloat16) return log_prob_typed(row, (uint16_t*)logits);
  return log_prob_typed(row, (float*)logits);
}

}  // namespace tunesmith::TUNESMITH_ISA
