// Evaluating preferences after training: the scores at the end of the run that learned them, on its validation records and by its settings,
// and those of any model beside any reference.
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { evaluate } from '../../src/inference/index.ts'
import { align } from '../../src/runs/index.ts'
import { runHere } from '../e2e/run-folder.ts'
import { makeSmallAlignment, pairRows, ratingRows, type SmallAlignment } from './small-alignment.ts'

type Intervals = Record<string, { value: number; low: number; high: number }>

let small: SmallAlignment
beforeAll(async () => {
  small = await makeSmallAlignment()
  small.rows('pairs.jsonl', renamed(pairRows(24)))
  small.rows('held-out.jsonl', renamed(pairRows(36).slice(24)))
  small.rows('ratings.jsonl', ratingRows(24))
  small.rows('held-out-ratings.jsonl', ratingRows(36).slice(24))
})
afterAll(() => small.dispose())

/** With a column that only the settings of a run name. */
const renamed = (rows: readonly object[]): object[] =>
  rows.map((row) => {
    const { chosen, ...rest } = row as { chosen: string }
    return { better: chosen, ...rest }
  })

const train = (name: string, objective: string, more: object = {}): Promise<unknown> =>
  align({
    objective,
    base: small.base,
    out: small.at(name),
    batch: { sequences: 8 },
    budget: { epochs: 1 },
    learningRate: 0.003,
    answers: { samples: 0 },
    ...more,
  } as never)

const pairs = () => ({
  data: small.at('pairs.jsonl'),
  validation: small.at('held-out.jsonl'),
  columns: { chosen: 'better' },
})

/** As the run wrote them. */
const writtenBy = (name: string): Intervals =>
  (JSON.parse(readFileSync(join(small.at(name), 'model', 'evaluation.json'), 'utf8')) as { metrics: Intervals }).metrics

const expectEqual = (found: Intervals, expected: Intervals): void => {
  expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort())
  for (const [name, { value }] of Object.entries(expected)) expect(found[name].value, name).toBeCloseTo(value, 4)
}

describe('a run of align', () => {
  it.each(['full', 'lora', 'prefix-tuning'])(
    '%s has the scores that it ended with, by its own settings',
    async (variant) => {
      await train(variant, 'dpo', { ...pairs(), variant, maxLength: 40 })
      // Its task is that of the run.
      const result = await evaluate({ model: small.at(variant), data: small.at('held-out.jsonl') })
      expect(result).toMatchObject({ task: 'preferences', records: 12, mainMetric: 'accuracy', skipped: {} })
      expectEqual(result.metrics as Intervals, writtenBy(variant))
    },
  )

  it('truncates to what virtual tokens leave, as the run did', async () => {
    const rows = Array.from({ length: 12 }, (_, i) => ({
      prompt: `x${i}:`,
      chosen: 'a'.repeat(200 + i),
      rejected: 'b'.repeat(200 + i),
    }))
    const data = small.rows('long.jsonl', rows)
    await train('long', 'dpo', { data, validation: data, variant: 'prefix-tuning' })
    expectEqual((await evaluate({ model: small.at('long'), data })).metrics as Intervals, writtenBy('long'))
  })

  it('on ratings', async () => {
    await train('kto', 'kto', { data: small.at('ratings.jsonl'), validation: small.at('held-out-ratings.jsonl') })
    const data = small.at('held-out-ratings.jsonl')
    const result = await evaluate({ model: small.at('kto'), task: 'ratings', data })
    expect(result.mainMetric).toBe('auc')
    expectEqual(result.metrics as Intervals, writtenBy('kto'))
  })
})

describe('any model', () => {
  const rated = () => ({ task: 'preferences', data: small.at('held-out.jsonl') })
  const columns = { chosen: 'better' }

  it('has likelihoods alone without a reference', async () => {
    const result = await evaluate({ model: small.base, ...rated(), options: { columns } })
    expect(Object.keys(result.metrics as Intervals)).toEqual(['likelihoodAccuracy'])
    expect(result.mainMetric).toBe('likelihoodAccuracy')
  })

  it('equals a reference that is the same model', async () => {
    const options = { columns, reference: small.base }
    const { metrics } = await evaluate({ model: small.base, ...rated(), options })
    expect(metrics).toMatchObject({ accuracy: { value: 0.5 }, margin: { value: 0 }, displaced: { value: 0 } })
  })

  it('by the command, with predictions', async () => {
    const file = small.at('lines.jsonl')
    const argv = ['evaluate', '--model', small.at('full'), '--data', small.at('held-out.jsonl')]
    const { code, stdout } = await runHere([...argv, '--predictions', file])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^accuracy +\d\.\d{4} {2}\[/m)
    expect(stdout).toMatch(/^12 records in /m)
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
    expect(lines).toHaveLength(12)
    expect(JSON.parse(lines[0])).toMatchObject({
      completions: [{ base: expect.any(Number) }, { tokens: expect.any(Number) }],
    })
  })

  it('refuses columns that are not there, options of other tasks, and a reference with another tokenizer', async () => {
    await expect(evaluate({ model: small.base, ...rated() })).rejects.toThrow(/chosen/)
    await expect(evaluate({ model: small.base, ...rated(), options: { dataset: 'sst2' } })).rejects.toThrow(/dataset/)
    const other = small.at('other')
    cpSync(small.base, other, { recursive: true })
    const tokenizer = join(other, 'tokenizer.json')
    const json = JSON.parse(readFileSync(tokenizer, 'utf8')) as { model: { vocab: Record<string, number> } }
    const { hi, ho } = json.model.vocab
    Object.assign(json.model.vocab, { hi: ho, ho: hi })
    writeFileSync(tokenizer, JSON.stringify(json))
    const options = { columns, reference: other }
    const result = evaluate({ model: small.base, ...rated(), options })
    await expect(result).rejects.toThrow(/same tokenizer for `reference`/)
  })
})
