// Softmax attention as a composition: scores, cap, visible keys, softmax, dropout, weighted values.
#include <algorithm>
#include <cmath>
#include <optional>

#include "../accelerator.h"
#include "plain.h"

namespace tunesmith::plain {
namespace {

// Which keys the queries of one length see; undefined: all. `offset` [N,1,1] or a number is the place of the first
// query among the keys, and the last query is at the last key.
Tensor visible_keys(const Tensor& offset, int64_t queries, int64_t keys, const Attention& settings) {
  if (!settings.causal && settings.window == 0) return {};
  const Tensor at = at::arange(queries, offset.options()).unsqueeze(-1) + offset;
  const Tensor key = at::arange(keys, offset.options());
  Tensor seen;
  if (settings.causal) seen = key.le(at);
  if (settings.window > 0) {
    const Tensor near = key.gt(at - settings.window);
    seen = seen.defined() ? seen.logical_and(near) : near.logical_and(key.lt(at + settings.window));
  }
  return seen;
}

// Queries [B,T,H,D], keys and values [B,S,K,D]; seen bool and added fp32, both broadcast to [B,K,H/K,T,S], may be
// undefined. Rows that see nothing are zeros. `row_keys` int64 [B,T].
Tensor attend(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& seen, const Tensor& added,
              const Tensor& row_keys, const Attention& settings) {
  const int64_t heads = query.size(2), key_heads = std::max<int64_t>(1, key.size(2)), groups = heads / key_heads;
  const Tensor q = query.to(at::kFloat).permute({0, 2, 1, 3}).unflatten(1, {key_heads, groups});
  const Tensor k = key.to(at::kFloat).permute({0, 2, 3, 1}).unsqueeze(2);
  const Tensor v = value.to(at::kFloat).permute({0, 2, 1, 3}).unsqueeze(2);
  Tensor scores = at::matmul(q, k) * settings.scale;
  if (settings.softcap > 0) scores = (scores / settings.softcap).tanh() * settings.softcap;
  if (added.defined()) scores = scores + added;
  if (seen.defined()) scores = scores.masked_fill(seen.logical_not(), -INFINITY);
  Tensor blind;
  if (seen.defined() || added.defined()) {
    // The softmax of a row that sees nothing, and its gradient, would be NaN.
    blind = scores.detach().isneginf().all(-1, true);
    scores = scores.masked_fill(blind, 0);
  }
  Tensor weights = at::softmax(scores, -1);
  if (blind.defined()) weights = weights.masked_fill(blind, 0);
  if (settings.dropout > 0) {
    // Heads of a token differ in the highest byte of its key.
    const Tensor head = at::arange(heads, row_keys.options()).__lshift__(56).view({1, key_heads, groups, 1});
    const Tensor keys = row_keys.unsqueeze(1).unsqueeze(1) + head;
    const auto threshold = uint32_t(double(float(settings.dropout)) * 4294967296.0);
    const Tensor kept = survivors(settings.seed, keys, key.size(1), threshold);
    weights = (weights * double(1.0f / (1.0f - float(settings.dropout)))).masked_fill(kept.logical_not(), 0);
  }
  return at::matmul(weights, v).flatten(1, 2).permute({0, 2, 1, 3}).to(query.scalar_type()).contiguous();
}

// Integers of the host on the device of `like`.
Tensor placed(const std::vector<int64_t>& numbers, at::IntArrayRef shape, const Tensor& like) {
  Tensor host = at::empty(shape, at::kLong);
  std::copy(numbers.begin(), numbers.end(), host.mutable_data_ptr<int64_t>());
  return upload(host, like.device());
}

}  // namespace

Tensor attention(const Tensor& query, const Tensor& key, const Tensor& value, const std::optional<Tensor>& mask,
                 const std::optional<Tensor>& row_keys, const Attention& settings) {
  const auto numbers = query.options().dtype(at::kLong);
  Tensor seen = visible_keys(at::full({}, key.size(1) - query.size(1), numbers), query.size(1), key.size(1), settings);
  Tensor added;
  if (mask) {
    const Tensor by_group = mask->unflatten(1, {key.size(2), query.size(2) / std::max<int64_t>(1, key.size(2))});
    if (mask->scalar_type() == at::kBool)
      seen = seen.defined() ? seen.logical_and(by_group) : by_group;
    else
      added = by_group.to(at::kFloat);
  }
  Tensor keys;
  if (settings.dropout > 0) {
    keys = row_keys ? *row_keys : at::arange(query.size(0) * query.size(1), numbers);
    keys = keys.view({query.size(0), query.size(1)});
  }
  return attend(query, key, value, seen, added, keys, settings);
}

Tensor packed_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                        const std::vector<Sequence>& sequences, const std::optional<Tensor>& row_keys,
                        const Attention& settings) {
  const auto count = int64_t(sequences.size());
  int64_t queries = 0, keys = 0;
  for (const Sequence& s : sequences) {
    queries = std::max(queries, s.queries);
    keys = std::max(keys, s.keys);
  }
  if (query.size(1) == 0 || queries == 0) return at::zeros_like(query);
  // Sequences side by side, padded to the longest with the first row, which nobody sees.
  const auto sized = [](int64_t size) { return std::vector<int64_t>(static_cast<size_t>(size)); };
  std::vector<int64_t> from_query = sized(count * queries), from_key = sized(count * keys), back = sized(query.size(1));
  std::vector<int64_t> lengths = sized(count), offsets = sized(count);
  for (int64_t i = 0; i < count; i++) {
    const Sequence& s = sequences[size_t(i)];
    for (int64_t t = 0; t < s.queries; t++) {
      from_query[size_t(i * queries + t)] = s.first_query + t;
      back[size_t(s.first_query + t)] = i * queries + t;
    }
    for (int64_t t = 0; t < s.keys; t++) from_key[size_t(i * keys + t)] = s.row * key.size(1) + s.first_key + t;
    lengths[size_t(i)] = s.keys;
    offsets[size_t(i)] = s.keys - s.queries;
  }
  const Tensor rows = placed(from_query, {count * queries}, query), key_rows = placed(from_key, {count * keys}, query);
  const auto padded = [count](const Tensor& t, const Tensor& chosen, int64_t length) {
    return t.flatten(0, 1).index_select(0, chosen).unflatten(0, {count, length});
  };
  const Tensor offset = placed(offsets, {count, 1, 1}, query), length = placed(lengths, {count, 1, 1}, query);
  Tensor seen = at::arange(keys, length.options()).lt(length);
  const Tensor ordered = visible_keys(offset, queries, keys, settings);
  if (ordered.defined()) seen = seen.logical_and(ordered);
  Tensor numbers;
  if (settings.dropout > 0) {
    const Tensor all = row_keys ? row_keys->flatten() : at::arange(query.size(1), length.options());
    numbers = all.index_select(0, rows).view({count, queries});
  }
  const Tensor result = attend(padded(query, rows, queries), padded(key, key_rows, keys), padded(value, key_rows, keys),
                               seen.unsqueeze(1).unsqueeze(1), {}, numbers, settings);
  return result.flatten(0, 1).index_select(0, placed(back, {query.size(1)}, query)).unsqueeze(0);
}

}  // namespace tunesmith::plain
