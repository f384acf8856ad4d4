// The weights of a layer for tunesmith::decoder_layers, and their checks.
#pragma once
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <vector>

#include "block-matrix.h"
#include "prepared-layers.h"

namespace tunesmith::decoder {

constexpr const char* op = "decoder_layers";

// The layer's tensors in the order of the argument `parts`.
enum Part : size_t {
  attention_norm,
  q,
  q_bias,
  k,
  k_bias,
  v,
  v_bias,
  o,
  o_bias,
  query_norm,
  key_norm,
  mlp_norm,
  gate,
  gate_bias,
  up,
  up_bias,
  down,
  down_bias,
  part_count
};
using Parts = std::array<at::Tensor, part_count>;

// The products of a layer in the order of their formats and low-rank changes.
constexpr std::array<Part, 7> adapted = {q, k, v, o, gate, up, down};

inline size_t number_of(Part part) { return size_t(std::find(adapted.begin(), adapted.end(), part) - adapted.begin()); }

// The tensors of a layer, its matrices of blocks, and the sizes that they agree on.
struct Weights {
  static constexpr const char* op = "prepare_decoder_layers";

  Parts parts;
  std::array<BlockMatrix, adapted.size()> matrices;
  // Rows of the matrices of queries and of keys; values in a head where heads have norms, or 0.
  int64_t width = 0, query_width = 0, key_width = 0, inner = 0, normed_head = 0;
  bool dense = false;  // has a matrix that is not of blocks

  const at::Tensor& operator[](size_t part) const { return parts[part]; }
  // Null where the matrix is dense.
  const BlockMatrix* blocks(Part part) const {
    const BlockMatrix& matrix = matrices[number_of(part)];
    return matrix.columns > 0 ? &matrix : nullptr;
  }
  int64_t outputs(Part part) const { return blocks(part) != nullptr ? blocks(part)->rows : parts[part].size(0); }
  int64_t inputs(Part part) const { return blocks(part) != nullptr ? blocks(part)->columns : parts[part].size(1); }

  template <class Visit> void each_tensor(const Visit& visit) {
    for (at::Tensor& part : parts) visit(part);
    for (BlockMatrix& matrix : matrices) {
      visit(matrix.blocks);
      visit(matrix.order);
    }
  }
  static std::vector<Weights> check(const LayerTensors& parts, const std::vector<c10::string_view>& formats,
                                    const LayerTensors& orders);
};

at::Tensor contiguous_part(const at::Tensor& given);
void check_matrix(const at::Tensor& t, int64_t outputs, int64_t inputs, const char* name);

}  // namespace tunesmith::decoder
