// Several data sets in one fine-tuning run: shares, caps and scores of each, in an order that only seed and position decide; and what is
// wrong with a mixture is said before the first step.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { readDataSets } from '../../src/runs/engine/data-sets.ts'
import { type MixedSet, mixExamples } from '../../src/runs/examples/run-data.ts'
import { compareRuns, finetune, pretrain, resume } from '../../src/runs/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { startHub } from '../checkpoint/hub-server.ts'
import { runHere } from '../e2e/run-folder.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
let base: string
const at = (name: string) => join(data.root, name)

/** Texts with "green" are of one class, texts with "stone" of the other. */
const rows = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => {
    const [telling, label] = i % 2 === 0 ? ['green', 'plant'] : ['stone', 'rock']
    return { text: `${['the house', 'a river walks', 'old bird'][i % 3]} ${telling} number ${from + i}`, label }
  })
const lines = (name: string, records: readonly object[]) => {
  writeFileSync(at(name), records.map((record) => JSON.stringify(record)).join('\n'))
  return at(name)
}

beforeAll(async () => {
  data = await makeSmallData()
  base = at('base')
  await pretrain(smallRecipe(data, base, { budget: { steps: 2 } }))
  lines('a.jsonl', rows(0, 90))
  lines('b.jsonl', rows(1000, 40))
  lines('both.jsonl', [...rows(0, 90), ...rows(1000, 40)])
  lines('dev.jsonl', rows(2000, 12))
  // The same classes in other columns, by other names.
  const foreign = rows(3000, 40).map(({ text, label }) => `${text},${label === 'plant' ? 'p' : 'r'}`)
  writeFileSync(at('foreign.csv'), ['review,stars', ...foreign].join('\n'))
  mkdirSync(at('other'))
  writeFileSync(at('other/a.jsonl'), '')
})
afterAll(() => data.dispose())
afterEach(() => vi.unstubAllEnvs())

const foreign = () => ({
  path: at('foreign.csv'),
  settings: { text: 'review', label: 'stars', labelMap: { p: 'plant', r: 'rock' } },
})

const run = async (out: string, more: object, onStep?: (step: number) => void, signal?: AbortSignal) => {
  const events: TrainingEvent[] = []
  const notes: string[] = []
  const recipe = {
    base,
    task: 'sequence-classification',
    out: at(out),
    maxLength: 16,
    batch: { sequences: 8 },
    budget: { epochs: 1 },
    learningRate: 0.005,
    untrainedBaseline: false,
    ...more,
  }
  const result = await finetune(recipe as Parameters<typeof finetune>[0], {
    onEvent(event) {
      events.push(event)
      if (event.type === 'step') onStep?.(event.step)
    },
    signal,
    onNote: (line) => notes.push(line),
  })
  const losses = events.flatMap((event) => (event.type === 'step' ? [event.loss] : []))
  return { result, events, notes, losses }
}

const set = (name: string, length: number, more: Partial<MixedSet<{ id: string; truncatedTokens: number }>> = {}) => ({
  name,
  examples: { length, at: (index: number) => ({ id: `${name}${index}`, truncatedTokens: 0 }) },
  placeOf: (index: number) => ({ file: name, line: index }),
  ...more,
})
const take = (sets: ReturnType<typeof set>[], count: number, temperature?: number) => {
  const { source } = mixExamples(sets, { seed: 7, temperature })
  return Array.from({ length: count }, (_, position) => source.example(position).example.id)
}
const countOf = (ids: readonly string[], name: string) => ids.filter((id) => id.startsWith(name)).length

describe('the order of a mixture', () => {
  it('has each example once in an epoch without weights, and the shares of weights in every epoch', () => {
    const plain = take([set('a', 30), set('b', 10)], 80)
    expect(new Set(plain.slice(0, 40)).size).toBe(40)
    expect(new Set(plain.slice(40)).size).toBe(40)
    const weighted = take([set('a', 30, { weight: 1 }), set('b', 10, { weight: 3 })], 120)
    for (const epoch of [0, 1, 2]) expect(countOf(weighted.slice(40 * epoch, 40 * (epoch + 1)), 'b')).toBe(30)
    // Three epochs over `b` in an epoch of the mixture, each in an order of its own.
    const ofB = weighted.filter((id) => id.startsWith('b'))
    for (const id of new Set(ofB)) expect(ofB.slice(0, 30).filter((one) => one === id).length).toBe(3)
    expect(ofB.slice(0, 30)).not.toEqual(ofB.slice(30, 60))
    expect(take([set('a', 30, { weight: 1 }), set('b', 10, { weight: 3 })], 120)).toEqual(weighted)
  })

  it('takes shares from sizes by the temperature, caps sets, and ends where every set has its epochs', () => {
    // Sizes 64 and 4: shares 64:4, 8:2 and nearly 1:1.
    const share = (temperature: number) => countOf(take([set('a', 64), set('b', 4)], 68, temperature), 'b')
    expect([1, 2, 1000].map(share)).toEqual([4, 14, 34])
    const capped = mixExamples([set('a', 30, { maxExamples: 5 }), set('b', 10)], { seed: 7 })
    expect(capped.source.perEpoch).toBe(15)
    const once = mixExamples([set('a', 30, { weight: 1, maxEpochs: 0.5 }), set('b', 10, { weight: 1 })], { seed: 7 })
    const ids = Array.from({ length: 200 }, (_, i) => once.source.example(i).example.id)
    expect([countOf(ids, 'a'), once.most]).toEqual([15, Number.POSITIVE_INFINITY])
    const both = [set('a', 30, { maxEpochs: 0.5 }), set('b', 10, { maxEpochs: 2 })]
    const { most, source } = mixExamples(both, { seed: 7 })
    expect([most, source.batchEnd?.(0)]).toEqual([35 / 40, 35])
  })
})

describe('several data sets', () => {
  it('without weights are as one file with all records, and are scored each and together', async () => {
    const one = await run('one', { data: at('both.jsonl') })
    const two = await run('two', { data: [at('a.jsonl'), at('b.jsonl')], keep: { best: 'accuracy/b' } })
    expect(two.losses).toEqual(one.losses)
    expect(two.result.metrics.accuracy).toBe(one.result.metrics.accuracy)
    const { metrics, records } = JSON.parse(readFileSync(at('two/model/evaluation.json'), 'utf8'))
    const predictions = readFileSync(at('two/model/predictions.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { id: string; label: string })
    expect(predictions.length).toBe(records.count)
    // Ids are numbers of records, whose class alternates.
    for (const name of ['a', 'b']) {
      const own = predictions.filter(({ id }) => id.startsWith(`${name}/`))
      const right = own.filter(({ id, label }) => (Number(id.slice(2)) % 2 === 0 ? 'plant' : 'rock') === label)
      expect(metrics[`accuracy/${name}`].value).toBeCloseTo(right.length / own.length, 12)
      expect(two.result.metrics[`accuracy/${name}`]).toBe(metrics[`accuracy/${name}`].value)
    }
    const evaluated = two.events.find((event) => event.type === 'evaluation')
    expect(Object.keys(evaluated?.metrics ?? {})).toEqual(
      expect.arrayContaining(['accuracy', 'accuracy/a', 'f1Macro/b']),
    )
    // Both are scored on other records: their numbers differ.
    const compared = await compareRuns([at('two')])
    expect(compared.runs[0].data).toBe(`${at('a.jsonl')} + ${at('b.jsonl')}`)
  })

  it('have columns, labels, validation and a share of their own, resume to the bit, and are the same through the cache', async () => {
    const mixed = {
      data: [
        { path: at('a.jsonl'), weight: 0.4, validation: at('dev.jsonl') },
        { ...foreign(), name: 'f', weight: 0.6 },
      ],
    }
    const { result, notes, losses } = await run('mixed', mixed)
    expect(notes.join('\n')).toMatch(/An epoch is \d+ examples: 40 % a \(each example 0\.\d+ times\), 60 % f/)
    expect(result.metrics).toHaveProperty(['accuracy/f'])
    const stop = new AbortController()
    const first = await run('stopped', mixed, (step) => step === 5 && stop.abort(), stop.signal)
    const later: number[] = []
    await resume(at('stopped'), { onEvent: (event) => void (event.type === 'step' && later.push(event.loss)) })
    expect([...first.losses, ...later]).toEqual(losses)
    vi.stubEnv('XDG_CACHE_HOME', at('cache'))
    const cached = await run('cached', { ...mixed, exampleCache: 'on' })
    expect(cached.losses).toEqual(losses)
    expect(cached.result.metrics).toEqual(result.metrics)
    expect(cached.notes.join('\n')).toMatch(/^f: Encoded \d+ examples into the cache/m)
    // What is read again for a comparison are the records that were scored.
    const { runs } = await compareRuns([at('mixed'), at('cached')])
    expect(runs.map(({ difference }) => difference?.value ?? 0)).toEqual([0, 0])
  })

  it('are given on the command line, and printed each', async () => {
    const { stdout } = await runHere([
      ...['finetune', '--base', base, '--task', 'sequence-classification', '--out', at('line')],
      ...['--data', `${at('a.jsonl')}=0.7,maxExamples=20`, `${at('b.jsonl')}=0.3,validation=${at('dev.jsonl')}`],
      ...['--max-length', '16', '--budget.steps', '4', '--no-untrained-baseline'],
    ])
    expect(stdout).toMatch(/^validation: accuracy [^:]*\nvalidation on a: accuracy [^:]*\nvalidation on b: accuracy /m)
    expect(readFileSync(at('line/events.jsonl'), 'utf8')).toMatch(/70 % a \(each example .* times\), 30 % b/)
    expect(JSON.parse(readFileSync(at('line/run.json'), 'utf8')).data).toEqual([
      { path: at('a.jsonl'), name: 'a', weight: 0.7, maxExamples: 20 },
      { path: at('b.jsonl'), name: 'b', weight: 0.3, validation: at('dev.jsonl') },
    ])
  })

  it('may be of the Hub, whose commit is kept in run.json, so that a run is resumed and compared without the network', async () => {
    const commit = 'd'.repeat(40)
    const file = readFileSync(at('b.jsonl'))
    const hub = await startHub({
      kind: 'datasets',
      commit,
      revisions: ['main'],
      files: new Map([['train.jsonl', file]]),
    })
    for (const [name, value] of Object.entries({
      HF_ENDPOINT: hub.address,
      HF_HUB_CACHE: at('hub'),
      HF_HUB_OFFLINE: '',
      HF_TOKEN: '',
    }))
      vi.stubEnv(name, value)
    const out = 'from-hub'
    const { losses, notes } = await run(out, { data: ['hub:org/name:train', at('a.jsonl')] })
    await hub.close()
    expect(notes).toContain('Downloading train.jsonl …')
    const { data: kept } = JSON.parse(readFileSync(at('from-hub/run.json'), 'utf8')) as { data: object[] }
    expect(kept[0]).toEqual({ name: 'name-train', path: `hub:org/name@${commit}:train` })
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    expect((await compareRuns([at(out)])).runs.length).toBe(1)
    const local = await run('local', { data: [at('b.jsonl'), at('a.jsonl')] })
    expect(local.losses).toEqual(losses)
    await expect(run('gone', { data: ['hub:org/name:test', at('a.jsonl')] })).rejects.toThrow(
      /which has train, got "test"/,
    )
  })

  it('are learned from as one by a variant without steps', async () => {
    const given = [at('a.jsonl'), foreign()]
    const atOnce = { batch: undefined, budget: undefined, learningRate: undefined, variant: 'feature-based' }
    const { result } = await run('features', { data: given, ...atOnce })
    expect(result.metrics['accuracy/foreign']).toBeGreaterThan(0)
    await expect(run('no', { data: given, ...atOnce, dataTemperature: 2 })).rejects.toThrow(/`dataTemperature`/)
  })
})

describe('a mixture that cannot be meant', () => {
  const cases: [string, () => { data: unknown; [setting: string]: unknown }, RegExp][] = [
    ['an empty set', () => ({ data: [at('a.jsonl'), at('other/a.jsonl')] }), /other\/a\.jsonl: .*got none/],
    ['a misnamed file', () => ({ data: [at('a.jsonl'), at('bb.jsonl')] }), /bb\.jsonl: .*does not exist/],
    [
      'two sets of one name',
      () => ({
        data: [
          { path: 'x', name: 'n' },
          { path: 'y', name: 'n' },
        ],
      }),
      /got "n" twice/,
    ],
    ['a name for no metric', () => ({ data: [at('a.jsonl'), { path: 'y', name: 'a b' }] }), /letters, digits/],
    ['the same file twice', () => ({ data: [at('a.jsonl'), at('a.jsonl')] }), /a\.jsonl: .*both \S+ and \S+ read/],
    ['a weight of 0', () => ({ data: [`${at('a.jsonl')}=0`, at('b.jsonl')] }), /weight above 0 .*got "0"/],
    ['a negative weight', () => ({ data: [{ path: 'a', weight: -1 }, 'b'] }), /weight`?, got -1/],
    ['a weight that is no number', () => ({ data: [`${at('a.jsonl')}=high`, at('b.jsonl')] }), /got "high"/],
    [
      'a weight of one set only',
      () => ({ data: [`${at('a.jsonl')}=1`, at('b.jsonl')] }),
      /for each data set or for none/,
    ],
    ['a weight of a single set', () => ({ data: `${at('a.jsonl')}=1` }), /no `weight` for a single data set, got 1/],
    [
      'a temperature of a single set',
      () => ({ data: at('a.jsonl'), dataTemperature: 2 }),
      /no `dataTemperature` for a/,
    ],
    [
      'weights and a temperature',
      () => ({ data: [`${at('a.jsonl')}=1`, `${at('b.jsonl')}=1`], dataTemperature: 2 }),
      /weights or `dataTemperature`/,
    ],
    [
      'a cap above the size',
      () => ({ data: [{ path: at('a.jsonl'), maxExamples: 1000 }, at('b.jsonl')] }),
      /at most \d+ for `maxExamples` of the data set a, .*got 1000/,
    ],
    [
      'more epochs than all sets have',
      () => ({ data: [at('a.jsonl'), at('b.jsonl')].map((path) => ({ path, maxEpochs: 1 })), budget: { epochs: 3 } }),
      /at most 1 for `budget\.epochs`.*got 3/,
    ],
    [
      'labels of one set only',
      () => ({ data: [at('a.jsonl'), { ...foreign(), settings: { text: 'review', label: 'stars' } }] }),
      /a has plant, rock; foreign has p, r\..*settings\.labelMap\.p=plant.*--settings\.labels p,plant,r,rock/,
    ],
    [
      'a label that is not mapped',
      () => ({
        data: [at('a.jsonl'), { ...foreign(), settings: { text: 'review', label: 'stars', labelMap: { p: 'plant' } } }],
      }),
      /a has rock; foreign has r\..*settings\.labelMap\.r=rock/,
    ],
    [
      'one validation for all',
      () => ({ data: [at('a.jsonl'), at('b.jsonl')], validation: at('dev.jsonl') }),
      /the validation data of each data set.*a\.jsonl,validation=/,
    ],
    [
      'a setting that all sets share',
      () => ({ data: [at('a.jsonl'), `${at('b.jsonl')},settings.labelSmoothing=0.1`] }),
      /data set b .*got `labelSmoothing` 0\.1, which all data sets share/,
    ],
    [
      'an unknown setting',
      () => ({ data: [at('a.jsonl'), `${at('b.jsonl')},maxexamples=3`] }),
      /Did you mean `maxExamples`/,
    ],
    [
      'a metric of no set',
      () => ({ data: [at('a.jsonl'), at('b.jsonl')], keep: { best: 'accuracy/c' } }),
      /`keep\.best`.*accuracy\/a.*got accuracy\/c/,
    ],
  ]
  it.each(cases)('%s is a clear error', async (what, given, message) => {
    await expect(run(`bad-${what.replaceAll(' ', '-')}`, given())).rejects.toThrow(message)
  })

  it('accepts other labels where all are named, and paths with = in them', async () => {
    const labels = { labels: ['plant', 'rock', 'p', 'r'] }
    const { settings } = { ...foreign(), settings: { text: 'review', label: 'stars' } }
    const { result } = await run('accepted', {
      data: [at('a.jsonl'), { path: at('foreign.csv'), settings }],
      settings: labels,
    })
    expect(result.reason).toBe('finished')
    mkdirSync(at('lang=2'))
    expect(readDataSets(at('lang=2'))).toBe(at('lang=2'))
    expect(readDataSets('data/lang=en/part.jsonl')).toBe('data/lang=en/part.jsonl')
  })

  it('are named after their files, and after the folders too where two files have one name', () => {
    const namesOf = (...paths: string[]) => (readDataSets(paths) as { name: string }[]).map(({ name }) => name)
    expect(namesOf('a.jsonl', 'b.csv')).toEqual(['a', 'b'])
    expect(namesOf('a.jsonl', 'en/a.jsonl', '../a.jsonl')).toEqual(['a', 'en-a', 'a-2'])
  })
})
