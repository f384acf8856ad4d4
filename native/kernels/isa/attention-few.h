// Softmax attention of a few queries, with keys and values read in place: nothing is packed, so a decoding step reads
// its cache once. Computes in fp32.
#pragma once
#include "attention.h"
#include "few-rows.h"

namespace tunesmith::TUNESMITH_ISA {

template <class T> static void attend_one(const AttentionHead& head, int64_t query, float* work) {
  const int64_t size = head.size, whole = size / lanes * lanes;
  const Span seen = visible_keys(head, query, query + 1);
  const T* q = (const T*)head.query + query * head.query_stride;
  const T* keys = (const T*)head.key;
  const T* values = (const T*)head.value;
  float* scaled = work;                          // [size]
  float* scores = work + round_up(size, lanes);  // [seen, padded with -inf]
  for (int64_t i = 0; i < size; i++) {
    if constexpr (sizeof(T) == 2)
      scaled[i] = widen(q[i]) * head.scale;
    else
      scaled[i] = q[i] * head.scale;
  }
  const int64_t count = seen.last - seen.first, padded = round_up(count, few_tile > lanes ? few_tile : lanes);
  for (int64_t n = 0; n < count; n += few_tile) {
    Register s[few_tile] = {};
    const T* rows[few_tile];
    // Past the end the last key is read again; its score is overwritten below.
    for (int i = 0; i < few_tile; i++) rows[i] = keys + (seen.first + lesser(n + i, count - 1)) * head.key_stride;
    for (int64_t k = 0; k < whole; k += lanes) {
      const Register x = load(scaled + k);
#pragma GCC unroll 8
      for (int i = 0; i < few_tile; i++) s[i] += x * load(rows[i] + k);
    }
    if (whole < size) {
      const Register x = load_end(scaled + whole, size - whole);
      for (int i = 0; i < few_tile; i++) s[i] += x * load_end(rows[i] + whole, size - whole);
    }
    float sums[few_tile];
    totals(s, sums);
    for (int i = 0; i < few_tile; i++) scores[n + i] = sums[i];
  }
  for (int64_t n = count; n < padded; n++) scores[n] = -__builtin_inff();
  if (head.cap > 0) {
    // Scores at the end would be capped to a number that is not hidden.
    cap_row(scores, padded, head.cap);
    for (int64_t n = count; n < padded; n++) scores[n] = -__builtin_inff();
  }
  if (head.mask != nullptr) mask_row(head, query, seen.first, scores, count);

  Register high = splat(-__builtin_inff());
  for (int64_t n = 0; n < padded; n += lanes) high = maximum(high, load(scores + n));
  const float top = largest(high), offset = top == -__builtin_inff() ? 0.0f : top;
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
  const float inverse = blind ? 0.0f : 1.0f / sum;
  head.log_sum[query] = blind ? 0.0f : top + __builtin_logf(sum);
  T* out = (T*)head.output + query * head.output_stride;
  constexpr int64_t wide = 4;
  for (int64_t k = 0; k < size; k += wide * lanes) {
    Register y[wide] = {};
    const int64_t rest = size - k;
    if (rest >= wide * lanes) {
      for (int64_t n = 0; n < count; n++) {
        const T* v = values + (seen.first + n) * head.value_stride + k;
        const Register p = splat(scores[n]);
#pragma GCC unroll 4
        for (int i = 0; i < wide; i++) y[i] += p * load(v + i * lanes);
      }
    } else {
      for (int64_t n = 0; n < count; n++) {
        const T* v = values + (seen.first + n) * head.value_stride + k;
        const Register p = splat(scores[n]);
        for (int i = 0; i < wide && i * lanes < rest; i++) y[i] += p * load_upto(v + i * lanes, rest - i * lanes);
      }
    }
    for (int i = 0; i < wide && i * lanes < rest; i++)
      store_upto(out + k + i * lanes, y[i] * inverse, rest - i * lanes);
  }
}

static void attention_few(const AttentionHead& head, float* work) {
  for (int64_t q = 0; q < head.queries; q++) {
    if (head.type == Type::bfloat16)
      attend_one<uint16_t>(head, q, work);
    else
      attend_one<float>(head, q, work);
  }
}

}  // namespace tunesmith::TUNESMITH_ISA
