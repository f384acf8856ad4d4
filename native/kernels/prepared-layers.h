// The layers of a fused call, checked once for many calls. JavaScript holds them as a tensor without elements. They own
// no weight: each use takes the weights again, compares them with what was checked, and checks all anew where one
// differs.
#pragma once
#include <ATen/core/List.h>
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <c10/util/string_view.h>

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "block-matrix.h"
#include "packed-weights.h"
#include "planning.h"

namespace tunesmith {

// A tensor as it was when it was checked. The reference is weak: the memory of a weight that is freed is given back.
class SeenTensor {
 public:
  // @throws c10::Error for a tensor without memory or with more than two dimensions
  SeenTensor(const at::Tensor& tensor, const char* op);
  // The tensor, undefined where it was freed.
  at::Tensor take() const;
  // Whether it has the memory, the shape and the values that it had.
  bool is_unchanged(const at::Tensor& tensor) const;

 private:
  c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl> owner_;
  const void* data_;
  uint32_t version_;
  at::ScalarType type_;
  int64_t dimensions_;
  std::array<int64_t, 2> sizes_{}, strides_{};
};

// Tensors of all layers, some of which are none.
using LayerTensors = std::vector<at::Tensor>;

// The tensors of a call's argument.
LayerTensors layer_tensors(const c10::List<std::optional<at::Tensor>>& given);

// Tensors that are taken and compared together.
class SeenTensors {
 public:
  void see(const LayerTensors& tensors, const char* op);
  // @throws c10::Error where one was freed
  LayerTensors take(const char* op) const;
  bool are_unchanged(const LayerTensors& tensors) const;

 private:
  std::vector<std::optional<SeenTensor>> seen_;
};

// `Layer` is what a call needs of a layer. It has `static std::vector<Layer> check(parts, formats, orders)`, which
// throws for what does not fit, and `each_tensor(f)`, which calls f with all its tensors.
template <class Layer> class PreparedLayers {
 public:
  PreparedLayers(const LayerTensors& parts, c10::string_view formats, const LayerTensors& orders)
      : formats_(formats.begin(), formats.end()) {
    prepare(parts, orders);
  }

  // The layers with their tensors, for one call.
  std::vector<Layer> use() {
    const std::lock_guard<std::mutex> lock(guard_);
    const LayerTensors parts = parts_.take(Layer::op), orders = orders_.take(Layer::op);
    if (state_ != state() || !parts_.are_unchanged(parts) || !orders_.are_unchanged(orders)) prepare(parts, orders);
    std::vector<Layer> layers = layers_;
    size_t next = 0;
    for (Layer& layer : layers)
      layer.each_tensor([&](at::Tensor& tensor) {
        const Place& place = places_[next++];
        if (place.of == Place::part) tensor = parts[place.number];
        if (place.of == Place::order) tensor = orders[place.number];
        if (place.of == Place::copy) tensor = place.own;
      });
    return layers;
  }

 private:
  // Where a tensor of a layer comes from. A weight that is not contiguous has a copy, which is made again when it
  // changes.
  struct Place {
    enum { none, part, order, copy } of = none;
    size_t number = 0;
    at::Tensor own;
  };
  // Plans check less, and packed layouts come and go.
  using State = std::pair<uint64_t, bool>;
  static State state() { return {packed_state(), planning()}; }

  void prepare(const LayerTensors& parts, const LayerTensors& orders) {
    state_.reset();
    std::vector<c10::string_view> formats = block_formats(formats_);
    std::vector<Layer> layers = Layer::check(parts, formats, orders);
    places_.clear();
    for (Layer& layer : layers)
      layer.each_tensor([&](at::Tensor& tensor) {
        places_.push_back(place_of(tensor, parts, orders));
        tensor = at::Tensor();
      });
    layers_ = std::move(layers);
    parts_.see(parts, Layer::op);
    orders_.see(orders, Layer::op);
    // What was packed meanwhile belongs to these layers.
    state_ = state();
  }

  static Place place_of(const at::Tensor& tensor, const LayerTensors& parts, const LayerTensors& orders) {
    if (!tensor.defined()) return {};
    for (size_t i = 0; i < parts.size(); i++)
      if (parts[i].is_same(tensor)) return {Place::part, i, {}};
    for (size_t i = 0; i < orders.size(); i++)
      if (orders[i].is_same(tensor)) return {Place::order, i, {}};
    return {Place::copy, 0, tensor};
  }

  std::mutex guard_;
  std::string formats_;
  SeenTensors parts_, orders_;
  std::optional<State> state_;
  std::vector<Layer> layers_;  // without tensors
  std::vector<Place> places_;
};

// An object that JavaScript holds as a tensor without elements: it is freed with the tensor.
template <class Object> void free_object(void* object) { delete static_cast<Object*>(object); }

at::Tensor tensor_of_object(void* object, c10::DeleterFnPtr free);
// Null for another tensor.
void* object_of_tensor(const at::Tensor& tensor, c10::DeleterFnPtr free);

template <class Object> at::Tensor hold_object(std::unique_ptr<Object> object) {
  return tensor_of_object(object.release(), &free_object<Object>);
}

// @param made_by the operator whose result is expected
template <class Object> Object& held_object(const at::Tensor& tensor, const char* op, const char* made_by) {
  void* object = object_of_tensor(tensor, &free_object<Object>);
  TORCH_CHECK(object != nullptr, "Expected what `", made_by, "` gave as `layers` of tunesmith::", op,
              ", got another tensor.");
  return *static_cast<Object*>(object);
}

}  // namespace tunesmith
