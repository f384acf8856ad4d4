// Uses our own products of pairs for bf16 on Zen 4, where they are faster than oneDNN's. Else ATen for bf16 where the
// processor has bf16 instructions, and our packed product elsewhere: there ATen's bf16 has a fifth of the fp32 speed.
// Where there are matrix tiles (AMX), products of many rows are ours, too. Uses ours for fp32 on AMD processors, where
// it is faster than MKL: by 5 to 15 % with AVX2, twice with AVX-512, which MKL does not use there, and everywhere for
// batch-invariant results, as other libraries choose kernels by the number of rows. What was measured on a machine
// (src/tensor/products.ts) takes the place of these rules, but for some rows by tiles, which no library does as fast.
// TUNESMITH_GEMM=own or =aten overrides all of it, for measurements.
#include "product.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "checks.h"
#include "gemm.h"
#include "pair-product.h"
#include "tile-product.h"

namespace tunesmith {
namespace {

enum class Choice { automatic, own, aten };
Choice read_choice() {
  const char* wanted = std::getenv("TUNESMITH_GEMM");
  if (wanted != nullptr && std::strcmp(wanted, "own") == 0) return Choice::own;
  if (wanted != nullptr && std::strcmp(wanted, "aten") == 0) return Choice::aten;
  return Choice::automatic;
}
Choice wanted_choice() {
  static const Choice wanted = read_choice();
  return wanted;
}

// Which product of a layer: they read their operands in other directions, so the faster side may be another one.
enum Form { forward, input_gradient, weight_gradient, forms };
Form form_of(const at::Tensor& a, const at::Tensor& b) {
  if (a.stride(1) != 1) return weight_gradient;
  return b.stride(1) == 1 ? input_gradient : forward;
}

// As measured on this machine, of float32 and bfloat16; automatic where nothing was.
std::atomic<Choice> measured[2][forms];

bool is_amd() {
#if defined(__x86_64__)
  static const bool amd = (__builtin_cpu_init(), __builtin_cpu_is("amd"));
  return amd;
#else
  return false;
#endif
}

// The family of processors on which products of pairs were measured to be faster than oneDNN's. Others may measure it.
bool is_zen4() {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  return is_amd() && __get_cpuid(1, &a, &b, &c, &d) != 0 && ((a >> 8) & 0xf) + ((a >> 20) & 0xff) == 0x19;
#else
  return false;
#endif
}

Choice choice_of(bool half, Form form) {
  return wanted_choice() != Choice::automatic ? wanted_choice() : measured[half][form].load();
}

// Products of pairs in place of the libraries' bf16 products, for the shapes that they take.
bool prefers_pairs(Form form) {
  if (!has_pair_products()) return false;
  const Choice choice = choice_of(true, form);
  if (choice != Choice::automatic) return choice == Choice::own;
  static const bool faster = is_zen4() || !has_native_bfloat16();
  return faster && !matrix_tiles();
}

// Matrix tiles in place of oneDNN's products of many rows.
bool prefers_tiles(Form form) { return matrix_tiles() && choice_of(true, form) != Choice::aten; }

// Whether there is a fast product of bf16 for what products of pairs leave.
bool has_bfloat16_library() { return has_native_bfloat16() && wanted_choice() != Choice::own; }

bool prefers_aten(bool half, Form form) {
  if (half && prefers_pairs(form)) return has_bfloat16_library();
  const Choice choice = choice_of(half, form);
  if (choice != Choice::automatic) return choice == Choice::aten;
  return half ? has_native_bfloat16() : !is_amd();
}

bool has_unit_stride(const at::Tensor& x) { return x.stride(0) == 1 || x.stride(1) == 1; }

// By the form: own or libraries.
void set_products(bool half, std::string one, std::string two, std::string three) {
  const std::string* makers[] = {&one, &two, &three};
  for (const std::string* maker : makers)
    TORCH_CHECK(*maker == "own" || *maker == "libraries", "Expected own or libraries, got ", *maker, ".");
  for (int form = 0; form < forms; form++) measured[half][form] = *makers[form] == "own" ? Choice::own : Choice::aten;
}

bool uses_own_products(bool half, int64_t form) {
  TORCH_CHECK(form >= 0 && form < forms, "Expected a form from 0 to 2, got ", form, ".");
  const Form asked = static_cast<Form>(form);
  return half && (prefers_pairs(asked) || prefers_tiles(asked)) ? true : !prefers_aten(half, asked);
}

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def("set_products(bool half, str forward, str input_gradient, str weight_gradient) -> ()", &set_products);
  m.def("uses_own_products(bool half, int form) -> bool", &uses_own_products);
  // For tests: their rows have the same bits in any batch.
  m.def("uses_pair_products(int form) -> bool",
        [](int64_t form) { return uses_own_products(true, form) && prefers_pairs(static_cast<Form>(form)); });
}

}  // namespace

void product_out(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias, bool add,
                 const float* panels) {
  at::NoGradGuard no_grad;
  const bool same = a.scalar_type() == b.scalar_type() && a.scalar_type() == out.scalar_type();
  const bool invariant = batch_invariant() && !is_half(a);
  const Form form = form_of(a, b);
  const int64_t rows = out.size(0), columns = out.size(1), depth = a.size(1);
  const bool by_pairs = same && is_half(a) && prefers_pairs(form);
  const bool few = by_pairs && !add && takes_few_pairs(rows) && a.stride(1) == 1 && b.stride(0) == 1;
  const bool many =
      by_pairs && takes_pairs(rows, columns, depth, has_bfloat16_library()) && has_unit_stride(a) && has_unit_stride(b);
  Product p{};
  p.rows = rows;
  p.columns = columns;
  p.depth = depth;
  // Plans have no memory.
  p.a = {nullptr, type_of(a), a.stride(0), a.stride(1)};
  p.b = {nullptr, type_of(b), b.stride(0), b.stride(1)};
  const bool by_tiles = prefers_tiles(form) && takes_tiles(p);
  const bool rows_by_tiles = wanted_choice() != Choice::aten && takes_tile_rows(p);
  const bool aten = same && !by_tiles && !rows_by_tiles && !few && !many && !invariant &&
                    prefers_aten(is_half(a), form) && !(add && bias.defined());
  if (planning()) {
    count_product(rows, columns, depth);
    if (aten && bias.defined()) bias.to(out.scalar_type());
    return;
  }
  p.a = matrix_of(a);
  p.b = matrix_of(b);
  p.out = mutable_address(out);
  p.out_type = type_of(out);
  p.out_stride = out.stride(0);
  p.bias = address_or_null(bias);
  p.bias_type = bias.defined() ? type_of(bias) : Type::float32;
  p.add_to_out = add;
  if (by_tiles) return multiply_by_tiles(p);
  if (rows_by_tiles) return multiply_rows_by_tiles(p);
  if (few) return multiply_few_by_pairs(p);
  if (many) return multiply_by_pairs(p);
  if (aten) {
    at::Tensor target = out;
    if (add) target.addmm_(a, b);
    // A bias kept in fp32 beside bf16 is rounded as autocast rounds it.
    else if (bias.defined())
      at::addmm_out(target, bias.to(out.scalar_type()), a, b);
    else
      at::mm_out(target, a, b);
    return;
  }
  p.panels = invariant ? panels : nullptr;
  multiply(p);
}

bool prefers_forward_pairs() { return prefers_pairs(forward); }

bool prefers_pair_products() {
  return prefers_pairs(forward) && prefers_pairs(input_gradient) && prefers_pairs(weight_gradient);
}

at::Tensor column_sum(const at::Tensor& given) {
  at::Tensor x = given.stride(1) == 1 || given.numel() == 0 ? given : given.contiguous();
  const int64_t rows = x.size(0), width = x.size(1);
  const int64_t parts = std::max<int64_t>(1, std::min<int64_t>(at::get_num_threads(), rows / 64));
  at::Tensor partial = at::zeros({parts, width}, at::kFloat);
  if (rows == 0 || width == 0) return partial[0];
  float* sums = partial.mutable_data_ptr<float>();
  const char* data = static_cast<const char*>(address(x));
  const int64_t bytes = x.element_size(), step = (rows + parts - 1) / parts;
  over_values(0, parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      const int64_t from = i * step, count = std::min(step, rows - from);
      if (count > 0)
        kernels().column_sums(data + from * x.stride(0) * bytes, type_of(x), count, width, x.stride(0),
                              sums + i * width);
    }
  });
  for (int64_t i = 1; i < parts && !planning(); i++)
    kernels().column_sums(sums + i * width, Type::float32, 1, width, width, sums);
  return partial[0];
}

}  // namespace tunesmith
