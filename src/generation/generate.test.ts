// Whole runs on a tiny model with fresh weights: streaming, stopping, aborting, bad input. Equality with transformers is in
// tests/parity/generation.
import { describe, expect, it } from 'vitest'
import { buildModel, models } from '../models/index.ts'
import { Generator } from '../tensor/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import { generate, type LanguageModel, streamText } from './index.ts'

const definition = models.gpt2
const config = definition.config.parse({
  ...definition.presets.test,
  vocabSize: 256,
  maxPositions: 64,
  tiedEmbeddings: false,
})
const model = buildModel(definition as never, config, 'causal-lm').initialize({ std: 0.5, generator: new Generator(8) })
const language = model as unknown as LanguageModel
/** One token a byte. */
const tokenizer = {
  special: { additional: [] },
  encode: (text: string) => ({ ids: [...Buffer.from(text)] }),
  decode: (ids: ArrayLike<number>) => Buffer.from(Uint8Array.from(ids)).toString('latin1'),
} as unknown as Tokenizer

describe('generate', () => {
  it('returns text, ids, reason and counts, in the order of the prompts', async () => {
    const made = await generate(language, tokenizer, ['abc', 'z'], { maxNewTokens: 6 })
    expect(
      made.map(({ promptIndex, finishReason, promptTokens, newTokens }) => [
        promptIndex,
        finishReason,
        promptTokens,
        newTokens,
      ]),
    ).toEqual([
      [0, 'length', 3, 6],
      [1, 'length', 1, 6],
    ])
    for (const { text, ids } of made) expect(text).toBe(tokenizer.decode(ids))
  })

  it('ends at an end token, at a stop string and at the last position', async () => {
    const [{ ids, text = '' }] = await generate(language, tokenizer, ['abc'], { maxNewTokens: 12 })
    const end = ids[4]
    const [ended] = await generate(language, tokenizer, ['abc'], { maxNewTokens: 12, eosTokenIds: [end] })
    expect(ended.finishReason).toBe('eos')
    expect(ended.ids).toEqual(ids.slice(0, ids.indexOf(end) + 1))
    expect(ended.text).toBe(tokenizer.decode(ids.slice(0, ids.indexOf(end))))
    const stop = text.slice(3, 5)
    const [stopped] = await generate(language, tokenizer, ['abc'], { maxNewTokens: 12, stop })
    expect(stopped).toMatchObject({ finishReason: 'stop', text: text.slice(0, text.indexOf(stop)) })
    const [full] = await generate(language, tokenizer, ['a'.repeat(60)], { maxNewTokens: 100 })
    expect(full).toMatchObject({ finishReason: 'length', newTokens: 4 })
    const beams = await generate(language, tokenizer, ['abc'], { maxNewTokens: 12, numBeams: 3, stop: text[0] })
    expect(beams[0].text).not.toContain(text[0])
  })

  it('refuses what does not fit', async () => {
    await expect(generate(language, undefined, ['text'])).rejects.toThrow(/without a tokenizer/)
    await expect(generate(language, undefined, [])).rejects.toThrow(/at least one prompt/)
    await expect(generate(language, undefined, [[]])).rejects.toThrow(/at least one token/)
    await expect(generate(language, undefined, [[256]])).rejects.toThrow(/0 to 255/)
    await expect(generate(language, undefined, [[1.5]])).rejects.toThrow(/0 to 255/)
    await expect(generate(language, undefined, [Array(64).fill(1)])).rejects.toThrow(/positions/)
    await expect(generate(language, undefined, [[1]], { eosTokenIds: [999] })).rejects.toThrow(/eosTokenIds/)
    await expect(generate(language, undefined, [[1]], { stop: 'x' })).rejects.toThrow(/tokenizer/)
    await expect(generate(language, undefined, [[1]], { sample: true, seed: [1, 2] })).rejects.toThrow(/seed/)
  })

  it('stops when the signal fires', async () => {
    const controller = new AbortController()
    setTimeout(() => controller.abort(), 5)
    const [{ finishReason, newTokens }] = await generate(
      language,
      undefined,
      [[1]],
      { maxNewTokens: 63, useCache: false },
      controller,
    )
    expect(['aborted', 'length']).toContain(finishReason)
    const gone = await generate(language, undefined, [[1]], {}, { signal: AbortSignal.abort() })
    expect(gone[0]).toMatchObject({ finishReason: 'aborted', newTokens: 0, ids: [] })
    expect(newTokens).toBeLessThanOrEqual(63)
  })
})

describe('streamText', () => {
  it('yields the text of generate in pieces, and lets timers run between them', async () => {
    const [whole] = await generate(language, tokenizer, ['abc'], { maxNewTokens: 20 })
    let ticks = 0
    const timer = setInterval(() => ticks++, 0)
    const pieces = []
    for await (const piece of streamText(language, tokenizer, 'abc', { maxNewTokens: 20 })) pieces.push(piece)
    clearInterval(timer)
    expect(pieces.map(({ text }) => text).join('')).toBe(whole.text)
    expect(pieces.slice(0, -1).map(({ id }) => id)).toEqual(whole.ids)
    expect(pieces.at(-1)?.finishReason).toBe('length')
    expect(ticks).toBeGreaterThan(2)
  })

  it('ends with the loop, and by a signal', async () => {
    const controller = new AbortController()
    let count = 0
    let reason: string | undefined
    for await (const piece of streamText(language, tokenizer, 'abc', { maxNewTokens: 50 }, controller)) {
      if (++count === 3) controller.abort()
      reason = piece.finishReason
    }
    expect(reason).toBe('aborted')
    expect(count).toBeLessThan(6)
    for await (const _ of streamText(language, tokenizer, 'abc')) break
  })
})
