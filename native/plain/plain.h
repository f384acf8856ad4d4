// Compositions of ATen operators for every device but the CPU, whose tensors have fused kernels (native/kernels). An
// operator checks its arguments and then calls its kernel or its composition, so both have the same errors. Gradients
// follow from autograd. Sums are in fp32, as in the kernels.
#pragma once
#include <ATen/ATen.h>

#include <optional>
#include <tuple>
#include <vector>

namespace tunesmith::plain {

using at::Tensor;
using Bias = std::optional<Tensor>;

// ---- layers.cpp ----
Tensor linear(const Tensor& input, const Tensor& weight, const Bias& bias);
// silu, gelu or gelu-tanh of `gate`, times `up`.
Tensor activate(const Tensor& gate, const Bias& up, c10::string_view activation);
Tensor soft_cap(const Tensor& input, double cap);
// The residual sum and its layer normalisation (`centered`) or RMS normalisation.
std::tuple<Tensor, Tensor> add_norm(const Tensor& input, const Bias& residual, const Tensor& weight, const Bias& bias,
                                    double epsilon, bool centered);
Tensor embedding(const Tensor& weight, const Tensor& ids, int64_t padding_idx);
Tensor rotary(const Tensor& input, const Tensor& cosine, const Tensor& sine, bool interleaved);

// ---- quantized.cpp: matrices in 8 and 4 bits, as fp32 ----
// Scales that are 8-bit codes of `values` (fp32 [256]), with an outer scale for every `block` of them, around a mean.
Tensor unpack_scales(const Tensor& codes, const Tensor& outer, const Tensor& mean, const Tensor& values, int64_t block);
// int8 [N,K] with a scale for each row.
Tensor unpack_int8(const Tensor& codes, const Tensor& scales);
// Two codes of `values` (fp32 [16]) in a byte, the first one in its high half, with a scale for every `block` of them;
// the first `count` of them.
Tensor unpack_nf4(const Tensor& codes, const Tensor& scales, const Tensor& values, int64_t block, int64_t count);

// ---- random.cpp: the numbers of the kernels, from the same seeds, keys and columns ----
Tensor dropout(const Tensor& input, double p, uint64_t seed, const std::optional<Tensor>& row_keys);
// Whether the elements of rows with keys int64 [...] survive: bool [...,columns]. `threshold` is p * 2^32.
Tensor survivors(uint64_t seed, const Tensor& row_keys, int64_t columns, uint32_t threshold);

// ---- attention.cpp ----
struct Attention {
  bool causal;
  int64_t window;
  double scale, softcap, dropout;
  uint64_t seed;
};
// One sequence of queries, and its keys in row `row` of the keys.
struct Sequence {
  int64_t first_query, queries, first_key, keys, row;
};
// Batch rows [B,T,H,D] with a bool or float mask that broadcasts to [B,H,T,S]; row_keys int64 [B,T] of dropout.
Tensor attention(const Tensor& query, const Tensor& key, const Tensor& value, const std::optional<Tensor>& mask,
                 const std::optional<Tensor>& row_keys, const Attention& settings);
// Packed sequences: queries [1,T,H,D], in which each sequence sees its own keys only.
Tensor packed_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                        const std::vector<Sequence>& sequences, const std::optional<Tensor>& row_keys,
                        const Attention& settings);

// ---- losses.cpp ----
struct CrossEntropy {
  int64_t vocab_size, ignore_index, chunk_size;
  double label_smoothing, softcap;
};
std::tuple<Tensor, Tensor> linear_cross_entropy(const Tensor& hidden, const Tensor& weight, const Bias& bias,
                                                const Tensor& targets, const CrossEntropy& settings);
struct LogProbs {
  int64_t chunk_size;
  double temperature, softcap;
};
std::tuple<Tensor, Tensor, Tensor> token_log_probs(const Tensor& hidden, const Tensor& weight, const Bias& bias,
                                                   const Tensor& targets, const LogProbs& settings);
std::tuple<Tensor, Tensor> choose_tokens(const Tensor& logits, const Tensor& temperatures, const Tensor& uniforms,
                                         bool logged);

// ---- updates.cpp ----
Tensor grad_norm(at::TensorList grads);
Tensor clip_grad_norm_(at::TensorList grads, double max_norm, double scale);
struct AdamwStep {
  double beta1, beta2, epsilon;
  int64_t step;
  float grad_scale;
};
void adamw_(at::TensorList params, at::TensorList exp_avgs, at::TensorList exp_avg_sqs, at::TensorList working_copies,
            at::TensorList grads, at::ArrayRef<double> learning_rates, at::ArrayRef<double> weight_decays,
            const AdamwStep& step);

}  // namespace tunesmith::plain
