// The tensor: a handle to libtorch's memory, its properties, and copies from and to JavaScript arrays.
// The operators are in methods.ts and functions.ts.
import { ShapeError } from '../core/index.ts'
import { expectDevice } from './device.ts'
import { type Dtype, dtypeFacts, dtypeFromCode, dtypeOfArray, type TypedArray } from './dtype.ts'
import { describeValue, withTypedErrors } from './error-messages.ts'
import type { methods } from './methods.ts'
import { native } from './native.ts'
import { flatten, type NestedArray, type TensorValues } from './nested-values.ts'
import type { SignaturesOf } from './operator-entry.ts'
import { formatTensor } from './print.ts'
import { freeTensors, keep, registerTensor } from './scope.ts'

type Methods = SignaturesOf<typeof methods>

/** A tensor on its way to another thread: send it with `postMessage`, and pass it once to `Tensor.adopt` there. */
export interface SharedTensor {
  /** Handle of the addon. */
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

/** An n-dimensional array in libtorch's memory, with autograd. Created by `Tensor.from`, `zeros`, `randn` … and operators. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: see the interface above
export class Tensor {
  /** Handle of the addon, 0 once freed. Internal. */
  handle: number
  /** Keeps the memory while JavaScript can reach the tensor; undefined while a scope owns it. Internal. */
  guard: object | undefined
  /** Whether the tensor was taken out of every scope. Internal. */
  kept = false
  #shape: readonly number[] | undefined
  #dtype: Dtype | undefined

  private constructor(handle: number) {
    this.handle = handle
  }

  /** A tensor of a handle of the addon. Internal. */
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
    const device = expectDevice(options.device ?? 'cpu')
    if (device === 'cpu') return made
    const there = Tensor.fromHandle(withTypedErrors('from', () => native.upload(made.use(), device)))
    made.free()
    return there
  }

  /** The tensor that another thread shared. @throws ShapeError for anything but the result of `share()` */
  static adopt(shared: SharedTensor): Tensor {
    if (typeof shared?.sharedTensor !== 'number')
      throw new ShapeError('Expected the result of `share()` for `Tensor.adopt`, got something else.')
    return Tensor.fromHandle(withTypedErrors('adopt', () => native.adopt(shared.sharedTensor)))
  }

  /** The handle. Internal. @throws ShapeError where the tensor was freed */
  use(): number {
    if (this.handle === 0)
      throw new ShapeError('Expected a live tensor, got one that was freed. Return it from its scope(), or keep() it.')
    return this.handle
  }

  /** Sizes of the dimensions, outermost first. */
  get shape(): readonly number[] {
    this.#shape ??= Object.freeze(native.shape(this.use()))
    return this.#shape
  }

  /** Element type. */
  get dtype(): Dtype {
    this.#dtype ??= dtypeFromCode(native.dtype(this.use()))
    return this.#dtype
  }

  /** Device of the memory, such as `cpu`. */
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

  /** Distance in elements between neighbours along each dimension. */
  get strides(): number[] {
    return native.strides(this.use())
  }

  /** Whether the elements are row-major in memory, without gaps. */
  get isContiguous(): boolean {
    return native.isContiguous(this.use())
  }

  /** Whether operators on the tensor are recorded for backward. Can be set on leaves of a floating dtype. */
  get requiresGrad(): boolean {
    return native.requiresGrad(this.use())
  }

  set requiresGrad(value: boolean) {
    withTypedErrors('requiresGrad', () => native.setRequiresGrad(this.use(), value))
  }

  /** Whether the tensor is not the result of a recorded operator; `backward` gives gradients to leaves. */
  get isLeaf(): boolean {
    return native.isLeaf(this.use())
  }

  /** The accumulated gradient, or undefined where there is none. */
  get grad(): Tensor | undefined {
    const handle = native.grad(this.use())
    return handle === 0 ? undefined : Tensor.fromHandle(handle)
  }

  set grad(value: Tensor | undefined) {
    withTypedErrors('grad', () => native.setGrad(this.use(), value?.use() ?? null))
  }

  /** Makes `backward` store `grad` in this tensor although it is not a leaf. */
  retainGrad(): this {
    withTypedErrors('retainGrad', () => native.retainGrad(this.use()))
    return this
  }

  /**
   * Adds the gradients of this tensor to the leaves that it was computed from. A tensor that is not a scalar needs `gradient`,
   * of its own shape; `retainGraph` allows another backward later.
   */
  backward(options: { gradient?: Tensor; retainGraph?: boolean } = {}): void {
    const gradients = options.gradient === undefined ? undefined : [options.gradient.use()]
    withTypedErrors('backward', () => native.backward([this.use()], gradients, options.retainGraph ?? false))
  }

  /** Whether two tensors share memory. */
  sharesStorageWith(other: Tensor): boolean {
    return native.sameStorage(this.use(), other.use())
  }

  /** The only element of a tensor of one element; a bigint where a number would round. @throws ShapeError for other sizes */
  item(): number {
    return withTypedErrors('item', () => native.item(this.use())) as number
  }

  /** Copies the elements, row-major, into the typed array of the dtype (bfloat16 and float16: raw bits). */
  toTypedArray(): TypedArray {
    const array = new (dtypeFacts(this.dtype).array)(this.size)
    this.copyInto(array)
    return array
  }

  /** Copies the elements' bits, row-major, into an array of exactly the tensor's byte length. */
  copyInto(target: TypedArray | Uint8Array): void {
    withTypedErrors('copyInto', () => native.copyInto(this.use(), target))
  }

  /** Copies the elements, row-major and converted to float32. */
  toFloat32Array(): Float32Array {
    if (this.dtype === 'float32') return this.toTypedArray() as Float32Array
    const converted = this.to('float32')
    try {
      return converted.toTypedArray() as Float32Array
    } finally {
      converted.free()
    }
  }

  /** Copies the elements into nested arrays of numbers (booleans for bool). @throws ShapeError for more than 2^26 elements */
  toArray(): NestedArray {
    const empty = this.shape.indexOf(0)
    const rows = sizeOf(empty < 0 ? this.shape : this.shape.slice(0, empty))
    if (rows > maxNestedElements)
      throw new ShapeError(
        `Expected at most ${maxNestedElements} elements for \`toArray\`, got shape [${this.shape.join(', ')}].`,
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

  /** Elements, shape and dtype as text; large tensors are shortened. */
  toString(): string {
    return this.handle === 0 ? 'Tensor(freed)' : formatTensor(this)
  }

  /** The text that `console.log` shows. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }

  /** Frees the tensor now; using it afterwards is an error. */
  free(): void {
    freeTensors([this])
  }

  /** Frees the tensor at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.free()
  }

  /** Takes the tensor out of every open scope. */
  keep(): this {
    keep(this)
    return this
  }

  /**
   * Takes over the memory and the dtype of another tensor, whose own object is then freed: what refers to this tensor sees
   * the new values, and the memory of the old ones is freed now. Internal.
   */
  become(other: Tensor): this {
    keep(other)
    freeTensors([this])
    const { handle, guard } = other
    Object.assign(this, { handle, guard, kept: true })
    Object.assign(other, { handle: 0, guard: undefined })
    this.#shape = undefined
    this.#dtype = undefined
    return this
  }

  /** A message with which another thread of this process can adopt the tensor; both then share its memory. */
  share(): SharedTensor {
    return { sharedTensor: native.share(this.use()) }
  }
}

/** More elements than a JavaScript engine can hold in nested arrays. */
const maxNestedElements = 2 ** 26

const checkShape = (shape: readonly number[], count: number) => {
  if (!Array.isArray(shape) || shape.some((size) => !Number.isSafeInteger(size) || size < 0))
    throw new ShapeError(`Expected whole sizes for \`shape\`, got ${describeValue(shape)}.`)
  if (sizeOf(shape) !== count)
    throw new ShapeError(`Expected ${sizeOf(shape)} elements for shape [${shape.join(', ')}], got ${count}.`)
}

const fromTyped = (values: TypedArray, options: { shape?: readonly number[]; dtype?: Dtype }): Tensor => {
  const shape = options.shape ?? [values.length]
  checkShape(shape, values.length)
  const own = dtypeOfArray(values)
  const dtype = options.dtype ?? own
  const asBits = own === dtype || dtypeFacts(dtype).array === (values.constructor as unknown)
  const made = withTypedErrors('from', () => native.fromBytes(values, shape, dtypeFacts(asBits ? dtype : own).code))
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
