// Rows as blocks of the quantised types of GGUF files, with the bytes that ggml writes.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <string>

#include "checks.h"

namespace tunesmith {
namespace {

using at::Tensor;

struct WrittenType {
  const char* name;
  RowType type;
  int64_t values, bytes;
  bool weighted;  // whether ggml uses an importance matrix
};
constexpr WrittenType types[] = {{"Q4_0", RowType::q4_0, 32, 18, true},     {"Q4_1", RowType::q4_1, 32, 20, true},
                                 {"Q5_0", RowType::q5_0, 32, 22, true},     {"Q5_1", RowType::q5_1, 32, 24, true},
                                 {"Q8_0", RowType::q8_0, 32, 34, false},    {"Q2_K", RowType::q2_k, 256, 84, true},
                                 {"Q3_K", RowType::q3_k, 256, 110, true},   {"Q4_K", RowType::q4_k, 256, 144, true},
                                 {"Q5_K", RowType::q5_k, 256, 176, true},   {"Q6_K", RowType::q6_k, 256, 210, true},
                                 {"IQ4_NL", RowType::iq4_nl, 32, 18, true}, {"IQ4_XS", RowType::iq4_xs, 256, 136, true},
                                 {"MXFP4", RowType::mxfp4, 32, 17, false}};

const WrittenType& type_named(c10::string_view name) {
  std::string all;
  for (const WrittenType& type : types) {
    if (name == type.name) return type;
    all += (all.empty() ? "" : ", ") + std::string(type.name);
  }
  TORCH_CHECK(false, "Expected one of ", all, " as `format` of tunesmith::quantize_blocks, got ",
              std::string(name.substr(0, 40)), ".");
}

Tensor quantize_blocks(const Tensor& values, c10::string_view format, const std::optional<Tensor>& importance) {
  check_float(values, "quantize_blocks", "values");
  const WrittenType& type = type_named(format);
  TORCH_CHECK(values.dim() == 2 && values.size(1) > 0 && values.size(1) % type.values == 0,
              "Expected rows of whole blocks of ", type.values, " values (", type.name,
              ") as `values` of tunesmith::quantize_blocks, got ", values.sizes(), ".");
  const int64_t width = values.size(1), row_bytes = width / type.values * type.bytes;
  Tensor weights;
  if (given(importance)) {
    TORCH_CHECK(type.weighted, "Expected no `importance` for ", type.name, " of tunesmith::quantize_blocks, got one.");
    check_vector(*importance, width, "quantize_blocks", "importance");
    weights = importance->to(at::kFloat).contiguous();
  }
  Tensor out = at::empty({values.size(0), row_bytes}, values.options().dtype(at::kByte));
  const Tensor rows = values.to(at::kFloat).contiguous();
  const float* from = rows.const_data_ptr<float>();
  const float* by_column = weights.defined() ? weights.const_data_ptr<float>() : nullptr;
  uint8_t* to = out.mutable_data_ptr<uint8_t>();
  over_values(0, values.size(0), std::max<int64_t>(1, 4096 / width), [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++)
      kernels().encode_row(type.type, from + row * width, width, by_column, to + row * row_bytes);
  });
  return out;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def("quantize_blocks(Tensor values, str format, Tensor? importance) -> Tensor", &quantize_blocks);
}

}  // namespace tunesmith
