// Calls every operator of the table, and the rest of the tensor API, with random arguments, mostly wrong ones:
// `fuzz-child.ts SEED CALLS JOURNAL`. Prints what was thrown. The call under way stands in JOURNAL, for when the process dies.
import { openSync, writeSync } from 'node:fs'
import { createRandom, TunesmithError } from '../../src/core/index.ts'
import * as api from '../../src/tensor/index.ts'
import { dtypes, Generator, scope, setMemoryLimit, setThreads, Tensor, zeros } from '../../src/tensor/index.ts'
import { methods } from '../../src/tensor/methods.ts'
import { native } from '../../src/tensor/native.ts'
import { functions, parseDeclaration, snakeCase } from '../../src/tensor/operator.ts'

export interface FuzzReport {
  calls: number
  succeeded: number
  /** Errors by class. */
  thrown: Record<string, number>
  /** Calls whose error is not typed, not one line, or shows C++ sources. */
  faults: string[]
  /** Entries that never succeeded. */
  neverRight: string[]
}

const [seed, calls, journal] = [process.argv[2], Number(process.argv[3]), openSync(process.argv[4], 'w')]
const random = createRandom(seed)
const pick = <Item>(items: readonly Item[]): Item => items[random.integer(items.length)]
const chance = (share: number) => random.float() < share

const garbage: (() => unknown)[] = [
  () => null,
  () => undefined,
  () => Number.NaN,
  () => Number.POSITIVE_INFINITY,
  () => -1,
  () => 0.5,
  () => 2 ** 31,
  () => 2 ** 53,
  () => -(2 ** 53),
  () => 1e300,
  () => 2n ** 62n,
  () => 2n ** 70n,
  () => '',
  () => 'line\nbreak',
  () => 'x'.repeat(300),
  () => 'cuda:77',
  () => 'meta',
  () => true,
  () => Symbol('symbol'),
  () => () => 1,
  () => ({}),
  () => ({ handle: 1, guard: undefined }),
  () => ({ dtype: 'float32', unknown: 1 }),
  () => new Date(0),
  () => new Float32Array(3),
  () => [],
  () => [null, undefined, 'a', {}],
  () => [2 ** 40, 2 ** 40],
  () => [-1, -1],
  () => Array.from({ length: 100 }, () => 1),
  () => {
    const circular: unknown[] = []
    circular.push(circular)
    return circular
  },
  () => new Generator(1),
  () => freed(),
]

const freed = () => {
  const tensor = zeros([2])
  tensor.free()
  return tensor
}

const sizes = [0, 1, 1, 2, 3, 4, 5]
const shape = () => Array.from({ length: random.integer(5) }, () => pick(sizes))
const specials = [Number.NaN, Number.POSITIVE_INFINITY, 0, -1, 1e30, 127, 2 ** 31]

/** What the tensors of one call have in common, so that calls are often right. */
let base: number[] = []
let integers = 0.4

const related = (): number[] => {
  if (chance(0.3)) return base.slice(random.integer(base.length + 1))
  return chance(0.2) ? base.map((size) => (chance(0.5) ? 1 : size)) : base
}

const someTensor = (): Tensor => {
  const dims = chance(0.75) ? related() : shape()
  const count = dims.reduce((product, size) => product * size, 1)
  const values = Float64Array.from({ length: count }, () =>
    chance(0.03) ? pick(specials) : chance(0.6) ? random.integer(5) : random.normal(),
  )
  const dtype = chance(0.15) ? pick(dtypes) : chance(integers) ? 'int64' : 'float32'
  let made = Tensor.from(values, { shape: dims }).to(dtype)
  if (dims.length > 1 && chance(0.2)) made = made.transpose(0, -1)
  if (chance(0.05)) made = made.to({ device: 'meta' })
  if (made.dtype.includes('float') && chance(0.3)) made = made.detach()
  if (made.dtype.includes('float') && chance(0.2)) made.requiresGrad = true
  return made
}

const integer = () => (chance(0.1) ? pick([2 ** 31, 2 ** 40, 2 ** 53, -(2 ** 53)]) : random.integer(9) - 3)
const number = () => (chance(0.1) ? pick(specials) : chance(0.5) ? random.normal() : integer())

/** A value of a schema's type, more or less. */
const plausible = (name: string, type: string): unknown => {
  const plain = type.replace('?', '')
  if (plain === 'Tensor') return someTensor()
  if (type.includes('Tensor')) return Array.from({ length: random.integer(4) }, someTensor)
  if (plain === 'ScalarType') return pick(dtypes)
  if (plain === 'Generator') return new Generator(random.uint32())
  if (plain === 'bool') return chance(0.5)
  if (plain === 'Device') return pick(['cpu', 'cpu', 'meta', 'cuda', 'cpu:3'])
  if (plain === 'str')
    return pick(['none', 'tanh', 'floor', 'trunc', 'left', 'ij,jk->ik', 'i', '->', '...i,i', 'ii->i'])
  if (name === 'reduction') return pick(['none', 'mean', 'sum'])
  if (/float\[\]/.test(plain)) return Array.from({ length: random.integer(4) }, number)
  if (plain.endsWith('[]')) return chance(0.2) ? integer() : Array.from({ length: random.integer(5) }, integer)
  return /int/i.test(plain) ? integer() : number()
}

const argument = (name: string, type: string): unknown => (chance(0.08) ? pick(garbage)() : plausible(name, type))

type Callable = (...values: unknown[]) => unknown
interface Form {
  entry: string
  positional: { name: string; type: string }[]
  options: { key: string; name: string; type: string }[]
}

const forms: Form[] = Object.entries({ ...methods, ...functions }).flatMap(([entry, { overloads }]) =>
  overloads.map((text) => {
    const declared = parseDeclaration(text)
    const types = native.operator(declared.operator, declared.overload).arguments
    const typed = declared.parameters.map(({ name, passed }) => ({
      key: name,
      passed,
      name: snakeCase(name),
      type: types.find((one) => one.name === snakeCase(name))?.type ?? 'int',
    }))
    return {
      entry,
      positional: typed.filter(({ passed }) => passed === 'positional'),
      options: typed.filter(({ passed }) => passed === 'option'),
    }
  }),
)

const show = (value: unknown): string => {
  if (value instanceof Tensor) return value.handle === 0 ? 'freed' : `${value.dtype}[${value.shape}]`
  if (Array.isArray(value)) return `[${value.slice(0, 6).map((part) => (Array.isArray(part) ? '[…]' : show(part)))}]`
  if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype)
    return `{${Object.entries(value).map(([key, part]) => `${key}: ${show(part)}`)}}`
  return String(value).slice(0, 40)
}

const note = (text: string) => writeSync(journal, `${text.slice(0, 2000).replaceAll('\n', ' ').padEnd(2000)}\n`, 0)

/** Exercises what a call gave: reading results must be as safe as the call. */
const use = (result: unknown): void => {
  for (const one of [result].flat()) {
    if (!(one instanceof Tensor)) continue
    void [one.shape, one.dtype, one.strides, one.isContiguous, one.requiresGrad, one.isLeaf]
    if (one.size <= 10_000 && chance(0.3)) String(one)
    if (one.requiresGrad && one.size <= 10_000 && chance(0.5)) one.sum().backward()
  }
}

const callOperator = (): [string, () => unknown] => {
  const { entry, positional, options } = pick(forms)
  base = chance(0.3) ? [3, 3, 3].slice(random.integer(3)) : shape()
  integers = pick([0, 0, 0.2, 0.5])
  const values = positional.map(({ name, type }) => argument(name, type))
  if (chance(0.05)) values.pop()
  if (chance(0.03)) values.push(pick(garbage)())
  const given = Object.fromEntries(
    options.filter(() => chance(0.4)).map(({ key, name, type }) => [key, argument(name, type)]),
  )
  const args = Object.keys(given).length > 0 ? [...values, given] : values
  const text = `${entry}(${args.map(show).join(', ')})`
  if (entry in functions) return [text, () => (api as unknown as Record<string, Callable>)[entry](...args)]
  // A method needs a tensor to be called on; where self is not first, the order of the others stays.
  const at = Math.max(
    0,
    positional.findIndex(({ name }) => name === 'self'),
  )
  const self = args[at] instanceof Tensor ? (args[at] as Tensor) : someTensor()
  const others = args.filter((_, i) => i !== at)
  return [text, () => (self as unknown as Record<string, Callable>)[entry](...others)]
}

const any = () => (chance(0.5) ? pick(garbage)() : chance(0.6) ? someTensor() : integer())
const rest: Record<string, () => unknown> = {
  from: () => Tensor.from(any() as never, { shape: any() as never, dtype: chance(0.5) ? (any() as never) : 'float32' }),
  adopt: () => Tensor.adopt(any() as never),
  backward: () => api.backward([any()] as never, { gradients: [any()] as never }),
  gradients: () => api.gradients([any()] as never, [any()] as never, { createGraph: chance(0.5) }),
  checkpoint: () =>
    api
      .checkpoint(() => any() as Tensor, [someTensor(), any()] as never)
      .sum()
      .backward(),
  withBackward: () =>
    api
      .withBackward([any()] as never, [someTensor()], () => [any(), any()] as never)[0]
      .sum()
      .backward(),
  keep: () => api.keep(any() as never),
  scope: () => scope(any() as never),
  seed: () => new Generator(any() as never).setState(any() as never),
  grad: () => {
    someTensor().grad = any() as never
  },
  requiresGrad: () => {
    someTensor().requiresGrad = any() as never
  },
  copyInto: () => someTensor().copyInto(any() as never),
  item: () => someTensor().item(),
  freeTensors: () => api.freeTensors([any()] as never),
  clearGrads: () => api.clearGrads([any()] as never),
  retainGrad: () => someTensor().retainGrad(),
  mapFile: () => api.mapFile(any() as never),
  limit: () => {
    try {
      setMemoryLimit(any() as never)
    } finally {
      setMemoryLimit(256 << 20)
    }
  },
}

setThreads(1)
setMemoryLimit(256 << 20)
const report: FuzzReport = { calls: 0, succeeded: 0, thrown: {}, faults: [], neverRight: [] }
const right = new Set<string>()

for (let i = 0; i < calls; i++) {
  scope(() => {
    const other = chance(0.1) ? pick(Object.keys(rest)) : undefined
    const [text, call] = other === undefined ? callOperator() : [other, rest[other]]
    note(`${i} ${text}`)
    report.calls++
    try {
      use(call())
      report.succeeded++
      right.add(text.slice(0, text.indexOf('(')))
    } catch (error) {
      const { name, message } = error as Error
      report.thrown[name] = (report.thrown[name] ?? 0) + 1
      const typed = error instanceof TunesmithError || (other !== undefined && error instanceof TypeError)
      const clean = !/[\n\r]|\.cpp|\.h:|INTERNAL ASSERT/.test(message) && message.length < 1500
      if ((!typed || !clean) && report.faults.length < 40)
        report.faults.push(`${text}: ${name}: ${message.slice(0, 300)}`)
    }
  })
}
report.neverRight = [...new Set(forms.map(({ entry }) => entry))].filter((entry) => !right.has(entry))
console.log(JSON.stringify(report))
