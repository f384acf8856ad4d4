// The shapes of operators' results, which plans ask for.
#pragma once
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

namespace tunesmith {

inline const at::Tensor& tensor_at(const torch::jit::Stack& arguments, size_t i) { return arguments[i].toTensor(); }

// The results of an operator as tensors without memory. Throws for an operator whose shapes are unknown.
void shapes_of(const c10::OperatorHandle& op, const torch::jit::Stack& arguments, torch::jit::Stack& results);

}  // namespace tunesmith
