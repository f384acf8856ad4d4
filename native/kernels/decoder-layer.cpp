// tunesmith::decoder_layers: tokens through Llama-like layers in one call, caches extended in place. Each row is a
// token with its own place in the caches. The result is that of the separate operators, with fp32 between the products
// for any weight type. In bf16 models the inputs of products are rounded to bf16 where rows are so many that products
// of bf16 are faster (rounds_rows). Matrices may be blocks of a GGUF file. No gradient. The weights are
// checked once, by tunesmith::prepare_decoder_layers. The threads go through all layers together: what takes less time
// than waiting for each other, such as norms, each of them computes for itself.
#include <ATen/core/List.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "attention.h"
#include "block-matrix.h"
#include "block-product.h"
#include "checks.h"
#include "decoder-weights.h"
#include "gemm.h"
#include "packed-weights.h"
#include "pair-product.h"
#include "prepared-layers.h"
#include "product.h"
#include "regions.h"
#include "rounded-rows.h"
#include "scratch.h"

namespace tunesmith {
namespace {

using at::Tensor;
using namespace decoder;

constexpr int64_t most_rows = 64;
// Weight rows that a thread takes at a time, as many as the kernels multiply together.
constexpr int64_t dense_unit = 8, block_unit = 16;

struct LayerProduct {
  Matrix weight;
  const BlockMatrix* blocks;  // null where the matrix is dense
  const Tensor* bias;
  int64_t columns;
  float* out;
  const float* panels;  // of a dense matrix in batch-invariant products, or null
};

LayerProduct product_of(const Weights& weights, Part part, float* out, bool invariant) {
  const Tensor &w = weights[part], &bias = weights[part + 1];
  if (const BlockMatrix* blocks = weights.blocks(part)) return {{}, blocks, &bias, blocks->rows, out, nullptr};
  const float* panels = invariant ? kept_panels(w) : nullptr;
  return {{address(w), type_of(w), w.stride(0), w.stride(1)}, nullptr, &bias, w.size(0), out, panels};
}

// x times the transpose of a dense weight with the sums of batch-invariant products, as tunesmith::linear has them.
void multiply_invariant(Matrix x, int64_t rows, int64_t depth, Matrix weight, int64_t columns, const float* panels,
                        const Tensor* bias, float* out) {
  Product p{};
  p.rows = rows;
  p.columns = columns;
  p.depth = depth;
  p.a = x;
  p.b = transposed(weight);
  p.panels = panels;
  p.out = out;
  p.out_type = Type::float32;
  p.out_stride = columns;
  if (bias != nullptr && bias->defined()) {
    p.bias = address(*bias);
    p.bias_type = type_of(*bias);
  }
  tunesmith::multiply(p);
}

// How dense products are computed: with the sums of batch-invariant ones, with inputs rounded to bf16 for its dot
// products, or in fp32.
enum class Way { invariant, rounded, plain };

// Several products of the same rows at once; `after(first, last)` runs when these columns of all products are done.
template <size_t count, class After>
void multiply(Team::Member& member, Way way, const void* x, Type type, int64_t rows, int64_t depth,
              const std::array<LayerProduct, count>& products, bool together, const After& after) {
  const Kernels& kernel = kernels();
  const bool invariant = way == Way::invariant;
  float* packed = nullptr;
  const void* codes = nullptr;
  std::optional<RoundedRows> rounded;
  bool any_blocks = false;
  for (const LayerProduct& p : products) {
    any_blocks = any_blocks || p.blocks != nullptr;
    if (invariant && p.blocks == nullptr)
      multiply_invariant({x, type, depth, 1}, rows, depth, p.weight, p.columns, p.panels, p.bias, p.out);
  }
  if (invariant && !any_blocks) return after(0, products[0].columns);
  for (const LayerProduct& p : products) {
    if (p.blocks != nullptr && codes == nullptr) codes = quantized({x, type, depth, 1}, rows, depth, p.blocks->code);
    if (p.blocks != nullptr || packed != nullptr || rounded || invariant) continue;
    if (way == Way::rounded && p.weight.type == Type::bfloat16) {
      rounded.emplace(Matrix{x, type, depth, 1}, rows, depth);
      continue;
    }
    packed = scratch(Scratch::rows, rows * depth + 16);
    kernel.pack_few({x, type, depth, 1}, rows, depth, p.weight.type, packed);
  }
  auto run = [&](const LayerProduct& p, int64_t first, int64_t last) {
    const bool biased = p.bias->defined();
    const void* bias = biased ? address(*p.bias) : nullptr;
    const Type bias_type = biased ? type_of(*p.bias) : Type::float32;
    if (p.blocks != nullptr)
      multiply_some({codes, rows, p.columns, depth, p.blocks->view(), bias, bias_type, p.out, Type::float32, p.columns},
                    first, last);
    else if (rounded)
      rounded->multiply(p.weight, p.columns, first, last, bias, bias_type, p.out, Type::float32, p.columns);
    else if (!invariant)
      kernel.few_rows(packed, rows, p.weight, first, last, depth, bias, bias_type, p.out, Type::float32, p.columns);
  };
  const int64_t unit = codes != nullptr ? block_unit : rounded ? rounded->unit() : dense_unit;
  std::array<int64_t, count> units{};
  int64_t total = 0;
  for (size_t i = 0; i < count; i++) {
    units[i] = (products[i].columns + unit - 1) / unit;
    total = together ? units[i] : total + units[i];
  }
  const int64_t cost = unit * rows * std::max<int64_t>(1, depth) * (together ? int64_t(count) : 1);
  member.share(total, std::max<int64_t>(1, 65536 / cost), [&](int64_t first, int64_t last) {
    int64_t before = 0;
    for (size_t i = 0; i < count; i++) {
      const int64_t from = std::max<int64_t>(0, first - before), to = std::min(units[i], last - before);
      if (from < to) run(products[i], from * unit, std::min(products[i].columns, to * unit));
      if (!together) before += units[i];
    }
    after(first * unit, std::min(products[0].columns, last * unit));
  });
}

// Low-rank changes of some rows, of one adapter: product i gets scale[i] · B (A x), where it has A and B.
struct Change {
  int64_t first, count;
  std::array<Tensor, adapted.size()> a, b;
  std::array<float, adapted.size()> scale;
};

// Adds the changes of one product: `x` [rows, depth] is its input. The sums have the order of separate products.
void add_changes(const std::vector<Change>& changes, size_t number, Way way, const void* x, Type type, int64_t depth,
                 const LayerProduct& product) {
  const Kernels& kernel = kernels();
  const int64_t bytes = type == Type::bfloat16 ? 2 : 4;
  for (const Change& change : changes) {
    const Tensor &a = change.a[number], &b = change.b[number];
    if (!a.defined()) continue;
    const int64_t rows = change.count, rank = a.size(0), columns = product.columns;
    float* narrow = scratch(Scratch::changes, rows * (rank + columns));
    float* wide = narrow + rows * rank;
    const Matrix input = {static_cast<const char*>(x) + change.first * depth * bytes, type, depth, 1};
    float* out = product.out + change.first * columns;
    if (way == Way::invariant) {
      // Its own work memory is that of packed products.
      multiply_invariant(input, rows, depth, {address(a), type_of(a), depth, 1}, rank, kept_panels(a), nullptr, narrow);
      for (int64_t i = 0; i < rows * rank; i++) narrow[i] *= change.scale[number];
      multiply_invariant({narrow, Type::float32, rank, 1}, rows, rank, {address(b), type_of(b), rank, 1}, columns,
                         kept_panels(b), nullptr, wide);
    } else {
      const Matrix down = {address(a), type_of(a), depth, 1};
      if (way == Way::rounded && down.type == Type::bfloat16) {
        RoundedRows({input.data, type, depth, 1}, rows, depth)
            .multiply(down, rank, 0, rank, nullptr, Type::float32, narrow, Type::float32, rank);
      } else {
        float* packed = scratch(Scratch::rows, rows * depth + 16);
        kernel.pack_few(input, rows, depth, down.type, packed);
        kernel.few_rows(packed, rows, down, 0, rank, depth, nullptr, Type::float32, narrow, Type::float32, rank);
      }
      for (int64_t i = 0; i < rows * rank; i++) narrow[i] *= change.scale[number];
      if (way == Way::rounded && type_of(b) == Type::bfloat16) {
        // Rounded as training rounds it.
        kernel.convert(narrow, Type::float32, wide, Type::bfloat16, rows * rank);
        add_by_pairs(out, {wide, Type::bfloat16, rank, 1}, {address(b), Type::bfloat16, 1, rank}, rows, columns, rank);
        continue;
      }
      float* packed = scratch(Scratch::rows, rows * rank + 16);
      kernel.pack_few({narrow, Type::float32, rank, 1}, rows, rank, type_of(b), packed);
      share_work(columns, std::max<int64_t>(1, 65536 / (rows * rank)), [&](int64_t first, int64_t last) {
        kernel.few_rows(packed, rows, {address(b), type_of(b), rank, 1}, first, last, rank, nullptr, Type::float32,
                        wide, Type::float32, columns);
      });
    }
    for (int64_t i = 0; i < rows * columns; i++) out[i] += wide[i];
  }
}

void normalize(const float* input, const float* residual, float* sum, const Tensor& weight, int64_t rows, int64_t width,
               double epsilon, float* output, float* scales) {
  NormRows job{};
  job.width = width;
  job.input = input;
  job.residual = residual;
  job.sum = sum;
  job.weight = address(weight);
  job.weight_type = type_of(weight);
  job.output = output;
  job.scale = scales;
  job.epsilon = float(epsilon);
  kernels().norm_rows(job, 0, rows);
}

// Numbers of the rows, int64 [rows], each from 0 to limit - 1.
Tensor row_numbers(const Tensor& given, int64_t rows, int64_t limit, const char* name) {
  TORCH_CHECK(given.device().is_cpu() && given.scalar_type() == at::kLong && given.dim() == 1 && given.size(0) == rows,
              "Expected int64 [", rows, "] as `", name, "` of tunesmith::decoder_layers, got ", given.scalar_type(),
              " ", given.sizes(), ".");
  Tensor numbers = given.contiguous();
  const int64_t* values = numbers.const_data_ptr<int64_t>();
  for (int64_t r = 0; r < rows; r++)
    TORCH_CHECK(values[r] >= 0 && values[r] < limit, "Expected 0 to ", limit - 1, " for `", name,
                "` of tunesmith::decoder_layers, got ", values[r], " in row ", r, ".");
  return numbers;
}

// Those of one layer; `tensors` and `scales` have the changes of all layers, one after another.
std::vector<Change> changes_of(size_t layer, const c10::List<std::optional<Tensor>>& tensors,
                               at::ArrayRef<double> scales, const std::optional<Tensor>& given_rows, int64_t rows,
                               const Weights& weights) {
  constexpr auto products = int64_t(adapted.size());
  const int64_t count = given(given_rows) ? given_rows->size(0) : 0;
  std::vector<Change> changes;
  if (count == 0) return changes;
  TORCH_CHECK(given_rows->device().is_cpu() && given_rows->scalar_type() == at::kLong && given_rows->dim() == 2 &&
                  given_rows->size(1) == 2,
              "Expected int64 [n,2] as `changedRows` of tunesmith::decoder_layers, got ", given_rows->scalar_type(),
              " ", given_rows->sizes(), ".");
  const Tensor spans = given_rows->contiguous();
  const int64_t* span = spans.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < count; i++, span += 2) {
    Change change{span[0], span[1], {}, {}, {}};
    TORCH_CHECK(change.first >= 0 && change.count >= 1 && change.first + change.count <= rows,
                "Expected `changedRows` of tunesmith::decoder_layers from 0 to ", rows, ", got ", change.count,
                " from ", change.first, ".");
    for (int64_t j = 0; j < products; j++) {
      const auto at = layer * size_t(count * products) + size_t(i * products + j);
      const Tensor a = contiguous_part(tensors.get(2 * at).value_or(Tensor()));
      const Tensor b = contiguous_part(tensors.get(2 * at + 1).value_or(Tensor()));
      TORCH_CHECK(a.defined() == b.defined(), "Expected both matrices of a change of tunesmith::decoder_layers.");
      if (!a.defined()) continue;
      const Part part = adapted[size_t(j)];
      check_float(a, op, "changes");
      TORCH_CHECK(a.dim() == 2, "Expected a matrix in `changes` of tunesmith::decoder_layers, got ", a.sizes(), ".");
      check_matrix(a, a.size(0), weights.inputs(part), "changes");
      check_matrix(b, weights.outputs(part), a.size(0), "changes");
      change.a[size_t(j)] = a;
      change.b[size_t(j)] = b;
      change.scale[size_t(j)] = float(scales[at]);
    }
    changes.push_back(std::move(change));
  }
  return changes;
}

// What the layers of a call are given.
struct Pass {
  at::TensorList keys, values;
  at::IntArrayRef windows;
  const std::vector<std::vector<Change>>& changes;
  const int64_t *before, *slots;  // tokens in the cache before a row's, and its place there; null for the same row
  const int64_t* positions;       // rows of the angles, or null where these are of one row or of each
  const Tensor &cosine, &sine, &seen;
  int64_t rows, width, longest;
  double epsilon, scale;
  bool invariant;

  int64_t place(int64_t row) const { return slots != nullptr ? slots[row] : row; }
  const float* angles_of(const Tensor& table, int64_t row) const {
    const int64_t from = positions != nullptr ? positions[row] : table.dim() == 3 ? row : 0;
    return table.const_data_ptr<float>() + from * table.size(-1);
  }
};

// Results of stages, of which each thread computes a part.
struct Shared {
  float *query, *typed_query, *mixed, *key, *value, *gates, *ups, *change, *log_sums;
};
// What each thread computes for itself. `stream` is the input of a layer, then its output.
struct Own {
  float *stream, *middle, *normed, *scales;
};

class Memory {
 public:
  Memory(Scratch kind, int64_t floats, int64_t pieces) : at_(scratch(kind, floats + 16 * pieces)) {}
  float* take(int64_t count) {
    float* here = at_;
    at_ += (count + 15) / 16 * 16;
    return here;
  }

 private:
  float* at_;
};

void run_layer(Team::Member& member, const Pass& pass, size_t layer, const Weights& parts, const Shared& shared,
               const Own& own) {
  const Tensor &keys = pass.keys[layer], &values = pass.values[layer];
  const std::vector<Change>& changes = pass.changes[layer];
  const Kernels& kernel = kernels();
  const int64_t rows = pass.rows, width = pass.width, size = keys.size(3), key_heads = keys.size(2);
  const int64_t heads = parts.query_width / size, groups = heads / key_heads;
  const int64_t q_width = parts.query_width, k_width = parts.key_width, inner = parts.inner;
  const int64_t window = pass.windows[layer], longest = pass.longest;
  const Type cache_type = type_of(keys);
  const int64_t bytes = keys.element_size();
  const bool invariant = pass.invariant;
  // A model in bf16 has a cache in bf16; one whose matrices alone are in bf16 computes in fp32.
  const Way way = invariant                                           ? Way::invariant
                  : cache_type == Type::bfloat16 && rounds_rows(rows) ? Way::rounded
                                                                      : Way::plain;
  const auto nothing = [](int64_t, int64_t) {};

  normalize(own.stream, nullptr, nullptr, parts[attention_norm], rows, width, pass.epsilon, own.normed, own.scales);
  const std::array<LayerProduct, 3> projections = {product_of(parts, q, shared.query, invariant),
                                                   product_of(parts, k, shared.key, invariant),
                                                   product_of(parts, v, shared.value, invariant)};
  multiply<3>(member, way, own.normed, Type::float32, rows, width, projections, false, nothing);
  for (size_t i = 0; i < 3; i++) add_changes(changes, i, way, own.normed, Type::float32, width, projections[i]);

  const int64_t half = pass.cosine.size(-1), row_bytes = keys.stride(0) * bytes, token_bytes = keys.stride(1) * bytes;
  char* key_memory = static_cast<char*>(mutable_address(keys));
  char* value_memory = static_cast<char*>(mutable_address(values));
  const float* asked = cache_type == Type::bfloat16 ? shared.typed_query : shared.query;
  // The heads that share a key.
  member.share(rows * key_heads, std::max<int64_t>(1, 65536 / (size * (groups + 2))), [&](int64_t first, int64_t last) {
    for (int64_t task = first; task < last; task++) {
      const int64_t r = task / key_heads, h = task % key_heads;
      const float *c = pass.angles_of(pass.cosine, r), *s = pass.angles_of(pass.sine, r);
      const int64_t q_at = r * q_width + h * groups * size, k_at = r * k_width + h * size;
      float *query = shared.query + q_at, *key = shared.key + k_at;
      if (parts[query_norm].defined())
        normalize(query, nullptr, nullptr, parts[query_norm], groups, size, pass.epsilon, query, own.scales);
      if (parts[key_norm].defined())
        normalize(key, nullptr, nullptr, parts[key_norm], 1, size, pass.epsilon, key, own.scales);
      auto turn = [&](float* head) {
        kernel.rotary_row(head, Type::float32, head, c, s, size, 2 * half, false, false);
      };
      for (int64_t i = 0; i < groups; i++) turn(query + i * size);
      turn(key);
      const int64_t to = pass.place(r) * row_bytes + pass.before[r] * token_bytes + h * size * bytes;
      kernel.convert(key, Type::float32, key_memory + to, cache_type, size);
      kernel.convert(shared.value + k_at, Type::float32, value_memory + to, cache_type, size);
      if (cache_type == Type::bfloat16)
        kernel.convert(query, Type::float32, reinterpret_cast<char*>(shared.typed_query) + q_at * bytes, cache_type,
                       groups * size);
    }
  });
  const int64_t cost = std::max<int64_t>(1, 2 * longest * size);
  member.share(rows * heads, std::max<int64_t>(1, 65536 / cost), [&](int64_t first, int64_t last) {
    for (int64_t task = first; task < last;) {
      const int64_t r = task / heads, h = task % heads;
      const int64_t together = heads_together(h, groups, last - task);
      const int64_t key_at = pass.place(r) * row_bytes + h / groups * size * bytes,
                    query_at = (r * q_width + h * size) * bytes;
      AttentionHead head{};
      head.queries = 1;
      head.keys = pass.before[r] + 1;
      head.size = size;
      head.type = cache_type;
      head.query = reinterpret_cast<const char*>(asked) + query_at;
      head.key = key_memory + key_at;
      head.value = value_memory + key_at;
      head.query_stride = q_width;
      head.key_stride = head.value_stride = keys.stride(1);
      head.output = reinterpret_cast<char*>(shared.mixed) + query_at;
      head.output_stride = q_width;
      head.log_sum = shared.log_sums + task;
      head.scale = float(pass.scale);
      head.causal = true;
      head.window = window;
      head.ordered = invariant;
      if (pass.seen.defined()) {
        head.mask = static_cast<const char*>(address(pass.seen)) + r * longest;
        head.mask_column_stride = 1;
      }
      kernel.attention_few(head, together, {size, size, 1, 0}, scratch(Scratch::attention, few_scratch(head)));
      task += together;
    }
  });
  const LayerProduct joined = product_of(parts, o, shared.change, invariant);
  multiply<1>(member, way, shared.mixed, cache_type, rows, q_width, {joined}, false, nothing);
  add_changes(changes, 3, way, shared.mixed, cache_type, q_width, joined);
  normalize(own.stream, shared.change, own.middle, parts[mlp_norm], rows, width, pass.epsilon, own.normed, own.scales);
  const std::array<LayerProduct, 2> wide = {product_of(parts, gate, shared.gates, invariant),
                                            product_of(parts, up, shared.ups, invariant)};
  const auto activate = [&](int64_t first, int64_t last) {
    for (int64_t r = 0; r < rows; r++) {
      float* g = shared.gates + r * inner + first;
      kernel.activate(g, shared.ups + r * inner + first, Type::float32, g, last - first, Curve::silu);
    }
  };
  if (changes.empty()) {
    multiply<2>(member, way, own.normed, Type::float32, rows, width, wide, true, activate);
  } else {
    multiply<2>(member, way, own.normed, Type::float32, rows, width, wide, true, nothing);
    for (size_t i = 0; i < 2; i++) add_changes(changes, 4 + i, way, own.normed, Type::float32, width, wide[i]);
    activate(0, inner);
  }
  const LayerProduct last = product_of(parts, down, shared.change, invariant);
  multiply<1>(member, way, shared.gates, Type::float32, rows, inner, {last}, false, nothing);
  add_changes(changes, 6, way, shared.gates, Type::float32, inner, last);
  for (int64_t i = 0; i < rows * width; i++) own.stream[i] = own.middle[i] + shared.change[i];
}

// Counts what the layers would compute.
void plan_layers(const Pass& pass, const std::vector<Weights>& layers) {
  for (size_t layer = 0; layer < layers.size(); layer++) {
    const Weights& parts = layers[layer];
    const int64_t size = pass.keys[layer].size(3), heads = parts.query_width / size;
    for (const Part part : adapted) count_product(pass.rows, parts.outputs(part), parts.inputs(part));
    for (const Change& change : pass.changes[layer])
      for (size_t i = 0; i < adapted.size(); i++) {
        if (!change.a[i].defined()) continue;
        count_product(change.count, change.a[i].size(0), change.a[i].size(1));
        count_product(change.count, change.b[i].size(0), change.b[i].size(1));
      }
    for (int64_t r = 0; r < pass.rows; r++) {
      count_product(heads, pass.before[r] + 1, size);
      count_product(heads, size, pass.before[r] + 1);
    }
  }
}

// Threads that have enough to do in the shorter stages. Dense batch-invariant products and low-rank changes have
// regions of their own.
int64_t wanted_threads(const Pass& pass, const std::vector<Weights>& layers) {
  int64_t work = std::numeric_limits<int64_t>::max();
  for (size_t layer = 0; layer < layers.size(); layer++) {
    if (!pass.changes[layer].empty() || (pass.invariant && layers[layer].dense)) return 1;
    work = std::min(work, pass.rows * pass.width * layers[layer].query_width);
  }
  return work / 65536;
}

void check_layer_arguments(const Weights& parts, const Tensor& keys, const Tensor& values, int64_t rows, int64_t width,
                           bool by_slot) {
  check_float(keys, op, "keys");
  check_float(values, op, "values");
  TORCH_CHECK(keys.dim() == 4 && keys.sizes() == values.sizes() && (by_slot || keys.size(0) == rows) &&
                  keys.scalar_type() == values.scalar_type() && keys.is_contiguous() && values.is_contiguous(),
              "Expected contiguous [", rows, ",capacity,K,D] as `keys` and `values` of tunesmith::decoder_layers, got ",
              keys.sizes(), " and ", values.sizes(), ".");
  const int64_t key_heads = keys.size(2), size = keys.size(3);
  TORCH_CHECK(size >= 1 && size <= 256 && key_heads >= 1,
              "Expected 1 to 256 values in a head of `keys` of tunesmith::decoder_layers, got ", keys.sizes(), ".");
  TORCH_CHECK(parts.width == width, "Expected rows of ", parts.width, " values, as the layers have, in `stream` of ",
              "tunesmith::decoder_layers, got ", width, ".");
  TORCH_CHECK(parts.query_width >= size && parts.query_width % (key_heads * size) == 0, "Expected a multiple of ",
              key_heads * size, " rows in `qProj` of tunesmith::decoder_layers, got ", parts.query_width, ".");
  TORCH_CHECK(parts.key_width == key_heads * size, "Expected ", key_heads * size,
              " rows in `kProj` of tunesmith::decoder_layers, got ", parts.key_width, ".");
  TORCH_CHECK(parts.normed_head == 0 || parts.normed_head == size, "Expected ", size,
              " values in `queryNorm` and `keyNorm` of tunesmith::decoder_layers, got ", parts.normed_head, ".");
}

Tensor decoder_layers(const Tensor& stream, at::TensorList keys, at::TensorList values, const Tensor& past,
                      const std::optional<Tensor>& slots, const Tensor& cosine, const Tensor& sine,
                      const std::optional<Tensor>& places_of_angles, const std::optional<Tensor>& mask,
                      const Tensor& prepared, const c10::List<std::optional<Tensor>>& changed,
                      at::ArrayRef<double> scales_of_changes, const std::optional<Tensor>& changed_rows, double epsilon,
                      at::IntArrayRef windows, double scale) {
  check_float(stream, op, "stream");
  TORCH_CHECK(!at::GradMode::is_enabled(), "Expected no gradients in tunesmith::decoder_layers. Call it under noGrad.");
  TORCH_CHECK(stream.scalar_type() == at::kFloat && stream.dim() == 3 && (stream.size(0) == 1 || stream.size(1) == 1) &&
                  stream.size(0) * stream.size(1) >= 1 && stream.size(0) * stream.size(1) <= most_rows,
              "Expected float32 [B,1,C] or [1,B,C] with 1 to ", most_rows, " rows as `stream` of ",
              "tunesmith::decoder_layers, got ", stream.scalar_type(), " ", stream.sizes(), ".");
  const std::vector<Weights> weights = held_object<PreparedLayers<Weights>>(prepared, op, "prepareDecoderLayers").use();
  const size_t layers = windows.size();
  TORCH_CHECK(weights.size() == layers && keys.size() == layers && values.size() == layers,
              "Expected `keys`, `values` and weights of ", int64_t(layers),
              " layers, one for each of `windows` of tunesmith::decoder_layers, got ", int64_t(keys.size()), ", ",
              int64_t(values.size()), " and ", int64_t(weights.size()), ".");
  const size_t spans = given(changed_rows) && changed_rows->dim() > 0 ? size_t(changed_rows->size(0)) : 0;
  const size_t products = layers * spans * adapted.size();
  TORCH_CHECK(changed.size() == 2 * products && scales_of_changes.size() == products, "Expected ",
              int64_t(2 * products), " `changes` and ", int64_t(products),
              " `scales` of tunesmith::decoder_layers for ", int64_t(spans), " `changedRows`, got ",
              int64_t(changed.size()), " and ", int64_t(scales_of_changes.size()), ".");
  const int64_t rows = stream.size(0) * stream.size(1), width = stream.size(2);
  const bool by_slot = given(slots).has_value();
  int64_t capacity = std::numeric_limits<int64_t>::max(), places_count = capacity, size = 0, q_width = 0, k_width = 0;
  int64_t inner = 0, most_heads = 0, half = std::numeric_limits<int64_t>::max();
  std::vector<std::vector<Change>> changes;
  for (size_t layer = 0; layer < layers; layer++) {
    check_layer_arguments(weights[layer], keys[layer], values[layer], rows, width, by_slot);
    TORCH_CHECK(windows[layer] >= 0, "Expected at least 0 as `windows` of tunesmith::decoder_layers.");
    changes.push_back(changes_of(layer, changed, scales_of_changes, changed_rows, rows, weights[layer]));
    capacity = std::min(capacity, keys[layer].size(1));
    places_count = std::min(places_count, keys[layer].size(0));
    half = std::min(half, keys[layer].size(3) / 2);
    q_width = std::max(q_width, weights[layer].query_width);
    k_width = std::max(k_width, weights[layer].key_width);
    inner = std::max(inner, weights[layer].inner);
    size = keys[layer].size(3);
    most_heads = std::max(most_heads, weights[layer].query_width / size);
  }
  TORCH_CHECK(epsilon >= 0, "Expected at least 0 as `eps` of tunesmith::decoder_layers.");
  // One more token must fit.
  const Tensor lengths = row_numbers(past, rows, capacity, "past");
  const int64_t* before = lengths.const_data_ptr<int64_t>();
  const int64_t longest = *std::max_element(before, before + rows) + 1;
  const Tensor places = by_slot ? row_numbers(*slots, rows, places_count, "slots") : Tensor();
  const bool by_place = given(places_of_angles).has_value(), per_row = cosine.dim() == 3;
  for (const Tensor* angles : {&cosine, &sine})
    TORCH_CHECK(angles->scalar_type() == at::kFloat && angles->is_contiguous() && angles->sizes() == cosine.sizes() &&
                    (by_place ? cosine.dim() == 2
                              : (cosine.dim() == 2 || (per_row && cosine.size(0) == rows)) && cosine.size(-2) == 1) &&
                    cosine.size(-1) <= half,
                "Expected float32 cos and sin [1,R/2] or [B,1,R/2], or [P,R/2] with `positions`, for ",
                "tunesmith::decoder_layers, got ", cosine.sizes(), " and ", sine.sizes(), ".");
  const Tensor positions =
      by_place ? row_numbers(places_of_angles->flatten(), rows, cosine.size(0), "positions") : Tensor();
  Tensor seen;
  if (mask.has_value() && mask->defined()) {
    TORCH_CHECK(mask->scalar_type() == at::kBool && mask->dim() == 4 && mask->size(0) == rows && mask->size(1) == 1 &&
                    mask->size(2) == 1 && mask->size(3) == longest,
                "Expected a bool mask [", rows, ",1,1,", longest, "] for tunesmith::decoder_layers, got ",
                mask->scalar_type(), " ", mask->sizes(), ".");
    seen = mask->contiguous();
  }
  const Pass pass{keys,
                  values,
                  windows,
                  changes,
                  before,
                  by_slot ? places.const_data_ptr<int64_t>() : nullptr,
                  by_place ? positions.const_data_ptr<int64_t>() : nullptr,
                  cosine,
                  sine,
                  seen,
                  rows,
                  width,
                  longest,
                  epsilon,
                  scale,
                  batch_invariant()};
  Tensor result = at::empty(stream.sizes(), stream.options());
  if (planning()) {
    plan_layers(pass, weights);
    return result;
  }
  const Tensor input = stream.contiguous();
  const float* x = input.const_data_ptr<float>();
  float* out = result.mutable_data_ptr<float>();
  Memory memory(Scratch::decoder, rows * (width + 3 * q_width + 2 * k_width + 2 * inner + most_heads), 9);
  const Shared shared{memory.take(rows * q_width), memory.take(rows * q_width), memory.take(rows * q_width),
                      memory.take(rows * k_width), memory.take(rows * k_width), memory.take(rows * inner),
                      memory.take(rows * inner),   memory.take(rows * width),   memory.take(rows * most_heads)};
  Team::run(wanted_threads(pass, weights), [&](Team::Member& member) {
    Memory own_memory(Scratch::layer_stream, rows * (3 * width + most_heads), 4);
    const Own own{own_memory.take(rows * width), own_memory.take(rows * width), own_memory.take(rows * width),
                  own_memory.take(rows * most_heads)};
    std::copy(x, x + rows * width, own.stream);
    for (size_t layer = 0; layer < layers; layer++) {
      run_layer(member, pass, layer, weights[layer], shared, own);
      if (!member.goes_on()) return;
    }
    if (member.leads()) std::copy(own.stream, own.stream + rows * width, out);
  });
  return result;
}

Tensor prepare_decoder_layers(const c10::List<std::optional<Tensor>>& parts, c10::string_view formats,
                              const c10::List<std::optional<Tensor>>& orders) {
  return hold_object(std::make_unique<PreparedLayers<Weights>>(layer_tensors(parts), formats, layer_tensors(orders)));
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  // The layers for `decoder_layers`, without elements. `formats` and `orders` are those of matrices of blocks.
  m.def("prepare_decoder_layers(Tensor?[] parts, str formats, Tensor?[] orders) -> Tensor", &prepare_decoder_layers);
  // `keys` and `values` get one more token in each row: row `slots[i]` at `past[i]`. With `positions`, `cos` and `sin`
  // are tables, of which row i has row `positions[i]`.
  m.def(
      "decoder_layers(Tensor stream, Tensor[] keys, Tensor[] values, Tensor past, Tensor? slots, Tensor cos, Tensor "
      "sin, Tensor? positions, Tensor? mask, Tensor layers, Tensor?[] changes, float[] scales, Tensor? changed_rows, "
      "float eps, int[] "
      "windows, float scale) -> Tensor",
      &decoder_layers);
}

}  // namespace tunesmith
