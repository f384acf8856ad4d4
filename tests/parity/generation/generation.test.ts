// Generation against transformers, token for token, and against itself: cached and not, alone and in a batch.
import { describe, expect, it } from 'vitest'
import {
  DecodingBatch,
  type GenerationOptions,
  generate,
  logitsProcessors,
  parseGeneration,
  samplingProcessors,
} from '../../../src/generation/index.ts'
import { liveTensors } from '../../../src/tensor/index.ts'
import { goldenNames, openGolden } from './golden-models.ts'

const apart = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let worst = 0
  for (let i = 0; i < a.length; i++) worst = Math.max(worst, Math.abs(a[i] - b[i]))
  return worst
}

describe.each(goldenNames)('%s', async (name) => {
  const { golden, model, start } = await openGolden(name)
  const { prompts } = golden
  const more = (options: GenerationOptions): GenerationOptions => ({ ...options, decoderStartTokenId: start })

  it.each(golden.runs.map((run) => [JSON.stringify(run.options).slice(0, 150), run] as const))(
    'makes the texts of transformers with %s',
    async (_, { options, texts, scores }) => {
      for (const [i, prompt] of prompts.entries()) {
        const made = await generate(model, undefined, [prompt], more(options))
        expect(made.map(({ ids }) => ids)).toEqual(texts[i])
        if (scores[i] !== null)
          expect(
            apart(
              made.map(({ score }) => score as number),
              scores[i],
            ),
          ).toBeLessThan(1e-4)
      }
    },
  )

  it('generates the same texts in one batch with padding, greedily and with beam search', async () => {
    for (const { options, texts } of golden.runs) {
      const made = await generate(model, undefined, prompts, more(options))
      expect(made.map(({ ids }) => ids)).toEqual(texts.flat())
      expect(made.map(({ promptIndex }) => promptIndex)).toEqual(texts.flatMap((some, i) => some.map(() => i)))
    }
  })

  it('generates the same texts without a cache', async () => {
    for (const { options, texts } of golden.runs.slice(0, 2)) {
      const made = await generate(model, undefined, prompts, more({ ...options, useCache: false }))
      expect(made.map(({ ids }) => ids)).toEqual(texts.flat())
    }
  })

  it('gives the same logits with and without a cache, in a batch and alone, at every step', () => {
    const how = { maxNewTokens: 2, decoderStartTokenId: start, padTokenId: 0 }
    const cached = new DecodingBatch(model, prompts, { ...how, useCache: true })
    const plain = new DecodingBatch(model, prompts, { ...how, useCache: false })
    const alone = prompts.map((prompt) => new DecodingBatch(model, [prompt], { ...how, useCache: false }))
    for (let step = 0; step < 20; step++) {
      const given = cached.nextLogits().toFloat32Array()
      expect(apart(given, plain.nextLogits().toFloat32Array())).toBeLessThan(1e-5)
      const width = given.length / prompts.length
      alone.forEach((batch, i) => {
        expect(apart(given.subarray(i * width, (i + 1) * width), batch.nextLogits().toFloat32Array())).toBeLessThan(
          1e-5,
        )
      })
      const next = prompts.map((_, i) => (step * 7 + i * 13) % 61)
      for (const batch of [cached, plain]) batch.extend(next)
      alone.forEach((batch, i) => {
        batch.extend([next[i]])
      })
    }
  })

  it.each(golden.processed.map((one) => [JSON.stringify(one.options), one] as const))(
    'shapes the distribution as transformers does with %s',
    (_, { options, logits, scores }) => {
      const settings = parseGeneration({ ...options, sample: true })
      const row = Float32Array.from(logits)
      const ids = start === undefined ? prompts[0] : [start]
      for (const rule of [...logitsProcessors(settings), ...samplingProcessors(settings)])
        rule(row, { ids, newTokens: 0 })
      expect(Array.from(row, (x) => x === Number.NEGATIVE_INFINITY)).toEqual(scores.map((x) => x === null))
      const kept = scores.flatMap((x, i) => (x === null ? [] : [[row[i], x]]))
      expect(kept.length).toBeGreaterThan(0)
      for (const [ours, theirs] of kept)
        expect(Math.abs(ours - theirs)).toBeLessThan(1e-6 * Math.max(1, Math.abs(theirs)))
    },
  )

  it('frees what it used', async () => {
    await generate(model, undefined, prompts, more({ maxNewTokens: 3 }))
    const before = liveTensors()
    await generate(model, undefined, prompts, more({ maxNewTokens: 8, numBeams: 3 }))
    await generate(model, undefined, prompts, more({ maxNewTokens: 8 }))
    expect(liveTensors()).toBeLessThanOrEqual(before)
  })

  it('samples the same text for a seed, independent of the rest of the batch', async () => {
    const options = more({ maxNewTokens: 16, sample: true, seed: 5, topK: 30, temperature: 1.2 })
    const alone = await generate(model, undefined, [prompts[1]], options)
    const together = await generate(model, undefined, prompts, options)
    expect(together[1].ids).toEqual(alone[0].ids)
    const other = await generate(model, undefined, [prompts[1]], { ...options, seed: 6 })
    expect(other[0].ids).not.toEqual(alone[0].ids)
    const several = await generate(model, undefined, [prompts[1]], { ...options, numReturnSequences: 3 })
    expect(several[0].ids).toEqual(alone[0].ids)
    expect(new Set(several.map(({ ids }) => ids.join())).size).toBe(3)
  })
})
