import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineCommand } from './command.ts'
import { parseCommandLine, UsageError } from './command-line.ts'
import { flagsOf, mergeOver, spellMapFlags, withDefaultKinds, withFields, withoutDefaults } from './flags.ts'

const command = defineCommand({
  name: 'try',
  summary: 'Try the flags',
  example: 'tunesmith try --rate 1e-3',
  options: z.strictObject({
    vocabSize: z.number().int().positive().default(8192).describe('How many tokens'),
    rate: z.number().optional(),
    out: z.string().default('runs/x'),
    shuffle: z.boolean().default(true).describe('Mix the rows'),
    quiet: z.boolean().default(false),
    kind: z.enum(['bpe', 'wordpiece']).default('bpe'),
    sizes: z.array(z.number().int()).default([]),
    targets: z.array(z.string()).optional(),
    texts: z.array(z.string()).default([]).meta({ commas: false, keepsEmpty: true }),
    folders: z.array(z.string()).meta({ commas: false }).default([]),
    choices: z.union([z.string(), z.array(z.string()).min(2)]).optional(),
    labels: z.record(z.string(), z.number()).optional(),
    steps: z.union([z.number(), z.literal('auto')]).default('auto'),
    compile: z.union([z.boolean(), z.enum(['max'])]).default(false),
    seed: z.bigint().optional(),
    schedule: z.strictObject({ warmup: z.number().default(0.1), type: z.string().default('cosine') }).optional(),
    model: z
      .discriminatedUnion('type', [
        z.strictObject({ type: z.literal('bert'), hiddenSize: z.int().default(768), dropout: z.number().default(0.1) }),
        z.strictObject({ type: z.literal('gpt2'), numLayers: z.int().default(12), dropout: z.number().default(0) }),
      ])
      .default({ type: 'bert', hiddenSize: 768, dropout: 0.1 }),
  }),
  run: async (options) => options,
})

const read = async (...argv: string[]): Promise<Record<string, unknown>> => {
  const line = await parseCommandLine(command, argv)
  if (line.kind !== 'run') throw new Error('it gave help')
  return line.options
}

const fault = async (...argv: string[]): Promise<string> => {
  return read(...argv).then(
    () => 'no error',
    (error: Error) => error.message,
  )
}

describe('flags from a schema', () => {
  it('gives defaults without any flag', async () => {
    expect(await read()).toMatchObject({ vocabSize: 8192, shuffle: true, quiet: false, kind: 'bpe', steps: 'auto' })
  })

  it('reads every kind of value', async () => {
    const options = await read(
      ...['--vocab-size', '32_000', '--rate=-1e-4', '--out', '', '--no-shuffle', '--quiet', '--kind', 'wordpiece'],
      ...['--sizes', '1,2', '3', '--targets', 'qProj,vProj', '--labels', 'good=1', 'bad=-1', '--steps', '10'],
      ...['--compile', 'max', '--seed', '18446744073709551615'],
    )
    expect(options).toMatchObject({
      vocabSize: 32000,
      rate: -1e-4,
      out: '',
      shuffle: false,
      quiet: true,
      kind: 'wordpiece',
      sizes: [1, 2, 3],
      targets: ['qProj', 'vProj'],
      labels: { good: 1, bad: -1 },
      steps: 10,
      compile: 'max',
      seed: 18446744073709551615n,
    })
    expect(await read('--compile', '--steps', 'auto')).toMatchObject({ compile: true, steps: 'auto' })
  })

  it('repeats lists, and keeps sentences and paths with commas whole', async () => {
    expect(await read('--sizes', '1', '--sizes', '2')).toMatchObject({ sizes: [1, 2] })
    expect(await read('--targets', 'Hello, world', '--targets', 'a/b,c')).toMatchObject({
      targets: ['Hello, world', 'a/b,c'],
    })
  })

  it('keeps texts with commas and empty texts whole where the field says so, on any layer of its schema', async () => {
    expect(await read('--texts', 'a,b', '--folders', 'a,b')).toMatchObject({ texts: ['a,b'], folders: ['a,b'] })
    expect(await read('--texts', '', '--folders', '')).toMatchObject({ texts: [''], folders: [] })
  })

  it('takes one text as it is where a text will do as well as a list', async () => {
    expect((await read('--choices', 'options')).choices).toBe('options')
    expect((await read('--choices', 'a', '--choices', 'b')).choices).toEqual(['a', 'b'])
    expect((await read('--choices', 'a,b')).choices).toEqual(['a', 'b'])
  })

  it('reads nested objects and the branches of a union', async () => {
    expect(await read('--schedule.warmup', '0.2')).toMatchObject({ schedule: { warmup: 0.2, type: 'cosine' } })
    expect(await read('--model.type', 'gpt2', '--model.num-layers', '3')).toMatchObject({
      model: { type: 'gpt2', numLayers: 3, dropout: 0 },
    })
    expect(await fault('--model.type', 'bert', '--model.num-layers', '3')).toMatch(/`--model`.*unknown key `numLayers`/)
    expect(await fault('--model.type', 'brt')).toContain('Did you mean `bert`?')
  })

  it('refuses what the schema does not know, with a suggestion and the name of the flag', async () => {
    expect(await fault('--vocab-siz', '3')).toMatch(/Unknown option `--vocab-siz`\. Did you mean `--vocab-size`\?/)
    expect(await fault('--model.hidden-sise', '3')).toContain('Did you mean `--model.hidden-size`?')
    // The last part alone is enough, wherever it belongs.
    expect(await fault('--model.warmup', '3')).toMatch(/`--model\.warmup`\. Did you mean `--schedule\.warmup`\?/)
    expect(await fault('--hidden-size', '3')).toContain('Did you mean `--model.hidden-size`?')
    expect(await fault('--schedule.training.type', 'x')).toContain('Did you mean `--schedule.type`?')
    expect(await fault('--training.type', 'x')).toContain('Did you mean `--schedule.type` or `--model.type`?')
    expect(await fault('--vocab-size', 'many')).toBe('Expected a number for `--vocab-size`, got "many".')
    expect(await fault('--vocab-size', '-3')).toContain('more than 0 for `--vocab-size`, got -3')
    expect(await fault('--kind', 'bpee')).toContain('Did you mean `bpe`?')
    expect(await fault('--sizes', '1,x')).toContain('`--sizes[1]`, got "x"')
    expect(await fault('--labels', 'good')).toContain('`--labels`')
    expect(await fault('--out')).toContain('argument missing')
    expect(await fault('stray')).toContain('Too many arguments')
    await expect(read('--nope')).rejects.toBeInstanceOf(UsageError)
  })

  it('never takes a text for a number that it is not', async () => {
    for (const text of ['', ' ', '1x', '0x10', 'Infinity', 'NaN', '1e', '--1', '.', '1_', '١']) {
      const message = await fault(`--rate=${text}`)
      if (text === '1_') expect(message).toBe('no error')
      else expect(message).toContain('`--rate`')
    }
  })

  it('reads any finite number back from its own text', async () => {
    await fc.assert(
      fc.asyncProperty(fc.double({ noNaN: true, noDefaultInfinity: true }), async (value) => {
        expect((await read(`--rate=${value}`)).rate).toBe(value === 0 ? Number(String(value)) : value)
      }),
      { numRuns: 100 },
    )
  })

  it('shows each flag with its text, default and choices', async () => {
    const line = await parseCommandLine(command, ['--help'])
    if (line.kind !== 'help') throw new Error('no help')
    expect(line.text).toMatch(/--vocab-size <n> +How many tokens \(default: 8192\)/)
    expect(line.text).toContain('--kind <bpe|wordpiece>')
    expect(line.text).toMatch(/--no-shuffle +turn off: Mix the rows/)
    expect(line.text).not.toContain('--shuffle ')
    expect(line.text).toContain('model options:')
    expect(line.text).toContain('--model.type <bert|gpt2>')
    expect(line.text).toContain('$ node bin/tunesmith.js try --rate 1e-3')
  })

  it('marks what must be given', () => {
    const flags = flagsOf(z.strictObject({ data: z.string(), head: z.strictObject({ size: z.int() }).optional() }))
    expect(flags.map(({ name, required }) => [name, required])).toEqual([
      ['data', true],
      ['head.size', false],
    ])
  })

  it('refuses a schema whose flag would read as a negation, unless it has another name', async () => {
    const named = z.strictObject({ noRepeat: z.int().meta({ flag: 'unique' }) })
    const trial = defineCommand({
      name: 'try',
      summary: 'x',
      example: 'tunesmith try',
      options: named,
      run: async () => ({}),
    })
    expect(await parseCommandLine(trial, ['--unique', '3'])).toMatchObject({ options: { noRepeat: 3 } })
    expect(() => flagsOf(z.strictObject({ noRepeat: z.int() }))).toThrow('may not start with "no"')
  })
})

const kinds = z.strictObject({
  optimizer: z
    .discriminatedUnion('type', [
      z.strictObject({ type: z.literal('sgd').describe('plain'), beta: z.number().default(0.9).describe('momentum') }),
      z.strictObject({
        type: z.literal('adam').describe('adaptive'),
        beta: z.number().default(0.99).describe('momentum'),
      }),
    ])
    .prefault({ type: 'adam' }),
  objective: z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('a') }),
    z.strictObject({ type: z.literal('b') }),
  ]),
  settings: z.record(z.string(), z.unknown()).default({}),
  hidden: z.string().default('x').meta({ flag: false }),
})

describe('kinds and maps', () => {
  it('describes the flag of a kind by what it chooses, with the default of the whole, and no default that depends on it', () => {
    const flags = new Map(flagsOf(kinds).map((flag) => [flag.name, flag]))
    expect(flags.get('optimizer.type')).toMatchObject({
      description: 'which optimizer',
      defaultValue: 'adam',
      required: false,
    })
    expect(flags.get('objective.type')).toMatchObject({ required: true, defaultValue: undefined })
    expect(flags.get('optimizer.beta')).toMatchObject({ defaultVaries: true })
    expect(flags.has('hidden')).toBe(false)
  })

  it('takes the default kind where only its settings are given', () => {
    expect(withDefaultKinds(kinds, { optimizer: { beta: 0.5 }, objective: { type: 'a' } })).toEqual({
      optimizer: { type: 'adam', beta: 0.5 },
      objective: { type: 'a' },
    })
    expect(withDefaultKinds(kinds, { optimizer: { type: 'sgd', beta: 0.5 }, objective: {} })).toEqual({
      optimizer: { type: 'sgd', beta: 0.5 },
      objective: {},
    })
  })

  it('reads the keys of a map as flags', async () => {
    const flags = flagsOf(kinds)
    const spell = (...argv: string[]) => spellMapFlags(argv, flags).filter((word) => word !== '--settings')
    expect(
      spell('--settings.num-layers', '3', '--settings.rate=1e-3', '--settings.bias', '--objective.type', 'a'),
    ).toEqual(['numLayers=3', 'rate=1e-3', 'bias=true', '--objective.type', 'a'])
    expect(spell('--settings.shift', '-1.5', '--settings.on', '--', '--settings.x')).toEqual([
      'shift=-1.5',
      'on=true',
      '--',
      '--settings.x',
    ])
    const trial = defineCommand({
      name: 'try',
      summary: 'x',
      example: 'tunesmith try',
      options: kinds,
      run: async () => ({}),
    })
    const line = await parseCommandLine(trial, [
      '--objective.type=b',
      '--settings.num-layers',
      '3',
      '--settings.rate',
      '.5',
      '--settings.name',
      'gelu',
      '--settings.bias',
      'false',
      '--settings.sizes',
      '[1,2]',
    ])
    expect(line).toMatchObject({
      options: {
        settings: { numLayers: 3, rate: 0.5, name: 'gelu', bias: false, sizes: [1, 2] },
        optimizer: { type: 'adam', beta: 0.99 },
      },
    })
  })

  it('lays fields without their defaults over others', () => {
    const fields = withoutDefaults(z.strictObject({ size: z.int().default(3).describe('how large') }), 'the file')
    const schema = withFields(z.strictObject({ name: z.string() }), fields)
    expect(schema.parse({ name: 'x' })).toEqual({ name: 'x' })
    expect(flagsOf(schema).find(({ name }) => name === 'size')?.description).toBe('how large (the file, else 3)')
    const kinds = z.discriminatedUnion('type', [
      z.strictObject({ type: z.literal('a'), beta: z.number().default(1), gamma: z.number().default(2) }),
      z.strictObject({ type: z.literal('b'), beta: z.number().default(1) }),
    ])
    const parts = z.strictObject(withoutDefaults(z.strictObject({ rule: kinds.prefault({ type: 'a' }) }), 'the file'))
    expect(parts.parse({ rule: { beta: 3 } })).toEqual({ rule: { beta: 3 } })
    expect(flagsOf(parts).map(({ name, required }) => [name, required])).toEqual([
      ['rule.type', false],
      ['rule.beta', false],
      ['rule.gamma', false],
    ])
  })
})

it('merges objects key by key and replaces the rest, prototypes untouched', () => {
  expect(mergeOver({ a: { b: 1, c: [1, 2] }, d: 1 }, { a: { c: [3] }, e: 2 })).toEqual({
    a: { b: 1, c: [3] },
    d: 1,
    e: 2,
  })
  mergeOver({}, JSON.parse('{"__proto__": {"polluted": true}}'))
  expect(({} as Record<string, unknown>).polluted).toBeUndefined()
})
