// Softmax attention of a few queries, with keys and values read in place: nothing is packed, so a decoding step reads
// its cache once. Computes in fp32.
#pragma once
#include "attention.h"
#include "few-rows.h"

namespace tunesmith::TUNESMITH_ISA {

// As many heads are computed at once as the sums of their scores, and of their results, fit into registers.
inline constexpr int few_heads = lanes == 16 ? 4 : 2;
// Keys at once.
template <int heads>
inline constexpr int few_keys = lanes == 16 ? (heads < few_heads ? few_tile : few_tile / 2) : few_tile / heads;

// Scores of the `count` keys from `first` on become probabilities but for a factor, which is returned.
static float soften_scores(const AttentionHead& head, int64_t query, int64_t first, float* scores, int64_t count,
                           int64_t padded) {
  const float hidden = -__builtin_inff();
  for (int64_t n = count; n < padded; n++) scores[n] = hidden;
  if (head.cap > 0) {
    // Scores at the end would be capped to a number that is not hidden.
    cap_row(scores, padded, head.cap);
    for (int64_t n = count; n < padded; n++) scores[n] = hidden;
  }
  if (head.mask != nullptr) mask_row(head, query, first, scores, count);

  Register high = splat(hidden);
  for (int64_t n = 0; n < padded; n += lanes) high = maximum(high, load(scores + n));
  const float top = largest(high), offset = top == hidden ? 0.0f : top;
  Register added = {};
  for (int64_t n = 0; n < padded; n += lanes) {
    const Register p = visible_exponential<float>(load(scores + n), 1.0f, offset);
    added += p;
    store(scores + n, p);
  }
  float sum = total(added);
  if (head.ordered) {
    // A hidden key adds zero, wherever it is; the lanes of a vector sum would depend on its place.
    sum = 0;
    for (int64_t n = 0; n < count; n++) sum += scores[n];
  }
  const bool blind = sum == 0;
  head.log_sum[query] = blind ? 0.0f : top + __builtin_logf(sum);
  return blind ? 0.0f : 1.0f / sum;
}

// Heads that share keys and values, each of which is loaded once for all. Sums of a head have the same order, and so
// the same bits, beside any number of others.
template <class T, int heads>
static void attend_together(const AttentionHead& head, const HeadSteps& steps, int64_t query, float* work) {
  constexpr int at_once = few_keys<heads>;
  static_assert(heads * at_once % few_tile == 0);
  const int64_t size = head.size, whole = size / lanes * lanes, wide_size = round_up(size, lanes);
  const Span seen = visible_keys(head, query, query + 1);
  const T* q = (const T*)head.query + query * head.query_stride;
  const T* keys = (const T*)head.key;
  const T* values = (const T*)head.value;
  const int64_t count = seen.last - seen.first, padded = round_up(count, few_tile > lanes ? few_tile : lanes);
  float* scaled = work;                   // [heads][wide_size]
  float* all = work + heads * wide_size;  // [heads][padded]: scores, from `count` on -inf
  for (int h = 0; h < heads; h++)
    for (int64_t i = 0; i < size; i++) {
      if constexpr (sizeof(T) == 2)
        scaled[h * wide_size + i] = widen(q[h * steps.query + i]) * head.scale;
      else
        scaled[h * wide_size + i] = q[h * steps.query + i] * head.scale;
    }
  for (int64_t n = 0; n < count; n += at_once) {
    Register s[heads * at_once] = {};
    const T* rows[at_once];
    // Past the end the last key is read again; its score is overwritten below.
    for (int i = 0; i < at_once; i++) rows[i] = keys + (seen.first + lesser(n + i, count - 1)) * head.key_stride;
    for (int64_t k = 0; k < whole; k += lanes) {
      Register x[heads];
#pragma GCC unroll 4
      for (int h = 0; h < heads; h++) x[h] = load(scaled + h * wide_size + k);
#pragma GCC unroll 8
      for (int i = 0; i < at_once; i++) {
        const Register key = load(rows[i] + k);
#pragma GCC unroll 4
        for (int h = 0; h < heads; h++) s[h * at_once + i] = fused(x[h], key, s[h * at_once + i]);
      }
    }
    if (whole < size)
#pragma GCC unroll 8
      for (int i = 0; i < at_once; i++) {
        const Register key = load_end(rows[i] + whole, size - whole);
#pragma GCC unroll 4
        for (int h = 0; h < heads; h++) {
          const Register x = load_end(scaled + h * wide_size + whole, size - whole);
          s[h * at_once + i] = fused(x, key, s[h * at_once + i]);
        }
      }
    float sums[heads * at_once];
    // No loop, for which the sums would be kept in memory.
    totals(s, sums);
    if constexpr (heads * at_once > few_tile) totals(s + few_tile, sums + few_tile);
    if constexpr (heads * at_once > 2 * few_tile) totals(s + 2 * few_tile, sums + 2 * few_tile);
    for (int h = 0; h < heads; h++)
      for (int i = 0; i < at_once; i++) all[h * padded + n + i] = sums[h * at_once + i];
  }
  float inverse[heads];
  AttentionHead own = head;
  for (int h = 0; h < heads; h++) {
    inverse[h] = soften_scores(own, query, seen.first, all + h * padded, count, padded);
    if (own.mask != nullptr) own.mask = (const char*)own.mask + steps.mask;
    own.log_sum += steps.log_sum;
  }
  T* out = (T*)head.output + query * head.output_stride;
  constexpr int wide = 4;
  for (int64_t k = 0; k < size; k += wide * lanes) {
    Register y[heads][wide] = {};
    const int64_t rest = size - k;
    if (rest >= wide * lanes) {
      for (int64_t n = 0; n < count; n++) {
        const T* v = values + (seen.first + n) * head.value_stride + k;
        Register value[wide];
#pragma GCC unroll 4
        for (int i = 0; i < wide; i++) value[i] = load(v + i * lanes);
#pragma GCC unroll 4
        for (int h = 0; h < heads; h++) {
          const Register p = splat(all[h * padded + n]);
#pragma GCC unroll 4
          for (int i = 0; i < wide; i++) y[h][i] = fused(p, value[i], y[h][i]);
        }
      }
    } else {
      for (int64_t n = 0; n < count; n++) {
        const T* v = values + (seen.first + n) * head.value_stride + k;
        for (int i = 0; i < wide && i * lanes < rest; i++) {
          const Register value = load_upto(v + i * lanes, rest - i * lanes);
          for (int h = 0; h < heads; h++) y[h][i] = fused(splat(all[h * padded + n]), value, y[h][i]);
        }
      }
    }
    for (int h = 0; h < heads; h++)
      for (int i = 0; i < wide && i * lanes < rest; i++)
        store_upto(out + h * steps.output + k + i * lanes, y[h][i] * inverse[h], rest - i * lanes);
  }
}

template <class T, int most = few_heads>
static void attend_few(const AttentionHead& head, int64_t heads, const HeadSteps& steps, float* work) {
  if constexpr (most > 1) {
    if (heads < most) return attend_few<T, most - 1>(head, heads, steps, work);
  }
  for (int64_t q = 0; q < head.queries; q++) attend_together<T, most>(head, steps, q, work);
}

// `heads` of a group, at most few_heads.
static void attention_few(const AttentionHead& head, int64_t heads, const HeadSteps& steps, float* work) {
  if (head.type == Type::bfloat16)
    attend_few<uint16_t>(head, heads, steps, work);
  else
    attend_few<float>(head, heads, steps, work);
}

}  // namespace tunesmith::TUNESMITH_ISA
