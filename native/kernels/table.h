// The vector kernels as plain function pointers, one table for each instruction set; rows and pointers, no tensors.
// Every kernel is serial: the operators split the work among threads.
#pragma once
#include <cstdint>

namespace tunesmith {

enum class Type : int { float32 = 0, bfloat16 = 1 };
// Activation functions of feed-forward blocks; `gelu_tanh` is GELU by tanh.
enum class Curve : int { silu = 0, gelu = 1, gelu_tanh = 2 };

// A matrix seen by address, type and its two strides in elements.
struct Matrix {
  const void* data;
  Type type;
  int64_t row_stride;
  int64_t column_stride;
};

// A quantised matrix. int8: a code for each element and a scale for each row. nf4: two codes per byte and a scale for
// every 64 elements, counted across all rows. The others have their scales among the codes, in rows that are
// `row_bytes` apart: the block formats of GGUF files, and int8_rows, the codes of a row and then its scale, a float.
enum class Code : int { int8, nf4, q4_0, q4_1, q5_0, q5_1, q8_0, q4_k, q5_k, q6_k, int8_rows };
constexpr int64_t nf4_block = 64;
struct PackedMatrix {
  Code code;
  const void* codes;
  const float* scales;  // null for blocks
  int64_t columns;
  int64_t row_bytes = 0;              // of blocks
  const int64_t* order = nullptr;     // of blocks: row i is stored as row order[i]; null for the same order
  const void* interleaved = nullptr;  // of blocks: all rows as `interleave` leaves them, or null
};

// The types that rows of float32 are written in: GGUF's, and those of ONNX. int8 has a scale for each column, int4
// codes are two a byte and have a scale for every 32 values.
enum class RowType : int {
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  iq4_xs,
  mxfp4,
  float16,
  bfloat16,
  float32,
  int8,
  int4,
  int4_scales
};

// Quantised rows times the rows of a matrix of blocks, plus a bias.
struct BlockProduct {
  const void* x;  // from quantize_rows, or quantize_int8_rows for int8_rows
  int64_t rows, columns, depth;
  PackedMatrix weight;
  const void* bias;  // one value for each column, or null
  Type bias_type;
  void* out;
  Type out_type;
  int64_t out_stride;
};

// One block of a packed matrix product. With `out` null the sums stay in `partial` for the next slice of k. In products
// of pairs of bf16 values, `a` and `b` are pairs and the depth is in pairs.
struct GemmBlock {
  const float* a;
  int64_t row_stride;  // of `a` where its rows are in place, not in panels; else 0
  const float* b;
  int64_t rows, columns, depth;
  float* partial;
  int64_t partial_stride;
  bool continues;  // start from what `partial` holds
  void* out;
  Type out_type;
  int64_t out_stride;
  bool add_to_out;
  const void* bias;  // one value for each column, or null
  Type bias_type;
  const float* next = nullptr;  // of products of pairs: the packed columns of the block after this one, to be fetched
};

struct NormRows {
  int64_t width;
  const void* input;
  Type input_type;
  const void* residual;  // null: none
  Type residual_type;
  void* sum;  // null: not wanted
  Type sum_type;
  const void* weight;
  const void* bias;  // null: none
  Type weight_type, bias_type;
  void* output;
  Type output_type;
  float* mean;  // null: RMS norm
  float* scale;
  float epsilon;
};

struct NormRowsBackward {
  int64_t width;
  const void* sum;
  Type sum_type;
  const void* gradient;
  Type gradient_type;
  const void* sum_gradient;  // null: none
  Type sum_gradient_type;
  const void* weight;
  Type weight_type;
  const float* mean;  // null: RMS norm
  const float* scale;
  void* input_gradient;
  Type input_gradient_type;
  float* weight_gradient;  // accumulated, fp32 [width]
  float* bias_gradient;    // accumulated, or null
};

struct EntropyRow {
  int64_t width;         // classes with probability
  int64_t padded_width;  // row length; classes beyond `width` get a zero gradient
  int64_t target;
  float smoothing;
  bool want_gradient;  // overwrite the logits with d loss / d logits
  float cap;           // of the logits; 0: none
};

// The log-probability of one token under softmax(logits * inverse_temperature).
struct LogProbRow {
  int64_t width;
  int64_t target;
  float inverse_temperature;
  bool want_gradient;  // overwrite the logits with d log-probability / d logits, times `factor`
  float factor;
  float cap;  // of the logits, before the temperature; 0: none
};
struct LogProbResult {
  float log_prob, entropy;
  float log_power;  // log of the sum of squared probabilities
};

// The mask of an element is a function of the seed, the key of its row and its column.
struct Dropout {
  const void* input;
  void* output;
  Type type;
  int64_t width;            // elements of a row
  const int64_t* row_keys;  // null: rows are numbered
  uint64_t seed;
  uint32_t threshold;
  float factor;
};

struct AdamW {
  float keep;       // 1 - learning rate * weight decay
  float step_size;  // learning rate / (1 - beta1^step)
  float beta1, one_minus_beta1, beta2, one_minus_beta2, epsilon;
  float correction2;  // 1 / sqrt(1 - beta2^step)
  float gradient_scale;
};

// One run of query rows of one head (forward), or all rows of one key head (backward).
struct AttentionHead {
  int64_t queries, keys, size;
  Type type;
  const void* query;
  const void* key;
  const void* value;
  int64_t query_stride, key_stride, value_stride;  // elements between tokens
  void* output;
  int64_t output_stride;
  float* log_sum;  // [queries]
  float scale;
  bool causal;
  int64_t window;
  const void* mask;  // null: none
  int mask_kind;     // 0 bool, 1 float32, 2 bfloat16
  int64_t mask_row_stride, mask_column_stride;
  float dropout;
  uint64_t seed;
  const int64_t* row_keys;  // of the queries, where there is dropout
  int64_t number;           // of the head
  bool ordered;             // attention_few: adds the probabilities key by key, so that hidden keys change no bit
  float cap;                // of the scaled scores, before the mask; 0: none
};

// From a head to the next one of its group: values of queries and output, and of the sums; bytes of the mask.
struct HeadSteps {
  int64_t query, output, log_sum, mask;
};

struct AttentionGradient {
  AttentionHead head;
  const void* output_gradient;
  int64_t output_gradient_stride;
  void* query_gradient;
  int64_t query_gradient_stride;
  float* key_gradient;  // fp32 [keys][size], accumulated over the heads of a group
  float* value_gradient;
};

// Gradients of y = curve(gate) * up, or of curve(gate) without `up`. One of them may lie where `gradient` does.
struct ActivationGradient {
  const void *gate, *up, *gradient;
  void *gate_gradient, *up_gradient;
  void* y;  // y again, or null
  Type type;
  Curve curve;
};

// Instructions whose rate bounds products.
enum class Peak : int { float32, bfloat16, int8 };

// Floats of a panel of matrix tiles: 32 rows or columns over a depth of bf16 values, which is filled up to whole tiles.
inline int64_t tile_panel(int64_t depth) { return (depth + 31) / 32 * 512; }

// Where a product by tiles goes: its first row and column.
struct TileOutput {
  void* data;
  Type type;
  int64_t stride;
  const void* bias;  // of the first column, or null
  Type bias_type;
  bool add;
};

// Rows whose beginnings are a multiple of so many bf16 values apart share few sets of the first cache.
inline constexpr int64_t shared_sets = 512;

// Lanes of one operand in panels, which wait in the second cache, times lanes of the other, which is in panels too, or
// is packed a slice of the depth at a time. Lanes are rows of a or columns of b. Sums are in fp32.
struct TileBlock {
  const float* panels;
  int64_t lanes;  // in panels
  bool left;      // the panels are of a
  const void* source;
  int64_t lane_stride, depth_stride, source_lanes;  // one stride is 1; both are 0 where the source is in panels
  int64_t depth;
  float* sums;        // where they wait for more of the depth: four tiles for each pair of panels
  int64_t sums_step;  // floats to the sums of the next panel of the source; 0 where these take the same memory
  bool continues;     // adds to what waits
  TileOutput out;     // with no data before the end of the depth
};

// Rows in panels of columns, times a matrix whose rows are read in place.
struct TileRowsProduct {
  const float* panels;
  int64_t rows, columns, depth;
  TileOutput out;
};

struct Kernels {
  int lanes;

  int tile_rows, tile_columns;
  void (*pack_rows)(Matrix source, int64_t rows, int64_t depth, float* packed);
  void (*pack_columns)(Matrix source, int64_t depth, int64_t columns, float* packed);
  void (*gemm_block)(const GemmBlock& block);
  // Dequantises a rectangle of a matrix to fp32: out[r * out_stride + c] = element (row + r, column + c).
  void (*unpack)(const PackedMatrix& matrix, int64_t row, int64_t rows, int64_t column, int64_t columns, float* out,
                 int64_t out_stride);
  // The same, rounded to bf16.
  void (*unpack_rounded)(const PackedMatrix& matrix, int64_t row, int64_t rows, int64_t column, int64_t columns,
                         uint16_t* out, int64_t out_stride);
  // out[n] = dot(x, w row n) + bias[n], for a few rows of x: reads the weight once and in place. The rows of x must be
  // packed for the weight's type, rows * depth floats.
  void (*pack_few)(Matrix x, int64_t rows, int64_t depth, Type weight_type, float* packed);
  void (*few_rows)(const float* packed, int64_t rows, Matrix weight, int64_t first, int64_t last, int64_t depth,
                   const void* bias, Type bias_type, void* out, Type out_type, int64_t out_stride);

  // Rows in int8 for products with blocks: depth bytes and 16 for every 32 of them, depth being a multiple of 32.
  void (*quantize_rows)(Matrix x, int64_t rows, int64_t depth, void* out);
  // Columns `first` to `last` of a product; work memory of rows * lanes floats.
  void (*block_rows)(const BlockProduct& job, int64_t first, int64_t last, float* sums);
  // The layout in which blocks are multiplied fastest, sixteen rows side by side: its bytes for sixteen rows, and
  // sixteens `first` to `last` of a matrix. It is the same for all instruction sets.
  int64_t (*interleaved_bytes)(Code code, int64_t depth);
  void (*interleave)(const PackedMatrix& matrix, int64_t rows, int64_t first, int64_t last, uint8_t* out);
  bool (*finite_scales)(const PackedMatrix& matrix, int64_t first, int64_t last);
  // The same for int8_rows: rows of depth + 12 bytes, and a product with a matrix in the layout, from whole sixteens
  // on.
  void (*quantize_int8_rows)(Matrix x, int64_t rows, int64_t depth, void* out);
  void (*int8_rows)(const BlockProduct& job, int64_t first, int64_t last);
  // `columns`: their importance, or null; of int8 their scales.
  void (*encode_row)(RowType type, const float* values, int64_t width, const float* columns, uint8_t* out);

  void (*convert)(const void* source, Type source_type, void* target, Type target_type, int64_t count);
  void (*scale)(void* data, Type type, float factor, int64_t count);
  void (*column_sums)(const void* source, Type type, int64_t rows, int64_t width, int64_t stride, float* sums);
  void (*add_rows)(const void* const* rows, Type type, int64_t count, int64_t width, void* target, Type target_type);
  double (*square_sum)(const void* data, Type type, int64_t count);

  void (*activate)(const void* gate, const void* up, Type type, void* y, int64_t count, Curve curve);
  void (*activate_backward)(const ActivationGradient& job, int64_t count);
  void (*dropout)(const Dropout& job, int64_t first, int64_t last);  // elements

  void (*norm_rows)(const NormRows& job, int64_t first, int64_t last);
  void (*norm_rows_backward)(const NormRowsBackward& job, int64_t first, int64_t last);
  float (*entropy_row)(const EntropyRow& row, void* logits, Type type);
  LogProbResult (*log_prob_row)(const LogProbRow& row, void* logits, Type type);
  void (*rotary_row)(const void* x, Type type, void* y, const float* cosine, const float* sine, int64_t size,
                     int64_t rotated, bool interleaved, bool inverse);
  void (*adamw)(const AdamW& job, float* parameter, float* average, float* square_average, const void* gradient,
                Type gradient_type, uint16_t* copy, int64_t count);

  // Columns of key and value gradients are padded to a multiple of the one, rows as the other says.
  int attention_columns;
  int64_t (*attention_gradient_rows)(int64_t keys);
  int64_t (*attention_scratch)(int64_t queries, int64_t keys, int64_t size);  // floats
  void (*attention_pack)(const AttentionHead& head, float* scratch);
  void (*attention_forward)(const AttentionHead& head, int64_t first, int64_t last, float* scratch);
  // The same for a few queries of some heads, at most `few_heads`, that share keys and values, which are read in place.
  // The scratch has `keys` and `size` floats and 64 more for each of few_heads.
  int few_heads;
  void (*attention_few)(const AttentionHead& head, int64_t heads, const HeadSteps& steps, float* scratch);
  int64_t (*attention_backward_scratch)(int64_t queries, int64_t keys, int64_t size);
  void (*attention_backward)(const AttentionGradient& job, float* scratch);

  // Null in a table without matrix tiles. A lane is a row of a or a column of b; `by_depth` is the form of b.
  void (*pack_tiles)(const void* source, int64_t lane_stride, int64_t depth_stride, int64_t lanes, int64_t depth,
                     bool by_depth, float* packed);
  void (*multiply_tile_block)(const TileBlock& job);
  // Columns `first` to `last` of x times the transpose of a bf16 weight whose rows are read in place. The rows of x are
  // from pack_tiles, by depth. At least 64 columns, and a depth of whole tiles.
  void (*multiply_tile_rows)(const TileRowsProduct& product, Matrix weight, int64_t first, int64_t last);

  // Products of pairs of bf16 values, see isa/pair-product.h. Null in a table without dot products of bf16. The
  // operands have a stride of 1; their depth is in values.
  void (*pack_pair_rows)(Matrix source, int64_t rows, int64_t depth, float* packed);
  void (*pack_pair_columns)(Matrix source, int64_t depth, int64_t columns, float* packed);
  void (*pair_block)(const GemmBlock& block);
  // As few_rows, for rows of bf16 that are read in place, and a bf16 weight.
  void (*few_pair_rows)(Matrix x, int64_t rows, Matrix weight, int64_t first, int64_t last, int64_t depth,
                        const void* bias, Type bias_type, void* out, Type out_type, int64_t out_stride);

  // See isa/peak.h.
  double (*peak_rounds)(Peak kind, int64_t rounds, float* numbers);

  // y = cap * tanh(x / cap), and its gradient from y.
  void (*soft_cap)(const void* x, Type type, void* y, int64_t rows, int64_t width, float cap);
  void (*soft_cap_backward)(const void* y, const void* gradient, Type type, void* out, int64_t count, float cap);
};

// The table for this machine, chosen once; TUNESMITH_ISA names another that the machine can run.
const Kernels& kernels();

// The processor has dot products of bf16.
bool has_native_bfloat16();

// The processor has matrix tiles (AMX), and the system lets this process use them.
bool has_matrix_tiles();
// Whether kernels use them: where they are, or are emulated, unless TUNESMITH_ISA names a table without.
bool matrix_tiles();

// Whether a row of a float32 product or of attention gets the same bits in any batch: then no kernel is chosen by the
// number of rows, and sums do not depend on padding.
bool batch_invariant();

}  // namespace tunesmith
