// tunesmith::decoder_layer: one token of each row through one Llama-like layer in one call, caches extended in place.
// The result is that of the separate operators, with fp32 between the products for any weight type. No gradient.
#include <ATen/Parallel.h>
#include <ATen/core/List.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <array>

#include "checks.h"
#include "scratch.h"

namespace tunesmith {
namespace {

using at::Tensor;

constexpr const char* op = "decoder_layer";
constexpr int64_t most_rows = 16;
constexpr int64_t unit = 8;  // weight rows that a thread takes at a time

// The layer's tensors in the order of the argument `parts`.
enum Part : size_t {
  attention_norm,
  q,
  q_bias,
  k,
  k_bias,
  v,
  v_bias,
  o,
  o_bias,
  query_norm,
  key_norm,
  mlp_norm,
  gate,
  gate_bias,
  up,
  up_bias,
  down,
  down_bias,
  part_count
};
using Parts = std::array<Tensor, part_count>;

struct Product {
  Matrix weight;
  const Tensor* bias;
  int64_t columns;
  float* out;
};

Product product_of(const Parts& parts, Part weight, float* out) {
  const Tensor& w = parts[weight];
  return {{address(w), type_of(w), w.stride(0), w.stride(1)}, &parts[weight + 1], w.size(0), out};
}

// Several products of the same rows at once; `after(first, last)` runs when these columns of all products are done.
template <size_t count, class After>
void multiply(const void* x, Type type, int64_t rows, int64_t depth, const std::array<Product, count>& products,
              bool together, const After& after) {
  const Kernels& kernel = kernels();
  float* packed = scratch(Scratch::rows, rows * depth + 16);
  kernel.pack_few({x, type, depth, 1}, rows, depth, products[0].weight.type, packed);
  auto run = [&](const Product& p, int64_t first, int64_t last) {
    const bool biased = p.bias->defined();
    kernel.few_rows(packed, rows, p.weight, first, last, depth, biased ? address(*p.bias) : nullptr,
                    biased ? type_of(*p.bias) : Type::float32, p.out, Type::float32, p.columns);
  };
  std::array<int64_t, count> units{};
  int64_t total = 0;
  for (size_t i = 0; i < count; i++) {
    units[i] = (products[i].columns + unit - 1) / unit;
    total = together ? units[i] : total + units[i];
  }
  const int64_t cost = unit * rows * std::max<int64_t>(1, depth) * (together ? int64_t(count) : 1);
  at::parallel_for(0, total, std::max<int64_t>(1, 65536 / cost), [&](int64_t first, int64_t last) {
    int64_t before = 0;
    for (size_t i = 0; i < count; i++) {
      const int64_t from = std::max<int64_t>(0, first - before), to = std::min(units[i], last - before);
      if (from < to) run(products[i], from * unit, std::min(products[i].columns, to * unit));
      if (!together) before += units[i];
    }
    after(first * unit, std::min(products[0].columns, last * unit));
  });
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

Tensor contiguous_part(const std::optional<Tensor>& given) {
  return given.has_value() && given->defined() ? given->contiguous() : Tensor();
}

void check_matrix(const Tensor& t, int64_t outputs, int64_t inputs, const char* name) {
  check_float(t, op, name);
  TORCH_CHECK(t.dim() == 2 && t.size(0) == outputs && t.size(1) == inputs, "Expected shape [", outputs, ",", inputs,
              "] for `", name, "` of tunesmith::decoder_layer, got ", t.sizes(), ".");
}
void check_bias(const Tensor& t, int64_t size, const char* name) {
  if (t.defined()) check_vector(t, size, op, name);
}

Tensor decoder_layer(const Tensor& stream, const Tensor& keys, const Tensor& values, int64_t past, const Tensor& cosine,
                     const Tensor& sine, const std::optional<Tensor>& mask,
                     const c10::List<std::optional<Tensor>>& given_parts, double epsilon, int64_t window,
                     double scale) {
  check_float(stream, op, "stream");
  check_float(keys, op, "keys");
  check_float(values, op, "values");
  TORCH_CHECK(!at::GradMode::is_enabled(), "Expected no gradients in tunesmith::decoder_layer. Call it under noGrad.");
  TORCH_CHECK(stream.scalar_type() == at::kFloat && stream.dim() == 3 && stream.size(1) == 1 && stream.size(0) >= 1 &&
                  stream.size(0) <= most_rows,
              "Expected float32 [B,1,C] with 1 to ", most_rows, " rows as `stream` of tunesmith::decoder_layer, got ",
              stream.scalar_type(), " ", stream.sizes(), ".");
  const int64_t rows = stream.size(0), width = stream.size(2);
  TORCH_CHECK(keys.dim() == 4 && keys.sizes() == values.sizes() && keys.size(0) == rows &&
                  keys.scalar_type() == values.scalar_type() && keys.is_contiguous() && values.is_contiguous(),
              "Expected contiguous [", rows, ",capacity,K,D] as `keys` and `values` of tunesmith::decoder_layer, got ",
              keys.sizes(), " and ", values.sizes(), ".");
  TORCH_CHECK(past >= 0 && past < keys.size(1), "Expected capacity for one more token after ", past,
              " in `keys` of tunesmith::decoder_layer, got ", keys.sizes(), ".");
  const int64_t key_heads = keys.size(2), size = keys.size(3), total = past + 1;
  TORCH_CHECK(size >= 1 && size <= 256 && key_heads >= 1,
              "Expected 1 to 256 values in a head of `keys` of tunesmith::", "decoder_layer, got ", keys.sizes(), ".");
  TORCH_CHECK(given_parts.size() == part_count, "Expected ", int64_t(part_count),
              " `parts` of tunesmith::decoder_layer, got ", int64_t(given_parts.size()), ".");
  Parts parts;
  for (size_t i = 0; i < part_count; i++) parts[i] = contiguous_part(given_parts.get(i));
  check_vector(parts[attention_norm], width, op, "attentionNorm");
  check_float(parts[q], op, "qProj");
  const int64_t heads = parts[q].size(0) / size, groups = heads / key_heads;
  TORCH_CHECK(heads >= 1 && heads % key_heads == 0, "Expected a multiple of ", key_heads * size,
              " rows in `qProj` of tunesmith::decoder_layer, got ", parts[q].sizes(), ".");
  check_matrix(parts[q], heads * size, width, "qProj");
  check_matrix(parts[k], key_heads * size, width, "kProj");
  check_matrix(parts[v], key_heads * size, width, "vProj");
  check_matrix(parts[o], width, heads * size, "oProj");
  check_vector(parts[mlp_norm], width, op, "mlpNorm");
  check_float(parts[gate], op, "gateProj");
  const int64_t inner = parts[gate].size(0);
  check_matrix(parts[gate], inner, width, "gateProj");
  check_matrix(parts[up], inner, width, "upProj");
  check_matrix(parts[down], width, inner, "downProj");
  check_bias(parts[q_bias], heads * size, "qProj.bias");
  check_bias(parts[k_bias], key_heads * size, "kProj.bias");
  check_bias(parts[v_bias], key_heads * size, "vProj.bias");
  check_bias(parts[o_bias], width, "oProj.bias");
  check_bias(parts[query_norm], size, "queryNorm");
  check_bias(parts[key_norm], size, "keyNorm");
  check_bias(parts[gate_bias], inner, "gateProj.bias");
  check_bias(parts[up_bias], inner, "upProj.bias");
  check_bias(parts[down_bias], width, "downProj.bias");
  const Type weight_type = type_of(parts[q]);
  for (Part part : {k, v, o, gate, up, down})
    TORCH_CHECK(type_of(parts[part]) == weight_type, "Expected one type for all matrices of tunesmith::decoder_layer.");
  const bool per_row = cosine.dim() == 3;
  for (const Tensor* angles : {&cosine, &sine})
    TORCH_CHECK(angles->scalar_type() == at::kFloat && angles->is_contiguous() && angles->sizes() == cosine.sizes() &&
                    (cosine.dim() == 2 || (per_row && cosine.size(0) == rows)) && cosine.size(-2) == 1 &&
                    2 * cosine.size(-1) <= size,
                "Expected float32 cos and sin [1,R/2] or [B,1,R/2] for tunesmith::decoder_layer, got ", cosine.sizes(),
                " and ", sine.sizes(), ".");
  Tensor seen;
  if (mask.has_value() && mask->defined()) {
    TORCH_CHECK(mask->scalar_type() == at::kBool && mask->dim() == 4 && mask->size(0) == rows && mask->size(1) == 1 &&
                    mask->size(2) == 1 && mask->size(3) == total,
                "Expected a bool mask [", rows, ",1,1,", total, "] for tunesmith::decoder_layer, got ",
                mask->scalar_type(), " ", mask->sizes(), ".");
    seen = mask->contiguous();
  }
  TORCH_CHECK(window >= 0 && epsilon >= 0, "Expected at least 0 as `window` and `eps` of tunesmith::decoder_layer.");

  const Kernels& kernel = kernels();
  Tensor x = stream.contiguous(), result = at::empty(x.sizes(), x.options());
  const Type cache_type = type_of(keys);
  const int64_t bytes = keys.element_size(), q_width = heads * size, k_width = key_heads * size;
  float* at = scratch(Scratch::decoder, rows * (3 * width + 4 * q_width + 2 * k_width + 2 * inner + 2 * heads) + 256);
  auto take = [&at](int64_t count) {
    float* here = at;
    at += (count + 15) / 16 * 16;
    return here;
  };
  float *normed = take(rows * width), *change = take(rows * width), *middle = take(rows * width);
  float *query = take(rows * q_width), *typed_query = take(rows * q_width), *mixed = take(rows * q_width);
  float *key = take(rows * k_width), *value = take(rows * k_width);
  float *gates = take(rows * inner), *ups = take(rows * inner);
  float* scales = take(rows * heads);
  float* log_sums = take(rows * heads);
  auto nothing = [](int64_t, int64_t) {};

  normalize(x.const_data_ptr<float>(), nullptr, nullptr, parts[attention_norm], rows, width, epsilon, normed, scales);
  multiply<3>(normed, Type::float32, rows, width,
              {product_of(parts, q, query), product_of(parts, k, key), product_of(parts, v, value)}, false, nothing);
  if (parts[query_norm].defined())
    normalize(query, nullptr, nullptr, parts[query_norm], rows * heads, size, epsilon, query, scales);
  if (parts[key_norm].defined())
    normalize(key, nullptr, nullptr, parts[key_norm], rows * key_heads, size, epsilon, key, scales);

  const int64_t half = cosine.size(-1), row_bytes = keys.stride(0) * bytes, token_bytes = keys.stride(1) * bytes;
  char* key_memory = static_cast<char*>(mutable_address(keys));
  char* value_memory = static_cast<char*>(mutable_address(values));
  for (int64_t r = 0; r < rows; r++) {
    const float* c = cosine.const_data_ptr<float>() + (per_row ? r * half : 0);
    const float* s = sine.const_data_ptr<float>() + (per_row ? r * half : 0);
    auto turn = [&](float* head) { kernel.rotary_row(head, Type::float32, head, c, s, size, 2 * half, false, false); };
    for (int64_t h = 0; h < heads; h++) turn(query + r * q_width + h * size);
    for (int64_t h = 0; h < key_heads; h++) turn(key + r * k_width + h * size);
    kernel.convert(key + r * k_width, Type::float32, key_memory + r * row_bytes + past * token_bytes, cache_type,
                   k_width);
    kernel.convert(value + r * k_width, Type::float32, value_memory + r * row_bytes + past * token_bytes, cache_type,
                   k_width);
  }
  const float* asked = query;
  if (cache_type == Type::bfloat16) {
    kernel.convert(query, Type::float32, typed_query, Type::bfloat16, rows * q_width);
    asked = typed_query;
  }
  const int64_t cost = std::max<int64_t>(1, 2 * total * size);
  at::parallel_for(0, rows * heads, std::max<int64_t>(1, 65536 / cost), [&](int64_t first, int64_t last) {
    float* work = scratch(Scratch::attention, total + size + 64);
    for (int64_t task = first; task < last; task++) {
      const int64_t r = task / heads, h = task % heads;
      const int64_t key_at = r * row_bytes + h / groups * size * bytes, query_at = (r * q_width + h * size) * bytes;
      AttentionHead head{};
      head.queries = 1;
      head.keys = total;
      head.size = size;
      head.type = cache_type;
      head.query = reinterpret_cast<const char*>(asked) + query_at;
      head.key = key_memory + key_at;
      head.value = value_memory + key_at;
      head.query_stride = q_width;
      head.key_stride = head.value_stride = keys.stride(1);
      head.output = reinterpret_cast<char*>(mixed) + query_at;
      head.output_stride = q_width;
      head.log_sum = log_sums + task;
      head.scale = float(scale);
      head.causal = true;
      head.window = window;
      if (seen.defined()) {
        head.mask = static_cast<const char*>(address(seen)) + r * total;
        head.mask_column_stride = 1;
      }
      kernel.attention_few(head, work);
    }
  });
  multiply<1>(mixed, cache_type, rows, q_width, {product_of(parts, o, change)}, false, nothing);
  normalize(x.const_data_ptr<float>(), change, middle, parts[mlp_norm], rows, width, epsilon, normed, scales);
  multiply<2>(normed, Type::float32, rows, width, {product_of(parts, gate, gates), product_of(parts, up, ups)}, true,
              [&](int64_t first, int64_t last) {
                for (int64_t r = 0; r < rows; r++) {
                  float* g = gates + r * inner + first;
                  kernel.swiglu(g, ups + r * inner + first, Type::float32, g, last - first);
                }
              });
  multiply<1>(gates, Type::float32, rows, inner, {product_of(parts, down, change)}, false, nothing);
  float* out = result.mutable_data_ptr<float>();
  for (int64_t i = 0; i < rows * width; i++) out[i] = middle[i] + change[i];
  return result;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  // `keys` and `values` get one more token, at `past`.
  m.def(
      "decoder_layer(Tensor stream, Tensor keys, Tensor values, int past, Tensor cos, Tensor sin, Tensor? mask, "
      "Tensor?[] parts, float eps, int window, float scale) -> Tensor",
      &decoder_layer);
}

}  // namespace tunesmith
