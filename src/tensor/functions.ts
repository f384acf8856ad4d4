// The list of operators that are functions: they create tensors, or take several alike. methods.ts lists the others.
// Meanings are PyTorch's; the fused kernels of native/kernels come last.
import { noGrad } from './autograd.ts'
import { withTypedErrors } from './error-messages.ts'
import { native } from './native.ts'
import { operator } from './operator.ts'
import type { RandomOptions, Shape, TensorOptions } from './operator-entry.ts'
import { Tensor } from './tensor.ts'

type T = Tensor

/** New tensor with undefined elements. */
export const empty = operator<(shape: Shape, options?: TensorOptions) => T>(
  'empty',
  'aten::empty.memory_format(size, *dtype, -layout, *device, -pin_memory, -memory_format)',
)

/** New tensor of zeros. */
export const zeros = operator<(shape: Shape, options?: TensorOptions) => T>(
  'zeros',
  'aten::zeros(size, *dtype, -layout, *device, -pin_memory)',
)

/** New tensor of ones. */
export const ones = operator<(shape: Shape, options?: TensorOptions) => T>(
  'ones',
  'aten::ones(size, *dtype, -layout, *device, -pin_memory)',
)

/** New tensor with every element `value`. */
export const full = (shape: Shape, value: number, options?: TensorOptions): Tensor => empty(shape, options).fill_(value)

/** New tensor of the given elements: the function form of `Tensor.from`. */
export const tensor = Tensor.from

/** Zeros with the shape of `like`, and its dtype and device unless `options` has others. */
export const zerosLike = operator<(like: T, options?: TensorOptions) => T>(
  'zerosLike',
  'aten::zeros_like(self, *dtype, -layout, *device, -pin_memory, -memory_format)',
)

/** Ones with the shape of `like`, and its dtype and device unless `options` has others. */
export const onesLike = operator<(like: T, options?: TensorOptions) => T>(
  'onesLike',
  'aten::ones_like(self, *dtype, -layout, *device, -pin_memory, -memory_format)',
)

/** Undefined elements with the shape of `like`, and its dtype and device unless `options` has others. */
export const emptyLike = operator<(like: T, options?: TensorOptions) => T>(
  'emptyLike',
  'aten::empty_like(self, *dtype, -layout, *device, -pin_memory, -memory_format)',
)

/** Every element `value`, with the shape of `like`, and its dtype and device unless `options` has others. */
export const fullLike = operator<(like: T, value: number, options?: TensorOptions) => T>(
  'fullLike',
  'aten::full_like(self, fill_value, *dtype, -layout, *device, -pin_memory, -memory_format)',
)

/** Identity matrix [n,m] (default of `m`: n). */
export const eye = operator<(n: number, m?: number, options?: TensorOptions) => T>(
  'eye',
  'aten::eye(n, *dtype, -layout, *device, -pin_memory)',
  'aten::eye.m(n, m, *dtype, -layout, *device, -pin_memory)',
)

/** Numbers from `start` (default 0) to before `end` in steps of `step` (default 1); int64 where all are whole. */
export const arange = operator<{
  (end: number, options?: TensorOptions): T
  (start: number, end: number, options?: TensorOptions & { step?: number }): T
}>(
  'arange',
  'aten::arange(end, *dtype, -layout, *device, -pin_memory)',
  'aten::arange.start_step(start, end, *step, *dtype, -layout, *device, -pin_memory)',
)

/** `steps` evenly spaced numbers from `start` to `end`, both included: [steps]. */
export const linspace = operator<(start: number, end: number, steps: number, options?: TensorOptions) => T>(
  'linspace',
  'aten::linspace(start, end, steps, *dtype, -layout, *device, -pin_memory)',
)

/** Samples of the uniform distribution from 0 to below 1. */
export const rand = operator<(shape: Shape, options?: TensorOptions & RandomOptions) => T>(
  'rand',
  'aten::rand(size, *dtype, -layout, *device, -pin_memory)',
  'aten::rand.generator(size, *generator, *dtype, -layout, *device, -pin_memory)',
)

/** Samples of the standard normal distribution. */
export const randn = operator<(shape: Shape, options?: TensorOptions & RandomOptions) => T>(
  'randn',
  'aten::randn(size, *dtype, -layout, *device, -pin_memory)',
  'aten::randn.generator(size, *generator, *dtype, -layout, *device, -pin_memory)',
)

/** Random whole numbers from `low` to below `high`; int64 by default. */
export const randint = operator<
  (low: number, high: number, shape: Shape, options?: TensorOptions & RandomOptions) => T
>(
  'randint',
  'aten::randint.low(low, high, size, *dtype, -layout, *device, -pin_memory)',
  'aten::randint.low_generator(low, high, size, *generator, *dtype, -layout, *device, -pin_memory)',
)

/** The whole numbers from 0 to n - 1 in random order: [n], int64 by default. */
export const randperm = operator<(n: number, options?: TensorOptions & RandomOptions) => T>(
  'randperm',
  'aten::randperm(n, *dtype, -layout, *device, -pin_memory)',
  'aten::randperm.generator(n, *generator, *dtype, -layout, *device, -pin_memory)',
)

/**
 * Joins tensors along the dimension `dim` (default 0).
 * @throws ShapeError where the other dimensions differ
 */
export const cat = operator<(tensors: readonly T[], dim?: number) => T>('cat', 'aten::cat(tensors, dim)')

/**
 * Joins tensors along the first dimension, without gradients. Parts that follow one another in the memory of one tensor become
 * a view of it, others are copied.
 * @throws ShapeError where the other dimensions differ
 */
export const catRows = (tensors: readonly T[]): T => {
  const handle = withTypedErrors('joinRows', () => native.joinRows(tensors.map((tensor) => tensor.use())))
  return handle === 0 ? noGrad(() => cat(tensors)) : Tensor.fromHandle(handle)
}

/**
 * Joins tensors of one shape along a new dimension `dim` (default 0).
 * @throws ShapeError where the shapes differ
 */
export const stack = operator<(tensors: readonly T[], dim?: number) => T>('stack', 'aten::stack(tensors, dim)')

/** Sum of products in Einstein notation, such as `einsum('bij,bjk->bik', [a, b])`. */
export const einsum = operator<(equation: string, tensors: readonly T[]) => T>(
  'einsum',
  'aten::einsum(equation, tensors, -path)',
)

/** Pads sequences [T_i,...] to the longest: [T,B,...], or [B,T,...] with `batchFirst`. */
export const padSequence = operator<
  (
    sequences: readonly T[],
    options?: {
      batchFirst?: boolean
      /** Value of the padding (default 0). */
      paddingValue?: number
      /** Default: right. */
      paddingSide?: 'left' | 'right'
    },
  ) => T
>('padSequence', 'aten::pad_sequence(sequences, *batchFirst, *paddingValue, *paddingSide)')

/**
 * libtorch's own softmax attention: query [B,H,T,D], key and value [B,H,S,D] give [B,H,T,D]. `attention` is faster on CPUs
 * and takes packed sequences and a sliding window.
 */
export const scaledDotProductAttention = operator<
  (
    query: T,
    key: T,
    value: T,
    options?: {
      /** bool (true: attend) or float (added to the scores), broadcast to [B,H,T,S]. */
      attnMask?: T
      /** Probability of dropping an attention weight (default 0). */
      dropoutP?: number
      /** Queries see earlier keys only; aligned at the first key. Excludes `attnMask`. */
      isCausal?: boolean
      /** Factor of the scores (default: 1 / sqrt(D)). */
      scale?: number
      /** Allows fewer key and value heads than query heads. */
      enableGqa?: boolean
    },
  ) => T
>(
  'scaledDotProductAttention',
  'aten::scaled_dot_product_attention(query, key, value, *attnMask, *dropoutP, *isCausal, *scale, *enableGqa)',
)

// Fused kernels of native/kernels: float32 or bfloat16 on the CPU, with a first derivative.

/**
 * Linear layer: `input` [...,K] times `weight` [N,K] transposed, plus `bias` [N], gives [...,N].
 * @throws ShapeError where the sizes of K or N differ
 */
export const linear = operator<(input: T, weight: T, bias?: T | null) => T>(
  'linear',
  'tunesmith::linear(input, weight, bias)',
)

/**
 * `linear` of a float32 input and a bfloat16 weight that may round the input to bfloat16, where that is faster (without gradients, from 5
 * rows on, and unless results are batch-invariant). Sums and the result are float32.
 * @throws ShapeError where the sizes of K or N differ
 */
export const roundedLinear = operator<(input: T, weight: T, bias?: T | null) => T>(
  'roundedLinear',
  'tunesmith::rounded_linear(input, weight, bias)',
)

/**
 * `linear` with the change of a LoRA: plus `scale` · (`input` `a`ᵀ) `b`ᵀ, of factors `a` [R,K] and `b` [N,R]. In bfloat16 it is one
 * operator where the products of layers are Tunesmith's own; elsewhere it is composed.
 * @throws ShapeError where the sizes of K, N or R differ
 * @source arXiv:2106.09685
 */
export const lowRankLinear = operator<(input: T, weight: T, a: T, b: T, scale: number, bias?: T | null) => T>(
  'lowRankLinear',
  'tunesmith::low_rank_linear(input, weight, a, b, scale, bias)',
)

/**
 * Softmax attention over token-major heads: query [B,T,H,D], key and value [B,S,K,D] give [B,T,H,D]. H is a multiple of K
 * (grouped-query attention); D is at most 256. Scores are never stored, so memory grows with T and not with T * S.
 * @throws ShapeError for other shapes, mixed dtypes, a mask that needs a gradient, or a mask beside `queryStarts`
 * @source arXiv:2205.14135; sliding window: arXiv:2004.05150
 */
export const attention = operator<
  (
    query: T,
    key: T,
    value: T,
    options?: {
      /** bool (true: attend) or float (added to the scores), broadcast to [B,H,T,S]. */
      mask?: T
      /** Packed sequences in one batch row: int64 offsets [n+1] of their queries, from 0 to T. */
      queryStarts?: T
      /** Offsets of their keys, from 0 to S (default: `queryStarts`). */
      keyStarts?: T
      /**
       * Instead of `keyStarts`: key and value are caches [R,capacity,K,D], and the keys of a sequence are the first
       * `keyLengths` of row `keyRows`, int64 [n] both. Without gradients.
       */
      keyRows?: T
      keyLengths?: T
      /** Queries see no later keys; the last query is aligned with the last key (default: false). */
      causal?: boolean
      /** Number of keys that a query sees, its own included (default: 0, all). Without `causal`, on both sides. */
      window?: number
      /** Factor of the scores (default: 1 / sqrt(D)). */
      scale?: number
      /** Probability of dropping an attention weight (default 0). */
      dropout?: number
      /** Soft cap c of the scaled scores: c tanh(s / c) (default 0, none). @source arXiv:2408.00118 */
      softcap?: number
    } & DropoutOptions,
  ) => T
>(
  'attention',
  'tunesmith::attention(query, key, value, *mask, *queryStarts, *keyStarts, *keyRows, *keyLengths, *causal, *window, *scale, *dropout, *generator, *rowKeys, *softcap)',
)

/**
 * Output projection and cross-entropy in one, in chunks of rows, so that the logits of the whole batch never exist: hidden
 * [...,C], weight [V,C], bias [V] and targets [...] (int64) give the summed loss and the number of counted targets, two
 * float32 scalars. Divide one by the other for the mean.
 * @throws ShapeError for other shapes, and for a target outside the vocabulary, which is named with its row
 */
export const linearCrossEntropy = operator<
  (
    hidden: T,
    weight: T,
    bias: T | null,
    targets: T,
    options?: {
      /** Rows of `weight` that are real classes, where it is padded (default: V). */
      vocabSize?: number
      /** Targets of this id do not count (default: -100). */
      ignoreIndex?: number
      /** Share of the target probability that is spread evenly over the vocabulary (default 0). */
      labelSmoothing?: number
      /** Rows whose logits exist at a time (default 512). */
      chunkSize?: number
      /** Soft cap of the logits, see `softCap` (default 0, none). */
      softcap?: number
    },
  ) => [lossSum: T, count: T]
>(
  'linearCrossEntropy',
  'tunesmith::linear_cross_entropy(hidden, weight, bias, targets, *vocabSize, *ignoreIndex, *labelSmoothing, *chunkSize, *softcap)',
)

/**
 * Output projection and the log-probability of one token a row, in chunks of rows, so that the logits of the whole batch
 * never exist: hidden [...,C], weight [V,C], bias [V] and targets [...] (int64) give float32 tensors [...]. `logProbs` has a
 * gradient; `entropy` (nats) of the distribution and `logPower`, the log of its summed squared probabilities, have none.
 * @throws ShapeError for other shapes, and for a target outside the vocabulary, which is named with its row
 */
export const tokenLogProbs = operator<
  (
    hidden: T,
    weight: T,
    bias: T | null,
    targets: T,
    options?: {
      /** Divides the logits (default 1). */
      temperature?: number
      /** Rows whose logits exist at a time (default 512). */
      chunkSize?: number
      /** Soft cap of the logits, before the temperature, see `softCap` (default 0, none). */
      softcap?: number
    },
  ) => [logProbs: T, entropy: T, logPower: T]
>('tokenLogProbs', 'tunesmith::token_log_probs(hidden, weight, bias, targets, *temperature, *chunkSize, *softcap)')

/**
 * Chooses kernels in this process so that a row of float32 results has the same bits in any batch: whatever the other rows,
 * the padding, the packing, and whether earlier tokens come from a cache. Costs speed where few rows are computed. Returns
 * the setting before.
 */
export const setBatchInvariant = operator<(on: boolean) => boolean>(
  'setBatchInvariant',
  'tunesmith::set_batch_invariant(on)',
)

/**
 * Chooses who multiplies matrices of bfloat16 (`half`) or float32 in this process: `own` or `libraries`, for the forward pass of
 * linear layers and for the gradients of inputs and weights. Batch-invariant results of float32 are ours all the same.
 */
export const setProducts = operator<
  (half: boolean, forward: string, inputGradient: string, weightGradient: string) => void
>('setProducts', 'tunesmith::set_products(half, forward, inputGradient, weightGradient)')

/** Whether our kernels multiply matrices of bfloat16 (`half`) or float32: 0 forward, 1 gradients of inputs, 2 of weights. */
export const usesOwnProducts = operator<(half: boolean, form: number) => boolean>(
  'usesOwnProducts',
  'tunesmith::uses_own_products(half, form)',
)

/**
 * Keeps float32 matrices [N,K] of linear layers in the layout of batch-invariant products too, which are several times as fast
 * then where there are few rows. The results are the same. It takes as much memory again, from the first product of each matrix on,
 * until `dropPacked` or until the matrix is freed; one that is changed in place is packed again. Returns the number of elements.
 * @throws ShapeError for other shapes and dtypes
 */
export const keepPacked = operator<(weights: readonly T[]) => number>('keepPacked', 'tunesmith::keep_packed(weights)')

/**
 * Keeps a matrix in a block format of GGUF files in the layout of its products too: sixteen rows side by side, so that a vector takes a
 * word of sixteen rows at once. Products with one row and with many are faster, and have the same bits. It takes the memory of the blocks
 * again, from the first product on, until `dropPacked` of the blocks or until they are freed. The blocks are uint8 [rows, bytes of a row];
 * `order` int64 [outputs] is the stored row of each output, or null. Returns the number of bytes.
 * @throws ShapeError for other shapes, formats and dtypes
 */
export const keepPackedBlocks = operator<(blocks: T, format: string, order?: T | null) => number>(
  'keepPackedBlocks',
  'tunesmith::keep_packed_blocks(blocks, format, order)',
)

/** Frees what `keepPacked` and `keepPackedBlocks` keep of matrices. */
export const dropPacked = operator<(weights: readonly T[]) => void>('dropPacked', 'tunesmith::drop_packed(weights)')

/**
 * Operations that one thread computes in registers in a second of CPU time, two for each multiply-add: the ceiling of products. `kind` is
 * `float32`, `bfloat16`, `int8`, or `bfloat16-tiles` or `int8-tiles` (AMX); 0 where the processor has no such instructions.
 * @throws ShapeError for another kind
 */
export const peakRate = operator<(kind: string) => number>('peakRate', 'tunesmith::peak_rate(kind)')

/** The vector instructions that our kernels use on this processor, such as `avx2`, `avx512vnni` or `amx`. */
export const instructionSet = operator<() => string>('instructionSet', 'tunesmith::instruction_set()')

/** The setting of `setBatchInvariant`. */
export const isBatchInvariant = operator<() => boolean>('isBatchInvariant', 'tunesmith::batch_invariant()')

/**
 * Residual addition and layer normalisation in one: input and residual [...,C] (or null), weight and bias [C] (or null) give
 * the sum and the normalised sum, both [...,C].
 * @throws ShapeError for other shapes or a negative `eps`
 */
export const addLayerNorm = operator<
  (input: T, residual: T | null, weight: T, bias: T | null, eps: number) => [sum: T, normalized: T]
>('addLayerNorm', 'tunesmith::add_layer_norm(input, residual, weight, bias, eps)')

/**
 * Residual addition and RMS normalisation in one: input and residual [...,C] (or null) and weight [C] give the sum and the
 * normalised sum, both [...,C].
 * @throws ShapeError for other shapes or a negative `eps`
 */
export const addRmsNorm = operator<(input: T, residual: T | null, weight: T, eps: number) => [sum: T, normalized: T]>(
  'addRmsNorm',
  'tunesmith::add_rms_norm(input, residual, weight, eps)',
)

/** GELU, as `Tensor.gelu`, that is faster and saves only its input for backward. */
export const fusedGelu = operator<(input: T, options?: { approximate?: 'none' | 'tanh' }) => T>(
  'fusedGelu',
  'tunesmith::gelu(input, *approximate)',
)

/**
 * Soft cap of each element, `cap * tanh(x / cap)`; the input itself where `cap` is 0. A row has the same bits in any batch.
 * @throws ShapeError for a negative `cap`
 * @source arXiv:2408.00118
 */
export const softCap = operator<(input: T, cap: number) => T>('softCap', 'tunesmith::soft_cap(input, cap)')

/**
 * Gated activation `silu(gate) * up` of two tensors of one shape and dtype.
 * @throws ShapeError where shapes or dtypes differ
 * @source arXiv:2002.05202
 */
export const swiglu = operator<(gate: T, up: T) => T>('swiglu', 'tunesmith::swiglu(gate, up)')

/**
 * Gated activation `gelu(gate) * up` of two tensors of one shape and dtype.
 * @throws ShapeError where shapes or dtypes differ
 * @source arXiv:2002.05202
 */
export const geglu = operator<(gate: T, up: T, options?: { approximate?: 'none' | 'tanh' }) => T>(
  'geglu',
  'tunesmith::geglu(gate, up, *approximate)',
)

/** Activation functions of `activatedLinear`. */
export type FusedActivation = 'silu' | 'gelu' | 'gelu-tanh'

/**
 * Linear layer of `activation(gate) * up`, or of `activation(gate)`: [...,K], weight [N,K] and bias [N] give [...,N], as the operators one
 * by one. The backward pass computes its input again and needs no memory for it in between.
 * @throws ShapeError where sizes or dtypes differ
 */
export const activatedLinear = operator<
  (gate: T, up: T | null, weight: T, bias: T | null, activation: FusedActivation) => T
>('activatedLinear', 'tunesmith::activated_linear(gate, up, weight, bias, activation)')

/**
 * Rotary position embedding of the first R elements of every head: input [B,T,H,D], cos and sin [T,R/2] or [B,T,R/2].
 * Elements i and i + R/2 form a pair, or 2i and 2i + 1 with `interleaved`.
 * @throws ShapeError for other shapes, and for angles that need a gradient
 * @source arXiv:2104.09864
 */
export const rotary = operator<(input: T, cos: T, sin: T, options?: { interleaved?: boolean }) => T>(
  'rotary',
  'tunesmith::rotary(input, cos, sin, *interleaved)',
)

/**
 * Rows of `weight` [V,C] by id: ids [...] (int64 or int32) give [...,C]. The row `paddingIdx` gets no gradient.
 * @throws ShapeError for an id outside the vocabulary, which is named with its position
 */
export const embedding = operator<(weight: T, ids: T, options?: { paddingIdx?: number }) => T>(
  'embedding',
  'tunesmith::embedding(weight, ids, *paddingIdx)',
)

/** Random stream of dropout, and the rows that it is for. */
interface DropoutOptions extends RandomOptions {
  /**
   * Keys of the rows [...,C] (in attention: of the queries [B,T]), int64 [...]: the mask of a row is a function of its key,
   * whatever rows are beside it (default: elements, or queries, are numbered).
   */
  rowKeys?: T
}

/** Sets elements to 0 with probability `p` and divides the others by 1 - p. The mask is recomputed in backward, not kept. */
export const dropout = operator<(input: T, p: number, options?: DropoutOptions) => T>(
  'dropout',
  'tunesmith::dropout(input, p, *generator, *rowKeys)',
)

/** Norm of all gradients together, as a float32 scalar. */
export const gradNorm = operator<(grads: readonly T[]) => T>('gradNorm', 'tunesmith::grad_norm(grads)')

/**
 * Multiplies the gradients by `scale` (default 1) and then clips their common norm to `maxNorm`, both in place. Returns the
 * norm before clipping as a float32 scalar; a norm that is not finite passes into the gradients, as in PyTorch.
 */
export const clipGradNorm_ = operator<(grads: readonly T[], maxNorm: number, scale?: number) => T>(
  'clipGradNorm_',
  'tunesmith::clip_grad_norm_(grads, max_norm, scale)',
)

// Internal to the package: index.ts exports these, public.ts does not.

/** Quantises a matrix [N,K] to int8 by rows: codes [N,K] and float32 scales [N]. @source arXiv:2208.07339 */
export const packInt8 = operator<(weight: T) => [codes: T, scales: T]>('packInt8', 'tunesmith::pack_int8(weight)')

/** The same in one tensor, the format `int8` of `blockLinear`: uint8 [N,K+4], the codes of each row and then its scale. */
export const packInt8Rows = operator<(weight: T) => T>('packInt8Rows', 'tunesmith::pack_int8_rows(weight)')

/**
 * Quantises a matrix [N,K] to NF4: two codes in a byte, and a float32 scale for every 64 elements.
 * @source arXiv:2305.14314
 */
export const packNf4 = operator<(weight: T) => [codes: T, scales: T]>('packNf4', 'tunesmith::pack_nf4(weight)')

/** Quantises float32 scales [n] to 8 bits: codes [n], a float32 scale for every 256 of them, and their mean. */
export const packScales = operator<(scales: T) => [codes: T, outer: T, offset: T]>(
  'packScales',
  'tunesmith::pack_scales(scales)',
)

/** The float32 matrix [rows,columns] of quantised `codes`, whose `scales` are one tensor, or three from `packScales`. */
export const unpackMatrix = operator<(codes: T, scales: readonly T[], rows: number, columns: number) => T>(
  'unpackMatrix',
  'tunesmith::unpack_matrix(codes, scales, rows, columns)',
)

/** `linear` with a quantised matrix [rows,K], which gets no gradient and is never dequantised as a whole. */
export const packedLinear = operator<(input: T, codes: T, scales: readonly T[], rows: number, bias?: T | null) => T>(
  'packedLinear',
  'tunesmith::packed_linear(input, codes, scales, rows, bias)',
)

/** `lowRankLinear` with a quantised matrix [rows,K], which gets no gradient. */
export const packedLowRankLinear = operator<
  (input: T, codes: T, scales: readonly T[], rows: number, a: T, b: T, scale: number, bias?: T | null) => T
>('packedLowRankLinear', 'tunesmith::packed_low_rank_linear(input, codes, scales, rows, a, b, scale, bias)')

/**
 * The float32 matrix [rows,K] of uint8 `blocks` [N, bytes of a row] in a block format of GGUF files, such as Q4_K.
 * @param order int64 [rows]: the stored row of each row of the result (default: all rows as stored)
 */
export const unpackBlocks = operator<(blocks: T, format: string, order?: T | null) => T>(
  'unpackBlocks',
  'tunesmith::unpack_blocks(blocks, format, order)',
)

/** Whether all scales of such blocks are finite. */
export const finiteBlocks = operator<(blocks: T, format: string) => boolean>(
  'finiteBlocks',
  'tunesmith::finite_blocks(blocks, format)',
)

/**
 * Rows of float32 [R,K] in a type of files, as uint8 [R, bytes of a row]: a quantised type of GGUF with the bytes that ggml
 * writes, `float32`, `float16`, `bfloat16`, or an integer type of ONNX: `int8-by-column`, `int8-by-row`, `int4`, `int4-scales`.
 * @param columns importance of the errors in each column [K], for the types of GGUF that have one; scales of int8, one for
 *   each column or row
 */
export const encodeRows = operator<(values: T, format: string, columns?: T | null) => T>(
  'encodeRows',
  'tunesmith::encode_rows(values, format, columns)',
)

/** Rows of such blocks by id, dequantised to float32: ids int64 [...] give [...,K]. */
export const blockEmbedding = operator<(blocks: T, format: string, ids: T) => T>(
  'blockEmbedding',
  'tunesmith::block_embedding(blocks, format, ids)',
)

/**
 * `linear` with such blocks, which get no gradient and are never dequantised as a whole. Each group of 32 values of the
 * input is quantised to int8. A row's result does not depend on the other rows.
 */
export const blockLinear = operator<(input: T, blocks: T, format: string, order?: T | null, bias?: T | null) => T>(
  'blockLinear',
  'tunesmith::block_linear(input, blocks, format, order, bias)',
)

/**
 * The next token of each row and its log-probability at the row's temperature: logits float32 [B,V], temperatures and
 * uniforms float64 [B] give ids int64 [B] and log-probabilities float32 [B]. A temperature of 0 takes the most likely
 * token, whose log-probability is that at temperature 1; otherwise a number in [0, 1) chooses. Without `logged` (default:
 * true) there are no log-probabilities, [0].
 * @throws ShapeError for other shapes and dtypes, and for a negative temperature
 */
export const chooseTokens = operator<
  (logits: T, temperatures: T, uniforms: T, options?: { logged?: boolean }) => [ids: T, logProbs: T]
>('chooseTokens', 'tunesmith::choose_tokens(logits, temperatures, uniforms, *logged)')

/** Asks the system for large pages behind a tensor's memory; whether it agreed. */
export const useLargePages = operator<(tensor: T) => boolean>('useLargePages', 'tunesmith::use_large_pages(tensor)')

/** One AdamW step of many parameters in one parallel loop, in place. All lists have one entry per parameter. */
export const adamw_ = operator<
  (
    params: readonly T[],
    options: {
      /** float32 averages of the gradient and of its square. */
      expAvgs: readonly T[]
      expAvgSqs: readonly T[]
      /** bfloat16 copies that the forward uses, rounded anew; empty tensors where there is none. */
      workingCopies: readonly T[]
      grads: readonly T[]
      learningRates: readonly number[]
      weightDecays: readonly number[]
      beta1: number
      beta2: number
      eps: number
      /** Number of this step, from 1 on, for the bias correction. */
      step: number
      /** Factor of the gradients (default 1), a float32 scalar; a NaN skips the step. */
      gradScale?: T
    },
  ) => void
>(
  'adamw_',
  'tunesmith::adamw_(params, *expAvgs, *expAvgSqs, *workingCopies, *grads, *learningRates, *weightDecays, *beta1, *beta2, *eps, *step, *gradScale)',
)
