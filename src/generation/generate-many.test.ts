// Many prompts in batches give the text that each prompt gets alone, in order, for any batch size.
import { describe, expect, it } from 'vitest'
import { buildModel, models } from '../models/index.ts'
import { defaultDevice, Generator } from '../tensor/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import { type GenerationOptions, generate, generateMany } from './index.ts'

const definition = models.llama
const config = definition.config.parse({ ...definition.presets.test, vocabSize: 256 })
const model = buildModel(definition as never, config, 'causal-lm')
  .initialize({
    std: 0.4,
    generator: new Generator(5),
  })
  .to({ device: defaultDevice() })
/** One token a byte. */
const tokenizer = {
  special: { additional: [] },
  encode: (text: string) => ({ ids: [...Buffer.from(text)] }),
  decode: (ids: ArrayLike<number>) => Buffer.from(Uint8Array.from(ids)).toString('latin1'),
} as unknown as Tokenizer

const prompts = ['a', 'a long prompt that fills much', 'bc', 'of middle length', 'the last', 'x', 'yet another one']

describe('generateMany', () => {
  it.each<GenerationOptions>([
    { maxNewTokens: 8 },
    { maxNewTokens: 8, sample: true, seed: prompts.map((_, i) => 40 + i) },
    { maxNewTokens: 8, sample: true, seed: 3, numReturnSequences: 2 },
    { maxNewTokens: 6, numBeams: 2 },
  ])('gives the texts of separate calls with %j', async (options) => {
    const first = await generate(model, tokenizer, [prompts[1]], { maxNewTokens: 8 })
    // An end that some texts reach early.
    const eosTokenIds = [first[0].ids[2]]
    const done: number[] = []
    const made = await generateMany(
      model,
      tokenizer,
      prompts,
      { ...options, eosTokenIds },
      {
        batchSize: 3,
        onBatch: (results, { prompts: count, of }) => {
          expect(of).toBe(prompts.length)
          expect(results.length).toBeGreaterThan(0)
          done.push(count)
        },
      },
    )
    expect(done).toEqual([3, 6, 7])
    const apart = await Promise.all(
      prompts.map((prompt, i) =>
        generate(model, tokenizer, [prompt], {
          ...options,
          eosTokenIds,
          ...(Array.isArray(options.seed) ? { seed: [options.seed[i]] } : {}),
        }),
      ),
    )
    const per = options.numReturnSequences ?? 1
    expect(made.map(({ promptIndex }) => promptIndex)).toEqual(prompts.flatMap((_, i) => Array(per).fill(i)))
    expect(made.map(({ ids, text }) => ({ ids, text }))).toEqual(apart.flat().map(({ ids, text }) => ({ ids, text })))
  })

  it('stops between batches, and refuses a batch size below 1', async () => {
    const controller = new AbortController()
    const made = await generateMany(
      model,
      tokenizer,
      prompts,
      { maxNewTokens: 3 },
      {
        batchSize: 2,
        signal: controller.signal,
        onBatch: () => controller.abort(),
      },
    )
    expect(made).toHaveLength(2)
    await expect(generateMany(model, tokenizer, prompts, {}, { batchSize: 0 })).rejects.toThrow(/batchSize/)
  })
})
