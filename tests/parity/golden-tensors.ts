// Reads the golden file of make-goldens.py: makes the inputs by the formula both sides share, and compares results.
// Knows no operator.
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { type Dtype, dtypeFacts, Generator, Tensor } from '../../src/tensor/index.ts'

export interface TensorSpec {
  shape: number[]
  fill: 'spread' | 'positive' | 'middle' | 'integers' | 'edges' | 'list'
  seed: number
  low: number | number[]
  high: number
  layout: 'rows' | 'transposed'
  dtype: Dtype
  grad: boolean
}

export interface StoredTensor {
  shape: number[]
  dtype: Dtype
  /** Base64 of the little-endian values; absent where only shape and dtype are asked. */
  bytes?: string
}

export type Argument = { tensor: TensorSpec } | { generator: number } | Argument[] | number | string | boolean | null

export interface GoldenCase {
  entry: string
  operator: string
  dtype: Dtype
  /** Which of `args` is the tensor whose method is called. */
  receiver: number
  args: Argument[]
  options: Record<string, Argument>
  seed: number | null
  /** The outputs are the returned tensor, if any, and then every tensor of `args` and `options` after the call. */
  mutates: boolean
  fused: boolean
  outputs: (StoredTensor | { value: number | boolean })[]
  /** For each input that can have one, in the order of arguments and options; null as a whole where no output has a history. */
  gradients: (StoredTensor | null)[] | null
}

export const readGoldens = (): { torch: string; cases: GoldenCase[] } =>
  JSON.parse(gunzipSync(readFileSync(new URL('./golden/operators.json.gz', import.meta.url))).toString(), (_, value) =>
    value === '__inf__' ? Number.POSITIVE_INFINITY : value === '__-inf__' ? Number.NEGATIVE_INFINITY : value,
  )

const edges = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0, 1.5, -2.5, 3]

/** `state` runs through 1..256 in a fixed scrambled order, without repeats: the twin of `fill` in make-goldens.py. */
const valueAt = ({ fill, low, high }: TensorSpec, state: number, i: number): number => {
  if (fill === 'spread') return (state - 128) / 64
  if (fill === 'positive') return state / 64
  if (fill === 'middle') return (Math.floor(state / 4) + 32) / 128
  if (fill === 'edges') return edges[state % 8]
  return Array.isArray(low) ? low[i] : low + (state % (high - low))
}

export const makeTensor = (spec: TensorSpec): Tensor => {
  const transposed = spec.layout === 'transposed'
  const shape = transposed ? [...spec.shape].reverse() : spec.shape
  const count = shape.reduce((product, size) => product * size, 1)
  let state = 1
  for (let i = 0; i < spec.seed; i++) state = (state * 3) % 257
  const values = new Float64Array(count)
  for (let i = 0; i < count; i++) {
    values[i] = valueAt(spec, state, i)
    state = (state * 3) % 257
  }
  let made = Tensor.from(values, { shape }).to(spec.dtype)
  if (transposed) made = made.permute(shape.map((_, i) => shape.length - 1 - i))
  if (dtypeFacts(spec.dtype).floating && spec.grad) made.requiresGrad = true
  return made
}

/** The value itself, with its tensors and generators made; every tensor is also put on `tensors`. */
export const decode = (argument: Argument, tensors: Tensor[]): unknown => {
  if (Array.isArray(argument)) return argument.map((part) => decode(part, tensors))
  if (typeof argument !== 'object' || argument === null) return argument
  if ('generator' in argument) return new Generator(argument.generator)
  const made = makeTensor(argument.tensor)
  tensors.push(made)
  return made
}

export const storedTensor = ({ shape, dtype, bytes }: StoredTensor): Tensor => {
  const raw = Uint8Array.from(Buffer.from(bytes ?? '', 'base64'))
  const { array } = dtypeFacts(dtype)
  return Tensor.from(new (array as unknown as new (buffer: ArrayBuffer) => Uint16Array)(raw.buffer), { shape, dtype })
}

export interface Tolerance {
  relative: number
  absolute: number
}

/** What is wrong with `got` against the stored tensor, or undefined. Values that are not finite must be the same. */
export const difference = (
  got: Tensor,
  stored: StoredTensor,
  { relative, absolute }: Tolerance,
): string | undefined => {
  if (got.dtype !== stored.dtype) return `dtype ${got.dtype}, expected ${stored.dtype}`
  if (got.shape.join() !== stored.shape.join()) return `shape [${got.shape}], expected [${stored.shape}]`
  if (stored.bytes === undefined) return undefined
  const expected = numbers(storedTensor(stored))
  const values = numbers(got)
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(values[i], expected[i])) continue
    const bound = dtypeFacts(stored.dtype).floating ? absolute + relative * Math.abs(expected[i]) : 0
    if (!(Math.abs(values[i] - expected[i]) <= bound)) return `element ${i}: ${values[i]}, expected ${expected[i]}`
  }
  return undefined
}

const numbers = (tensor: Tensor): Float64Array => tensor.detach().to('float64').toTypedArray() as Float64Array
