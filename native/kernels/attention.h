// tunesmith::attention as a function, for fused layers.
#pragma once
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <optional>

#include "table.h"

namespace tunesmith {

// Of attention_few: how many heads from `head` on, of `left`, share its keys and are computed at once, and its scratch.
int64_t heads_together(int64_t head, int64_t groups, int64_t left);
int64_t few_scratch(const AttentionHead& head);

at::Tensor attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                     const std::optional<at::Tensor>& mask, const std::optional<at::Tensor>& query_starts,
                     const std::optional<at::Tensor>& key_starts, const std::optional<at::Tensor>& key_rows,
                     const std::optional<at::Tensor>& key_lengths, bool causal, int64_t window,
                     std::optional<double> scale, double dropout, const std::optional<at::Generator>& generator,
                     const std::optional<at::Tensor>& row_keys, double softcap = 0);

}  // namespace tunesmith
