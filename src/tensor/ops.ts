// The one list of operators. Each line names the dispatcher's operators with all their arguments, and the TypeScript call.
// A test holds every line against libtorch's own schemas. Meanings are PyTorch's; see its documentation of the same name.

import type { Dtype } from './dtype.ts'
import { entry } from './entry.ts'
import type { Generator } from './generator.ts'
import type { Tensor } from './tensor.ts'

type T = Tensor
/** A tensor, or a number that is broadcast to the other operand's shape. */
export type TensorOrNumber = Tensor | number
type Shape = readonly number[]
type Dims = number | readonly number[]
type Reduction = 'none' | 'mean' | 'sum'
type KeepDim = { keepdim?: boolean }
type DtypeOptions = { dtype?: Dtype }
/** The random stream that an operator samples from; libtorch's default stream by default. */
export type RandomOptions = { generator?: Generator }
/** Dtype and device of a new tensor (default: float32, cpu). */
export type TensorOptions = { dtype?: Dtype; device?: string }
type Unary = () => T
type Binary = (other: TensorOrNumber) => T

const unary = (name: string) => entry<Unary>(`aten::${name}(self)`)
const binary = (name: string) => entry<Binary>(`aten::${name}.Tensor(self, other)`, `aten::${name}.Scalar(self, other)`)

/** Operators that are methods of a tensor. */
export const methods = {
  // arithmetic
  add: entry<(other: TensorOrNumber, options?: { alpha?: number }) => T>(
    'aten::add.Tensor(self, other, *alpha)',
    'aten::add.Scalar(self, other, *alpha)',
  ),
  sub: entry<(other: TensorOrNumber, options?: { alpha?: number }) => T>(
    'aten::sub.Tensor(self, other, *alpha)',
    'aten::sub.Scalar(self, other, *alpha)',
  ),
  mul: binary('mul'),
  div: entry<(other: TensorOrNumber, options?: { roundingMode?: 'trunc' | 'floor' }) => T>(
    'aten::div.Tensor(self, other)',
    'aten::div.Scalar(self, other)',
    'aten::div.Tensor_mode(self, other, *roundingMode)',
    'aten::div.Scalar_mode(self, other, *roundingMode)',
  ),
  remainder: binary('remainder'),
  pow: entry<Binary>('aten::pow.Tensor_Scalar(self, exponent)', 'aten::pow.Tensor_Tensor(self, exponent)'),
  maximum: entry<(other: T) => T>('aten::maximum(self, other)'),
  minimum: entry<(other: T) => T>('aten::minimum(self, other)'),
  lerp: entry<(end: T, weight: TensorOrNumber) => T>(
    'aten::lerp.Scalar(self, end, weight)',
    'aten::lerp.Tensor(self, end, weight)',
  ),
  addcmul: entry<(a: T, b: T, options?: { value?: number }) => T>('aten::addcmul(self, tensor1, tensor2, *value)'),
  addcdiv: entry<(a: T, b: T, options?: { value?: number }) => T>('aten::addcdiv(self, tensor1, tensor2, *value)'),
  clamp: entry<(options: { min?: TensorOrNumber; max?: TensorOrNumber }) => T>(
    'aten::clamp(self, *min, *max)',
    'aten::clamp.Tensor(self, *min, *max)',
  ),
  neg: unary('neg'),
  abs: unary('abs'),
  sign: unary('sign'),
  exp: unary('exp'),
  expm1: unary('expm1'),
  log: unary('log'),
  log2: unary('log2'),
  log1p: unary('log1p'),
  sqrt: unary('sqrt'),
  rsqrt: unary('rsqrt'),
  square: unary('square'),
  reciprocal: unary('reciprocal'),
  sin: unary('sin'),
  cos: unary('cos'),
  tanh: unary('tanh'),
  erf: unary('erf'),
  floor: unary('floor'),
  ceil: unary('ceil'),
  round: unary('round'),
  trunc: unary('trunc'),
  // comparison and logic
  eq: binary('eq'),
  ne: binary('ne'),
  lt: binary('lt'),
  le: binary('le'),
  gt: binary('gt'),
  ge: binary('ge'),
  equal: entry<(other: T) => boolean>('aten::equal(self, other)'),
  allclose: entry<(other: T, options?: { rtol?: number; atol?: number; equalNan?: boolean }) => boolean>(
    'aten::allclose(self, other, *rtol, *atol, *equalNan)',
  ),
  isclose: entry<(other: T, options?: { rtol?: number; atol?: number; equalNan?: boolean }) => T>(
    'aten::isclose(self, other, *rtol, *atol, *equalNan)',
  ),
  logicalAnd: entry<(other: T) => T>('aten::logical_and(self, other)'),
  logicalOr: entry<(other: T) => T>('aten::logical_or(self, other)'),
  logicalXor: entry<(other: T) => T>('aten::logical_xor(self, other)'),
  logicalNot: unary('logical_not'),
  bitwiseAnd: binary('bitwise_and'),
  bitwiseOr: binary('bitwise_or'),
  bitwiseXor: binary('bitwise_xor'),
  isnan: unary('isnan'),
  isinf: unary('isinf'),
  isfinite: unary('isfinite'),
  where: entry<(condition: T, other: TensorOrNumber) => T>(
    'aten::where.self(condition, self, other)',
    'aten::where.ScalarOther(condition, self, other)',
  ),
  // reductions
  sum: entry<(dim?: Dims, options?: KeepDim & DtypeOptions) => T>(
    'aten::sum(self, *dtype)',
    'aten::sum.dim_IntList(self, dim, *keepdim, *dtype)',
  ),
  mean: entry<(dim?: Dims, options?: KeepDim & DtypeOptions) => T>(
    'aten::mean(self, *dtype)',
    'aten::mean.dim(self, dim, *keepdim, *dtype)',
  ),
  prod: entry<(dim?: number, options?: KeepDim & DtypeOptions) => T>(
    'aten::prod(self, *dtype)',
    'aten::prod.dim_int(self, dim, *keepdim, *dtype)',
  ),
  std: entry<(dim?: Dims, options?: KeepDim & { correction?: number }) => T>(
    'aten::std.correction(self, dim, *correction, *keepdim)',
  ),
  var: entry<(dim?: Dims, options?: KeepDim & { correction?: number }) => T>(
    'aten::var.correction(self, dim, *correction, *keepdim)',
  ),
  norm: entry<(ord?: number, dim?: Dims, options?: KeepDim & DtypeOptions) => T>(
    'aten::linalg_vector_norm(self, ord, dim, *keepdim, *dtype)',
  ),
  amax: entry<(dim?: Dims, options?: KeepDim) => T>('aten::amax(self, dim, *keepdim)'),
  amin: entry<(dim?: Dims, options?: KeepDim) => T>('aten::amin(self, dim, *keepdim)'),
  max: entry<{ (): T; (dim: number, options?: KeepDim): [values: T, indices: T] }>(
    'aten::max(self)',
    'aten::max.dim(self, dim, *keepdim)',
  ),
  min: entry<{ (): T; (dim: number, options?: KeepDim): [values: T, indices: T] }>(
    'aten::min(self)',
    'aten::min.dim(self, dim, *keepdim)',
  ),
  argmax: entry<(dim?: number, options?: KeepDim) => T>('aten::argmax(self, dim, *keepdim)'),
  argmin: entry<(dim?: number, options?: KeepDim) => T>('aten::argmin(self, dim, *keepdim)'),
  any: entry<(dim?: number, options?: KeepDim) => T>('aten::any(self)', 'aten::any.dim(self, dim, *keepdim)'),
  all: entry<(dim?: number, options?: KeepDim) => T>('aten::all(self)', 'aten::all.dim(self, dim, *keepdim)'),
  logsumexp: entry<(dim: Dims, options?: KeepDim) => T>('aten::logsumexp(self, dim, *keepdim)'),
  cumsum: entry<(dim: number, options?: DtypeOptions) => T>('aten::cumsum(self, dim, *dtype)'),
  cumprod: entry<(dim: number, options?: DtypeOptions) => T>('aten::cumprod(self, dim, *dtype)'),
  countNonzero: entry<(dim?: number) => T>('aten::count_nonzero(self, dim)'),
  bincount: entry<(options?: { weights?: T; minlength?: number }) => T>('aten::bincount(self, *weights, *minlength)'),
  // products
  matmul: entry<(other: T) => T>('aten::matmul(self, other)'),
  mm: entry<(other: T) => T>('aten::mm(self, mat2)'),
  bmm: entry<(other: T) => T>('aten::bmm(self, mat2)'),
  dot: entry<(other: T) => T>('aten::dot(self, tensor)'),
  outer: entry<(other: T) => T>('aten::outer(self, vec2)'),
  addmm: entry<(a: T, b: T, options?: { beta?: number; alpha?: number }) => T>(
    'aten::addmm(self, mat1, mat2, *beta, *alpha)',
  ),
  baddbmm: entry<(a: T, b: T, options?: { beta?: number; alpha?: number }) => T>(
    'aten::baddbmm(self, batch1, batch2, *beta, *alpha)',
  ),
  // indexing
  select: entry<(dim: number, index: number) => T>('aten::select.int(self, dim, index)'),
  narrow: entry<(dim: number, start: number, length: number) => T>('aten::narrow(self, dim, start, length)'),
  slice: entry<(dim: number, start?: number, end?: number, options?: { step?: number }) => T>(
    'aten::slice.Tensor(self, dim, start, end, *step)',
  ),
  index: entry<(indices: readonly (T | null)[]) => T>('aten::index.Tensor(self, indices)'),
  indexPut: entry<(indices: readonly (T | null)[], values: T, options?: { accumulate?: boolean }) => T>(
    'aten::index_put(self, indices, values, *accumulate)',
  ),
  indexSelect: entry<(dim: number, index: T) => T>('aten::index_select(self, dim, index)'),
  indexAdd: entry<(dim: number, index: T, source: T, options?: { alpha?: number }) => T>(
    'aten::index_add(self, dim, index, source, *alpha)',
  ),
  gather: entry<(dim: number, index: T) => T>('aten::gather(self, dim, index, -sparse_grad)'),
  scatter: entry<(dim: number, index: T, source: TensorOrNumber) => T>(
    'aten::scatter.src(self, dim, index, src)',
    'aten::scatter.value(self, dim, index, value)',
  ),
  scatterAdd: entry<(dim: number, index: T, source: T) => T>('aten::scatter_add(self, dim, index, src)'),
  maskedFill: entry<(mask: T, value: TensorOrNumber) => T>(
    'aten::masked_fill.Scalar(self, mask, value)',
    'aten::masked_fill.Tensor(self, mask, value)',
  ),
  maskedSelect: entry<(mask: T) => T>('aten::masked_select(self, mask)'),
  nonzero: unary('nonzero'),
  topk: entry<(k: number, dim?: number, options?: { largest?: boolean; sorted?: boolean }) => [values: T, indices: T]>(
    'aten::topk(self, k, dim, *largest, *sorted)',
  ),
  sort: entry<(dim?: number, options?: { descending?: boolean; stable?: boolean }) => [values: T, indices: T]>(
    'aten::sort(self, dim, *descending)',
    'aten::sort.stable(self, *stable, dim, *descending)',
  ),
  argsort: entry<(dim?: number, options?: { descending?: boolean }) => T>('aten::argsort(self, dim, *descending)'),
  multinomial: entry<(samples: number, options?: { replacement?: boolean } & RandomOptions) => T>(
    'aten::multinomial(self, num_samples, *replacement, *generator)',
  ),
  oneHot: entry<(classes?: number) => T>('aten::one_hot(self, num_classes)'),
  tril: entry<(diagonal?: number) => T>('aten::tril(self, diagonal)'),
  triu: entry<(diagonal?: number) => T>('aten::triu(self, diagonal)'),
  diagonal: entry<(options?: { offset?: number; dim1?: number; dim2?: number }) => T>(
    'aten::diagonal(self, *offset, *dim1, *dim2)',
  ),
  searchsorted: entry<(values: T, options?: { right?: boolean }) => T>(
    'aten::searchsorted.Tensor(sorted_sequence, self, -out_int32, *right, -side, -sorter)',
  ),
  // shape
  reshape: entry<(shape: Shape) => T>('aten::reshape(self, shape)'),
  view: entry<(shape: Shape) => T>('aten::view(self, size)'),
  flatten: entry<(start?: number, end?: number) => T>('aten::flatten.using_ints(self, start_dim, end_dim)'),
  unflatten: entry<(dim: number, sizes: Shape) => T>('aten::unflatten.int(self, dim, sizes)'),
  squeeze: entry<(dim?: number) => T>('aten::squeeze(self)', 'aten::squeeze.dim(self, dim)'),
  unsqueeze: entry<(dim: number) => T>('aten::unsqueeze(self, dim)'),
  transpose: entry<(dim0: number, dim1: number) => T>('aten::transpose.int(self, dim0, dim1)'),
  t: unary('t'),
  permute: entry<(dims: Shape) => T>('aten::permute(self, dims)'),
  movedim: entry<(source: number, destination: number) => T>('aten::movedim.int(self, source, destination)'),
  expand: entry<(shape: Shape) => T>('aten::expand(self, size, -implicit)'),
  expandAs: entry<(other: T) => T>('aten::expand_as(self, other)'),
  repeat: entry<(repeats: Shape) => T>('aten::repeat(self, repeats)'),
  repeatInterleave: entry<(repeats: number | T, dim?: number) => T>(
    'aten::repeat_interleave.self_int(self, repeats, dim, -output_size)',
    'aten::repeat_interleave.self_Tensor(self, repeats, dim, -output_size)',
  ),
  flip: entry<(dims: Shape) => T>('aten::flip(self, dims)'),
  roll: entry<(shifts: Dims, dims?: Dims) => T>('aten::roll(self, shifts, dims)'),
  split: entry<(size: number | Shape, dim?: number) => T[]>(
    'aten::split.Tensor(self, split_size, dim)',
    'aten::split_with_sizes(self, split_sizes, dim)',
  ),
  chunk: entry<(chunks: number, dim?: number) => T[]>('aten::chunk(self, chunks, dim)'),
  unbind: entry<(dim?: number) => T[]>('aten::unbind.int(self, dim)'),
  contiguous: entry<() => T>('aten::contiguous(self, -memory_format)'),
  clone: entry<() => T>('aten::clone(self, -memory_format)'),
  detach: unary('detach'),
  alias: unary('alias'),
  to: entry<(target: Dtype | { dtype?: Dtype; device?: string; copy?: boolean; nonBlocking?: boolean }) => T>(
    'aten::to.dtype(self, dtype, *nonBlocking, *copy, -memory_format)',
    'aten::to.dtype_layout(self, *dtype, -layout, *device, -pin_memory, *nonBlocking, *copy, -memory_format)',
  ),
  // activations
  relu: unary('relu'),
  gelu: entry<(options?: { approximate?: 'none' | 'tanh' }) => T>('aten::gelu(self, *approximate)'),
  silu: unary('silu'),
  sigmoid: unary('sigmoid'),
  softplus: entry<(options?: { beta?: number; threshold?: number }) => T>('aten::softplus(self, *beta, *threshold)'),
  leakyRelu: entry<(options?: { negativeSlope?: number }) => T>('aten::leaky_relu(self, *negativeSlope)'),
  elu: entry<(options?: { alpha?: number }) => T>('aten::elu(self, *alpha, -scale, -input_scale)'),
  logSigmoid: unary('log_sigmoid'),
  softmax: entry<(dim: number, options?: DtypeOptions) => T>('aten::softmax.int(self, dim, *dtype)'),
  logSoftmax: entry<(dim: number, options?: DtypeOptions) => T>('aten::log_softmax.int(self, dim, *dtype)'),
  // layers
  layerNorm: entry<(normalizedShape: Shape, options?: { weight?: T; bias?: T; eps?: number }) => T>(
    'aten::layer_norm(input, normalized_shape, *weight, *bias, *eps, -cudnn_enable)',
  ),
  rmsNorm: entry<(normalizedShape: Shape, options?: { weight?: T; eps?: number }) => T>(
    'aten::rms_norm(input, normalized_shape, *weight, *eps)',
  ),
  // losses
  crossEntropy: entry<
    (target: T, options?: { weight?: T; reduction?: Reduction; ignoreIndex?: number; labelSmoothing?: number }) => T
  >('aten::cross_entropy_loss(self, target, *weight, *reduction, *ignoreIndex, *labelSmoothing)'),
  nllLoss: entry<(target: T, options?: { weight?: T; reduction?: Reduction; ignoreIndex?: number }) => T>(
    'aten::nll_loss(self, target, *weight, *reduction, *ignoreIndex)',
  ),
  binaryCrossEntropy: entry<(target: T, options?: { weight?: T; reduction?: Reduction }) => T>(
    'aten::binary_cross_entropy(self, target, *weight, *reduction)',
  ),
  binaryCrossEntropyWithLogits: entry<(target: T, options?: { weight?: T; posWeight?: T; reduction?: Reduction }) => T>(
    'aten::binary_cross_entropy_with_logits(self, target, *weight, *posWeight, *reduction)',
  ),
  mseLoss: entry<(target: T, options?: { reduction?: Reduction }) => T>('aten::mse_loss(self, target, *reduction)'),
  l1Loss: entry<(target: T, options?: { reduction?: Reduction }) => T>('aten::l1_loss(self, target, *reduction)'),
  smoothL1Loss: entry<(target: T, options?: { reduction?: Reduction; beta?: number }) => T>(
    'aten::smooth_l1_loss(self, target, *reduction, *beta)',
  ),
  klDiv: entry<(target: T, options?: { reduction?: Reduction; logTarget?: boolean }) => T>(
    'aten::kl_div(self, target, *reduction, *logTarget)',
  ),
  // random
  bernoulli: entry<(options?: RandomOptions) => T>('aten::bernoulli(self, *generator)'),
  // in place
  add_: entry<(other: TensorOrNumber, options?: { alpha?: number }) => T>(
    'aten::add_.Tensor(self, other, *alpha)',
    'aten::add_.Scalar(self, other, *alpha)',
  ),
  sub_: entry<(other: TensorOrNumber, options?: { alpha?: number }) => T>(
    'aten::sub_.Tensor(self, other, *alpha)',
    'aten::sub_.Scalar(self, other, *alpha)',
  ),
  mul_: entry<Binary>('aten::mul_.Tensor(self, other)', 'aten::mul_.Scalar(self, other)'),
  div_: entry<Binary>('aten::div_.Tensor(self, other)', 'aten::div_.Scalar(self, other)'),
  addcmul_: entry<(a: T, b: T, options?: { value?: number }) => T>('aten::addcmul_(self, tensor1, tensor2, *value)'),
  addcdiv_: entry<(a: T, b: T, options?: { value?: number }) => T>('aten::addcdiv_(self, tensor1, tensor2, *value)'),
  lerp_: entry<(end: T, weight: TensorOrNumber) => T>(
    'aten::lerp_.Scalar(self, end, weight)',
    'aten::lerp_.Tensor(self, end, weight)',
  ),
  clamp_: entry<(options: { min?: number; max?: number }) => T>('aten::clamp_(self, *min, *max)'),
  neg_: entry<Unary>('aten::neg_(self)'),
  sqrt_: entry<Unary>('aten::sqrt_(self)'),
  sign_: entry<Unary>('aten::sign_(self)'),
  zero_: entry<Unary>('aten::zero_(self)'),
  fill_: entry<(value: TensorOrNumber) => T>('aten::fill_.Scalar(self, value)', 'aten::fill_.Tensor(self, value)'),
  copy_: entry<(source: T, options?: { nonBlocking?: boolean }) => T>('aten::copy_(self, src, *nonBlocking)'),
  maskedFill_: entry<(mask: T, value: TensorOrNumber) => T>(
    'aten::masked_fill_.Scalar(self, mask, value)',
    'aten::masked_fill_.Tensor(self, mask, value)',
  ),
  indexAdd_: entry<(dim: number, index: T, source: T, options?: { alpha?: number }) => T>(
    'aten::index_add_(self, dim, index, source, *alpha)',
  ),
  indexCopy_: entry<(dim: number, index: T, source: T) => T>('aten::index_copy_(self, dim, index, source)'),
  scatter_: entry<(dim: number, index: T, source: TensorOrNumber) => T>(
    'aten::scatter_.src(self, dim, index, src)',
    'aten::scatter_.value(self, dim, index, value)',
  ),
  scatterAdd_: entry<(dim: number, index: T, source: T) => T>('aten::scatter_add_(self, dim, index, src)'),
  normal_: entry<(mean?: number, std?: number, options?: RandomOptions) => T>(
    'aten::normal_(self, mean, std, *generator)',
  ),
  uniform_: entry<(from?: number, to?: number, options?: RandomOptions) => T>(
    'aten::uniform_(self, from, to, *generator)',
  ),
  bernoulli_: entry<(p?: number, options?: RandomOptions) => T>('aten::bernoulli_.float(self, p, *generator)'),
} as const

/** Operators that are functions: they make tensors, or take several alike. */
export const functions = {
  empty: entry<(shape: Shape, options?: TensorOptions) => T>(
    'aten::empty.memory_format(size, *dtype, -layout, *device, -pin_memory, -memory_format)',
  ),
  zeros: entry<(shape: Shape, options?: TensorOptions) => T>(
    'aten::zeros(size, *dtype, -layout, *device, -pin_memory)',
  ),
  ones: entry<(shape: Shape, options?: TensorOptions) => T>('aten::ones(size, *dtype, -layout, *device, -pin_memory)'),
  zerosLike: entry<(like: T, options?: TensorOptions) => T>(
    'aten::zeros_like(self, *dtype, -layout, *device, -pin_memory, -memory_format)',
  ),
  onesLike: entry<(like: T, options?: TensorOptions) => T>(
    'aten::ones_like(self, *dtype, -layout, *device, -pin_memory, -memory_format)',
  ),
  emptyLike: entry<(like: T, options?: TensorOptions) => T>(
    'aten::empty_like(self, *dtype, -layout, *device, -pin_memory, -memory_format)',
  ),
  fullLike: entry<(like: T, value: number, options?: TensorOptions) => T>(
    'aten::full_like(self, fill_value, *dtype, -layout, *device, -pin_memory, -memory_format)',
  ),
  eye: entry<(n: number, m?: number, options?: TensorOptions) => T>(
    'aten::eye(n, *dtype, -layout, *device, -pin_memory)',
    'aten::eye.m(n, m, *dtype, -layout, *device, -pin_memory)',
  ),
  arange: entry<{
    (end: number, options?: TensorOptions): T
    (start: number, end: number, options?: TensorOptions & { step?: number }): T
  }>(
    'aten::arange(end, *dtype, -layout, *device, -pin_memory)',
    'aten::arange.start_step(start, end, *step, *dtype, -layout, *device, -pin_memory)',
  ),
  linspace: entry<(start: number, end: number, steps: number, options?: TensorOptions) => T>(
    'aten::linspace(start, end, steps, *dtype, -layout, *device, -pin_memory)',
  ),
  rand: entry<(shape: Shape, options?: TensorOptions & RandomOptions) => T>(
    'aten::rand(size, *dtype, -layout, *device, -pin_memory)',
    'aten::rand.generator(size, *generator, *dtype, -layout, *device, -pin_memory)',
  ),
  randn: entry<(shape: Shape, options?: TensorOptions & RandomOptions) => T>(
    'aten::randn(size, *dtype, -layout, *device, -pin_memory)',
    'aten::randn.generator(size, *generator, *dtype, -layout, *device, -pin_memory)',
  ),
  randint: entry<(low: number, high: number, shape: Shape, options?: TensorOptions & RandomOptions) => T>(
    'aten::randint.low(low, high, size, *dtype, -layout, *device, -pin_memory)',
    'aten::randint.low_generator(low, high, size, *generator, *dtype, -layout, *device, -pin_memory)',
  ),
  randperm: entry<(n: number, options?: TensorOptions & RandomOptions) => T>(
    'aten::randperm(n, *dtype, -layout, *device, -pin_memory)',
    'aten::randperm.generator(n, *generator, *dtype, -layout, *device, -pin_memory)',
  ),
  cat: entry<(tensors: readonly T[], dim?: number) => T>('aten::cat(tensors, dim)'),
  stack: entry<(tensors: readonly T[], dim?: number) => T>('aten::stack(tensors, dim)'),
  einsum: entry<(equation: string, tensors: readonly T[]) => T>('aten::einsum(equation, tensors, -path)'),
  padSequence: entry<
    (
      sequences: readonly T[],
      options?: { batchFirst?: boolean; paddingValue?: number; paddingSide?: 'left' | 'right' },
    ) => T
  >('aten::pad_sequence(sequences, *batchFirst, *paddingValue, *paddingSide)'),
  scaledDotProductAttention: entry<
    (
      query: T,
      key: T,
      value: T,
      options?: { attnMask?: T; dropoutP?: number; isCausal?: boolean; scale?: number; enableGqa?: boolean },
    ) => T
  >('aten::scaled_dot_product_attention(query, key, value, *attnMask, *dropoutP, *isCausal, *scale, *enableGqa)'),
  // fused kernels of native/kernels
  linear: entry<(input: T, weight: T, bias?: T | null) => T>('tunesmith::linear(input, weight, bias)'),
  packInt8: entry<(weight: T) => [codes: T, scales: T]>('tunesmith::pack_int8(weight)'),
  packNf4: entry<(weight: T) => [codes: T, scales: T]>('tunesmith::pack_nf4(weight)'),
  packScales: entry<(scales: T) => [codes: T, outer: T, offset: T]>('tunesmith::pack_scales(scales)'),
  unpackMatrix: entry<(codes: T, scales: readonly T[], rows: number, columns: number) => T>(
    'tunesmith::unpack_matrix(codes, scales, rows, columns)',
  ),
  packedLinear: entry<(input: T, codes: T, scales: readonly T[], rows: number, bias?: T | null) => T>(
    'tunesmith::packed_linear(input, codes, scales, rows, bias)',
  ),
  linearCrossEntropy: entry<
    (
      hidden: T,
      weight: T,
      bias: T | null,
      targets: T,
      options?: { vocabSize?: number; ignoreIndex?: number; labelSmoothing?: number; chunkSize?: number },
    ) => [lossSum: T, count: T]
  >(
    'tunesmith::linear_cross_entropy(hidden, weight, bias, targets, *vocabSize, *ignoreIndex, *labelSmoothing, *chunkSize)',
  ),
  addLayerNorm: entry<
    (input: T, residual: T | null, weight: T, bias: T | null, eps: number) => [sum: T, normalized: T]
  >('tunesmith::add_layer_norm(input, residual, weight, bias, eps)'),
  addRmsNorm: entry<(input: T, residual: T | null, weight: T, eps: number) => [sum: T, normalized: T]>(
    'tunesmith::add_rms_norm(input, residual, weight, eps)',
  ),
  fusedGelu: entry<(input: T, options?: { approximate?: 'none' | 'tanh' }) => T>(
    'tunesmith::gelu(input, *approximate)',
  ),
  swiglu: entry<(gate: T, up: T) => T>('tunesmith::swiglu(gate, up)'),
  rotary: entry<(input: T, cos: T, sin: T, options?: { interleaved?: boolean }) => T>(
    'tunesmith::rotary(input, cos, sin, *interleaved)',
  ),
  decoderLayer: entry<
    (
      stream: T,
      keys: T,
      values: T,
      past: number,
      cos: T,
      sin: T,
      mask: T | null,
      parts: readonly (T | null)[],
      eps: number,
      window: number,
      scale: number,
    ) => T
  >('tunesmith::decoder_layer(stream, keys, values, past, cos, sin, mask, parts, eps, window, scale)'),
  useLargePages: entry<(tensor: T) => boolean>('tunesmith::use_large_pages(tensor)'),
  embedding: entry<(weight: T, ids: T, options?: { paddingIdx?: number }) => T>(
    'tunesmith::embedding(weight, ids, *paddingIdx)',
  ),
  dropout: entry<(input: T, p: number, options?: RandomOptions) => T>('tunesmith::dropout(input, p, *generator)'),
  attention: entry<
    (
      query: T,
      key: T,
      value: T,
      options?: {
        mask?: T
        queryStarts?: T
        keyStarts?: T
        causal?: boolean
        window?: number
        scale?: number
        dropout?: number
      } & RandomOptions,
    ) => T
  >(
    'tunesmith::attention(query, key, value, *mask, *queryStarts, *keyStarts, *causal, *window, *scale, *dropout, *generator)',
  ),
  adamw_: entry<
    (
      params: readonly T[],
      expAvgs: readonly T[],
      expAvgSqs: readonly T[],
      workingCopies: readonly T[],
      grads: readonly T[],
      learningRates: readonly number[],
      weightDecays: readonly number[],
      beta1: number,
      beta2: number,
      eps: number,
      step: number,
      gradScale?: T,
    ) => void
  >(
    'tunesmith::adamw_(params, exp_avgs, exp_avg_sqs, working_copies, grads, learning_rates, weight_decays, beta1, beta2, eps, step, grad_scale)',
  ),
  gradNorm: entry<(grads: readonly T[]) => T>('tunesmith::grad_norm(grads)'),
  clipGradNorm_: entry<(grads: readonly T[], maxNorm: number, scale?: number) => T>(
    'tunesmith::clip_grad_norm_(grads, max_norm, scale)',
  ),
} as const
