// The list of operators that are methods of a tensor; functions.ts lists the others. Each line names the dispatcher's
// operators with all their arguments, and the TypeScript call. A test holds every line against libtorch's own schemas.
// Meanings are PyTorch's. Results are new tensors, except views, which share memory, and methods that end in _, which
// write into the tensor and return it.
import type { Dtype } from './dtype.ts'
import type { Dims, DtypeOptions, KeepDim, RandomOptions, Reduction, Shape, TensorOrNumber } from './operator-entry.ts'
import { entry } from './operator-entry.ts'
import type { Tensor } from './tensor.ts'

type T = Tensor
type Unary = () => T
type Binary = (other: TensorOrNumber) => T

const unary = (name: string) => entry<Unary>(`aten::${name}(self)`)
const binary = (name: string) => entry<Binary>(`aten::${name}.Tensor(self, other)`, `aten::${name}.Scalar(self, other)`)

/** Operators that are methods of a tensor. Their docstrings appear on `Tensor`. */
export const methods = {
  // arithmetic
  /**
   * Adds `other`, times `alpha` (default 1), with broadcasting.
   * @throws ShapeError where the shapes do not broadcast
   */
  add: entry<(other: TensorOrNumber, options?: { alpha?: number }) => T>(
    'aten::add.Tensor(self, other, *alpha)',
    'aten::add.Scalar(self, other, *alpha)',
  ),
  /** Subtracts `other`, times `alpha` (default 1), with broadcasting. */
  sub: entry<(other: TensorOrNumber, options?: { alpha?: number }) => T>(
    'aten::sub.Tensor(self, other, *alpha)',
    'aten::sub.Scalar(self, other, *alpha)',
  ),
  /** Multiplies element by element, with broadcasting. `matmul` is the matrix product. */
  mul: binary('mul'),
  /** Divides element by element, with broadcasting; integers give floats unless `roundingMode` is set. */
  div: entry<(other: TensorOrNumber, options?: { roundingMode?: 'trunc' | 'floor' }) => T>(
    'aten::div.Tensor(self, other)',
    'aten::div.Scalar(self, other)',
    'aten::div.Tensor_mode(self, other, *roundingMode)',
    'aten::div.Scalar_mode(self, other, *roundingMode)',
  ),
  /** Remainder of the division, with the sign of `other`, as in Python. */
  remainder: binary('remainder'),
  /** Raises each element to the power `other`. */
  pow: entry<Binary>('aten::pow.Tensor_Scalar(self, exponent)', 'aten::pow.Tensor_Tensor(self, exponent)'),
  /** The larger of two elements, with broadcasting. */
  maximum: entry<(other: T) => T>('aten::maximum(self, other)'),
  /** The smaller of two elements, with broadcasting. */
  minimum: entry<(other: T) => T>('aten::minimum(self, other)'),
  /** Linear interpolation: `this + weight * (end - this)`. */
  lerp: entry<(end: T, weight: TensorOrNumber) => T>(
    'aten::lerp.Scalar(self, end, weight)',
    'aten::lerp.Tensor(self, end, weight)',
  ),
  /** `this + value * a * b` (default of `value`: 1). */
  addcmul: entry<(a: T, b: T, options?: { value?: number }) => T>('aten::addcmul(self, tensor1, tensor2, *value)'),
  /** `this + value * a / b` (default of `value`: 1). */
  addcdiv: entry<(a: T, b: T, options?: { value?: number }) => T>('aten::addcdiv(self, tensor1, tensor2, *value)'),
  /** Limits the elements to the range from `min` to `max`; one of the two may be left out. */
  clamp: entry<(options: { min?: TensorOrNumber; max?: TensorOrNumber }) => T>(
    'aten::clamp(self, *min, *max)',
    'aten::clamp.Tensor(self, *min, *max)',
  ),
  /** The negative of each element. */
  neg: unary('neg'),
  /** The absolute value of each element. */
  abs: unary('abs'),
  /** -1, 0 or 1 by the sign of each element. */
  sign: unary('sign'),
  /** e to the power of each element. */
  exp: unary('exp'),
  /** `exp(x) - 1`, exact near 0. */
  expm1: unary('expm1'),
  /** Natural logarithm of each element. */
  log: unary('log'),
  /** Logarithm to base 2 of each element. */
  log2: unary('log2'),
  /** `log(1 + x)`, exact near 0. */
  log1p: unary('log1p'),
  /** Square root of each element; NaN for negative ones. */
  sqrt: unary('sqrt'),
  /** `1 / sqrt(x)` of each element. */
  rsqrt: unary('rsqrt'),
  /** The square of each element. */
  square: unary('square'),
  /** `1 / x` of each element. */
  reciprocal: unary('reciprocal'),
  /** Sine of each element, in radians. */
  sin: unary('sin'),
  /** Cosine of each element, in radians. */
  cos: unary('cos'),
  /** Hyperbolic tangent of each element. */
  tanh: unary('tanh'),
  /** Gaussian error function of each element. */
  erf: unary('erf'),
  /** Rounds each element down. */
  floor: unary('floor'),
  /** Rounds each element up. */
  ceil: unary('ceil'),
  /** Rounds each element to the nearest whole number, halves to even. */
  round: unary('round'),
  /** Rounds each element towards 0. */
  trunc: unary('trunc'),
  // comparison and logic
  /** bool: where the elements are equal, with broadcasting. */
  eq: binary('eq'),
  /** bool: where the elements differ, with broadcasting. */
  ne: binary('ne'),
  /** bool: where the element is less than `other`, with broadcasting. */
  lt: binary('lt'),
  /** bool: where the element is less than or equal to `other`, with broadcasting. */
  le: binary('le'),
  /** bool: where the element is greater than `other`, with broadcasting. */
  gt: binary('gt'),
  /** bool: where the element is greater than or equal to `other`, with broadcasting. */
  ge: binary('ge'),
  /** Whether both tensors have the same shape and the same elements. */
  equal: entry<(other: T) => boolean>('aten::equal(self, other)'),
  /** Whether all elements differ by at most `atol + rtol * |other|` (defaults: 1e-8 and 1e-5). */
  allclose: entry<(other: T, options?: { rtol?: number; atol?: number; equalNan?: boolean }) => boolean>(
    'aten::allclose(self, other, *rtol, *atol, *equalNan)',
  ),
  /** bool: where the elements differ by at most `atol + rtol * |other|` (defaults: 1e-8 and 1e-5). */
  isclose: entry<(other: T, options?: { rtol?: number; atol?: number; equalNan?: boolean }) => T>(
    'aten::isclose(self, other, *rtol, *atol, *equalNan)',
  ),
  /** bool: where both elements are nonzero. */
  logicalAnd: entry<(other: T) => T>('aten::logical_and(self, other)'),
  /** bool: where one or both elements are nonzero. */
  logicalOr: entry<(other: T) => T>('aten::logical_or(self, other)'),
  /** bool: where exactly one element is nonzero. */
  logicalXor: entry<(other: T) => T>('aten::logical_xor(self, other)'),
  /** bool: where the element is 0. */
  logicalNot: unary('logical_not'),
  /** Bitwise AND of integers, logical AND of bools. */
  bitwiseAnd: binary('bitwise_and'),
  /** Bitwise OR of integers, logical OR of bools. */
  bitwiseOr: binary('bitwise_or'),
  /** Bitwise XOR of integers, logical XOR of bools. */
  bitwiseXor: binary('bitwise_xor'),
  /** bool: where the element is NaN. */
  isnan: unary('isnan'),
  /** bool: where the element is infinite. */
  isinf: unary('isinf'),
  /** bool: where the element is neither NaN nor infinite. */
  isfinite: unary('isfinite'),
  /** The element of this tensor where `condition` (bool) is true, else that of `other`, with broadcasting. */
  where: entry<(condition: T, other: TensorOrNumber) => T>(
    'aten::where.self(condition, self, other)',
    'aten::where.ScalarOther(condition, self, other)',
  ),
  // reductions
  /** Sum over `dim` (default: all elements); integers and bools are summed as int64. */
  sum: entry<(dim?: Dims, options?: KeepDim & DtypeOptions) => T>(
    'aten::sum(self, *dtype)',
    'aten::sum.dim_IntList(self, dim, *keepdim, *dtype)',
  ),
  /** Mean over `dim` (default: all elements), of floats only. */
  mean: entry<(dim?: Dims, options?: KeepDim & DtypeOptions) => T>(
    'aten::mean(self, *dtype)',
    'aten::mean.dim(self, dim, *keepdim, *dtype)',
  ),
  /** Product over `dim` (default: all elements). */
  prod: entry<(dim?: number, options?: KeepDim & DtypeOptions) => T>(
    'aten::prod(self, *dtype)',
    'aten::prod.dim_int(self, dim, *keepdim, *dtype)',
  ),
  /** Standard deviation over `dim` (default: all elements), divided by n - `correction` (default 1). */
  std: entry<(dim?: Dims, options?: KeepDim & { correction?: number }) => T>(
    'aten::std.correction(self, dim, *correction, *keepdim)',
  ),
  /** Variance over `dim` (default: all elements), divided by n - `correction` (default 1). */
  var: entry<(dim?: Dims, options?: KeepDim & { correction?: number }) => T>(
    'aten::var.correction(self, dim, *correction, *keepdim)',
  ),
  /** Vector norm of order `ord` (default 2) over `dim` (default: all elements). */
  norm: entry<(ord?: number, dim?: Dims, options?: KeepDim & DtypeOptions) => T>(
    'aten::linalg_vector_norm(self, ord, dim, *keepdim, *dtype)',
  ),
  /** Eigenvalues of symmetric matrices [...,N,N] in ascending order, and orthonormal eigenvectors as columns. */
  eigh: entry<() => [values: T, vectors: T]>('aten::linalg_eigh(self, -UPLO)'),
  /** QR decomposition of matrices [...,R,C]: orthonormal columns [...,R,min(R,C)], and an upper triangle. */
  qr: entry<() => [q: T, r: T]>('aten::linalg_qr(A, -mode)'),
  /** Maximum over `dim` (default: all elements); equal maxima share the gradient. */
  amax: entry<(dim?: Dims, options?: KeepDim) => T>('aten::amax(self, dim, *keepdim)'),
  /** Minimum over `dim` (default: all elements); equal minima share the gradient. */
  amin: entry<(dim?: Dims, options?: KeepDim) => T>('aten::amin(self, dim, *keepdim)'),
  /** Maximum of all elements, or with `dim` the maxima along it and their int64 indices. */
  max: entry<{ (): T; (dim: number, options?: KeepDim): [values: T, indices: T] }>(
    'aten::max(self)',
    'aten::max.dim(self, dim, *keepdim)',
  ),
  /** Minimum of all elements, or with `dim` the minima along it and their int64 indices. */
  min: entry<{ (): T; (dim: number, options?: KeepDim): [values: T, indices: T] }>(
    'aten::min(self)',
    'aten::min.dim(self, dim, *keepdim)',
  ),
  /** int64 index of the maximum along `dim` (default: of the flattened tensor). */
  argmax: entry<(dim?: number, options?: KeepDim) => T>('aten::argmax(self, dim, *keepdim)'),
  /** int64 index of the minimum along `dim` (default: of the flattened tensor). */
  argmin: entry<(dim?: number, options?: KeepDim) => T>('aten::argmin(self, dim, *keepdim)'),
  /** bool: whether any element along `dim` (default: of all) is nonzero. */
  any: entry<(dim?: number, options?: KeepDim) => T>('aten::any(self)', 'aten::any.dim(self, dim, *keepdim)'),
  /** bool: whether all elements along `dim` (default: of all) are nonzero. */
  all: entry<(dim?: number, options?: KeepDim) => T>('aten::all(self)', 'aten::all.dim(self, dim, *keepdim)'),
  /** `log(sum(exp(x)))` over `dim`, without overflow. */
  logsumexp: entry<(dim: Dims, options?: KeepDim) => T>('aten::logsumexp(self, dim, *keepdim)'),
  /** Cumulative sum along `dim`. */
  cumsum: entry<(dim: number, options?: DtypeOptions) => T>('aten::cumsum(self, dim, *dtype)'),
  /** Cumulative product along `dim`. */
  cumprod: entry<(dim: number, options?: DtypeOptions) => T>('aten::cumprod(self, dim, *dtype)'),
  /** int64 number of nonzero elements along `dim` (default: of all). */
  countNonzero: entry<(dim?: number) => T>('aten::count_nonzero(self, dim)'),
  /** How often each number occurs in an int tensor [N], or the sum of its `weights`: [max(largest + 1, minlength)]. */
  bincount: entry<(options?: { weights?: T; minlength?: number }) => T>('aten::bincount(self, *weights, *minlength)'),
  // products
  /**
   * Matrix product with broadcast batch dimensions: [...,M,K] times [...,K,N] gives [...,M,N].
   * @throws ShapeError where the inner sizes or the dtypes differ
   */
  matmul: entry<(other: T) => T>('aten::matmul(self, other)'),
  /** Matrix product of two matrices: [M,K] times [K,N] gives [M,N]. */
  mm: entry<(other: T) => T>('aten::mm(self, mat2)'),
  /** Matrix products of a batch: [B,M,K] times [B,K,N] gives [B,M,N]. */
  bmm: entry<(other: T) => T>('aten::bmm(self, mat2)'),
  /** Inner product of two vectors [N]: a scalar. */
  dot: entry<(other: T) => T>('aten::dot(self, tensor)'),
  /** Outer product of two vectors: [M] and [N] give [M,N]. */
  outer: entry<(other: T) => T>('aten::outer(self, vec2)'),
  /** `beta * this + alpha * (a @ b)` of matrices: [M,N], [M,K] and [K,N] (defaults: 1). */
  addmm: entry<(a: T, b: T, options?: { beta?: number; alpha?: number }) => T>(
    'aten::addmm(self, mat1, mat2, *beta, *alpha)',
  ),
  /** `beta * this + alpha * (a @ b)` of batches of matrices: [B,M,N], [B,M,K] and [B,K,N] (defaults: 1). */
  baddbmm: entry<(a: T, b: T, options?: { beta?: number; alpha?: number }) => T>(
    'aten::baddbmm(self, batch1, batch2, *beta, *alpha)',
  ),
  // indexing
  /** View of one `index` along `dim`, without that dimension. */
  select: entry<(dim: number, index: number) => T>('aten::select.int(self, dim, index)'),
  /** View of `length` elements along `dim` from `start` on. */
  narrow: entry<(dim: number, start: number, length: number) => T>('aten::narrow(self, dim, start, length)'),
  /**
   * View of the elements from `start` to before `end` along `dim`, each `step`-th; negative numbers count from the
   * end.
   */
  slice: entry<(dim: number, start?: number, end?: number, options?: { step?: number }) => T>(
    'aten::slice.Tensor(self, dim, start, end, *step)',
  ),
  /** Elements at int64 or bool `indices`, one for each dimension in order; null takes the whole dimension. */
  index: entry<(indices: readonly (T | null)[]) => T>('aten::index.Tensor(self, indices)'),
  /** Copy with `values` at `indices` (as in `index`), added instead of replaced with `accumulate`. */
  indexPut: entry<(indices: readonly (T | null)[], values: T, options?: { accumulate?: boolean }) => T>(
    'aten::index_put(self, indices, values, *accumulate)',
  ),
  /** Entries along `dim` at the positions `index` (int64 [N]), as a copy. */
  indexSelect: entry<(dim: number, index: T) => T>('aten::index_select(self, dim, index)'),
  /** Copy with `alpha * source` added to the entries along `dim` at the positions `index` (int64 [N]). */
  indexAdd: entry<(dim: number, index: T, source: T, options?: { alpha?: number }) => T>(
    'aten::index_add(self, dim, index, source, *alpha)',
  ),
  /** Elements along `dim` at the positions `index` (int64), which has the shape of the result. */
  gather: entry<(dim: number, index: T) => T>('aten::gather(self, dim, index, -sparse_grad)'),
  /** Copy with the elements of `source` written along `dim` at the positions `index` (int64). */
  scatter: entry<(dim: number, index: T, source: TensorOrNumber) => T>(
    'aten::scatter.src(self, dim, index, src)',
    'aten::scatter.value(self, dim, index, value)',
  ),
  /** Copy with the elements of `source` added along `dim` at the positions `index` (int64). */
  scatterAdd: entry<(dim: number, index: T, source: T) => T>('aten::scatter_add(self, dim, index, src)'),
  /** Copy with `value` where `mask` (bool, broadcast) is true. */
  maskedFill: entry<(mask: T, value: TensorOrNumber) => T>(
    'aten::masked_fill.Scalar(self, mask, value)',
    'aten::masked_fill.Tensor(self, mask, value)',
  ),
  /** The elements where `mask` (bool, broadcast) is true: [N]. */
  maskedSelect: entry<(mask: T) => T>('aten::masked_select(self, mask)'),
  /** int64 positions of the nonzero elements: [N, number of dimensions]. */
  nonzero: unary('nonzero'),
  /**
   * The `k` largest elements (smallest with `largest: false`) along `dim` (default: the last) and their int64
   * indices.
   */
  topk: entry<(k: number, dim?: number, options?: { largest?: boolean; sorted?: boolean }) => [values: T, indices: T]>(
    'aten::topk(self, k, dim, *largest, *sorted)',
  ),
  /** Elements sorted along `dim` (default: the last) and their int64 indices. */
  sort: entry<(dim?: number, options?: { descending?: boolean; stable?: boolean }) => [values: T, indices: T]>(
    'aten::sort(self, dim, *descending)',
    'aten::sort.stable(self, *stable, dim, *descending)',
  ),
  /** int64 indices that sort the tensor along `dim` (default: the last). */
  argsort: entry<(dim?: number, options?: { descending?: boolean }) => T>('aten::argsort(self, dim, *descending)'),
  /** Samples int64 indices by the weights of each row: [N] or [B,N] gives [samples] or [B,samples]. */
  multinomial: entry<(samples: number, options?: { replacement?: boolean } & RandomOptions) => T>(
    'aten::multinomial(self, num_samples, *replacement, *generator)',
  ),
  /** int64 one-hot vectors of class numbers: [...] gives [..., classes] (default: largest + 1). */
  oneHot: entry<(classes?: number) => T>('aten::one_hot(self, num_classes)'),
  /** Lower triangle of matrices, 0 above the `diagonal` (default 0). */
  tril: entry<(diagonal?: number) => T>('aten::tril(self, diagonal)'),
  /** Upper triangle of matrices, 0 below the `diagonal` (default 0). */
  triu: entry<(diagonal?: number) => T>('aten::triu(self, diagonal)'),
  /** View of the diagonal of the dimensions `dim1` and `dim2` (default: 0 and 1), moved by `offset`. */
  diagonal: entry<(options?: { offset?: number; dim1?: number; dim2?: number }) => T>(
    'aten::diagonal(self, *offset, *dim1, *dim2)',
  ),
  /** int64 positions at which `values` would be inserted into this tensor, sorted along its last dimension. */
  searchsorted: entry<(values: T, options?: { right?: boolean }) => T>(
    'aten::searchsorted.Tensor(sorted_sequence, self, -out_int32, *right, -side, -sorter)',
  ),
  // shape
  /**
   * The elements in another shape, a view where possible; one size may be -1 and is inferred.
   * @throws ShapeError where the number of elements differs
   */
  reshape: entry<(shape: Shape) => T>('aten::reshape(self, shape)'),
  /**
   * View of the same memory in another shape; one size may be -1 and is inferred.
   * @throws ShapeError where the memory layout does not allow it: use `reshape`
   */
  view: entry<(shape: Shape) => T>('aten::view(self, size)'),
  /** Joins the dimensions from `start` to `end` (default: all) into one. */
  flatten: entry<(start?: number, end?: number) => T>('aten::flatten.using_ints(self, start_dim, end_dim)'),
  /** Splits the dimension `dim` into `sizes`, of which one may be -1. */
  unflatten: entry<(dim: number, sizes: Shape) => T>('aten::unflatten.int(self, dim, sizes)'),
  /** View without the dimensions of size 1, or without `dim` where its size is 1. */
  squeeze: entry<(dim?: number) => T>('aten::squeeze(self)', 'aten::squeeze.dim(self, dim)'),
  /** View with a dimension of size 1 inserted at `dim`. */
  unsqueeze: entry<(dim: number) => T>('aten::unsqueeze(self, dim)'),
  /** View with two dimensions exchanged. */
  transpose: entry<(dim0: number, dim1: number) => T>('aten::transpose.int(self, dim0, dim1)'),
  /** View of a matrix with rows and columns exchanged: [M,N] gives [N,M]. */
  t: unary('t'),
  /** View with the dimensions in the order `dims`. */
  permute: entry<(dims: Shape) => T>('aten::permute(self, dims)'),
  /** View with the dimension `source` moved to `destination`. */
  movedim: entry<(source: number, destination: number) => T>('aten::movedim.int(self, source, destination)'),
  /** View with dimensions of size 1 repeated up to `shape`; -1 keeps a size. */
  expand: entry<(shape: Shape) => T>('aten::expand(self, size, -implicit)'),
  /** View expanded to the shape of `other`. */
  expandAs: entry<(other: T) => T>('aten::expand_as(self, other)'),
  /** Copy that repeats the whole tensor `repeats` times along each dimension. */
  repeat: entry<(repeats: Shape) => T>('aten::repeat(self, repeats)'),
  /** Copy that repeats each element along `dim` (default: of the flattened tensor) `repeats` times. */
  repeatInterleave: entry<(repeats: number | T, dim?: number) => T>(
    'aten::repeat_interleave.self_int(self, repeats, dim, -output_size)',
    'aten::repeat_interleave.self_Tensor(self, repeats, dim, -output_size)',
  ),
  /** Copy with the order along `dims` reversed. */
  flip: entry<(dims: Shape) => T>('aten::flip(self, dims)'),
  /** Copy with the elements moved by `shifts` along `dims`; those beyond the end come in at the start. */
  roll: entry<(shifts: Dims, dims?: Dims) => T>('aten::roll(self, shifts, dims)'),
  /** Views of `size` elements each (or of the given sizes) along `dim` (default 0); the last one may be smaller. */
  split: entry<(size: number | Shape, dim?: number) => T[]>(
    'aten::split.Tensor(self, split_size, dim)',
    'aten::split_with_sizes(self, split_sizes, dim)',
  ),
  /**
   * Up to `chunks` views of equal size along `dim` (default 0); the last one may be smaller.
   * @throws ShapeError for more than 2^20 chunks
   */
  chunk: entry<(chunks: number, dim?: number) => T[]>('aten::chunk(self, chunks, dim)'),
  /** Views of each index along `dim` (default 0), without that dimension. */
  unbind: entry<(dim?: number) => T[]>('aten::unbind.int(self, dim)'),
  /** The tensor with its elements row-major in memory: itself where they are, else a copy. */
  contiguous: entry<() => T>('aten::contiguous(self, -memory_format)'),
  /** Copy of the elements that keeps the history for autograd. */
  clone: entry<() => T>('aten::clone(self, -memory_format)'),
  /** View of the same memory without history for autograd. */
  detach: unary('detach'),
  /** Second tensor over the same memory, with history for autograd. */
  alias: unary('alias'),
  /** The tensor in another dtype or on another device: itself where both match already, unless `copy` is true. */
  to: entry<(target: Dtype | { dtype?: Dtype; device?: string; copy?: boolean; nonBlocking?: boolean }) => T>(
    'aten::to.dtype(self, dtype, *nonBlocking, *copy, -memory_format)',
    'aten::to.dtype_layout(self, *dtype, -layout, *device, -pin_memory, *nonBlocking, *copy, -memory_format)',
  ),
  // activations
  /** `max(x, 0)` of each element. */
  relu: unary('relu'),
  /**
   * Gaussian error linear unit, exact or with the tanh approximation (default: 'none').
   * @source arXiv:1606.08415
   */
  gelu: entry<(options?: { approximate?: 'none' | 'tanh' }) => T>('aten::gelu(self, *approximate)'),
  /** `x * sigmoid(x)`, also called swish. */
  silu: unary('silu'),
  /** `1 / (1 + exp(-x))` of each element. */
  sigmoid: unary('sigmoid'),
  /** `log(1 + exp(beta * x)) / beta`, and x itself above `threshold` (defaults: 1 and 20). */
  softplus: entry<(options?: { beta?: number; threshold?: number }) => T>('aten::softplus(self, *beta, *threshold)'),
  /** x where positive, else `negativeSlope * x` (default 0.01). */
  leakyRelu: entry<(options?: { negativeSlope?: number }) => T>('aten::leaky_relu(self, *negativeSlope)'),
  /** x where positive, else `alpha * (exp(x) - 1)` (default 1). */
  elu: entry<(options?: { alpha?: number }) => T>('aten::elu(self, *alpha, -scale, -input_scale)'),
  /** `log(sigmoid(x))`, without overflow. */
  logSigmoid: unary('log_sigmoid'),
  /** Probabilities along `dim`: exponentials divided by their sum. */
  softmax: entry<(dim: number, options?: DtypeOptions) => T>('aten::softmax.int(self, dim, *dtype)'),
  /** Logarithms of the probabilities along `dim`, more exact than `softmax` and `log`. */
  logSoftmax: entry<(dim: number, options?: DtypeOptions) => T>('aten::log_softmax.int(self, dim, *dtype)'),
  // layers
  /**
   * Layer normalisation over the last dimensions, whose sizes are `normalizedShape` (default of `eps`: 1e-5).
   * @source arXiv:1607.06450
   */
  layerNorm: entry<(normalizedShape: Shape, options?: { weight?: T; bias?: T; eps?: number }) => T>(
    'aten::layer_norm(input, normalized_shape, *weight, *bias, *eps, -cudnn_enable)',
  ),
  /**
   * Divides by the root mean square over the last dimensions, whose sizes are `normalizedShape`.
   * @source arXiv:1910.07467
   */
  rmsNorm: entry<(normalizedShape: Shape, options?: { weight?: T; eps?: number }) => T>(
    'aten::rms_norm(input, normalized_shape, *weight, *eps)',
  ),
  // losses
  /**
   * Cross-entropy of logits [N,V] and int64 labels [N] (or probabilities [N,V]).
   * Defaults: `reduction` mean, `ignoreIndex` -100, `labelSmoothing` 0; `weight` is per class, [V].
   */
  crossEntropy: entry<
    (target: T, options?: { weight?: T; reduction?: Reduction; ignoreIndex?: number; labelSmoothing?: number }) => T
  >('aten::cross_entropy_loss(self, target, *weight, *reduction, *ignoreIndex, *labelSmoothing)'),
  /**
   * Negative log-likelihood of log-probabilities [N,V] and int64 labels [N].
   * Defaults: `reduction` mean, `ignoreIndex` -100; `weight` is per class, [V].
   */
  nllLoss: entry<(target: T, options?: { weight?: T; reduction?: Reduction; ignoreIndex?: number }) => T>(
    'aten::nll_loss(self, target, *weight, *reduction, *ignoreIndex)',
  ),
  /** Binary cross-entropy of probabilities and targets from 0 to 1 (default of `reduction`: mean). */
  binaryCrossEntropy: entry<(target: T, options?: { weight?: T; reduction?: Reduction }) => T>(
    'aten::binary_cross_entropy(self, target, *weight, *reduction)',
  ),
  /**
   * Binary cross-entropy of logits and targets from 0 to 1 (default of `reduction`: mean).
   * `posWeight` multiplies the term of positive targets.
   */
  binaryCrossEntropyWithLogits: entry<(target: T, options?: { weight?: T; posWeight?: T; reduction?: Reduction }) => T>(
    'aten::binary_cross_entropy_with_logits(self, target, *weight, *posWeight, *reduction)',
  ),
  /** Squared error (default of `reduction`: mean). */
  mseLoss: entry<(target: T, options?: { reduction?: Reduction }) => T>('aten::mse_loss(self, target, *reduction)'),
  /** Absolute error (default of `reduction`: mean). */
  l1Loss: entry<(target: T, options?: { reduction?: Reduction }) => T>('aten::l1_loss(self, target, *reduction)'),
  /** Squared error below `beta` (default 1), absolute error above (default of `reduction`: mean). */
  smoothL1Loss: entry<(target: T, options?: { reduction?: Reduction; beta?: number }) => T>(
    'aten::smooth_l1_loss(self, target, *reduction, *beta)',
  ),
  /**
   * Kullback-Leibler divergence of log-probabilities from `target`, which holds probabilities (or with `logTarget`
   * their logarithms). Default of `reduction`: mean over all elements.
   */
  klDiv: entry<(target: T, options?: { reduction?: Reduction; logTarget?: boolean }) => T>(
    'aten::kl_div(self, target, *reduction, *logTarget)',
  ),
  // random
  /** Samples 1 with the probability that each element holds, else 0. */
  bernoulli: entry<(options?: RandomOptions) => T>('aten::bernoulli(self, *generator)'),
  // in place
  /** Adds `other`, times `alpha` (default 1), in place. */
  add_: entry<(other: TensorOrNumber, options?: { alpha?: number }) => T>(
    'aten::add_.Tensor(self, other, *alpha)',
    'aten::add_.Scalar(self, other, *alpha)',
  ),
  /** Subtracts `other`, times `alpha` (default 1), in place. */
  sub_: entry<(other: TensorOrNumber, options?: { alpha?: number }) => T>(
    'aten::sub_.Tensor(self, other, *alpha)',
    'aten::sub_.Scalar(self, other, *alpha)',
  ),
  /** Multiplies by `other` in place. */
  mul_: entry<Binary>('aten::mul_.Tensor(self, other)', 'aten::mul_.Scalar(self, other)'),
  /** Divides by `other` in place. */
  div_: entry<Binary>('aten::div_.Tensor(self, other)', 'aten::div_.Scalar(self, other)'),
  /** Adds `value * a * b` in place (default of `value`: 1). */
  addcmul_: entry<(a: T, b: T, options?: { value?: number }) => T>('aten::addcmul_(self, tensor1, tensor2, *value)'),
  /** Adds `value * a / b` in place (default of `value`: 1). */
  addcdiv_: entry<(a: T, b: T, options?: { value?: number }) => T>('aten::addcdiv_(self, tensor1, tensor2, *value)'),
  /** Moves the elements towards `end` by the share `weight`, in place. */
  lerp_: entry<(end: T, weight: TensorOrNumber) => T>(
    'aten::lerp_.Scalar(self, end, weight)',
    'aten::lerp_.Tensor(self, end, weight)',
  ),
  /** Limits the elements to the range from `min` to `max`, in place. */
  clamp_: entry<(options: { min?: number; max?: number }) => T>('aten::clamp_(self, *min, *max)'),
  /** Changes the sign in place. */
  neg_: entry<Unary>('aten::neg_(self)'),
  /** Takes the square root in place. */
  sqrt_: entry<Unary>('aten::sqrt_(self)'),
  /** Replaces each element by -1, 0 or 1, its sign, in place. */
  sign_: entry<Unary>('aten::sign_(self)'),
  /** Sets all elements to 0. */
  zero_: entry<Unary>('aten::zero_(self)'),
  /** Sets all elements to `value`. */
  fill_: entry<(value: TensorOrNumber) => T>('aten::fill_.Scalar(self, value)', 'aten::fill_.Tensor(self, value)'),
  /** Copies the elements of `source` (broadcast and converted) into this tensor. */
  copy_: entry<(source: T, options?: { nonBlocking?: boolean }) => T>('aten::copy_(self, src, *nonBlocking)'),
  /** Sets the elements where `mask` (bool, broadcast) is true to `value`. */
  maskedFill_: entry<(mask: T, value: TensorOrNumber) => T>(
    'aten::masked_fill_.Scalar(self, mask, value)',
    'aten::masked_fill_.Tensor(self, mask, value)',
  ),
  /** Adds `alpha * source` to the entries along `dim` at the positions `index` (int64 [N]), in place. */
  indexAdd_: entry<(dim: number, index: T, source: T, options?: { alpha?: number }) => T>(
    'aten::index_add_(self, dim, index, source, *alpha)',
  ),
  /** Writes `source` to the entries along `dim` at the positions `index` (int64 [N]). */
  indexCopy_: entry<(dim: number, index: T, source: T) => T>('aten::index_copy_(self, dim, index, source)'),
  /** Writes the elements of `source` along `dim` at the positions `index` (int64). */
  scatter_: entry<(dim: number, index: T, source: TensorOrNumber) => T>(
    'aten::scatter_.src(self, dim, index, src)',
    'aten::scatter_.value(self, dim, index, value)',
  ),
  /** Adds the elements of `source` along `dim` at the positions `index` (int64), in place. */
  scatterAdd_: entry<(dim: number, index: T, source: T) => T>('aten::scatter_add_(self, dim, index, src)'),
  /** Fills with samples of a normal distribution (defaults: `mean` 0, `std` 1). */
  normal_: entry<(mean?: number, std?: number, options?: RandomOptions) => T>(
    'aten::normal_(self, mean, std, *generator)',
  ),
  /** Fills with samples of the uniform distribution from `from` to below `to` (defaults: 0 and 1). */
  uniform_: entry<(from?: number, to?: number, options?: RandomOptions) => T>(
    'aten::uniform_(self, from, to, *generator)',
  ),
  /** Fills with 1 by the probability `p` (default 0.5), else 0. */
  bernoulli_: entry<(p?: number, options?: RandomOptions) => T>('aten::bernoulli_.float(self, p, *generator)'),
} as const
