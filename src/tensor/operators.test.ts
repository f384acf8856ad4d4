// Holds every line of the operator table against the schemas that libtorch's dispatcher states, so that the table cannot drift.
import { describe, expect, it } from 'vitest'
import * as api from './index.ts'
import { Tensor, zeros } from './index.ts'
import { methods } from './methods.ts'
import { native, type OperatorSchema } from './native.ts'
import { functions, parseDeclaration, snakeCase } from './operator.ts'

const table: Record<string, { overloads: readonly string[] }> = { ...methods, ...functions }
const lines = Object.entries(table).flatMap(([entry, { overloads }]) => overloads.map((text) => ({ entry, text })))

const schemaOf = (text: string): OperatorSchema => {
  const { operator, overload } = parseDeclaration(text)
  return native.operator(operator, overload)
}

describe('the operator table', () => {
  it.each(lines)('$entry: $text names every argument of the schema, in its order', ({ text }) => {
    const declared = parseDeclaration(text).parameters.map(({ name }) => snakeCase(name))
    expect(declared).toEqual(schemaOf(text).arguments.map(({ name }) => name))
  })

  it.each(lines)('$entry: $text leaves out only what has a default', ({ text }) => {
    const { parameters } = parseDeclaration(text)
    const optional = (i: number) => {
      const argument = schemaOf(text).arguments[i]
      return argument.hasDefault || argument.optional
    }
    const mustHave = parameters.filter(({ passed }, i) => passed === 'never' && !optional(i))
    // An option without a default is what tells this overload from another one of the same entry, or it is one that the
    // TypeScript type requires: only our own kernels have such.
    const undecided = text.startsWith('tunesmith::')
      ? []
      : parameters.filter(({ passed }, i) => passed === 'option' && !optional(i))
    expect(mustHave).toEqual([])
    if (undecided.length > 0) {
      const entry = lines.find((line) => line.text === text)?.entry ?? ''
      expect(table[entry].overloads.length, `${undecided.map(({ name }) => name)} has no default`).toBeGreaterThan(1)
    }
  })

  it.each(lines)('$entry: $text has no positional parameter without a default after one that has one', ({ text }) => {
    const schema = schemaOf(text)
    const defaults = parseDeclaration(text).parameters.flatMap(({ passed }, i) =>
      passed === 'positional' ? [schema.arguments[i].hasDefault] : [],
    )
    const first = defaults.indexOf(true)
    expect(first < 0 || defaults.slice(first).every(Boolean)).toBe(true)
  })

  it('has methods that take a tensor and are on the prototype, and functions that are exported', () => {
    for (const [entry, { overloads }] of Object.entries(methods)) {
      expect(typeof (Tensor.prototype as unknown as Record<string, unknown>)[entry], entry).toBe('function')
      for (const text of overloads) {
        const names = parseDeclaration(text).parameters.map(({ name }) => name)
        expect(names.includes('self') || ['input', 'A'].includes(names[0]), text).toBe(true)
      }
    }
    for (const entry of Object.keys(functions))
      expect(typeof (api as Record<string, unknown>)[entry], entry).toBe('function')
  })

  it('gives an entry that ends in _ an operator that writes into its first argument', () => {
    for (const { entry, text } of lines) {
      const schema = schemaOf(text)
      const writes = schema.inPlace || (entry.endsWith('_') && entry in functions)
      expect(writes, text).toBe(entry.endsWith('_'))
    }
  })

  it('has no entry twice', () => {
    expect(new Set(lines.map(({ entry, text }) => `${entry} ${text}`)).size).toBe(lines.length)
  })
})

it('has one number in the process, whichever thread asks for it, as the table of numbers ends', () => {
  expect(native.operator('aten::add', 'Tensor').id).toBe(native.operator('aten::add', 'Tensor').id)
  expect(native.operator('aten::add', 'Scalar').id).not.toBe(native.operator('aten::add', 'Tensor').id)
})

describe('an operator that libtorch lacks', () => {
  it('is an error that names it', () => {
    expect(() => native.operator('aten::no_such_operator', '')).toThrow(/no operator aten::no_such_operator/)
    expect(() => native.operator('aten::add', 'NoSuchOverload')).toThrow(/no operator aten::add.NoSuchOverload/)
    expect(() => native.operator('nothing::add', '')).toThrow(/no operator/)
  })
})

describe('a malformed declaration', () => {
  it('is refused', () => {
    for (const text of ['add(self)', 'aten::add', 'aten::add(self', ''])
      expect(() => parseDeclaration(text)).toThrow(/Malformed/)
  })

  it('reads names, overload and how each argument is passed', () => {
    expect(parseDeclaration('aten::sum.dim_IntList(self, dim, *keepDim, -dtype)')).toEqual({
      operator: 'aten::sum',
      overload: 'dim_IntList',
      parameters: [
        { name: 'self', passed: 'positional' },
        { name: 'dim', passed: 'positional' },
        { name: 'keepDim', passed: 'option' },
        { name: 'dtype', passed: 'never' },
      ],
    })
  })
})

describe('a call that fits no overload', () => {
  const a = zeros([2, 3])
  const loose = (call: (tensor: Record<string, (...values: unknown[]) => unknown>) => unknown) => () =>
    call(a as unknown as Record<string, (...values: unknown[]) => unknown>)

  it('lists the expected and the given arguments', () => {
    expect(loose((t) => t.add('x'))).toThrow(
      /Expected arguments for add\(self: Tensor, other: Tensor.*got \(\[2, 3\] float32, 'x'\)/,
    )
    expect(loose((t) => t.matmul())).toThrow(/Expected arguments for matmul/)
    expect(loose((t) => t.relu(1))).toThrow(/Expected arguments for relu/)
  })

  it('suggests the option that was meant', () => {
    expect(loose((t) => t.sum(0, { keepDim: true }))).toThrow(/Unknown option `keepDim` of sum.*keepdim/)
  })

  it('names the operator and the shapes when libtorch refuses', () => {
    expect(() => zeros([2, 3]).matmul(zeros([2, 3]))).toThrow(/^matmul\(\[2, 3\] float32, \[2, 3\] float32\): /)
  })
})
