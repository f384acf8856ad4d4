// tunesmith::keep_packed: weights of a model that is served stay in the layout of packed products, beside themselves.
// Batch-invariant products pack their weight, which costs as much as the product itself where there are few rows. The
// panels depend on the weight only, so the results have the same bits as without. Matrices of blocks are kept in the
// layout of their products in the same way.
#include "packed-weights.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "../mapped-files.h"
#include "checks.h"
#include "gemm.h"
#include "large-pages.h"

namespace tunesmith {
namespace {

using at::Tensor;

using Owner = c10::weak_intrusive_ptr<c10::TensorImpl>;

// A weak reference keeps the address of a tensor from being used for another one. `order` is that of the rows of
// blocks.
struct Kept {
  Owner owner;
  std::optional<Owner> order;
  uint32_t version = 0;
  Tensor panels;
};

std::mutex guard;
std::unordered_map<const c10::TensorImpl*, Kept> kept;
std::atomic<bool> any{false};
std::atomic<uint64_t> changes{0};

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
    kept.try_emplace(weight.unsafeGetTensorImpl(), Kept{Owner(weight.getIntrusivePtr()), {}, 0, Tensor()});
    elements += weight.numel();
  }
  any = !kept.empty();
  changes++;
  return elements;
}

bool has_order(const Kept& entry, const Tensor& order) {
  if (!order.defined() || !entry.order.has_value()) return order.defined() == entry.order.has_value();
  return entry.order->_unsafe_get_target() == order.unsafeGetTensorImpl();
}

int64_t sixteens(const BlockMatrix& matrix) { return (matrix.rows + 15) / 16; }

// The bytes of the layout, which is kept from now on. One order of the rows of `blocks` has one.
int64_t keep_packed_blocks(const Tensor& blocks, c10::string_view format, const std::optional<Tensor>& order) {
  const BlockMatrix matrix = block_matrix(blocks, format, order, "keep_packed_blocks");
  const std::lock_guard<std::mutex> lock(guard);
  forget_freed();
  const auto found = kept.find(blocks.unsafeGetTensorImpl());
  if (found == kept.end() || !has_order(found->second, matrix.order)) {
    Kept entry{Owner(blocks.getIntrusivePtr()), {}, 0, Tensor()};
    if (matrix.order.defined()) entry.order = Owner(matrix.order.getIntrusivePtr());
    kept.insert_or_assign(blocks.unsafeGetTensorImpl(), std::move(entry));
  }
  any = true;
  changes++;
  return sixteens(matrix) * kernels().interleaved_bytes(matrix.code, matrix.columns);
}

void drop_packed(at::TensorList weights) {
  const std::lock_guard<std::mutex> lock(guard);
  for (const Tensor& weight : weights) kept.erase(weight.unsafeGetTensorImpl());
  forget_freed();
  changes++;
}

}  // namespace

uint64_t packed_state() { return changes.load(std::memory_order_relaxed); }

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

const void* kept_blocks(const BlockMatrix& matrix) {
  if (!any.load(std::memory_order_relaxed) || planning()) return nullptr;
  const std::lock_guard<std::mutex> lock(guard);
  const auto found = kept.find(matrix.blocks.unsafeGetTensorImpl());
  if (found == kept.end()) return nullptr;
  Kept& entry = found->second;
  if (!has_order(entry, matrix.order)) return nullptr;
  const uint32_t version = version_of(matrix.blocks);
  if (!entry.panels.defined() || entry.version != version) {
    const int64_t bytes = kernels().interleaved_bytes(matrix.code, matrix.columns), units = sixteens(matrix);
    if (!entry.panels.defined()) {
      entry.panels = at::empty({units * bytes}, at::TensorOptions().dtype(at::kByte));
      use_large_pages(entry.panels);
    }
    auto* out = entry.panels.mutable_data_ptr<uint8_t>();
    const PackedMatrix stored = matrix.view();
    const uint64_t truncated = truncated_reads();
    at::parallel_for(0, units, std::max<int64_t>(1, 4096 / matrix.columns), [&](int64_t first, int64_t last) {
      kernels().interleave(stored, matrix.rows, first, last, out + first * bytes);
    });
    entry.version = version;
    // What was read of a file that lost its end is not kept: the next call must notice it too.
    if (truncated_reads() != truncated) {
      entry.panels = Tensor();
      throw_truncated();
    }
    BlockMatrix copied = matrix;
    copied.interleaved = entry.panels.const_data_ptr();
    give_back_copied(copied);
  }
  return entry.panels.const_data_ptr();
}

void give_back_copied(const BlockMatrix& matrix) {
  if (matrix.interleaved == nullptr) return;
  give_back_pages(matrix.blocks.const_data_ptr(), size_t(matrix.blocks.size(0) * matrix.blocks.stride(0)));
}

TORCH_LIBRARY_FRAGMENT(tunesmith, m) {
  m.def("keep_packed(Tensor[] weights) -> int", &keep_packed);
  m.def("keep_packed_blocks(Tensor blocks, str format, Tensor? order) -> int", &keep_packed_blocks);
  m.def("drop_packed(Tensor[] weights) -> ()", &drop_packed);
}

}  // namespace tunesmith
