// tunesmith::keep_packed: weights of a model that is served stay in the layout of packed products, beside themselves.
// Batch-invariant products pack their weight, which costs as much as the product itself where there are few rows. The
// panels depend on the weight only, so the results have the same bits as without.
#include "packed-weights.h"

#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <atomic>
#include <mutex>
#include <unordered_map>

#include "checks.h"
#include "gemm.h"
#include "large-pages.h"

namespace tunesmith {
namespace {

using at::Tensor;

// A weak reference keeps the address of a tensor from being used for another one.
struct Kept {
  c10::weak_intrusive_ptr<c10::TensorImpl> owner;
  uint32_t version = 0;
  Tensor panels;
};

std::mutex guard;
std::unordered_map<const c10::TensorImpl*, Kept> kept;
std::atomic<bool> any{false};

uint32_t version_of(const Tensor& weight) {
  return weight.is_inference() ? 0 : weight.unsafeGetTensorImpl()->version_counter().current_version();
}

void forget_freed() {
  for (auto entry = kept.begin(); entry != kept.end();)
    entry = entry->second.owner.expired() ? kept.erase(entry) : std::next(entry);
  any = !kept.empty();
}

// The number of elements of the weights that are kept from now on.
int64_t keep_packed(at::TensorList weights) {
  const std::lock_guard<std::mutex> lock(guard);
  forget_freed();
  int64_t elements = 0;
  for (const Tensor& weight : weights) {
    check_float(weight, "keep_packed", "weights");
    TORCH_CHECK(weight.scalar_type() == at::kFloat && weight.dim() == 2 && weight.size(1) > 0,
                "Expected float32 [N,K] as `weights` of tunesmith::keep_packed, got ", weight.scalar_type(), " ",
                weight.sizes(), ".");
    c10::weak_intrusive_ptr<c10::TensorImpl> owner(weight.getIntrusivePtr());
    kept.try_emplace(weight.unsafeGetTensorImpl(), Kept{std::move(owner), 0, Tensor()});
    elements += weight.numel();
  }
  any = !kept.empty();
  return elements;
}

void drop_packed(at::TensorList weights) {
  const std::lock_guard<std::mutex> lock(guard);
  for (const Tensor& weight : weights) kept.erase(weight.unsafeGetTensorImpl());
  forget_freed();
}

}  // namespace

const float* kept_panels(const Tensor& weight) {
  if (!any.load(std::memory_order_relaxed)) return nullptr;
  const std::lock_guard<std::mutex> lock(guard);
  const auto found = kept.find(weight.unsafeGetTensorImpl());
  if (found == kept.end()) return nullptr;
  Kept& entry = found->second;
  const uint32_t version = version_of(weight);
  if (!entry.panels.defined() || entry.version != version) {
    if (!entry.panels.defined()) {
      entry.panels = at::empty({panel_floats(weight.size(0), weight.size(1))}, at::TensorOptions().dtype(at::kFloat));
      use_large_pages(entry.panels);
    }
    pack_panels(transposed(matrix_of(weight)), weight.size(1), weight.size(0), entry.panels.mutable_data_ptr<float>());
    entry.version = version;
  }
  return entry.panels.const_data_ptr<float>();
}

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def("keep_packed(Tensor[] weights) -> int", &keep_packed);
  m.def("drop_packed(Tensor[] weights) -> ()", &drop_packed);
}

}  // namespace tunesmith
