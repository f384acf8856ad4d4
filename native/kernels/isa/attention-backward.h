// Gradients of attention for one head: probabilities are made again from the log-sum-exp, block by block.
// Key and value gradients add up over the calls for the heads of one group; one thread owns them, so no atomics.
#pragma once
#include "attention.h"

namespace tunesmith::TUNESMITH_ISA {

struct BackwardScratch {
  float *keys_across, *values_across, *keys, *query, *query_columns, *gradient, *gradient_columns;
  float *delta, *probabilities, *slopes, *query_gradient;
  int64_t padded_size, total;
};
static BackwardScratch backward_layout(int64_t queries, int64_t keys, int64_t size, float* base) {
  BackwardScratch s;
  s.padded_size = round_up(size, tile_columns);
  int64_t at = 0;
  auto take = [&](int64_t count) {
    float* p = base + at;
    at += round_up(count + 16, 16);
    return p;
  };
  const int64_t padded_keys = round_up(keys, tile_columns), padded_queries = round_up(queries, tile_rows);
  s.keys_across = take(padded_keys * size);
  s.values_across = take(padded_keys * size);
  s.keys = take(keys * s.padded_size);
  s.query = take(padded_queries * size);
  s.query_columns = take(queries * s.padded_size);
  s.gradient = take(padded_queries * size);
  s.gradient_columns = take(queries * s.padded_size);
  s.delta = take(queries);
  s.probabilities = take(query_block * key_block);
  s.slopes = take(query_block * key_block);
  s.query_gradient = take(query_block * s.padded_size);
  s.total = at;
  return s;
}

static int64_t attention_backward_scratch(int64_t queries, int64_t keys, int64_t size) {
  return backward_layout(queries, keys, size, nullptr).total;
}

// Turns scores into probabilities and their gradients into gradients of the scores; the whole width is written.
static void backward_row(const AttentionHead& head, int64_t query, int64_t key, int64_t begin, int64_t end,
                         float* probabilities, float* slopes, float delta, uint32_t threshold, float factor) {
  for (int64_t n = 0; n < begin; n++) probabilities[n] = slopes[n] = 0;
  for (int64_t n = end; n < key_block; n++) probabilities[n] = slopes[n] = 0;
  if (end <= begin) return;
  mask_row(head, query, key + begin, probabilities + begin, end - begin);
  const float log_sum = head.log_sum[query];
  for (int64_t n = begin; n < end; n += lanes) {
    Register p = visible_exponential(load(probabilities + n), log_sum), slope = load(slopes + n), kept = p;
    if (threshold != 0) {
      kept = keep_some(head, p, query, key + n, threshold, factor);
      slope = keep_some(head, slope, query, key + n, threshold, factor);
    }
    store(probabilities + n, kept);
    store(slopes + n, p * (slope - delta));
  }
}

static void attention_backward(const AttentionGradient& job, float* scratch) {
  const AttentionHead& head = job.head;
  const int64_t size = head.size, queries = head.queries, keys = head.keys;
  const BackwardScratch s = backward_layout(queries, keys, size, scratch);
  const int64_t stride = s.padded_size;
  const uint32_t threshold = dropout_threshold(head.dropout);
  const float factor = 1.0f / (1.0f - head.dropout);

  pack_columns({head.key, head.type, 1, head.key_stride}, size, keys, s.keys_across);
  pack_columns({head.value, head.type, 1, head.value_stride}, size, keys, s.values_across);
  pack_columns({head.key, head.type, head.key_stride, 1}, keys, size, s.keys);
  const int64_t padded_queries = round_up(queries, tile_rows);
  copy_rows(head.query, head.type, head.query_stride, queries, padded_queries, size, s.query, size, head.scale);
  copy_rows(job.output_gradient, head.type, job.output_gradient_stride, queries, padded_queries, size, s.gradient, size,
            1.0f);
  // The scaled queries: the gradient of a key is the score's gradient times scale times the query.
  pack_columns({s.query, Type::float32, size, 1}, queries, size, s.query_columns);
  pack_columns({s.gradient, Type::float32, size, 1}, queries, size, s.gradient_columns);
  for (int64_t q = 0; q < queries; q++) {
    Register sum = {};
    for (int64_t i = 0; i < size; i += lanes) {
      Register y = head.type == Type::bfloat16
                       ? load_upto((const uint16_t*)head.output + q * head.output_stride + i, size - i)
                       : load_upto((const float*)head.output + q * head.output_stride + i, size - i);
      sum += load_upto(s.gradient + q * size + i, size - i) * y;
    }
    s.delta[q] = total(sum);
  }

  for (int64_t q = 0; q < queries; q += query_block) {
    const int64_t rows = lesser(query_block, queries - q), padded = round_up(rows, tile_rows);
    const Span all = visible_keys(head, q, q + rows);
    __builtin_memset(s.query_gradient, 0, size_t(padded * stride) * sizeof(float));
    for (int64_t k = all.first / key_block * key_block; k < all.last; k += key_block) {
      const int64_t block_end = lesser(k + key_block, keys);
      for (int64_t r = 0; r < padded; r += tile_rows) {
        const Span seen = visible_keys(head, q + r, lesser(q + r + tile_rows, q + rows));
        const int64_t from = lesser(block_end, greater(k, seen.first / tile_columns * tile_columns));
        const int64_t to = lesser(block_end, seen.last);
        for (int64_t n = from; n < to; n += tile_columns) {
          const int64_t at = r * key_block + (n - k);
          tile_in_memory(s.query + (q + r) * size, size, 1, s.keys_across + n * size, size, s.probabilities + at,
                         key_block, false);
          tile_in_memory(s.gradient + (q + r) * size, size, 1, s.values_across + n * size, size, s.slopes + at,
                         key_block, false);
        }
        const int64_t begin = from - k, end = to > from ? round_up(to - k, lanes) : begin;
        for (int64_t i = r; i < lesser(r + tile_rows, rows); i++)
          backward_row(head, q + i, k, begin, end, s.probabilities + i * key_block, s.slopes + i * key_block,
                       s.delta[q + i], threshold, factor);
        if (to > from)
          for (int64_t n = 0; n < stride; n += tile_columns)
            tile_in_memory(s.slopes + r * key_block + begin, key_block, 1, s.keys + n * keys + from * tile_columns,
                           to - from, s.query_gradient + r * stride + n, stride, true);
      }
      for (int64_t r = 0; r < block_end - k; r += tile_rows) {
        const Span seeing = seeing_queries(head, k + r, lesser(k + r + tile_rows, keys));
        const int64_t from = greater(q, seeing.first), to = lesser(q + rows, seeing.last);
        if (to <= from) continue;
        const float* p = s.probabilities + (from - q) * key_block + r;
        const float* slope = s.slopes + (from - q) * key_block + r;
        for (int64_t n = 0; n < stride; n += tile_columns) {
          tile_in_memory(p, 1, key_block, s.gradient_columns + n * queries + from * tile_columns, to - from,
                         job.value_gradient + (k + r) * stride + n, stride, true);
          tile_in_memory(slope, 1, key_block, s.query_columns + n * queries + from * tile_columns, to - from,
                         job.key_gradient + (k + r) * stride + n, stride, true);
        }
      }
    }
    for (int64_t r = 0; r < rows; r++)
      for (int64_t i = 0; i < size; i += lanes) {
        Register x = load(s.query_gradient + r * stride + i) * head.scale;
        int64_t at = (q + r) * job.query_gradient_stride + i;
        if (head.type == Type::bfloat16) store_upto((uint16_t*)job.query_gradient + at, x, size - i);
        else store_upto((float*)job.query_gradient + at, x, size - i);
      }
  }
}

}  // namespace tunesmith::TUNESMITH_ISA
