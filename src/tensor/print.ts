// How a tensor looks as text: its values in brackets, aligned, the middle of long dimensions left out; then shape and dtype.
import { dtypeFacts } from './dtype.ts'
import { scope } from './scope.ts'
import type { Tensor } from './tensor.ts'

const edge = 3
const summarizeAbove = 1000

type Value = number | boolean | bigint

/** One form for all values of a tensor, so that columns line up. */
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

/** Row-major; integers of 64 bits exactly. */
const valuesOf = (tensor: Tensor): Value[] => {
  const { floating, bytes } = dtypeFacts(tensor.dtype)
  if (floating) return Array.from((tensor.dtype === 'float64' ? tensor : tensor.to('float32')).toTypedArray(), Number)
  const raw: Value[] = Array.from<number | bigint>(tensor.toTypedArray())
  return tensor.dtype === 'bool' ? raw.map((value) => value !== 0) : bytes === 8 ? raw : raw.map(Number)
}

/** `tensor([[1., 2.], [3., 4.]], shape=[2, 2], dtype=float32)` and so on. */
export const formatTensor = (tensor: Tensor): string => scope(() => format(tensor))

const format = (tensor: Tensor): string => {
  const { shape, dtype } = tensor
  let shown = tensor.detach().to({ device: 'cpu' })
  const cut = shape.map((size) => tensor.size > summarizeAbove && size > 2 * edge)
  for (let dim = 0; dim < shape.length; dim++) {
    if (!cut[dim]) continue
    const [head, tail] = [shown.narrow(dim, 0, edge), shown.narrow(dim, shape[dim] - edge, edge)]
    const joined = shown.narrow(dim, 0, 2 * edge).clone()
    joined.narrow(dim, 0, edge).copy_(head)
    joined.narrow(dim, edge, edge).copy_(tail)
    shown = joined
  }
  const values = valuesOf(shown)
  const word = formatter(values, dtypeFacts(dtype).floating)
  const words = values.map(word)
  const width = Math.max(0, ...words.map((word) => word.length))
  let at = 0
  const lines = (depth: number): string => {
    if (words.length === 0) return '[]'
    if (depth === shape.length) return words[at++].padStart(depth > 0 ? width : 0)
    const parts = Array.from({ length: shown.shape[depth] }, () => lines(depth + 1))
    if (cut[depth]) parts.splice(edge, 0, '...')
    const inner = shape.length - depth - 1
    const gap = inner === 0 ? ', ' : `,${'\n'.repeat(inner)}${' '.repeat('tensor('.length + depth + 1)}`
    return `[${parts.join(gap)}]`
  }
  const facts = [`shape=[${shape.join(', ')}]`, `dtype=${dtype}`]
  if (tensor.device !== 'cpu') facts.push(`device=${tensor.device}`)
  if (tensor.requiresGrad) facts.push('requiresGrad=true')
  return `tensor(${lines(0)}, ${facts.join(', ')})`
}
