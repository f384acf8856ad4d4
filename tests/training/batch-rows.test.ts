// The rows of a step's batch, against what a hook saw of the real training: the ids of every step, and the loss that the run recorded, where
// the weights of the step before were kept. Dropout is 0, so that both losses are of the same function.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadTokenizer } from '../../src/checkpoint/index.ts'
import { BatchReader, type BatchRows, execute } from '../../src/runs/index.ts'
import { kindOf, startOf } from '../../src/runs/kinds.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { makeSmallAlignment, pairRows, ratingRows, type SmallAlignment } from '../alignment/small-alignment.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

/** What a step trained on: the ids of each of its examples, in any order, and its recorded loss. */
interface SeenStep {
  ids: string[]
  loss: number
}

/** Runs a recipe with a hook at `collate`. Evaluations collate too: what came between two steps without being trained on is dropped. */
const trainWatched = async (
  command: string,
  input: object,
  { stopAt, resumed = false }: { stopAt?: number; resumed?: boolean } = {},
): Promise<Map<number, SeenStep>> => {
  const seen = new Map<number, SeenStep>()
  const recipe = await startOf(command).resolve(input)
  const kind = kindOf(command)
  const aborter = new AbortController()
  let ids: string[] = []
  const watched = {
    ...kind,
    build: async (...args: Parameters<typeof kind.build>) => {
      const run = await kind.build(...args)
      const { objective } = run.trainable
      const collate: typeof objective.collate = (examples, how) => {
        for (const example of examples) ids.push(JSON.stringify(Array.from((example as { ids: Uint32Array }).ids)))
        return objective.collate(examples, how)
      }
      // The criterion may be a class, whose methods are on its prototype.
      const hooked = Object.assign(Object.create(objective) as typeof objective, { collate })
      for (const name of ['tokens', 'weights', 'loss', 'prepare', 'describe', 'trainedTokens'] as const)
        if (objective[name] !== undefined) Object.assign(hooked, { [name]: objective[name].bind(objective) })
      Object.defineProperty(hooked, 'carried', { get: () => objective.carried })
      return { ...run, trainable: { ...run.trainable, objective: hooked } }
    },
  }
  const onEvent = (event: TrainingEvent) => {
    if (event.type === 'step') {
      seen.set(event.step, { ids: ids.sort(), loss: event.loss })
      if (event.step === stopAt) aborter.abort()
    }
    if (['step', 'evaluation', 'start'].includes(event.type)) ids = []
  }
  await execute(watched, recipe, resumed ? 'resume' : 'new', {
    onEvent,
    onPreFlight: () => void (ids = []),
    signal: aborter.signal,
  })
  return seen
}

const meanOfTokens = ({ rows }: BatchRows) => {
  const all = rows.flatMap(({ parts }) => parts?.flatMap(({ losses }) => losses) ?? [])
  return all.reduce((sum, loss) => sum + loss, 0) / all.length
}

let data: SmallData
let small: SmallAlignment
const reader = new BatchReader()
beforeAll(async () => {
  data = await makeSmallData('bpe')
  small = await makeSmallAlignment()
})
afterAll(() => {
  reader.close()
  data.dispose()
  small.dispose()
})

const noDropout = { hiddenDropout: 0, attentionDropout: 0 }
const often = { checkpoint: { steps: 3 }, keep: { last: 50 }, average: undefined, evaluate: { steps: 4 } }

const causal = (out: string, more: object = {}) =>
  smallRecipe(data, out, {
    model: { type: 'gpt2', preset: 'test', config: { numLayers: 1, ...noDropout, embeddingDropout: 0 } },
    objective: { type: 'causal-lm' },
    ...often,
    ...more,
  })

describe('causal language modelling', () => {
  it('gives the rows and the loss of each step, over a stop and a resume', async () => {
    const out = join(data.root, 'causal')
    const first = await trainWatched('pretrain', causal(out), { stopAt: 8 })
    const second = await trainWatched('pretrain', causal(out), { resumed: true })
    const seen = new Map([...first, ...second])
    expect([...seen.keys()]).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
    const tokenizer = await loadTokenizer(data.tokenizer)
    for (const [step, { ids, loss }] of seen) {
      const batch = await reader.read(out, step)
      expect(batch.recordedLoss).toBe(loss)
      // The inputs of a sequence are its tokens without the last.
      const inputs = batch.rows.map(({ parts }) =>
        (parts ?? []).map(({ texts }) => texts.slice(0, -1).join('')).join(''),
      )
      const wanted = ids.map((line) => tokenizer.decode(JSON.parse(line) as number[]))
      expect(inputs.sort()).toEqual(wanted.sort())
      if (batch.weightsOfStep !== step - 1) continue
      expect(batch.loss).toBeCloseTo(loss, 4)
      expect(meanOfTokens(batch)).toBeCloseTo(loss, 4)
    }
    // Steps after the checkpoints of 3, 6, 8 (the stop), 9 … and the first, whose weights are those of the start.
    expect((await reader.read(out, 1)).weightsOfStep).toBe(0)
    expect((await reader.read(out, 9)).weightsOfStep).toBe(8)
    expect((await reader.read(out, 12)).weightsOfStep).toBe(9)
  })

  it('finds batches whose size is in tokens', async () => {
    const out = join(data.root, 'by-tokens')
    const recipe = causal(out, { batch: { tokens: 100 }, keep: { last: 1 }, budget: { steps: 9 } })
    const seen = await trainWatched('pretrain', recipe)
    for (const step of [1, 5, 9]) {
      const { rows, tokens } = await reader.read(out, step)
      expect(rows).toHaveLength(seen.get(step)?.ids.length as number)
      expect(tokens).toBe(seen.get(step)?.ids.reduce((sum, line) => sum + (JSON.parse(line) as number[]).length, 0))
    }
  })

  it('are those of the run that is in the folder now', async () => {
    const out = join(data.root, 'again')
    const short = { budget: { steps: 2 }, evaluate: {} }
    await trainWatched('pretrain', causal(out, short))
    await reader.read(out, 2)
    rmSync(out, { recursive: true })
    const seen = await trainWatched('pretrain', causal(out, { ...short, seed: 5 }))
    const tokenizer = await loadTokenizer(data.tokenizer)
    const { rows } = await reader.read(out, 2)
    const inputs = rows.map(({ parts }) => (parts ?? []).map(({ texts }) => texts.slice(0, -1).join('')).join(''))
    const wanted = (seen.get(2)?.ids ?? []).map((line) => tokenizer.decode(JSON.parse(line) as number[]))
    expect(inputs.sort()).toEqual(wanted.sort())
  })

  it('refuses a step that the run has not taken', async () => {
    await expect(reader.read(join(data.root, 'by-tokens'), 10)).rejects.toThrow('has no step 10')
  })
})

describe('masked language modelling', () => {
  it('shows masked tokens as what they were, with the loss of the step', async () => {
    const words = await makeSmallData('wordpiece')
    try {
      const out = join(words.root, 'masked')
      const model = { type: 'bert' as const, preset: 'test', config: { numLayers: 1, ...noDropout } }
      const seen = await trainWatched('pretrain', smallRecipe(words, out, { model, ...often }))
      for (const step of [1, 4, 7, 13]) {
        const batch = await reader.read(out, step)
        expect(batch.weightsOfStep).toBe(step - 1)
        expect(batch.loss).toBeCloseTo(seen.get(step)?.loss as number, 4)
        expect(meanOfTokens(batch)).toBeCloseTo(seen.get(step)?.loss as number, 4)
        const masks = batch.rows.flatMap(({ parts }) => parts?.flatMap(({ seen }) => seen) ?? [])
        expect(masks.some(([, text]) => text.includes('[MASK]'))).toBe(true)
        const texts = batch.rows.flatMap(({ parts }) => parts?.flatMap(({ texts }) => texts) ?? [])
        expect(texts.join('')).not.toContain('[MASK]')
      }
    } finally {
      words.dispose()
    }
  })
})

describe('records', () => {
  it('of fine-tuning come with file, line and the loss of their answers', async () => {
    const file = small.at('chat.jsonl')
    const rows = Array.from({ length: 24 }, (_, i) => ({
      messages: [
        { role: 'user', content: 'hi '.repeat(1 + (i % 3)).trim() },
        { role: 'assistant', content: 'ho '.repeat(1 + (i % 3)).trim() },
      ],
      number: i,
    }))
    writeFileSync(file, rows.map((row) => JSON.stringify(row)).join('\n'))
    const out = small.at('answers')
    const recipe = {
      ...{ base: small.base, task: 'instructions', data: file, variant: 'lora', out, validationShare: 0.3 },
      ...{ settings: { template: 'chatml' }, adapter: { dropout: 0 }, answers: { duringTraining: 1, samples: 1 } },
      ...{ batch: { sequences: 6 }, budget: { steps: 7 }, checkpoint: { steps: 2 }, keep: { last: 50 } },
    }
    const seen = await trainWatched('finetune', recipe)
    for (const step of [1, 3, 5]) {
      const batch = await reader.read(out, step)
      expect(batch.withoutLosses).toBe(null)
      expect(batch.rows.every(({ place }) => /chat\.jsonl:\d+$/.test(place ?? ''))).toBe(true)
      expect(batch.weightsOfStep).toBe(step - 1)
      expect(meanOfTokens(batch)).toBeCloseTo(seen.get(step)?.loss as number, 4)
    }
  })

  it.each(['dpo', 'kto'])('of %s come with the loss of the step', async (objective) => {
    const rows = objective === 'dpo' ? pairRows : ratingRows
    const recipe = {
      ...{ objective, base: small.base, data: small.rows(`${objective}.jsonl`, rows(24)) },
      ...{ validation: small.rows(`${objective}-held.jsonl`, rows(30).slice(24)), out: small.at(objective) },
      ...{
        batch: { sequences: 8 },
        budget: { steps: 5 },
        learningRate: 0.003,
        answers: { samples: 1, maxNewTokens: 2 },
      },
      ...{ checkpoint: { steps: 2 }, keep: { last: 50 } },
    }
    const seen = await trainWatched('align', recipe)
    for (const step of [1, 3, 5]) {
      const batch = await reader.read(small.at(objective), step)
      expect(batch.withoutLosses).toBe(null)
      expect(batch.weightsOfStep).toBe(step - 1)
      expect(batch.loss).toBeCloseTo(seen.get(step)?.loss as number, 4)
      const names = new Set(batch.rows.flatMap(({ parts }) => parts?.map(({ name }) => name) ?? []))
      expect([...names].sort()).toEqual(objective === 'dpo' ? ['chosen', 'rejected'] : ['bad', 'good'])
    }
  })
})
