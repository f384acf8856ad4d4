// Numbers of a grammar against the bounds that they follow.
import { describe, expect, it } from 'vitest'
import { jsonSchemaGrammar } from './json-schema.ts'
import { Machine, type State } from './nodes.ts'

type Bounds = Partial<Record<'minimum' | 'exclusiveMinimum' | 'maximum' | 'exclusiveMaximum' | 'multipleOf', number>>

const reader = (schema: object) => {
  const machine = new Machine(jsonSchemaGrammar(schema, 'schema'))
  return (text: string): boolean => {
    let state: State | undefined = machine.start
    for (const byte of Buffer.from(text)) state = state && machine.next(state, byte)
    return state?.ends ?? false
  }
}

const isValid = (value: number, { multipleOf, ...bounds }: Bounds): boolean =>
  value >= (bounds.minimum ?? -Infinity) &&
  value > (bounds.exclusiveMinimum ?? -Infinity) &&
  value <= (bounds.maximum ?? Infinity) &&
  value < (bounds.exclusiveMaximum ?? Infinity) &&
  (multipleOf === undefined || Math.abs(value / multipleOf - Math.round(value / multipleOf)) < 1e-9)

const ranges: Bounds[] = [
  { minimum: 0.5, maximum: 1 },
  { exclusiveMinimum: 0 },
  { exclusiveMinimum: 0, exclusiveMaximum: 1 },
  { minimum: -1.25, maximum: 10.75 },
  { maximum: -0.5 },
  { exclusiveMaximum: 0 },
  { minimum: -10, exclusiveMaximum: -9.99 },
  { minimum: 9.5, maximum: 10.5, multipleOf: 0.25 },
  { multipleOf: 0.01 },
  { multipleOf: 2.5 },
  { minimum: 1e-7, maximum: 1e21 },
  { minimum: -3.4028234663852886e38, maximum: 3.4028234663852886e38 },
  { minimum: 0, exclusiveMinimum: 0.1, maximum: 5 },
]

describe('numbers', () => {
  it.each(ranges)('within %o, and no others', (bounds) => {
    const accepts = reader({ type: 'number', ...bounds })
    const texts = ['1e1', '01', '.5', '1.', '-', '-0', '-0.0', '', '00.5', '--1']
    for (const text of texts) expect([text, accepts(text)]).toEqual([text, false])
    for (let i = -1300; i <= 1300; i++) {
      const value = i / 100
      // Further zeros are as good as none, where a multiple may have so many digits.
      const longer = bounds.multipleOf === 2.5 ? [] : [i === 0 ? '0.00' : value.toFixed(2)]
      for (const text of [i === 0 ? '0' : String(value), ...longer])
        expect([text, accepts(text)]).toEqual([text, isValid(value, bounds)])
    }
    for (const value of [123456, -98765.5, 0.000001, -0.000001, 12345678, 0.1234567])
      if (bounds.multipleOf === undefined)
        expect([value, accepts(value.toFixed(7))]).toEqual([value, isValid(value, bounds)])
  })

  it.each([{ multipleOf: 5 }, { multipleOf: 7, minimum: -20, exclusiveMaximum: 70 }, { multipleOf: 2.5 }])(
    'that are integers, within %o, and no others',
    (bounds) => {
      const accepts = reader({ type: 'integer', ...bounds })
      for (let value = -130; value <= 130; value++)
        expect([value, accepts(String(value))]).toEqual([value, isValid(value, bounds)])
      expect(accepts('1.0')).toBe(false)
    },
  )

  it.each([
    { multipleOf: 3000 },
    { multipleOf: 86_400 },
    { multipleOf: 1024, maximum: -1024 },
    { multipleOf: 86_399, minimum: 0, maximum: 10_000_000 },
    { multipleOf: 86_399, minimum: -300_000, exclusiveMaximum: 172_798 },
    { multipleOf: 1250.5, minimum: -100_000, maximum: 100_000 },
  ])('that are integers, within %o of a large multiple, and no others', (bounds) => {
    const accepts = reader({ type: 'integer', ...bounds })
    for (let i = -130; i <= 130; i++)
      for (const more of [0, 1, -10, 1000]) {
        const value = i * bounds.multipleOf + more
        if (Number.isInteger(value)) expect([value, accepts(String(value))]).toEqual([value, isValid(value, bounds)])
      }
    expect(accepts('100000000000001')).toBe(false)
  })

  it('have at most 15 digits, so that none is rounded to a bound that it is below', () => {
    const accepts = reader({ type: 'number', exclusiveMaximum: 1 })
    expect(['0.99999999999999', '0.999999999999999'].map(accepts)).toEqual([true, false])
    expect(reader({ type: 'number', multipleOf: 1000 })('999999999999000')).toBe(true)
  })
})
