// How a tensor looks as text: its values in brackets, aligned, the middle of long dimensions left out; then shape and dtype.
import { dtypeFacts } from './dtype.ts'
import type { Tensor } from './tensor.ts'

const edge = 3
const summarizeAbove = 1000

type Nested = number | boolean | readonly Nested[]

const flatten = (value: Nested): (number | boolean)[] =>
  Array.isArray(value) ? value.flatMap(flatten) : [value as number | boolean]

/** One form for all values of a tensor, so that columns line up. */
const formatter = (values: readonly (number | boolean)[], floating: boolean): ((value: number | boolean) => string) => {
  if (!floating) return String
  const finite = values.filter((value): value is number => typeof value === 'number' && Number.isFinite(value))
  const sizes = finite.filter((value) => value !== 0).map(Math.abs)
  const whole = finite.every((value) => Number.isInteger(value))
  const largest = Math.max(0, ...sizes)
  const smallest = Math.min(Number.POSITIVE_INFINITY, ...sizes)
  const scientific = largest >= 1e8 || smallest < 1e-4 || largest / smallest > 1e3 * 1e3
  const text = (value: number) => (scientific ? value.toExponential(4) : whole ? `${value}.` : value.toFixed(4))
  return (value) => {
    if (typeof value === 'boolean') return String(value)
    if (Number.isNaN(value)) return 'nan'
    if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
    return Object.is(value, -0) ? `-${text(0)}` : text(value)
  }
}

/** `tensor([[1., 2.], [3., 4.]], shape=[2, 2], dtype=float32)` and so on. */
export const formatTensor = (tensor: Tensor): string => {
  const { shape, dtype } = tensor
  let shown = tensor.detach().to({ device: 'cpu' })
  const cut = shape.map((size) => tensor.size > summarizeAbove && size > 2 * edge)
  for (let dim = 0; dim < shape.length; dim++) {
    if (!cut[dim]) continue
    const [head, tail] = [shown.narrow(dim, 0, edge), shown.narrow(dim, shape[dim] - edge, edge)]
    const wanted = [...shown.shape]
    wanted[dim] = 2 * edge
    const joined = shown.narrow(dim, 0, 2 * edge).clone()
    joined.narrow(dim, 0, edge).copy_(head)
    joined.narrow(dim, edge, edge).copy_(tail)
    shown = joined
  }
  const nested = shown.toArray()
  const values = flatten(nested)
  const format = formatter(values, dtypeFacts(dtype).floating)
  const width = Math.max(0, ...values.map((value) => format(value).length))
  const lines = (value: Nested, depth: number): string => {
    if (!Array.isArray(value)) return format(value as number | boolean).padStart(shape.length > 0 ? width : 0)
    const parts = value.map((part) => lines(part, depth + 1))
    if (cut[depth]) parts.splice(edge, 0, '...')
    const inner = shape.length - depth - 1
    const gap = inner === 0 ? ', ' : `,${'\n'.repeat(inner)}${' '.repeat('tensor('.length + depth + 1)}`
    return `[${parts.join(gap)}]`
  }
  const facts = [`shape=[${shape.join(', ')}]`, `dtype=${dtype}`]
  if (tensor.device !== 'cpu') facts.push(`device=${tensor.device}`)
  if (tensor.requiresGrad) facts.push('requiresGrad=true')
  return `tensor(${lines(nested, 0)}, ${facts.join(', ')})`
}
