import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { parseConfig, show } from './config.ts'
import { ConfigError } from './errors.ts'

const schema = z.strictObject({
  vocabSize: z.number().int().positive().default(8192),
  dtype: z.enum(['float32', 'bfloat16']).default('float32'),
  dropout: z.number().min(0).max(1).optional(),
  model: z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('bert'), hiddenSize: z.int().default(768) }),
    z.strictObject({ type: z.literal('gpt2'), numLayers: z.int().default(12) }),
  ]),
  sources: z.array(z.strictObject({ path: z.string() })).default([]),
  schedule: z.union([z.number(), z.literal('auto')]).default('auto'),
})

const faults = (value: unknown): readonly string[] => {
  try {
    parseConfig(schema, value, 'run.yaml')
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
  throw new Error('no fault was found')
}

describe('parseConfig', () => {
  it('names the keys of the branch that a value is of', () => {
    expect(faults({ model: { type: 'bert', numLayers: 3 } })).toEqual([
      'Expected one of `type`, `hiddenSize` for `run.yaml.model`, got the unknown key `numLayers`. Remove it.',
    ])
  })

  it('fills in defaults', () => {
    expect(parseConfig(schema, { model: { type: 'bert' } }, 'x')).toEqual({
      vocabSize: 8192,
      dtype: 'float32',
      model: { type: 'bert', hiddenSize: 768 },
      sources: [],
      schedule: 'auto',
    })
  })

  it('reports every fault at once, each with its place and value', () => {
    const found = faults({ vocabSize: 'many', dropout: 2, model: { type: 'bert' }, sources: [{ path: 3 }] })
    expect(found).toEqual([
      'Expected a number for `run.yaml.vocabSize`, got "many".',
      'Expected a number of at most 1 for `run.yaml.dropout`, got 2.',
      'Expected a string for `run.yaml.sources[0].path`, got 3.',
    ])
  })

  it('suggests the nearest key for an unknown one, also inside a union and an array', () => {
    expect(faults({ vocabsize: 1, model: { type: 'bert' } })[0]).toContain('Did you mean `vocabSize`?')
    expect(faults({ model: { type: 'gpt2', numLayer: 2 } })[0]).toMatch(/run\.yaml\.model.*Did you mean `numLayers`\?/)
    expect(faults({ model: { type: 'bert' }, sources: [{ paht: 'x', path: 'x' }] })[0]).toContain(
      'Did you mean `path`?',
    )
  })

  it('lists the values of enums and discriminators with a suggestion', () => {
    expect(faults({ dtype: 'bfloat61', model: { type: 'bert' } })[0]).toBe(
      'Expected one of `float32`, `bfloat16` for `run.yaml.dtype`, got "bfloat61". Did you mean `bfloat16`?',
    )
    expect(faults({ model: { type: 'brt' } })[0]).toBe(
      'Expected one of `bert`, `gpt2` for `run.yaml.model.type`, got "brt". Did you mean `bert`?',
    )
    expect(faults({ model: {} })[0]).toContain('got nothing')
  })

  it('says what a missing key is', () => {
    const schema = z.strictObject({ base: z.string().describe('pretrained model'), seed: z.int() })
    expect(() => parseConfig(schema, {}, 'run.yaml')).toThrow(
      'Expected a string for `run.yaml.base`, got nothing (pretrained model).',
    )
    expect(() => parseConfig(schema, { base: 1 }, 'run.yaml')).toThrow('for `run.yaml.base`, got 1.')
  })

  it('speaks of values, not of an array, where a flag is missing that takes several', () => {
    const schema = z.strictObject({ to: z.array(z.string()).describe('formats to write') })
    const flag = (path: readonly PropertyKey[]) => `--${path.join('.')}`
    expect(() => parseConfig(schema, {}, flag)).toThrow(
      'Expected one value or several for `--to`, got nothing (formats to write).',
    )
    expect(() => parseConfig(schema, { to: 1 }, 'run.yaml')).toThrow('Expected an array for `run.yaml.to`, got 1.')
  })

  it('reports one fault for a value that breaks several limits: the strictest', () => {
    // zod checks the limits of safe integers beside the option's own.
    const schema = z.strictObject({ seed: z.int().min(0).max(100), bytes: z.int().positive().min(16) })
    const faultsOf = (value: object) => {
      try {
        return parseConfig(schema, value, 'run.yaml')
      } catch (error) {
        return (error as ConfigError).faults
      }
    }
    expect(faultsOf({ seed: 1e20, bytes: -1 })).toEqual([
      'Expected a number of at most 100 for `run.yaml.seed`, got 100000000000000000000.',
      'Expected a number of at least 16 for `run.yaml.bytes`, got -1.',
    ])
    expect(faultsOf({ seed: -1e20, bytes: 16 })).toEqual([
      'Expected a number of at least 0 for `run.yaml.seed`, got -100000000000000000000.',
    ])
  })

  it('names both sides of a plain union', () => {
    expect(faults({ schedule: true, model: { type: 'bert' } })[0]).toBe(
      'Expected a number or `auto` for `run.yaml.schedule`, got true.',
    )
  })

  it('survives values that are no objects at all', () => {
    for (const value of [undefined, null, 3, 'x', [], () => 1, Number.NaN]) expect(faults(value).length).toBe(1)
  })

  it('keeps messages short for huge values', () => {
    expect(faults({ vocabSize: 'x'.repeat(1_000_000), model: { type: 'bert' } })[0].length).toBeLessThan(200)
  })
})

describe('the picture of a value', () => {
  it('names a deep nesting, whether or not its text can be made', () => {
    for (const depth of [100, 500_000]) {
      const list = `${'['.repeat(depth)}${']'.repeat(depth)}`
      expect(show(JSON.parse(list))).toBe('a deeply nested list')
      expect(show({ a: JSON.parse(list) })).toBe('a deeply nested object')
    }
  })

  it('is the beginning of a value whose brackets stand side by side or in texts', () => {
    const wide = Array.from({ length: 200 }, () => [{}])
    const quoted = ['['.repeat(200), '"\\', '{'.repeat(200)]
    for (const value of [wide, quoted]) expect(show(value)).toBe(`${JSON.stringify(value).slice(0, 79)}…`)
  })
})

it('a ConfigError that nobody catches shows its faults once', () => {
  const shown = inspect(new ConfigError(['one fault', 'another fault']))
  expect(shown.match(/one fault/g)).toHaveLength(1)
  expect(new ConfigError('one fault').faults).toEqual(['one fault'])
})
