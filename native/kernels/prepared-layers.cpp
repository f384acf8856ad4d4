// What layers that were checked once are compared with, and objects that JavaScript holds as tensors.
#include "prepared-layers.h"

#include <c10/core/StorageImpl.h>

#include "checks.h"

namespace tunesmith {

using at::Tensor;

namespace {

uint32_t version_of(const Tensor& tensor) {
  return tensor.is_inference() ? 0 : tensor.unsafeGetTensorImpl()->version_counter().current_version();
}

}  // namespace

SeenTensor::SeenTensor(const Tensor& tensor, const char* op)
    : owner_(tensor.getIntrusivePtr()),
      version_(version_of(tensor)),
      type_(tensor.scalar_type()),
      dimensions_(tensor.dim()) {
  TORCH_CHECK(tensor.has_storage() && dimensions_ <= 2, "Expected weights of one or two dimensions for tunesmith::", op,
              ", got ", tensor.sizes(), ".");
  data_ = tensor.const_data_ptr();
  for (int64_t i = 0; i < dimensions_; i++) {
    sizes_[size_t(i)] = tensor.size(i);
    strides_[size_t(i)] = tensor.stride(i);
  }
}

Tensor SeenTensor::take() const {
  auto strong = owner_.lock();
  return strong ? Tensor(std::move(strong)) : Tensor();
}

bool SeenTensor::is_unchanged(const Tensor& tensor) const {
  if (tensor.dim() != dimensions_ || tensor.scalar_type() != type_ || version_of(tensor) != version_ ||
      tensor.const_data_ptr() != data_)
    return false;
  for (int64_t i = 0; i < dimensions_; i++)
    if (tensor.size(i) != sizes_[size_t(i)] || tensor.stride(i) != strides_[size_t(i)]) return false;
  return true;
}

LayerTensors layer_tensors(const c10::List<std::optional<Tensor>>& given) {
  LayerTensors tensors(given.size());
  for (size_t i = 0; i < given.size(); i++) tensors[i] = given.get(i).value_or(Tensor());
  return tensors;
}

void SeenTensors::see(const LayerTensors& tensors, const char* op) {
  seen_.clear();
  seen_.reserve(tensors.size());
  for (const Tensor& tensor : tensors)
    seen_.push_back(tensor.defined() ? std::optional<SeenTensor>(SeenTensor(tensor, op)) : std::nullopt);
}

LayerTensors SeenTensors::take(const char* op) const {
  LayerTensors tensors(seen_.size());
  for (size_t i = 0; i < seen_.size(); i++) {
    if (!seen_[i].has_value()) continue;
    tensors[i] = seen_[i]->take();
    TORCH_CHECK(tensors[i].defined(), "Expected live weights for tunesmith::", op,
                ", got layers with one that was freed. Prepare them again.");
  }
  return tensors;
}

bool SeenTensors::are_unchanged(const LayerTensors& tensors) const {
  for (size_t i = 0; i < seen_.size(); i++)
    if (seen_[i].has_value() && !seen_[i]->is_unchanged(tensors[i])) return false;
  return true;
}

Tensor tensor_of_object(void* object, c10::DeleterFnPtr free) {
  c10::Storage storage(c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), 0,
                                                             c10::DataPtr(object, object, free, c10::Device(c10::kCPU)),
                                                             nullptr, false));
  return at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(c10::DispatchKey::CPU),
                                                  caffe2::TypeMeta::Make<uint8_t>());
}

void* object_of_tensor(const Tensor& tensor, c10::DeleterFnPtr free) {
  if (!tensor.defined() || !tensor.has_storage()) return nullptr;
  const c10::DataPtr& memory = tensor.storage().data_ptr();
  return memory.get_deleter() == free ? memory.get_context() : nullptr;
}

}  // namespace tunesmith
