// tunesmith::attention: softmax attention over token-major heads, with causal order, sliding window, mask, grouped
// heads, packed sequences and dropout. Only the log-sum-exp of each row is kept for the backward.
#include "attention.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <memory>
#include <vector>

#include "checks.h"
#include "plain/plain.h"
#include "random-seed.h"
#include "regions.h"
#include "scratch.h"

namespace tunesmith {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t few_queries = 4;  // up to here, packing the keys costs more than it saves

// Rows of one sequence inside the [tokens, heads, size] tensors. Its keys may be in another batch row than its queries.
struct Sequence {
  int64_t batch, first_query, queries, first_key, keys, key_batch;
};

struct Settings {
  std::vector<Sequence> sequences;
  bool causal;
  int64_t window;
  double scale, softcap, dropout;
  uint64_t seed;
  Tensor row_keys;  // of dropout: int64, one for each query token
  // Each sequence by its own length, whatever the others are.
  bool separate;
};

// The arguments of a call and their sizes, computed again in backward.
struct Call {
  Tensor query, key, value, output, log_sum, mask;
  int64_t heads, groups, size, tokens, batch_queries, batch_keys;
};

// Threads take the next few tasks when they are free. A task owns its results, so the order does not matter. `body`
// also gets a number that its thread keeps between tasks, initially -1.
template <class Body> void share_out(int64_t tasks, const Body& body) {
  std::atomic<int64_t> next{0};
  const int64_t threads = std::min<int64_t>(tasks, at::get_num_threads());
  // Few enough that the threads finish together, and more than one where a task is very small.
  const int64_t few = std::clamp<int64_t>(tasks / (std::max<int64_t>(1, threads) * 32), 1, 16);
  at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    if (first == last) return;
    int64_t kept = -1;
    for (int64_t from = next.fetch_add(few); from < tasks; from = next.fetch_add(few))
      for (int64_t task = from; task < std::min(tasks, from + few); task++) body(task, kept);
  });
}

const char* token(const Tensor& t, int64_t batch, int64_t position, int64_t head) {
  return static_cast<const char*>(address(t)) +
         (batch * t.stride(0) + position * t.stride(1) + head * t.stride(2)) * t.element_size();
}

// Packed sequences are all in batch row 0; otherwise positions count inside their batch row.
AttentionHead head_of(const Call& c, const Settings& settings, const Sequence& s, int64_t head) {
  const int64_t key_head = head / c.groups;
  AttentionHead h{};
  h.queries = s.queries;
  h.keys = s.keys;
  h.size = c.size;
  h.type = type_of(c.query);
  h.query = token(c.query, s.batch, s.first_query, head);
  h.key = token(c.key, s.key_batch, s.first_key, key_head);
  h.value = token(c.value, s.key_batch, s.first_key, key_head);
  h.query_stride = c.query.stride(1);
  h.key_stride = c.key.stride(1);
  h.value_stride = c.value.stride(1);
  h.output = const_cast<char*>(token(c.output, s.batch, s.first_query, head));
  h.output_stride = c.output.stride(1);
  const int64_t row = head * c.tokens + s.batch * c.batch_queries + s.first_query;
  h.log_sum = const_cast<float*>(c.log_sum.const_data_ptr<float>()) + row;
  h.scale = float(settings.scale);
  h.cap = float(settings.softcap);
  h.causal = settings.causal;
  h.window = settings.window;
  if (c.mask.defined()) {
    h.mask_kind = c.mask.scalar_type() == at::kBool ? 0 : c.mask.scalar_type() == at::kFloat ? 1 : 2;
    h.mask = static_cast<const char*>(address(c.mask)) +
             (s.batch * c.mask.stride(0) + head * c.mask.stride(1)) * c.mask.element_size();
    h.mask_row_stride = c.mask.stride(2);
    h.mask_column_stride = c.mask.stride(3);
  }
  h.dropout = float(settings.dropout);
  h.seed = settings.seed;
  if (settings.dropout > 0)
    h.row_keys = settings.row_keys.const_data_ptr<int64_t>() + s.batch * c.batch_queries + s.first_query;
  h.number = head;
  h.ordered = batch_invariant();
  return h;
}

// Counts the products of queries and keys: those that causal order and window leave, and all. Masks are not looked at.
void count_attention(const Call& c, const Settings& settings, int64_t products) {
  double computed = 0, all = 0;
  for (const Sequence& s : settings.sequences) {
    all += double(s.queries) * double(s.keys);
    if (!settings.causal && settings.window == 0) {
      computed += double(s.queries) * double(s.keys);
      continue;
    }
    for (int64_t i = 0; i < s.queries; i++) {
      const int64_t at = s.keys - s.queries + i;
      const int64_t last = settings.causal       ? at + 1
                           : settings.window > 0 ? std::min(s.keys, at + settings.window)
                                                 : s.keys;
      const int64_t first = settings.window > 0 ? std::max<int64_t>(0, at - settings.window + 1) : 0;
      computed += double(std::max<int64_t>(0, last - first));
    }
  }
  const double each = 2.0 * double(c.heads) * double(c.size);
  // Backward computes the scores again: a plain composition has kept them.
  count_operations(each * computed * double(products), each * all * double(products == 5 ? 4 : products));
}

Tensor with_contiguous_heads(const Tensor& t) { return t.stride(3) == 1 || t.size(3) == 1 ? t : t.contiguous(); }

Call call_of(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& mask) {
  Call c;
  c.query = with_contiguous_heads(query);
  c.key = with_contiguous_heads(key);
  c.value = with_contiguous_heads(value);
  c.mask = mask;
  c.batch_queries = query.size(1);
  c.batch_keys = key.size(1);
  c.heads = query.size(2);
  c.groups = c.heads / std::max<int64_t>(1, key.size(2));
  c.size = query.size(3);
  c.tokens = query.size(0) * query.size(1);
  return c;
}

struct Attention : torch::autograd::Function<Attention> {
  static Tensor forward(AutogradContext* context, const Tensor& query, const Tensor& key, const Tensor& value,
                        const std::optional<Tensor>& mask, const std::shared_ptr<Settings>& settings) {
    Call c = call_of(query, key, value, mask.value_or(Tensor()));
    c.output = at::empty(query.sizes(), query.options());
    c.log_sum = at::empty({c.heads, c.tokens}, at::kFloat);
    if (planning()) {
      count_attention(c, *settings, 2);
      keep_for_backward(context, c, query, key, value, settings);
      return c.output;
    }
    const bool invariant = batch_invariant() && !is_half(query);
    std::vector<int64_t> few, many;
    for (int64_t i = 0; i < int64_t(settings->sequences.size()); i++) {
      const int64_t queries = settings->separate ? settings->sequences[size_t(i)].queries : query.size(1);
      const bool reads_in_place = settings->dropout == 0 && (queries <= few_queries || invariant);
      (reads_in_place ? few : many).push_back(i);
    }
    if (!few.empty()) forward_few(c, *settings, few);
    if (!many.empty()) forward_packed(c, *settings, many);
    keep_for_backward(context, c, query, key, value, settings);
    return c.output;
  }

  // Keys are packed once and read by many queries.
  static void forward_packed(const Call& c, const Settings& settings, const std::vector<int64_t>& chosen) {
    // A task is a head, or a range of its rows where there are fewer heads than threads.
    const auto sequences = int64_t(chosen.size());
    constexpr int64_t row_step = 192;
    const int64_t wanted = 3 * at::get_num_threads();
    const bool split = sequences * c.heads < wanted;
    struct Task {
      int64_t sequence, head, first, last;
    };
    std::vector<Task> tasks;
    for (const int64_t i : chosen) {
      const int64_t rows = settings.sequences[size_t(i)].queries, step = split ? row_step : std::max<int64_t>(1, rows);
      for (int64_t h = 0; h < c.heads; h++)
        for (int64_t at = 0; at < rows; at += step) tasks.push_back({i, h, at, std::min(rows, at + step)});
    }
    share_out(int64_t(tasks.size()), [&](int64_t number, int64_t& packed) {
      const Task& task = tasks[size_t(number)];
      const AttentionHead head = head_of(c, settings, settings.sequences[size_t(task.sequence)], task.head);
      float* work = scratch(Scratch::attention, kernels().attention_scratch(head.queries, head.keys, head.size));
      // A thread packs the keys again only when they change.
      const int64_t id = task.sequence * c.heads + task.head / c.groups;
      if (packed != id) kernels().attention_pack(head, work);
      packed = id;
      kernels().attention_forward(head, task.first, task.last, work);
    });
  }

  // A decoding step: heads are too small to pack for, and the step is too short to wake threads for few keys. Also for
  // batch-invariant results, as it computes each query by itself.
  static void forward_few(const Call& c, const Settings& settings, const std::vector<int64_t>& chosen) {
    const auto tasks = int64_t(chosen.size()) * c.heads;
    int64_t pairs = 0;
    for (const int64_t i : chosen) pairs += settings.sequences[size_t(i)].keys * settings.sequences[size_t(i)].queries;
    const int64_t cost = std::max<int64_t>(1, pairs * c.size / int64_t(chosen.size()));
    share_work(tasks, std::max<int64_t>(1, 65536 / cost), [&](int64_t first, int64_t last) {
      const HeadSteps steps = {c.query.stride(2), c.output.stride(2), c.tokens,
                               c.mask.defined() ? c.mask.stride(1) * c.mask.element_size() : 0};
      for (int64_t task = first; task < last;) {
        const Sequence& sequence = settings.sequences[size_t(chosen[size_t(task / c.heads)])];
        const int64_t number = task % c.heads, heads = heads_together(number, c.groups, last - task);
        const AttentionHead head = head_of(c, settings, sequence, number);
        kernels().attention_few(head, heads, steps, scratch(Scratch::attention, few_scratch(head)));
        task += heads;
      }
    });
  }

  static void keep_for_backward(AutogradContext* context, const Call& c, const Tensor& query, const Tensor& key,
                                const Tensor& value, const std::shared_ptr<Settings>& settings) {
    context->save_for_backward({query, key, value, c.mask, c.output, c.log_sum});
    context->saved_data["settings"] =
        c10::IValue::make_capsule(c10::intrusive_ptr<torch::CustomClassHolder>(c10::make_intrusive<Held>(settings)));
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    check_first_derivative("attention");
    auto saved = context->get_saved_variables();
    const Settings& settings = *static_cast<const Held*>(context->saved_data["settings"].toCapsule().get())->settings;
    Call c = call_of(saved[0], saved[1], saved[2], saved[3]);
    c.output = saved[4];
    c.log_sum = saved[5];
    Tensor dy = with_contiguous_heads(gradients[0].to(c.query.scalar_type()));
    // Rows of no sequence cannot exist: the starts cover every row. Only what sees nothing, or is not seen, is not
    // written.
    const bool all = std::all_of(settings.sequences.begin(), settings.sequences.end(),
                                 [](const Sequence& s) { return (s.queries == 0) == (s.keys == 0); });
    const auto fresh = [all](const Tensor& t) {
      return all ? at::empty(t.sizes(), t.options()) : at::zeros(t.sizes(), t.options());
    };
    Tensor dq = fresh(c.query), dk = fresh(c.key), dv = fresh(c.value);
    const int64_t key_heads = c.key.size(2);
    if (planning()) {
      count_attention(c, settings, 5);
      return {dq, dk, dv, {}, {}};
    }
    share_out(int64_t(settings.sequences.size()) * key_heads, [&](int64_t task, int64_t&) {
      const Sequence& s = settings.sequences[size_t(task / key_heads)];
      const int64_t key_head = task % key_heads;
      if (s.keys == 0 || s.queries == 0) return;
      const Kernels& k = kernels();
      const int64_t stride = (c.size + k.attention_columns - 1) / k.attention_columns * k.attention_columns;
      const int64_t rows = k.attention_gradient_rows(s.keys);
      float* sums = scratch(Scratch::attention_gradient, 2 * rows * stride);
      std::fill(sums, sums + 2 * rows * stride, 0.0f);
      float* work = scratch(Scratch::attention, k.attention_backward_scratch(s.queries, s.keys, c.size));
      for (int64_t head = key_head * c.groups; head < (key_head + 1) * c.groups; head++) {
        AttentionGradient job{};
        job.head = head_of(c, settings, s, head);
        job.output_gradient = token(dy, s.batch, s.first_query, head);
        job.output_gradient_stride = dy.stride(1);
        job.query_gradient = const_cast<char*>(token(dq, s.batch, s.first_query, head));
        job.query_gradient_stride = dq.stride(1);
        job.key_gradient = sums;
        job.value_gradient = sums + rows * stride;
        k.attention_backward(job, work);
      }
      const Tensor* const gradients_of[] = {&dk, &dv};
      for (int which = 0; which < 2; which++) {
        const Tensor& gradient = *gradients_of[which];
        char* to = const_cast<char*>(token(gradient, s.key_batch, s.first_key, key_head));
        for (int64_t i = 0; i < s.keys; i++, to += gradient.stride(1) * gradient.element_size())
          k.convert(sums + (which * rows + i) * stride, Type::float32, to, type_of(gradient), c.size);
      }
    });
    return {dq, dk, dv, {}, {}};
  }

 private:
  struct Held : torch::CustomClassHolder {
    explicit Held(std::shared_ptr<Settings> given) : settings(std::move(given)) {}
    std::shared_ptr<Settings> settings;
  };
};

std::vector<int64_t> boundaries(const Tensor& starts, int64_t rows, const char* name) {
  TORCH_CHECK(starts.device().is_cpu(), "Expected `", name,
              "` of tunesmith::attention on the CPU, as they decide shapes,", " got them on ", starts.device(), ".");
  TORCH_CHECK(starts.dim() == 1 && starts.size(0) >= 2 &&
                  (starts.scalar_type() == at::kLong || starts.scalar_type() == at::kInt),
              "Expected int64 [n+1] as `", name, "` of tunesmith::attention, got ", starts.scalar_type(), " ",
              starts.sizes(), ".");
  Tensor wide = starts.to(at::kLong).contiguous();
  const int64_t* at = wide.const_data_ptr<int64_t>();
  std::vector<int64_t> result(at, at + wide.numel());
  TORCH_CHECK(result.front() == 0 && result.back() == rows && std::is_sorted(result.begin(), result.end()),
              "Expected `", name, "` of tunesmith::attention to rise from 0 to the number of rows ", rows, ", got ",
              result.front(), " to ", result.back(), ".");
  return result;
}

// Packed queries over a cache [R,capacity,K,D]: the keys of sequence i are the first key_lengths[i] of its row.
void add_cached(const Tensor& query, const Tensor& key, const std::vector<int64_t>& from,
                const std::optional<Tensor>& key_rows, const std::optional<Tensor>& key_lengths,
                std::vector<Sequence>& sequences) {
  TORCH_CHECK(!at::GradMode::is_enabled() || !wants_gradient(query, key),
              "Expected no gradients with `key_lengths` in tunesmith::attention. Call it under noGrad.");
  const auto count = int64_t(from.size()) - 1;
  const auto numbers = [count](const std::optional<Tensor>& given_numbers, const char* name) {
    TORCH_CHECK(given(given_numbers) && given_numbers->device().is_cpu() && given_numbers->scalar_type() == at::kLong &&
                    given_numbers->dim() == 1 && given_numbers->size(0) == count,
                "Expected int64 [", count, "] as `", name, "` of tunesmith::attention, one for each sequence.");
    return given_numbers->contiguous();
  };
  const Tensor rows = numbers(key_rows, "key_rows"), lengths = numbers(key_lengths, "key_lengths");
  for (int64_t i = 0; i < count; i++) {
    const int64_t row = rows.const_data_ptr<int64_t>()[i], length = lengths.const_data_ptr<int64_t>()[i];
    TORCH_CHECK(row >= 0 && row < key.size(0) && length >= 0 && length <= key.size(1),
                "Expected `key_rows` and `key_lengths` of tunesmith::attention within the cache ", key.sizes(),
                ", got row ", row, " with ", length, " keys.");
    sequences.push_back({0, from[size_t(i)], from[size_t(i) + 1] - from[size_t(i)], 0, length, row});
  }
}

// The fused kernel, or the composition for other devices.
Tensor attend(bool fused, const Tensor& query, const Tensor& key, const Tensor& value,
              const std::optional<Tensor>& mask, const std::shared_ptr<Settings>& settings, bool packed) {
  if (fused) return Attention::apply(query, key, value, mask, settings);
  const plain::Attention plain_settings{settings->causal,  settings->window,  settings->scale,
                                        settings->softcap, settings->dropout, settings->seed};
  const std::optional<Tensor> row_keys = given(settings->row_keys);
  if (!packed) return plain::attention(query, key, value, mask, row_keys, plain_settings);
  std::vector<plain::Sequence> sequences;
  for (const Sequence& s : settings->sequences)
    sequences.push_back({s.first_query, s.queries, s.first_key, s.keys, s.key_batch});
  return plain::packed_attention(query, key, value, sequences, row_keys, plain_settings);
}

}  // namespace

int64_t heads_together(int64_t head, int64_t groups, int64_t left) {
  return std::min({left, groups - head % groups, int64_t(kernels().few_heads)});
}
int64_t few_scratch(const AttentionHead& head) { return kernels().few_heads * (head.keys + head.size + 64); }

Tensor attention(const Tensor& query, const Tensor& key, const Tensor& value, const std::optional<Tensor>& mask,
                 const std::optional<Tensor>& query_starts, const std::optional<Tensor>& key_starts,
                 const std::optional<Tensor>& key_rows, const std::optional<Tensor>& key_lengths, bool causal,
                 int64_t window, std::optional<double> scale, double dropout,
                 const std::optional<at::Generator>& generator, const std::optional<Tensor>& row_keys, double softcap) {
  const char* op = "attention";
  const bool fused = Placement::on_cpu(op, query, key, value, mask, row_keys);
  check_values(query, op, "query");
  check_values(key, op, "key");
  check_values(value, op, "value");
  TORCH_CHECK(query.scalar_type() == key.scalar_type() && key.scalar_type() == value.scalar_type(),
              "Expected one type for query, key and value of tunesmith::attention, got ", query.scalar_type(), ", ",
              key.scalar_type(), ", ", value.scalar_type(), ".");
  TORCH_CHECK(query.dim() == 4 && key.dim() == 4 && value.sizes() == key.sizes() &&
                  (key.size(0) == query.size(0) || given(key_lengths)) && key.size(3) == query.size(3),
              "Expected query [B,T,H,D] and key and value [B,S,K,D] for tunesmith::attention, got ", query.sizes(),
              ", ", key.sizes(), ", ", value.sizes(), ".");
  TORCH_CHECK(query.size(3) >= 1 && query.size(3) <= 256,
              "Expected a head size of 1 to 256 for tunesmith::attention, got ", query.size(3), ".");
  TORCH_CHECK(query.size(2) == 0 || (key.size(2) > 0 && query.size(2) % key.size(2) == 0),
              "Expected the heads of tunesmith::attention to be a multiple of the key heads, got ", query.size(2),
              " and ", key.size(2), ".");
  TORCH_CHECK(window >= 0, "Expected at least 0 as `window` of tunesmith::attention, got ", window, ".");
  check_probability(dropout, op);
  check_cap(softcap, op);

  auto settings = std::make_shared<Settings>();
  settings->causal = causal;
  settings->window = window;
  settings->scale = scale.value_or(1 / std::sqrt(double(query.size(3))));
  settings->softcap = softcap;
  settings->dropout = dropout;
  settings->seed = dropout > 0 ? draw_seed(generator) : 0;
  if (dropout > 0) {
    const int64_t tokens = query.size(0) * query.size(1);
    settings->row_keys =
        given(row_keys) ? checked_keys(*row_keys, tokens, op) : at::arange(tokens, query.options().dtype(at::kLong));
  }
  settings->separate = given(key_lengths).has_value();

  if (given(query_starts) || given(key_starts) || given(key_lengths)) {
    TORCH_CHECK(given(query_starts),
                "Expected `query_starts` beside `key_starts` or `key_lengths` for tunesmith::attention, got none.");
    TORCH_CHECK(query.size(0) == 1, "Expected one batch row with `query_starts` in tunesmith::attention, got ",
                query.size(0), ".");
    TORCH_CHECK(!given(mask), "Expected no mask with `query_starts` in tunesmith::attention, got one.");
    const auto from = boundaries(*query_starts, query.size(1), "query_starts");
    if (given(key_lengths)) {
      add_cached(query, key, from, key_rows, key_lengths, settings->sequences);
      return attend(fused, query, key, value, std::nullopt, settings, true);
    }
    const auto to = boundaries(given(key_starts) ? *key_starts : *query_starts, key.size(1),
                               given(key_starts) ? "key_starts" : "query_starts");
    TORCH_CHECK(from.size() == to.size(),
                "Expected as many `key_starts` as `query_starts` in tunesmith::attention, got ", to.size(), " and ",
                from.size(), ".");
    for (size_t i = 0; i + 1 < from.size(); i++)
      settings->sequences.push_back({0, from[i], from[i + 1] - from[i], to[i], to[i + 1] - to[i], 0});
  } else {
    for (int64_t b = 0; b < query.size(0); b++) settings->sequences.push_back({b, 0, query.size(1), 0, key.size(1), b});
  }

  std::optional<Tensor> expanded;
  if (given(mask)) {
    TORCH_CHECK(!mask->requires_grad() || !at::GradMode::is_enabled(),
                "Expected a mask without gradient in tunesmith::attention, got one that requires it.");
    TORCH_CHECK(mask->scalar_type() == at::kBool || at::isFloatingType(mask->scalar_type()),
                "Expected a bool or float mask in tunesmith::attention, got ", mask->scalar_type(), ".");
    const std::array<int64_t, 4> shape{query.size(0), query.size(2), query.size(1), key.size(1)};
    bool fits = mask->dim() <= 4;
    for (int64_t i = 1; fits && i <= mask->dim(); i++)
      fits = mask->size(-i) == 1 || mask->size(-i) == shape[size_t(4 - i)];
    TORCH_CHECK(fits, "Expected a mask that broadcasts to ", at::IntArrayRef(shape), " in tunesmith::attention, got ",
                mask->sizes(), ".");
    Tensor m = mask->detach();
    if (m.scalar_type() != at::kBool && !is_half(m)) m = m.to(at::kFloat);
    expanded = m.expand(shape);
  }
  return attend(fused, query, key, value, expanded, settings, given(query_starts).has_value());
}

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def(
      "attention(Tensor query, Tensor key, Tensor value, Tensor? mask=None, Tensor? query_starts=None, "
      "Tensor? key_starts=None, Tensor? key_rows=None, Tensor? key_lengths=None, bool causal=False, int window=0, "
      "float? scale=None, float dropout=0.0, "
      "Generator? generator=None, Tensor? row_keys=None, float softcap=0.0) -> Tensor",
      &attention);
}

}  // namespace tunesmith
