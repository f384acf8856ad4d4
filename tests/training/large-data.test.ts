// Fine-tuning through the cache of encoded examples: the same losses and the same bytes as in memory, with any number of threads, and a
// cache that is damaged, unfinished or outdated is made again.
import { fork } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loadTokenizer } from '../../src/checkpoint/index.ts'
import { encodeData } from '../../src/runs/examples/encode-data.ts'
import { ExampleFile } from '../../src/runs/examples/example-file.ts'
import { type DataSettings, openLargeData } from '../../src/runs/examples/large-data.ts'
import { encodeInMemory } from '../../src/runs/examples/run-data.ts'
import { type RecordsRequest, surveyRecords, ValidationFile } from '../../src/runs/examples/survey-records.ts'
import { compareRuns, finetune, pretrain, verifyResume } from '../../src/runs/index.ts'
import { findTask, firstRecords, type TaskExample, taskConfig } from '../../src/tasks/index.ts'
import { isFull } from '../grid.ts'
import { bundledChild } from '../setup/bundled-child.ts'
import type { CacheWork } from './cache-child.ts'
import { makeSmallData, remainsOf, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
let base: string
const at = (name: string) => join(data.root, name)
const cache = () => at('cache/tunesmith/examples')
const before = process.env.XDG_CACHE_HOME

const lines = (name: string, rows: object[]) => {
  writeFileSync(at(name), rows.map((row) => JSON.stringify(row)).join('\n'))
  return at(name)
}
const words = ['the', 'house', 'river', 'old', 'bird', 'rain', 'stone']
const text = (i: number) => Array.from({ length: 2 + (i % 9) }, (_, k) => words[(i * (k + 3)) % 7]).join(' ')

/** More than two batches of records. */
const count = 2300
const rows = {
  texts: () => Array.from({ length: count }, (_, i) => ({ text: text(i), label: i % 3 === 0 ? 'a' : 'b' })),
  numbers: () => Array.from({ length: count }, (_, i) => ({ text: text(i), label: Math.sin(i) })),
  tags: () =>
    Array.from({ length: count }, (_, i) => {
      const tokens = text(i).split(' ')
      return { tokens, tags: tokens.map((word) => (word === 'stone' ? 'B-X' : 'O')) }
    }),
}

beforeAll(async () => {
  data = await makeSmallData()
  base = at('base')
  await pretrain(smallRecipe(data, base, { budget: { steps: 2 } }))
  process.env.XDG_CACHE_HOME = at('cache')
})
afterAll(() => {
  if (before === undefined) delete process.env.XDG_CACHE_HOME
  else process.env.XDG_CACHE_HOME = before
  data.dispose()
})
beforeEach(() => rmSync(at('cache'), { recursive: true, force: true }))

const run = async (out: string, more: object) => {
  const losses: number[] = []
  const notes: string[] = []
  await finetune(
    {
      base,
      out: at(out),
      maxLength: 12,
      batch: { sequences: 8 },
      budget: { steps: 6 },
      learningRate: 1e-3,
      untrainedBaseline: false,
      ...more,
    } as unknown as Parameters<typeof finetune>[0],
    {
      onEvent: (event) => event.type === 'step' && losses.push(event.loss),
      onNote: (note) => notes.push(note),
    },
  )
  // The clock of the final evaluation.
  const { 'model/timing.json': _, ...remains } = remainsOf(at(out))
  return { losses, notes, remains }
}

describe('a run through the cache', () => {
  it.each([
    ['sequence-classification', 'texts', { settings: { classWeights: 'balanced' } }, isFull ? [0, 2] : [2]],
    ['token-classification', 'tags', {}, [0]],
    ...(isFull ? [['regression', 'numbers', {}, [1]] as const] : []),
  ] as const)('%s has the losses and the bytes of one in memory, with any number of threads', async (...one) => {
    const [task, kind, more, threads] = one
    const file = lines(`${kind}.jsonl`, rows[kind]())
    const settings = { task, data: file, ...more }
    const memory = await run(`${kind}-memory`, { ...settings, exampleCache: 'off' })
    expect(memory.losses).toHaveLength(6)
    expect(existsSync(cache())).toBe(false)
    for (const workers of threads) {
      rmSync(at('cache'), { recursive: true, force: true })
      const cached = await run(`${kind}-${workers}`, { ...settings, exampleCache: 'on', workers })
      expect(cached.losses).toEqual(memory.losses)
      expect(cached.remains).toEqual(memory.remains)
      expect(cached.notes.join('\n')).toMatch(/Encoded .* examples into the cache/)
      expect(cached.notes.filter((note) => !/cache|^(Reading|Encoding) …/.test(note))).toEqual(memory.notes)
    }
  })

  it('starts from the cache the second time, and is compared', async () => {
    const file = lines('again.jsonl', rows.texts())
    const validation = lines('again-validation.jsonl', rows.texts().slice(0, 40))
    const settings = { task: 'sequence-classification', data: file, validation, exampleCache: 'on', workers: 0 }
    const first = await run('again-1', settings)
    expect(first.notes.join('\n')).toMatch(/40 of 40 validation records are in the training data too/)
    const second = await run('again-2', settings)
    expect(second.notes.join('\n')).toMatch(/Found .* examples in the cache/)
    expect(second.losses).toEqual(first.losses)
    expect((await compareRuns(['again-1', 'again-2'].map(at))).runs).toHaveLength(2)
    expect(await verifyResume(at('again-2'), { steps: 2 })).toMatchObject({ equal: true, different: [] })
  })

  it('names file and line of a record that is wrong', async () => {
    const broken = [...rows.texts().slice(0, 1500), { text: '', label: 'a' }]
    const settings = { task: 'sequence-classification', data: lines('broken.jsonl', broken), exampleCache: 'on' }
    await expect(run('broken', settings)).rejects.toThrow(/broken\.jsonl:1501: Expected text in column "text"/)
    // Nothing is left of what could not be read.
    expect(readdirSync(cache())).toEqual([])
  })

  it.each(['on', 'off'])(
    'names file and line of a validation record that is wrong, late in its file (cache %s)',
    async (exampleCache) => {
      const validation = lines('late.jsonl', [...rows.texts(), { text: 'the end', label: '' }])
      const settings = {
        task: 'sequence-classification',
        data: lines('good.jsonl', rows.texts()),
        validation,
        exampleCache,
      }
      await expect(run(`late-${exampleCache}`, settings)).rejects.toThrow(/late\.jsonl:2301: /)
      const unknown = lines('unknown.jsonl', [...rows.texts(), { text: 'the end', label: 'c' }])
      const own = { ...settings, validation: unknown, settings: { labels: ['a', 'b'] } }
      await expect(run(`unknown-${exampleCache}`, own)).rejects.toThrow(/unknown\.jsonl:2301: .*"c"/)
    },
  )

  it('of several sets, and of spans, scores what one in memory scores', async () => {
    const some = lines('some-texts.jsonl', rows.texts().slice(0, 700))
    const held = lines('held-texts.jsonl', rows.texts().slice(600, 1300))
    const sets = [
      { path: lines('texts.jsonl', rows.texts().slice(0, 900)), name: 'one' },
      { path: some, name: 'two', validation: held },
    ]
    const questions = lines(
      'questions.jsonl',
      Array.from({ length: 300 }, (_, i) => {
        const context = `${text(i)} river`
        const answers = {
          text: i % 3 === 0 ? [] : ['river'],
          answer_start: i % 3 === 0 ? [] : [context.indexOf('river')],
        }
        return { id: `q${i}`, question: 'old', context, answers }
      }),
    )
    for (const settings of [
      { task: 'sequence-classification', data: sets },
      { task: 'extractive-qa', data: questions, settings: { maxQuestionTokens: 2, stride: 2 } },
    ]) {
      const memory = await run(`${settings.task}-whole`, { ...settings, exampleCache: 'off' })
      const cached = await run(`${settings.task}-read`, { ...settings, exampleCache: 'on', workers: 0 })
      expect(cached.losses).toEqual(memory.losses)
      expect(Object.keys(memory.remains)).toContain('model/predictions.jsonl')
      expect(cached.remains).toEqual(memory.remains)
    }
  })

  it('says what to do where the folder of the cache cannot be made', async () => {
    mkdirSync(at('cache/tunesmith'), { recursive: true })
    writeFileSync(cache(), '')
    const settings = { task: 'sequence-classification', data: lines('some.jsonl', rows.texts()), exampleCache: 'on' }
    await expect(run('no-folder', settings)).rejects.toThrow(
      /^Cannot make the folder \S+examples for the cache of encoded examples \(EEXIST\): set XDG_CACHE_HOME .*`exampleCache` off/,
    )
  })
})

describe('the cache', () => {
  const task = findTask('sequence-classification')
  const config = taskConfig(task)
  const options = { maxLength: 12, headOptions: { labels: ['a', 'b'] }, facts: { causal: false, maxPositions: 64 } }
  const request = (): RecordsRequest => ({
    task: task.type,
    config,
    data: at('cached.jsonl'),
    validation: undefined,
    share: 1,
    validationShare: 0.1,
    use: [],
    cache: cache(),
    progress: new Int32Array(1),
  })
  const open = async (more: object = {}) => {
    const survey = await surveyRecords(request())
    const encoding = { tokenizer: data.tokenizer, options: { ...options, ...more } as never }
    const encoded = await encodeData({ ...request(), ...encoding, survey: survey.key, workers: 0 })
    const { folder, length, shapes, files } = encoded
    const file = new ExampleFile<TaskExample>(folder, length, shapes, files)
    const examples = Array.from({ length }, (_, i) => file.at(i))
    const places = examples.map((_, i) => file.placeOf(i).line)
    file.close()
    const held = new ValidationFile(survey.folder, survey.all.records - survey.trained.records)
    const validation = await firstRecords(held, held.length)
    held.close()
    expect(validation).toHaveLength(held.length)
    return { examples, places, survey, validation, encoded }
  }
  const entry = (kind: 'records' | 'examples') => {
    const found = readdirSync(cache()).filter((name) => name.startsWith(`${kind}-`))
    expect(found).toHaveLength(1)
    return join(cache(), found[0])
  }
  beforeEach(() => lines('cached.jsonl', rows.texts()))

  it('has the examples that memory would have, with their lines', async () => {
    const { examples, places, validation } = await open()
    const { records } = await task.read(at('cached.jsonl'), config)
    const validated = new Set(validation.map(({ line }) => line))
    const trained = records.filter(({ line }) => !validated.has(line))
    expect(validated.size).toBeGreaterThan(100)
    const prepared = task.prepare(await loadTokenizer(data.tokenizer), config, options)
    const memory = await encodeInMemory(trained, prepared)
    expect(examples).toStrictEqual(Array.from({ length: memory.examples.length }, (_, i) => memory.examples.at(i)))
    expect(places).toEqual(trained.map(({ line }) => line))
  })

  it.each<[string, 'records' | 'examples', (folder: string) => void, RegExp]>([
    [
      'truncated',
      'examples',
      (folder) => truncateSync(join(folder, 'examples.bin'), 999),
      /damaged \(examples\.bin has 999 of/,
    ],
    [
      'of a flipped bit',
      'examples',
      (folder) => {
        const path = join(folder, 'examples.bin')
        const bytes = readFileSync(path)
        bytes[5000] ^= 4
        writeFileSync(path, bytes)
      },
      /damaged \(checksum of examples\.bin\)/,
    ],
    ['without its index', 'examples', (folder) => rmSync(join(folder, 'index.bin')), /damaged \(index\.bin has 0 of/],
    [
      'with a changed manifest',
      'examples',
      (folder) => edit(folder, (manifest) => manifest.replace('"truncated":', '"truncated":1')),
      /damaged \(manifest\.json\)/,
    ],
    [
      'of another version',
      'examples',
      (folder) => edit(folder, (manifest) => manifest.replace('"version":1', '"version":0')),
      /of another version/,
    ],
    [
      'of records that are damaged',
      'records',
      (folder) => truncateSync(join(folder, 'validation.bin'), 10),
      /damaged \(validation\.bin/,
    ],
  ])('%s is made again, and says why', async (_, kind, damage, problem) => {
    const { examples, validation } = await open()
    damage(entry(kind))
    const again = await open()
    expect(again[kind === 'records' ? 'survey' : 'encoded'].problem).toMatch(problem)
    expect(again.examples).toStrictEqual(examples)
    expect(again.validation).toStrictEqual(validation)
    const third = await open()
    expect([third.survey, third.encoded].map(({ built }) => built)).toEqual([false, false])
  })

  it('is not used for other data, other settings or another length', async () => {
    await open()
    const built = async (more?: object) => (await open(more)).encoded.built
    expect(await built()).toBe(false)
    expect(await built({ maxLength: 10 })).toBe(true)
    lines('cached.jsonl', [...rows.texts(), { text: 'one more', label: 'a' }])
    expect(await built()).toBe(true)
  })

  it('is made again when the process was killed while it wrote', async () => {
    lines('cached.jsonl', Array.from({ length: 15 }, rows.texts).flat())
    mkdirSync(cache(), { recursive: true })
    const { data: path, validation, validationShare } = request()
    const settings = {
      task: task.type,
      data: path,
      validation,
      validationShare,
      share: 1,
      exampleCache: 'on',
      workers: 0,
    } satisfies DataSettings
    const child = fork(await bundledChild(new URL('cache-child.ts', import.meta.url)), {
      serialization: 'advanced',
    })
    const ended = new Promise((resolve) => child.on('exit', (_code, signal) => resolve(signal)))
    child.send({ settings, config, request: { tokenizer: data.tokenizer, options } } satisfies CacheWork)
    // A folder without a lock may be one that another process makes this moment, and is left alone.
    const isWriting = () =>
      readdirSync(cache()).some((name) => /^\.examples-.*\.tmp$/.test(name) && existsSync(join(cache(), name, '.lock')))
    while (!isWriting() && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 5))
    child.kill('SIGKILL')
    expect(await ended).toBe('SIGKILL')
    expect(isWriting()).toBe(true)
    const { encode } = await openLargeData(settings, config, { say() {} })
    const set = await encode({ tokenizer: data.tokenizer, options })
    set.close()
    expect(set.notes[0]).toBe('The cache of encoded examples was unfinished: made again.')
    expect(set.examples.length).toBeGreaterThan(30_000)
    expect(readdirSync(cache()).filter((name) => name.startsWith('.'))).toEqual([])
  })
})

const edit = (folder: string, change: (manifest: string) => string): void => {
  const path = join(folder, 'manifest.json')
  const manifest = readFileSync(path, 'utf8')
  expect(change(manifest)).not.toBe(manifest)
  writeFileSync(path, change(manifest))
}
