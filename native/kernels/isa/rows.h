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
  if (type == Type::bfloat16) store_upto((uint16_t*)data + at, x, n);
  else store_upto((float*)data + at, x, n);
}

// What is normalized is the sum as stored, after rounding to its type, so that the backward sees the same numbers.
static void norm_rows(const NormRows& job, int64_t first, int64_t last) {
  const int64_t width = job.width;
  for (int64_t r = first; r < last; r++) {
    RowReader input = row_of(job.input, job.input_type, r, width);
    RowReader sum = input;
    Register sums = {};
    if (job.residual != nullptr) {
      RowReader residual = row_of(job.residual, job.residual_type, r, width);
      each(width, [&](int64_t i, int64_t n) {
        write(job.sum, job.sum_type, r * width + i, read(input, i, n) + read(residual, i, n), n);
      });
      sum = row_of(job.sum, job.sum_type, r, width);
    }
    float mean = 0;
    if (job.mean != nullptr) {
      each(width, [&](int64_t i, int64_t n) { sums += read(sum, i, n); });
      mean = total(sums) / float(width);
    }
    Register squares = {};
    each(width, [&](int64_t i, int64_t n) {
      Register x = n == lanes ? read(sum, i, n)
                   : sum.type == Type::bfloat16 ? load_part((const uint16_t*)sum.data + i, n, mean)
                                                : load_part((const float*)sum.data + i, n, mean);
      x -= mean;
      squares += x * x;
    });
    float scale = 1.0f / __builtin_sqrtf(total(squares) / float(width) + job.epsilon);
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

static void norm_rows_backward(const NormRowsBackward& job, int64_t first, int64_t last) {
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

// Loss of one row; with smoothing e the target distribution is (1 - e) at the target and e / width everywhere.
template <class T> static float entropy_typed(const EntropyRow& row, T* logits) {
  const int64_t width = row.width;
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
    if (n == lanes) sums += exponential(load(logits + i) - top);
    else {
      float lane[lanes];
      store(lane, exponential(load_upto(logits + i, n) - top));
      for (int64_t j = 0; j < n; j++) sums[0] += lane[j];
    }
  });
  const float sum = total(sums);
  const float log_sum = top + __builtin_logf(sum);
  float at_target;
  if constexpr (sizeof(T) == 2) at_target = widen(logits[row.target]);
  else at_target = logits[row.target];
  float loss = log_sum - at_target;
  if (row.smoothing > 0)
    loss = (1 - row.smoothing) * loss + row.smoothing * (log_sum - total(logit_sums) / float(width));
  if (row.want_gradient) {
    const float inverse = 1.0f / sum, share = row.smoothing / float(width);
    const float probability = __builtin_expf(at_target - log_sum);
    each(width, [&](int64_t i, int64_t n) {
      store_upto(logits + i, exponential(load_upto(logits + i, n) - top) * inverse - share, n);
    });
    if (row.padded_width > width) __builtin_memset(logits + width, 0, size_t(row.padded_width - width) * sizeof(T));
    const float at = probability - share - (1 - row.smoothing);
    if constexpr (sizeof(T) == 2) logits[row.target] = narrow(at);
    else logits[row.target] = at;
  }
  return loss;
}

static float entropy_row(const EntropyRow& row, void* logits, Type type) {
  if (type == Type::bfloat16) return entropy_typed(row, (uint16_t*)logits);
  return entropy_typed(row, (float*)logits);
}

}  // namespace tunesmith::TUNESMITH_ISA
