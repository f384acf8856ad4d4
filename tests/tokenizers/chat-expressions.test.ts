// Expressions of chat templates have the values of Jinja in transformers: integers beyond 2^53, literals of other bases, `%` formats,
// rounding, and texts in lists. Expected values are from make_expression_golden.py.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { renderChat } from '../../src/tokenizers/index.ts'

const golden = JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures', 'expressions.json'), 'utf8')) as {
  variables: Record<string, unknown>
  values: Record<string, string>
}

const rendered = (expression: string, variables = golden.variables): string => {
  try {
    return renderChat([], { template: `{{ ${expression} }}`, variables })
  } catch {
    return '!'
  }
}

it('expressions have the values and errors of transformers', () => {
  const expressions = Object.keys(golden.values)
  expect(expressions.length).toBeGreaterThan(200)
  expect(Object.fromEntries(expressions.map((one) => [one, rendered(one)]))).toEqual(golden.values)
})

it('integers of the data keep their digits, also beyond 2^53', () => {
  const variables = { id: 2n ** 63n, json: JSON.parse('12345678901234567000') }
  expect(rendered('id', variables)).toBe('9223372036854775808')
  expect(rendered('id + 1', variables)).toBe('9223372036854775809')
  expect(rendered('json', variables)).toBe('12345678901234567000')
  expect(rendered('json + 1', variables)).toBe('12345678901234567001')
})

it('integers that could take all memory are refused', () => {
  expect(() => renderChat([], { template: '{{ 9 ** 99999999 }}' })).toThrow(/an integer has at most 4300 digits/)
  expect(() => renderChat([], { template: '{{ "%100000d" % 1 }}' })).toThrow(/is at most 1000 in a template/)
})
