// Grammars of JSON schemas against JSON.parse and hand-written values: what is accepted, what is refused, and what a random
// model writes under them.
import { describe, expect, it } from 'vitest'
import { jsonSchemaGrammar } from '../../src/serving/grammar/json-schema.ts'
import {
  Effort,
  hasText,
  literal,
  Machine,
  type Node,
  reference,
  type State,
  sequence,
} from '../../src/serving/grammar/nodes.ts'

const accepts = (schema: unknown, text: string): boolean => {
  const machine = new Machine(jsonSchemaGrammar(schema, 'schema'))
  let state: State | undefined = machine.start
  for (const byte of Buffer.from(text, 'utf8')) state = state && machine.next(state, byte)
  return state?.ends ?? false
}

const person = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 5 },
    age: { type: 'integer' },
    tags: { type: 'array', items: { enum: ['a', 'b'] }, minItems: 1, maxItems: 2 },
  },
  required: ['name', 'tags'],
  additionalProperties: false,
}
const tree = {
  $ref: '#/$defs/node',
  $defs: {
    node: {
      type: 'object',
      properties: { left: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } },
      required: ['left'],
    },
  },
}

describe('grammars of schemas', () => {
  it.each<[string, unknown, string[], string[]]>([
    ['numbers', { type: 'number' }, ['0', '-1.5', '12e3', '1E-2'], ['01', '.5', '1.', '+1', 'NaN', '-', '']],
    ['integers', { type: 'integer' }, ['0', '-17'], ['1.0', '00', '1e3']],
    ['strings', { type: 'string' }, ['""', '"a\\n\\u00e9"', '"é🙂\\""'], ['"', '"\n"', '"\\x"', '"\\ud800"', "'a'"]],
    [
      'lengths in characters',
      { type: 'string', minLength: 2, maxLength: 3 },
      ['"é🙂"', '"abc"', '"\\n\\n"'],
      ['"a"', '"abcd"'],
    ],
    [
      'objects',
      person,
      ['{"name":"x","tags":["a"]}', '{ "name": "x", "age": 3, "tags": ["b", "a"] }'],
      [
        '{}',
        '{"tags":["a"],"name":"x"}',
        '{"name":"x","tags":[]}',
        '{"name":"x","tags":["c"]}',
        '{"name":"x","tags":["a"],"z":1}',
        '{"name":"toolong","tags":["a"]}',
        '{"name":"x",,"tags":["a"]}',
      ],
    ],
    [
      'recursion',
      tree,
      ['{"left":null}', '{"left":{"left":{"left":null}}}'],
      ['{"left":{}}', '{"left":1}', '{"left":{"left":null}'],
    ],
    [
      'unions and constants',
      { anyOf: [{ const: { a: [1] } }, { type: ['boolean', 'null'] }] },
      ['{"a":[1]}', 'true', 'null'],
      ['{"a":[2]}', '"true"', '{"a": [1]}'],
    ],
    [
      'tuples',
      { type: 'array', prefixItems: [{ type: 'integer' }, { type: 'boolean' }], items: false, minItems: 1 },
      ['[1]', '[1, true]'],
      ['[]', '[true]', '[1,true,1]'],
    ],
    [
      'tuples with a tail',
      { type: 'array', prefixItems: [{ const: 1 }], items: { const: 2 }, minItems: 2, maxItems: 3 },
      ['[1,2]', '[1,2,2]'],
      ['[1]', '[1,2,2,2]', '[2,2]'],
    ],
    [
      'maps',
      { type: 'object', additionalProperties: { type: 'integer' } },
      ['{}', '{"x":1,"y":2}'],
      ['{"x":"1"}', '{x:1}'],
    ],
    ['anything', {}, ['{"a":[1,{"b":null}]}', '"x"', '3'], ['{a:1}', '[1,]', '']],
    [
      'optional first properties',
      { type: 'object', properties: { a: { type: 'null' }, b: { type: 'null' } } },
      ['{}', '{"a":null}', '{"b":null}', '{"a":null,"b":null}'],
      ['{"b":null,"a":null}', '{,"b":null}'],
    ],
  ])('accept valid values only: %s', (_, schema, good, bad) => {
    for (const text of good) {
      expect([text, accepts(schema, text)]).toEqual([text, true])
      JSON.parse(text)
    }
    for (const text of bad) expect([text, accepts(schema, text)]).toEqual([text, false])
  })

  it.each([
    [{ minimum: -12, maximum: 105 }],
    [{ minimum: 7, exclusiveMaximum: 120 }],
    [{ exclusiveMinimum: -100.5, maximum: -9 }],
    [{ minimum: 0, maximum: 0 }],
    [{ minimum: 19, maximum: 21.5 }],
  ])('accept the integers of %o, and no others', (bounds) => {
    const {
      minimum = -1e9,
      exclusiveMinimum = -1e9,
      maximum = 1e9,
      exclusiveMaximum = 1e9,
    } = bounds as {
      [bound: string]: number
    }
    for (let value = -130; value <= 130; value++) {
      const isValid = value >= minimum && value > exclusiveMinimum && value <= maximum && value < exclusiveMaximum
      expect([value, accepts({ type: 'integer', ...bounds }, String(value))]).toEqual([value, isValid])
    }
    for (const text of ['-0', '00', '07', '1e1']) expect(accepts({ type: 'integer', ...bounds }, text)).toBe(false)
  })

  // What zod writes for `z.int()`, and pydantic for numbers of 0 or more.
  it('accept bounds that say little', () => {
    const safe = { type: 'integer', minimum: -9007199254740991, maximum: 9007199254740991 }
    for (const text of ['0', '-999999999999999', '12']) expect(accepts(safe, text)).toBe(true)
    const large = { type: 'integer', minimum: 0, maximum: 9007199254740991 }
    expect(['0', '999999999999999', '-1'].map((text) => accepts(large, text))).toEqual([true, true, false])
    const positive = { type: 'number', minimum: 0 }
    expect(['0.5', '3e2', '0', '-0.5', '-0'].map((text) => accepts(positive, text))).toEqual([
      true,
      true,
      true,
      false,
      false,
    ])
  })

  it('refuse bytes that are no UTF-8', () => {
    const machine = new Machine(jsonSchemaGrammar({ type: 'string' }, 'schema'))
    for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5], [0x80]]) {
      let state: State | undefined = machine.next(machine.start, 0x22)
      for (const byte of bytes) state = state && machine.next(state, byte)
      expect(state).toBeUndefined()
    }
  })

  it.each<[string, unknown, RegExp]>([
    ['no value', false, /no value is valid/],
    [
      'a value that needs itself',
      { type: 'object', properties: { next: { $ref: '#' } }, required: ['next'] },
      /no valid value/,
    ],
    ['an empty enumeration', { enum: [] }, /at least one element/],
    ['an unknown type', { type: 'text' }, /one of object/],
    ['a keyword that cannot be held', { type: 'object', minProperties: 1 }, /`schema.minProperties` is not supported/],
    [
      'no integer within bounds',
      { type: 'integer', minimum: 3, exclusiveMaximum: 3 },
      /No integer of at most 15 digits follows `schema` with `minimum` 3, `exclusiveMaximum` 3/,
    ],
    [
      'no number within bounds',
      { type: 'number', minimum: 1e20 },
      /No number of at most 15 digits.* 100000000000000000000/,
    ],
    [
      'a multiple of too large a number',
      { type: 'integer', multipleOf: 86_399 },
      /`multipleOf` 86399 .*too many states.* Large multiples need `minimum` and `maximum` that leave few of them\.$/,
    ],
    ['a multiple of nothing', { type: 'number', multipleOf: 0 }, /above 0 for `schema.multipleOf`/],
    ['a bound that is none', { type: 'integer', maximum: '3' }, /Expected a number for `schema.maximum`/],
    ['more items than allowed', { type: 'array', minItems: 3, maxItems: 2 }, /maxItems/],
    ['a property that is not described', { type: 'object', required: ['x'], properties: { y: {} } }, /"x"/],
    ['a reference to nothing', { $ref: '#/$defs/x' }, /found none/],
    ['a reference elsewhere', { $ref: 'https://x.example/y' }, /in this schema/],
    ['a deep nesting', Array.from({ length: 99 }).reduce((inner) => ({ type: 'array', items: inner }), {}), /nested/],
  ])('are refused for %s', (_, schema, message) => {
    expect(() => jsonSchemaGrammar(schema, 'schema')).toThrow(message)
  })

  it('take a second of the processor at most, whatever the schema asks for', () => {
    const properties = Object.fromEntries(
      Array.from({ length: 4000 }, (_, i) => [`p${i}`, { type: 'integer', multipleOf: 701 + (i % 500) }]),
    )
    const before = process.cpuUsage()
    expect(() => jsonSchemaGrammar({ type: 'object', properties }, 'schema')).toThrow(
      /`schema\.properties\.p\d+` with `multipleOf` \d+ is not supported: the schema takes more than a second to compile/,
    )
    const { user, system } = process.cpuUsage(before)
    expect((user + system) / 1e6).toBeLessThan(2)
  })

  it('find the end of many optional properties in one pass', () => {
    const properties = Object.fromEntries(Array.from({ length: 4900 }, (_, i) => [`p${i}`, { type: 'string' }]))
    const before = process.cpuUsage()
    expect(hasText(jsonSchemaGrammar({ type: 'object', properties }, 'schema'))).toBe(true)
    const { user, system } = process.cpuUsage(before)
    // By passes over all nodes it takes 2 seconds.
    expect((user + system) / 1e6).toBeLessThan(1)
  })

  it('end where a text has too many readings', () => {
    const array = { type: 'array', items: { $ref: '#/$defs/a' } }
    const a = { anyOf: [array, { ...array, minItems: 1 }, { const: 'x' }] }
    const effort = new Effort('too many readings', 100)
    const machine = new Machine(jsonSchemaGrammar({ $ref: '#/$defs/a', $defs: { a } }, 'schema'), effort)
    expect(() => {
      let state: State | undefined = machine.start
      for (let i = 0; i < 60; i++) state = state && machine.next(state, 0x5b)
    }).toThrow('too many readings')
  })

  it('have few states for the inside of a long text', () => {
    const machine = new Machine(jsonSchemaGrammar({ type: 'string' }, 'schema'))
    const inside = machine.next(machine.start, 0x22)
    let state = inside
    for (let i = 0; i < 1000; i++) state = state && machine.next(state, 0x61)
    expect(state).toBe(inside)
  })

  it('know a text that only refers to itself', () => {
    const loop: Node = reference(() => sequence(literal('a'), loop))
    expect(hasText(loop)).toBe(false)
    expect(hasText(literal('a'))).toBe(true)
  })
})
