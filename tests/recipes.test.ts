// Every file in recipes/ is read as the program reads it, fits the schema, and trains for two steps on tiny data.
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { readRecipe } from '../src/cli/recipe-file.ts'
import { isForValidation } from '../src/data/index.ts'
import { type PretrainInput, pretrain } from '../src/runs/index.ts'
import { makeDocuments, makeTextFolder, repository, type TextFolder } from './e2e/run-folder.ts'

const folder = join(repository, 'recipes')

let pieces: TextFolder
let bytes: TextFolder
beforeAll(async () => {
  pieces = await makeTextFolder('wordpiece', 120)
  bytes = await makeTextFolder('bpe', 300)
})
afterAll(() => {
  pieces.remove()
  bytes.remove()
})

/** What a recipe is run with instead of its real data, and for two steps of two rows. */
const tiny = (text: TextFolder, out: string): Partial<PretrainInput> => ({
  data: text.shards,
  tokenizer: text.tokenizer,
  out: join(text.path, out),
  batch: { sequences: 2 },
  budget: { steps: 2 },
  evaluate: { steps: 2 },
  sample: {},
  checkpoint: {},
  heldOut: 2,
})

/** A text of which the recipe's seed sets aside just the last tenth. */
const textWithTenth = (): string => {
  const body = makeDocuments(60).join('\n')
  for (let more = 0; ; more++) {
    const text = body + '.'.repeat(more)
    const cut = Math.floor(text.length * 0.9)
    const split = { share: 0.1, seed: '2' }
    if (!isForValidation(text.slice(0, cut), split) && isForValidation(text.slice(cut), split)) return text
  }
}

const overrides: Record<string, () => Partial<PretrainInput>> = {
  'bert-from-scratch.ts': () => tiny(pieces, 'bert'),
  'gpt-from-scratch.ts': () => tiny(bytes, 'gpt'),
  'continue-pretraining.ts': () => ({
    ...tiny(pieces, 'medical'),
    base: join(pieces.path, 'bert'),
    data: [pieces.shards, pieces.shards],
  }),
  'char-shakespeare.ts': () => {
    const { data: _, tokenizer: __, ...rest } = tiny(pieces, 'shakespeare/run')
    return rest
  },
}

describe('recipes', () => {
  it('are all run here', () => {
    expect(readdirSync(folder).sort()).toEqual(Object.keys(overrides).sort())
  })

  it.each(Object.keys(overrides))('%s trains', async (name) => {
    const text = join(pieces.path, 'input.txt')
    writeFileSync(text, textWithTenth())
    vi.stubEnv('SHAKESPEARE', text)
    vi.stubEnv('SHAKESPEARE_OUT', join(pieces.path, 'shakespeare'))
    const recipe = (await readRecipe(join(folder, name))) as unknown as PretrainInput
    const result = await pretrain({ ...recipe, ...overrides[name]() })
    expect(result).toMatchObject({ reason: 'finished', steps: 2 })
    expect(Number.isFinite(result.loss)).toBe(true)
    expect(result.metrics.perplexity).toBeGreaterThan(1)
    vi.unstubAllEnvs()
  })
})
