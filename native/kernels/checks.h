// Checks of arguments that all operators share, with one-line errors, and conversions from tensors to kernel arguments.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <optional>

#include "planning.h"
#include "table.h"

namespace tunesmith {

inline bool is_half(const at::Tensor& t) { return t.scalar_type() == at::kBFloat16; }
inline Type type_of(const at::Tensor& t) { return is_half(t) ? Type::bfloat16 : Type::float32; }

// Whether the tensors are on the CPU, which has fused kernels; otherwise a composition computes (plain/plain.h). All
// must be on one device. Absent tensors are on any.
class Placement {
 public:
  Placement(const char* op, const at::Tensor& first) : op_(op), device_(first.device()) {}
  template <class... T> static bool on_cpu(const char* op, const at::Tensor& first, const T&... others) {
    TORCH_CHECK(first.defined(), "Expected a tensor as the first argument of tunesmith::", op, ", got none.");
    const Placement placement(op, first);
    (placement.expect(others), ...);
    return placement.device_.is_cpu();
  }

 private:
  const char* op_;
  c10::Device device_;

  void expect(const at::Tensor& t) const {
    TORCH_CHECK(!t.defined() || t.device() == device_, "Expected all tensors of tunesmith::", op_,
                " on one device, got ", device_, " and ", t.device(), ". Copy them with `.to({ device })`.");
  }
  void expect(const std::optional<at::Tensor>& t) const {
    if (t) expect(*t);
  }
  void expect(at::TensorList tensors) const {
    for (const at::Tensor& t : tensors) expect(t);
  }
};

// A dense float tensor on any device. Compositions compute in float16 too, the kernels of the CPU do not.
inline void check_values(const at::Tensor& t, const char* op, const char* name) {
  TORCH_CHECK(t.defined(), "Expected a tensor as `", name, "` of tunesmith::", op, ", got none.");
  const auto type = t.scalar_type();
  TORCH_CHECK(type == at::kFloat || type == at::kBFloat16 || (type == at::kHalf && !t.device().is_cpu()),
              "Expected float32 or bfloat16 as `", name, "` of tunesmith::", op, ", got ", type, ".");
  TORCH_CHECK(t.layout() == at::kStrided, "Expected a dense tensor as `", name, "` of tunesmith::", op, ".");
}

inline void check_vector_values(const at::Tensor& t, int64_t size, const char* op, const char* name) {
  check_values(t, op, name);
  TORCH_CHECK(t.dim() == 1 && t.size(0) == size, "Expected shape [", size, "] for `", name, "` of tunesmith::", op,
              ", got ", t.sizes(), ".");
}

// The same for operators without a composition, whose kernels read the memory of the CPU.
inline void check_cpu(const at::Tensor& t, const char* op, const char* name) {
  TORCH_CHECK(!t.defined() || t.device().is_cpu(), "Expected a CPU tensor as `", name, "` of tunesmith::", op,
              ", got one on ", t.device(), ". The operator has a kernel for the CPU only.");
}
inline void check_float(const at::Tensor& t, const char* op, const char* name) {
  check_values(t, op, name);
  check_cpu(t, op, name);
}
inline void check_vector(const at::Tensor& t, int64_t size, const char* op, const char* name) {
  check_vector_values(t, size, op, name);
  check_cpu(t, op, name);
}

inline void check_cap(double cap, const char* op) {
  TORCH_CHECK(cap >= 0 && std::isfinite(cap), "Expected 0 or a positive number as cap of tunesmith::", op, ", got ",
              cap, ".");
}

// The kernels have a first derivative only; without this check a second one would silently be zero.
inline void check_first_derivative(const char* op) {
  if (planning()) name_operator(op, true);
  TORCH_CHECK(!at::GradMode::is_enabled(), "Expected no second derivative of tunesmith::", op,
              ", got create_graph. Compose it of plain operators instead.");
}

// An undefined tensor becomes none: autograd functions take optional tensors, not undefined ones.
inline std::optional<at::Tensor> given(const std::optional<at::Tensor>& t) {
  return t.has_value() && t->defined() ? t : std::nullopt;
}

inline const void* address(const at::Tensor& t) { return t.const_data_ptr(); }
inline void* mutable_address(const at::Tensor& t) { return t.mutable_data_ptr(); }
inline const void* address_or_null(const at::Tensor& t) { return t.defined() ? t.const_data_ptr() : nullptr; }

// A two-dimensional tensor as the kernels see it; any strides.
inline Matrix matrix_of(const at::Tensor& t) { return {t.const_data_ptr(), type_of(t), t.stride(0), t.stride(1)}; }
inline Matrix transposed(Matrix m) { return {m.data, m.type, m.column_stride, m.row_stride}; }

// Whether gradients are recorded and at least one argument requires one.
template <class... T> bool wants_gradient(const T&... tensors) {
  return at::GradMode::is_enabled() && (... || (tensors.defined() && tensors.requires_grad()));
}

}  // namespace tunesmith
