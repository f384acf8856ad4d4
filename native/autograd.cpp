// Autograd for JavaScript: backward, gradients, modes, and functions with a JavaScript callback as backward, which
// activation checkpointing uses.
#include "accelerator.h"
#include "binding.h"

#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/edge.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/variable.h>

#include <memory>

namespace tunesmith {
namespace {

using torch::autograd::variable_list;

// Thrown through the autograd engine in the place of a JavaScript exception, which is stored in the Environment.
struct CallbackFailed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Stores the exception of a callback, which `through_engine` throws again.
void keep_exception(Environment& environment) {
  napi_value error;
  if (napi_get_and_clear_last_exception(environment.env, &error) != napi_ok) return;
  if (environment.callback_error != nullptr) napi_delete_reference(environment.env, environment.callback_error);
  environment.callback_error = nullptr;
  napi_create_reference(environment.env, error, 1, &environment.callback_error);
}

struct CallbackNode : torch::autograd::Node {
  Environment* environment;
  napi_ref callback;
  variable_list saved;  // without history, so that no cycle keeps the graph alive
  std::vector<int64_t> versions;

  CallbackNode(Environment* e, napi_ref c, const std::vector<at::Tensor>& keep) : environment(e), callback(c) {
    for (const auto& tensor : keep) {
      saved.push_back(tensor.detach());
      versions.push_back(tensor.is_inference() ? 0 : tensor._version());
    }
  }

  ~CallbackNode() override { release_variables(); }

  std::string name() const override { return "TunesmithCallback"; }

  // The reference may only be deleted where JavaScript may run, so it is queued.
  void release_variables() override {
    saved.clear();
    std::lock_guard<std::mutex> lock(environment->mutex);
    if (callback != nullptr) environment->dead_references.push_back(callback);
    callback = nullptr;
  }

  variable_list apply(variable_list&& gradients) override {
    TORCH_CHECK(std::this_thread::get_id() == environment->thread,
                "a checkpointed segment's backward pass must run on the thread that made it");
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "a checkpointed segment has a first derivative only; compute this one without checkpoint()");
    TORCH_CHECK(callback != nullptr,
                "Trying to backward through a checkpointed segment a second time; keep the graph with retainGraph");
    for (size_t i = 0; i < saved.size(); i++)
      TORCH_CHECK(saved[i].is_inference() || saved[i]._version() == versions[i], "input ", i,
                  " of a checkpointed segment, of shape ", saved[i].sizes(),
                  ", was modified by an inplace operation before its backward pass");
    napi_env env = environment->env;
    napi_handle_scope scope;
    napi_open_handle_scope(env, &scope);
    napi_value function, array, inputs, result, receiver = make_undefined(env);
    napi_get_reference_value(env, callback, &function);
    napi_create_array_with_length(env, gradients.size(), &array);
    for (size_t i = 0; i < gradients.size(); i++) napi_set_element(env, array, i, make_tensor(env, gradients[i]));
    napi_create_array_with_length(env, saved.size(), &inputs);
    for (size_t i = 0; i < saved.size(); i++) napi_set_element(env, inputs, i, make_tensor(env, saved[i].detach()));
    const napi_value arguments[] = {array, inputs};
    const napi_status status = napi_call_function(env, receiver, function, 2, arguments, &result);
    if (status != napi_ok) {
      keep_exception(*environment);
      napi_close_handle_scope(env, scope);
      throw CallbackFailed("a backward callback failed");
    }
    variable_list output(num_outputs());
    uint32_t length = 0;
    bool is_array = false;
    napi_is_array(env, result, &is_array);
    if (is_array) napi_get_array_length(env, result, &length);
    std::string fault = !is_array || length != num_outputs()
                            ? "a backward callback must return one gradient (or 0) for each input"
                            : "";
    for (uint32_t i = 0; i < length; i++) {  // takes over every handle, also when there are too many
      napi_value element;
      double handle = 0;
      napi_get_element(env, result, i, &element);
      if (napi_get_value_double(env, element, &handle) != napi_ok || handle == 0) continue;
      if (fault.empty()) output[i] = get_tensor(static_cast<Handle>(handle));
      drop_tensor(static_cast<Handle>(handle));
    }
    napi_close_handle_scope(env, scope);
    TORCH_CHECK(fault.empty(), fault);
    return output;
  }
};

// Older versions of libtorch use shared_ptr for nodes and newer ones intrusive_ptr: use the type of an edge's pointer.
using NodePointer = decltype(torch::autograd::Edge::function);
template <typename Pointer> struct MakeNode;
template <typename Base> struct MakeNode<std::shared_ptr<Base>> {
  template <typename Derived, typename... A> static std::shared_ptr<Base> make(A&&... arguments) {
    return std::make_shared<Derived>(std::forward<A>(arguments)...);
  }
};
template <typename Base> struct MakeNode<c10::intrusive_ptr<Base>> {
  template <typename Derived, typename... A> static c10::intrusive_ptr<Base> make(A&&... arguments) {
    return c10::make_intrusive<Derived>(std::forward<A>(arguments)...);
  }
};

// Rethrows the JavaScript exception that a callback raised, if one did.
template <typename Body> napi_value through_engine(napi_env env, Body&& body) {
  return guarded_read(env, [&]() -> napi_value {
    Environment& environment = environment_of(env);
    settle(environment);
    try {
      return body();
    } catch (...) {
      if (environment.callback_error == nullptr) throw;
      napi_value error;
      napi_get_reference_value(env, environment.callback_error, &error);
      napi_delete_reference(env, environment.callback_error);
      environment.callback_error = nullptr;
      napi_throw(env, error);
      return nullptr;
    }
  });
}

std::vector<at::Tensor> read_gradients(napi_env env, napi_value value, size_t count) {
  bool is_array = false;
  napi_is_array(env, value, &is_array);
  if (!is_array) return {};
  std::vector<at::Tensor> gradients(count);
  for (size_t i = 0; i < count; i++) {
    napi_value element;
    napi_valuetype type;
    napi_get_element(env, value, i, &element);
    napi_typeof(env, element, &type);
    if (type == napi_number) gradients[i] = read_tensor(env, element);
  }
  return gradients;
}

// backward(roots, gradients | undefined, retainGraph): accumulates into the leaves' gradients
TUNESMITH_FUNCTION(backward) {
  return through_engine(env, [&] {
    Arguments a(env, info);
    const auto roots = read_tensors(env, a[0], "roots");
    const LimitedMemory memory;
    torch::autograd::backward(roots, read_gradients(env, a[1], roots.size()), read_bool(env, a[2], "retainGraph"));
    memory.expect_within();
    return make_undefined(env);
  });
}

// gradientsOf(roots, inputs, gradients | undefined, retainGraph, createGraph, allowUnused) -> handles
TUNESMITH_FUNCTION(gradients_of) {
  return through_engine(env, [&] {
    Arguments a(env, info);
    const auto roots = read_tensors(env, a[0], "roots"), inputs = read_tensors(env, a[1], "inputs");
    const bool create_graph = read_bool(env, a[4], "createGraph");
    const LimitedMemory memory;
    const auto found =
        torch::autograd::grad(roots, inputs, read_gradients(env, a[2], roots.size()),
                              read_bool(env, a[3], "retainGraph"), create_graph, read_bool(env, a[5], "allowUnused"));
    memory.expect_within();
    napi_value result;
    check(env, napi_create_array_with_length(env, found.size(), &result), "an array");
    for (size_t i = 0; i < found.size(); i++) napi_set_element(env, result, i, make_tensor(env, found[i]));
    return result;
  });
}

// attachBackward(outputs, inputs, callback, saved) -> handles of the outputs with history: callback(gradients of
// outputs, saved) returns the inputs' gradients; saved tensors are freed as soon as backward no longer needs them
TUNESMITH_FUNCTION(attach_backward) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const auto outputs = read_tensors(env, a[0], "outputs"), inputs = read_tensors(env, a[1], "inputs"),
               saved = read_tensors(env, a[3], "saved");
    napi_valuetype type;
    napi_typeof(env, a[2], &type);
    if (type != napi_function) throw ArgumentError("expected a function for `callback`");
    for (const auto& output : outputs)
      TORCH_CHECK(at::isFloatingType(output.scalar_type()), "expected floating-point outputs of a segment, got ",
                  output.scalar_type());
    napi_ref reference;
    check(env, napi_create_reference(env, a[2], 1, &reference), "the callback");
    Environment& environment = environment_of(env);
    auto node = MakeNode<NodePointer>::make<CallbackNode>(&environment, reference, saved);
    node->set_next_edges(torch::autograd::collect_next_edges(inputs));
    napi_value result;
    check(env, napi_create_array_with_length(env, outputs.size(), &result), "an array");
    for (size_t i = 0; i < outputs.size(); i++) {
      at::Tensor output = outputs[i].detach();
      torch::autograd::set_history(output, node);
      napi_set_element(env, result, i, make_tensor(env, output));
    }
    return result;
  });
}

TUNESMITH_FUNCTION(requires_grad) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return make_bool(env, read_tensor(env, a[0]).requires_grad());
  });
}

TUNESMITH_FUNCTION(set_requires_grad) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const at::Tensor tensor = read_tensor(env, a[0]);
    const bool value = read_bool(env, a[1], "requiresGrad");
    TORCH_CHECK(value || tensor.is_leaf(), "only a leaf can stop requiring a gradient; use detach()");
    TORCH_CHECK(!value || at::isFloatingType(tensor.scalar_type()) || at::isComplexType(tensor.scalar_type()),
                "only floating-point tensors can require a gradient, got ", tensor.scalar_type());
    tensor.set_requires_grad(value);
    return make_undefined(env);
  });
}

TUNESMITH_FUNCTION(is_leaf) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return make_bool(env, read_tensor(env, a[0]).is_leaf());
  });
}

TUNESMITH_FUNCTION(retain_grad) {
  return guarded(env, [&] {
    Arguments a(env, info);
    read_tensor(env, a[0]).retain_grad();
    return make_undefined(env);
  });
}

TUNESMITH_FUNCTION(grad) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const at::Tensor tensor = read_tensor(env, a[0]);
    return make_tensor(env, tensor.is_leaf() || tensor.retains_grad() ? tensor.grad() : at::Tensor());
  });
}

// setGrad(handle, gradient | null)
TUNESMITH_FUNCTION(set_grad) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const at::Tensor tensor = read_tensor(env, a[0]);
    napi_valuetype type;
    napi_typeof(env, a[1], &type);
    if (type != napi_number) {
      tensor.mutable_grad().reset();
      return make_undefined(env);
    }
    const at::Tensor gradient = read_tensor(env, a[1]);
    TORCH_CHECK(gradient.sizes() == tensor.sizes(), "expected a gradient of shape ", tensor.sizes(), ", got ",
                gradient.sizes());
    TORCH_CHECK(gradient.scalar_type() == tensor.scalar_type() && gradient.device() == tensor.device(),
                "expected a gradient of type ", tensor.scalar_type(), " on ", tensor.device(), ", got ",
                gradient.scalar_type(), " on ", gradient.device());
    tensor.mutable_grad() = gradient;
    return make_undefined(env);
  });
}

// clearGrads(handles): frees the gradients of many tensors
TUNESMITH_FUNCTION(clear_grads) {
  return guarded(env, [&] {
    Arguments a(env, info);
    for (const auto& tensor : read_tensors(env, a[0], "tensors")) tensor.mutable_grad().reset();
    return make_undefined(env);
  });
}

// A JavaScript function that several hooks share.
struct SharedCallback {
  Environment* environment;
  napi_ref reference;
  SharedCallback(Environment* e, napi_ref r) : environment(e), reference(r) {}
  SharedCallback(const SharedCallback&) = delete;
  ~SharedCallback() {
    std::lock_guard<std::mutex> lock(environment->mutex);
    environment->dead_references.push_back(reference);
  }
};

struct GradientHook : torch::autograd::PostAccumulateGradHook {
  std::shared_ptr<SharedCallback> callback;
  size_t index;

  GradientHook(std::shared_ptr<SharedCallback> shared, size_t i) : callback(std::move(shared)), index(i) {}

  void operator()(const at::Tensor&) override {
    Environment& environment = *callback->environment;
    TORCH_CHECK(std::this_thread::get_id() == environment.thread,
                "a watched gradient must be computed on the thread that watches it");
    napi_env env = environment.env;
    napi_handle_scope scope;
    napi_open_handle_scope(env, &scope);
    napi_value function, result, receiver = make_undefined(env);
    napi_get_reference_value(env, callback->reference, &function);
    const napi_value argument = make_number(env, static_cast<double>(index));
    const napi_status status = napi_call_function(env, receiver, function, 1, &argument, &result);
    if (status != napi_ok) keep_exception(environment);
    napi_close_handle_scope(env, scope);
    if (status != napi_ok) throw CallbackFailed("a callback of a gradient failed");
  }
};

// watchGradients(handles, callback | undefined): calls it with the position of a leaf each time that a backward pass
// has added to its gradient. Undefined removes the callback.
TUNESMITH_FUNCTION(watch_gradients) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const auto tensors = read_tensors(env, a[0], "tensors");
    napi_valuetype type;
    napi_typeof(env, a[1], &type);
    std::shared_ptr<SharedCallback> shared;
    if (type == napi_function) {
      napi_ref reference;
      check(env, napi_create_reference(env, a[1], 1, &reference), "the callback");
      shared = std::make_shared<SharedCallback>(&environment_of(env), reference);
    }
    for (size_t i = 0; i < tensors.size(); i++) {
      TORCH_CHECK(tensors[i].is_leaf() && tensors[i].requires_grad(), "only gradients of leaves can be watched");
      torch::autograd::impl::set_post_acc_grad_hooks(tensors[i],
                                                     shared ? std::make_unique<GradientHook>(shared, i) : nullptr);
    }
    return make_undefined(env);
  });
}

// setGradMode(enabled) -> the previous mode; the mode belongs to the calling thread
TUNESMITH_FUNCTION(set_grad_mode) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const bool before = at::GradMode::is_enabled();
    at::GradMode::set_enabled(read_bool(env, a[0], "enabled"));
    return make_bool(env, before);
  });
}

TUNESMITH_FUNCTION(grad_mode) {
  return guarded(env, [&] { return make_bool(env, at::GradMode::is_enabled()); });
}

TUNESMITH_FUNCTION(enter_inference) {
  return guarded(env, [&] {
    environment_of(env).inference_guards.push_back(new c10::InferenceMode(true));
    return make_undefined(env);
  });
}

TUNESMITH_FUNCTION(leave_inference) {
  return guarded(env, [&] {
    auto& guards = environment_of(env).inference_guards;
    if (guards.empty()) throw ArgumentError("not in inference mode");
    delete static_cast<c10::InferenceMode*>(guards.back());
    guards.pop_back();
    return make_undefined(env);
  });
}

}  // namespace

std::vector<Export> autograd_exports() {
  return {{"backward", backward},
          {"gradientsOf", gradients_of},
          {"attachBackward", attach_backward},
          {"requiresGrad", requires_grad},
          {"setRequiresGrad", set_requires_grad},
          {"isLeaf", is_leaf},
          {"retainGrad", retain_grad},
          {"grad", grad},
          {"setGrad", set_grad},
          {"clearGrads", clear_grads},
          {"watchGradients", watch_gradients},
          {"setGradMode", set_grad_mode},
          {"gradMode", grad_mode},
          {"enterInference", enter_inference},
          {"leaveInference", leave_inference}};
}

}  // namespace tunesmith
