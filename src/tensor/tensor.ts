// The tensor: a handle to libtorch's memory, what can be asked of it, and its way in and out of JavaScript.
// Operators are not here: ops.ts lists them, install.ts puts them on the prototype.
import { ShapeError } from '../core/index.ts'
import { type Dtype, dtypeFacts, dtypeFromCode, dtypeOfArray, type TypedArray } from './dtype.ts'
import type { SignaturesOf } from './entry.ts'
import { native } from './native.ts'
import { flatten, type NestedArray, type TensorValues } from './nested-values.ts'
import type { methods } from './ops.ts'
import { formatTensor } from './print.ts'
import { freeTensors, keep, registerTensor } from './scope.ts'
import { attempt, describe } from './wording.ts'

type Methods = SignaturesOf<typeof methods>

/** A tensor handed to another thread: pass it through `postMessage`, then `Tensor.adopt` it there. Adopt each once. */
export interface SharedTensor {
  sharedTensor: number
}

export interface Tensor extends Methods {}

const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1)

const floatOfBits = new Float32Array(1)
const bitsOfFloat = new Uint32Array(floatOfBits.buffer)

const bfloat16ToNumber = (bits: number): number => {
  bitsOfFloat[0] = bits << 16
  return floatOfBits[0]
}

/** An n-dimensional array in libtorch's memory, with autograd. Made by `tensor`, `zeros`, `randn` … or by operators. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: see the interface above
export class Tensor {
  /** 0 once freed. */
  handle: number
  /** Keeps the tensor alive while JavaScript can reach it; absent where a scope owns it. */
  guard: object | undefined
  /** Lifted out of every scope. */
  kept = false
  #shape: readonly number[] | undefined
  #dtype: Dtype | undefined

  private constructor(handle: number) {
    this.handle = handle
  }

  /** Takes over a handle of the addon. Not for users. */
  static fromHandle(handle: number): Tensor {
    const tensor = new Tensor(handle)
    registerTensor(tensor)
    return tensor
  }

  /**
   * Copies numbers, bigints, booleans, a typed array, or nested arrays of them into a new tensor. Typed arrays keep their
   * dtype, booleans become bool, bigints int64 and numbers float32 (default of `dtype`). A Uint16Array is taken as raw bits
   * for bfloat16 and float16. `shape` (default: that of the arrays) may give the elements another shape.
   * @throws ShapeError for ragged rows, a shape of another size, and numbers that an integer dtype cannot represent
   */
  static from(
    values: TensorValues,
    options: { shape?: readonly number[]; dtype?: Dtype; device?: string } = {},
  ): Tensor {
    const made = ArrayBuffer.isView(values) ? fromTyped(values, options) : fromNested(values, options)
    return options.device === undefined || options.device === 'cpu' ? made : made.to({ device: options.device })
  }

  /** Takes over a tensor that another thread shared. */
  static adopt(shared: SharedTensor): Tensor {
    if (typeof shared?.sharedTensor !== 'number')
      throw new ShapeError('Expected what `share()` returned for `Tensor.adopt`, got something else.')
    return Tensor.fromHandle(attempt('adopt', () => native.adopt(shared.sharedTensor)))
  }

  /** The live handle, or an error that says the tensor was freed. Not for users. */
  use(): number {
    if (this.handle === 0)
      throw new ShapeError('Expected a live tensor, got one that was freed. Return it from its scope(), or keep() it.')
    return this.handle
  }

  get shape(): readonly number[] {
    this.#shape ??= Object.freeze(native.shape(this.use()))
    return this.#shape
  }

  get dtype(): Dtype {
    this.#dtype ??= dtypeFromCode(native.dtype(this.use()))
    return this.#dtype
  }

  get device(): string {
    return native.device(this.use())
  }

  /** Number of dimensions. */
  get ndim(): number {
    return this.shape.length
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape)
  }

  get strides(): number[] {
    return native.strides(this.use())
  }

  get isContiguous(): boolean {
    return native.isContiguous(this.use())
  }

  get requiresGrad(): boolean {
    return native.requiresGrad(this.use())
  }

  set requiresGrad(value: boolean) {
    attempt('requiresGrad', () => native.setRequiresGrad(this.use(), value))
  }

  get isLeaf(): boolean {
    return native.isLeaf(this.use())
  }

  /** The accumulated gradient, or undefined when there is none. */
  get grad(): Tensor | undefined {
    const handle = native.grad(this.use())
    return handle === 0 ? undefined : Tensor.fromHandle(handle)
  }

  set grad(value: Tensor | undefined) {
    attempt('grad', () => native.setGrad(this.use(), value?.use() ?? null))
  }

  /** Makes `grad` available for a tensor that is not a leaf. Call before `backward`. */
  retainGrad(): this {
    attempt('retainGrad', () => native.retainGrad(this.use()))
    return this
  }

  /** Adds gradients of this tensor (a scalar, unless `gradient` is given) to every leaf behind it. */
  backward(options: { gradient?: Tensor; retainGraph?: boolean } = {}): void {
    const gradients = options.gradient === undefined ? undefined : [options.gradient.use()]
    attempt('backward', () => native.backward([this.use()], gradients, options.retainGraph ?? false))
  }

  /** Whether the two look at the same memory. */
  sharesStorageWith(other: Tensor): boolean {
    return native.sameStorage(this.use(), other.use())
  }

  /** The value of a tensor of one element; a bigint only where a number would round. */
  item(): number {
    return attempt('item', () => native.item(this.use())) as number
  }

  /** The values, row-major, in the dtype's own array (bfloat16 and float16: raw bits). One copy. */
  toTypedArray(): TypedArray {
    const array = new (dtypeFacts(this.dtype).array)(this.size)
    this.copyInto(array)
    return array
  }

  /** The values' bits, row-major, into memory you own of exactly the tensor's byte length. */
  copyInto(target: TypedArray | Uint8Array): void {
    attempt('copyInto', () => native.copyInto(this.use(), target))
  }

  /** The values as float32, whatever the dtype. */
  toFloat32Array(): Float32Array {
    if (this.dtype === 'float32') return this.toTypedArray() as Float32Array
    const converted = this.to('float32')
    try {
      return converted.toTypedArray() as Float32Array
    } finally {
      converted.free()
    }
  }

  /** The values as nested arrays of numbers (booleans for bool). */
  toArray(): NestedArray {
    const empty = this.shape.indexOf(0)
    const rows = sizeOf(empty < 0 ? this.shape : this.shape.slice(0, empty))
    if (rows > mostNested)
      throw new ShapeError(
        `Expected at most ${mostNested} values for \`toArray\`, got shape [${this.shape.join(', ')}].`,
      )
    const raw = this.dtype === 'float16' ? this.toFloat32Array() : this.toTypedArray()
    const dtype = this.dtype
    const read = (i: number): number | boolean => {
      if (dtype === 'bool') return raw[i] !== 0
      if (dtype === 'bfloat16') return bfloat16ToNumber(Number(raw[i]))
      return Number(raw[i])
    }
    let at = 0
    const build = (dim: number): NestedArray =>
      dim === this.ndim ? read(at++) : Array.from({ length: this.shape[dim] }, () => build(dim + 1))
    return build(0)
  }

  toString(): string {
    return this.handle === 0 ? 'Tensor(freed)' : formatTensor(this)
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }

  /** Frees the memory now. Using the tensor afterwards is an error. */
  free(): void {
    freeTensors([this])
  }

  [Symbol.dispose](): void {
    this.free()
  }

  /** Lifts the tensor out of every open scope. */
  keep(): this {
    keep(this)
    return this
  }

  /** Makes a token that another thread of this process can adopt; both then look at the same memory. */
  share(): SharedTensor {
    return { sharedTensor: native.share(this.use()) }
  }
}

/** As many as a JavaScript engine can hold in nested arrays. */
const mostNested = 2 ** 26

const checkShape = (shape: readonly number[], count: number) => {
  if (!Array.isArray(shape) || shape.some((size) => !Number.isSafeInteger(size) || size < 0))
    throw new ShapeError(`Expected whole sizes for \`shape\`, got ${describe(shape)}.`)
  if (sizeOf(shape) !== count)
    throw new ShapeError(`Expected ${sizeOf(shape)} values for shape [${shape.join(', ')}], got ${count}.`)
}

const fromTyped = (values: TypedArray, options: { shape?: readonly number[]; dtype?: Dtype }): Tensor => {
  const shape = options.shape ?? [values.length]
  checkShape(shape, values.length)
  const own = dtypeOfArray(values)
  const dtype = options.dtype ?? own
  const asBits = own === dtype || dtypeFacts(dtype).array === (values.constructor as unknown)
  const made = attempt('from', () => native.fromBytes(values, shape, dtypeFacts(asBits ? dtype : own).code))
  const tensor = Tensor.fromHandle(made)
  if (asBits) return tensor
  const converted = tensor.to(dtype)
  tensor.free()
  return converted
}

const fromNested = (values: TensorValues, options: { shape?: readonly number[]; dtype?: Dtype }): Tensor => {
  const flat = flatten(values, options.dtype)
  return fromTyped(flat.values, { shape: options.shape ?? flat.shape, dtype: flat.dtype })
}
