// Large pages of the system for memory that is read often.
#pragma once
#include <ATen/core/Tensor.h>

namespace tunesmith {

// Whether the system agreed.
bool use_large_pages(const at::Tensor& tensor);

}  // namespace tunesmith
