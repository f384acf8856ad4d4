// Fill-in-the-middle from end to end: a small decoder learns what stands between two texts, by what only the text behind the gap says, and
// fills gaps; one that was trained without it does not.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { encodeShards } from '../../src/data/index.ts'
import { open } from '../../src/inference/index.ts'
import { type PretrainInput, pretrain, resume } from '../../src/runs/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { trainTokenizer, writeTokenizerFolder } from '../../src/tokenizers/index.ts'
import { remainsOf } from './small-run.ts'

const root = mkdtempSync(join(tmpdir(), 'tunesmith-gaps-'))
const at = (name: string) => join(root, name)
afterAll(() => rmSync(root, { recursive: true, force: true }))

const colours = { apple: 'red', leaf: 'green', sky: 'blue', snow: 'white' }
const things = Object.entries(colours)
const documents = Array.from({ length: 400 }, (_, i) => {
  const [thing, colour] = things[i % 4]
  return `a ${colour} ${thing}`
})

const recipe = (out: string, objective: object, more: object = {}) =>
  ({
    model: {
      type: 'llama',
      preset: 'test',
      config: { hiddenSize: 64, numHeads: 4, numKvHeads: 4, intermediateSize: 128 },
    },
    objective: { type: 'causal-lm', ...objective },
    data: at('shards'),
    tokenizer: at('tokenizer'),
    out: at(out),
    maxLength: 32,
    validationExamples: 0,
    batch: { sequences: 16 },
    budget: { steps: 400 },
    learningRate: 4e-3,
    ...more,
  }) as unknown as PretrainInput
const filling = { fimRate: 0.8, fimCuts: 'tokens' }

beforeAll(async () => {
  setThreads(1)
  const extraTokens = ['<fim_prefix>', '<fim_suffix>', '<fim_middle>']
  const { files } = await trainTokenizer(documents, { type: 'bpe', vocabSize: 300, extraTokens }, { workers: 1 })
  await writeTokenizerFolder(at('tokenizer'), files)
  await encodeShards(documents, at('tokenizer'), at('shards'), {}, { workers: 1 })
  await pretrain(recipe('filling', filling))
  await pretrain(recipe('plain', {}))
})

/** Share of the gaps that are filled with the right colour. */
const filledBy = async (run: string): Promise<number> => {
  const model = await open(at(run))
  const texts = await Promise.all(
    things.map(([thing]) => model.generate('a', { suffix: ` ${thing}`, maxNewTokens: 6, temperature: 0 })),
  )
  return texts.filter((text, i) => text === ` ${things[i][1]}`).length / things.length
}

it('a model that was trained to fill gaps fills them, and one that was not does not', async () => {
  expect(await filledBy('filling')).toBeGreaterThanOrEqual(0.75)
  expect(await filledBy('plain')).toBeLessThan(0.5)
})

it('the same gap is filled as a stream, and a text without one goes on', async () => {
  const model = await open(at('filling'))
  const how = { suffix: ' sky', maxNewTokens: 6, temperature: 0 }
  let streamed = ''
  for await (const piece of model.stream('a', how)) streamed += piece
  expect(streamed).toBe(' blue')
  // What follows the end of the gap is left out, and text without a gap goes on as before.
  expect(await model.generate('a', { ...how, suffix: undefined })).toMatch(
    /^ (red|green|blue|white) (apple|leaf|sky|snow)$/,
  )
})

it('a stopped run with rearranged documents goes on to the same bits', async () => {
  const small = { budget: { steps: 12 }, checkpoint: { steps: 4 } }
  await pretrain(recipe('whole', filling, small))
  const aborter = new AbortController()
  await pretrain(recipe('stopped', filling, small), {
    signal: aborter.signal,
    onEvent: (event) => {
      if (event.type === 'step' && event.step >= 6) aborter.abort()
    },
  })
  await resume(at('stopped'))
  const [whole, stopped] = [remainsOf(at('whole')), remainsOf(at('stopped'))]
  expect(stopped['model/model.safetensors']).toBe(whole['model/model.safetensors'])
})
