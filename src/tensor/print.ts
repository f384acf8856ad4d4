// Formats a tensor as text, as PyTorch does: aligned elements in brackets, long dimensions shortened, shape and dtype.
import { dtypeFacts } from './dtype.ts'
import { scope } from './scope.ts'
import type { Tensor } from './tensor.ts'

const edgeItems = 3
const summarizeAbove = 1000

type Value = number | boolean | bigint

/** One number format for all elements of a tensor, so that columns align. */
const formatter = (values: readonly Value[], floating: boolean): ((value: Value) => string) => {
  if (!floating) return String
  const finite = values.filter((value): value is number => typeof value === 'number' && Number.isFinite(value))
  const sizes = finite.filter((value) => value !== 0).map(Math.abs)
  const whole = finite.every((value) => Number.isInteger(value))
  const largest = Math.max(0, ...sizes)
  const smallest = Math.min(Number.POSITIVE_INFINITY, ...sizes)
  const scientific = largest >= 1e8 || smallest < 1e-4 || largest / smallest > 1e3 * 1e3
  const exponent = (value: number) => value.toExponential(4).replace(/e([+-])(\d)$/, 'e$10$2')
  const text = (value: number) => (scientific ? exponent(value) : whole ? `${value}.` : value.toFixed(4))
  return (value) => {
    if (typeof value !== 'number') return String(value)
    if (Number.isNaN(value)) return 'nan'
    if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
    return Object.is(value, -0) ? `-${text(0)}` : text(value)
  }
}

/** Elements in row-major order; 64-bit integers as bigints, which are exact. */
const elementsOf = (tensor: Tensor): Value[] => {
  const { floating, bytes } = dtypeFacts(tensor.dtype)
  if (floating) return Array.from((tensor.dtype === 'float64' ? tensor : tensor.to('float32')).toTypedArray(), Number)
  const raw: Value[] = Array.from<number | bigint>(tensor.toTypedArray())
  return tensor.dtype === 'bool' ? raw.map((value) => value !== 0) : bytes === 8 ? raw : raw.map(Number)
}

/** The text of a tensor, such as `tensor([1., 2.], shape=[2], dtype=float32)`. */
export const formatTensor = (tensor: Tensor): string => scope(() => format(tensor))

const format = (tensor: Tensor): string => {
  const { shape, dtype } = tensor
  let shown = tensor.detach().to({ device: 'cpu' })
  const cut = shape.map((size) => tensor.size > summarizeAbove && size > 2 * edgeItems)
  for (let dim = 0; dim < shape.length; dim++) {
    if (!cut[dim]) continue
    const [head, tail] = [shown.narrow(dim, 0, edgeItems), shown.narrow(dim, shape[dim] - edgeItems, edgeItems)]
    const joined = shown.narrow(dim, 0, 2 * edgeItems).clone()
    joined.narrow(dim, 0, edgeItems).copy_(head)
    joined.narrow(dim, edgeItems, edgeItems).copy_(tail)
    shown = joined
  }
  const values = elementsOf(shown)
  const word = formatter(values, dtypeFacts(dtype).floating)
  const words = values.map(word)
  const width = Math.max(0, ...words.map((word) => word.length))
  let at = 0
  const lines = (depth: number): string => {
    if (words.length === 0) return '[]'
    if (depth === shape.length) return words[at++].padStart(depth > 0 ? width : 0)
    const parts = Array.from({ length: shown.shape[depth] }, () => lines(depth + 1))
    if (cut[depth]) parts.splice(edgeItems, 0, '...')
    const inner = shape.length - depth - 1
    const gap = inner === 0 ? ', ' : `,${'\n'.repeat(inner)}${' '.repeat('tensor('.length + depth + 1)}`
    return `[${parts.join(gap)}]`
  }
  const facts = [`shape=[${shape.join(', ')}]`, `dtype=${dtype}`]
  if (tensor.device !== 'cpu') facts.push(`device=${tensor.device}`)
  if (tensor.requiresGrad) facts.push('requiresGrad=true')
  return `tensor(${lines(0)}, ${facts.join(', ')})`
}
