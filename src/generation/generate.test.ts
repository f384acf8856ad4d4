// Generation with a tiny random model: streaming, stopping, aborting, wrong input. Equality with transformers is tested
// in tests/parity/generation.
import { describe, expect, it } from 'vitest'
import { buildModel, models } from '../models/index.ts'
import { defaultDevice, Generator } from '../tensor/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import { generate, streamText } from './index.ts'
import { checkBatchSize } from './job.ts'

const definition = models.gpt2
const config = definition.config.parse({
  ...definition.presets.test,
  vocabSize: 256,
  maxPositions: 64,
  tiedEmbeddings: false,
})
const model = buildModel(definition as never, config, 'causal-lm')
  .initialize({ std: 0.5, generator: new Generator(8) })
  .to({ device: defaultDevice() })
/** One token a byte. */
const tokenizer = {
  special: { additional: [] },
  encode: (text: string) => ({ ids: [...Buffer.from(text)] }),
  decode: (ids: ArrayLike<number>) => Buffer.from(Uint8Array.from(ids)).toString('latin1'),
} as unknown as Tokenizer

describe('generate', () => {
  it('returns text, ids, reason and counts, in the order of the prompts', async () => {
    const made = await generate(model, tokenizer, ['abc', 'z'], { maxNewTokens: 6 })
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

  it('stops at an end token, at a stop string and at the last position', async () => {
    const [{ ids, text = '' }] = await generate(model, tokenizer, ['abc'], { maxNewTokens: 12 })
    const end = ids[4]
    const [ended] = await generate(model, tokenizer, ['abc'], { maxNewTokens: 12, eosTokenIds: [end] })
    expect(ended.finishReason).toBe('eos')
    expect(ended.ids).toEqual(ids.slice(0, ids.indexOf(end) + 1))
    expect(ended.text).toBe(tokenizer.decode(ids.slice(0, ids.indexOf(end))))
    const stop = text.slice(3, 5)
    const [stopped] = await generate(model, tokenizer, ['abc'], { maxNewTokens: 12, stop })
    expect(stopped).toMatchObject({ finishReason: 'stop', text: text.slice(0, text.indexOf(stop)) })
    const [full] = await generate(model, tokenizer, ['a'.repeat(60)], { maxNewTokens: 100 })
    expect(full).toMatchObject({ finishReason: 'length', newTokens: 4 })
    const beams = await generate(model, tokenizer, ['abc'], { maxNewTokens: 12, numBeams: 3, stop: text[0] })
    expect(beams[0].text).not.toContain(text[0])
  })

  it('refuses prompts and options that do not fit the model', async () => {
    await expect(generate(model, undefined, ['text'])).rejects.toThrow(/without a tokenizer/)
    await expect(generate(model, undefined, [])).rejects.toThrow(/at least one prompt/)
    await expect(generate(model, undefined, [[]])).rejects.toThrow(/at least one token/)
    await expect(generate(model, undefined, [[256]])).rejects.toThrow(/0 to 255/)
    await expect(generate(model, undefined, [[1.5]])).rejects.toThrow(/0 to 255/)
    await expect(generate(model, undefined, [Array(64).fill(1)])).rejects.toThrow(/positions/)
    await expect(generate(model, undefined, [[1]], { eosTokenIds: [999] })).rejects.toThrow(/eosTokenIds/)
    await expect(generate(model, undefined, [[1]], { stop: 'x' })).rejects.toThrow(/tokenizer/)
    await expect(generate(model, undefined, [[1]], { sample: true, seed: [1, 2] })).rejects.toThrow(/seed/)
  })

  it('refuses a model that does not write text', async () => {
    const bert = models.bert
    const encoder = bert.config.parse(bert.presets.test)
    for (const head of ['masked-lm', 'embedding'] as const)
      await expect(generate(buildModel(bert as never, encoder, head), undefined, [[1]])).rejects.toThrow(
        `\`generate\` needs a model that writes text, with the head causal-lm or seq2seq-lm: this bert has the head ${head}.`,
      )
    const pieces = streamText(buildModel(definition as never, config, 'embedding'), tokenizer, 'a')
    await expect(pieces.next()).rejects.toThrow(/`streamText` needs a model that writes text/)
  })

  it("starts the decoder with the model's own start token", async () => {
    const t5 = models.t5
    const model = buildModel(t5 as never, t5.config.parse(t5.presets.test), 'seq2seq-lm')
      .initialize({
        std: 0.2,
        generator: new Generator(1),
      })
      .to({ device: defaultDevice() })
    const [own] = await generate(model, undefined, [[5, 6, 7]], { maxNewTokens: 5 })
    const [given] = await generate(model, undefined, [[5, 6, 7]], { maxNewTokens: 5, decoderStartTokenId: 0 })
    expect(own.ids).toEqual(given.ids)
  })

  it('refuses more beams or sequences than the vocabulary and memory allow, before allocating', async () => {
    await expect(generate(model, undefined, [[1]], { numBeams: 1e9 })).rejects.toThrow(
      /at most 256 for `numBeams`.*got 1000000000/,
    )
    await expect(
      generate(model, undefined, [[1]], { sample: true, numReturnSequences: 1_000_000_000 }),
    ).rejects.toThrow(/free memory, got 1 prompts × 1000000000.*Lower `numReturnSequences`/)
    const settings = { numBeams: 100, numReturnSequences: 1 }
    expect(() => checkBatchSize(settings, 2, 50_000, 200e6)).not.toThrow()
    expect(() => checkBatchSize(settings, 2, 50_000, 100e6)).toThrow(/need 114 MiB.*Lower `numBeams`/)
  })

  it('stops when the signal fires, and returns the tokens so far', async () => {
    const [whole] = await generate(model, tokenizer, ['abc'], { maxNewTokens: 40 })
    for (const options of [{ maxNewTokens: 40 }, { maxNewTokens: 40, useCache: false }]) {
      const controller = new AbortController()
      // Each token is decoded twice: without it, and with it.
      let decoded = 0
      const aborting = {
        ...tokenizer,
        decode: (ids: ArrayLike<number>) => {
          if (++decoded === 6) controller.abort()
          return tokenizer.decode(ids)
        },
      } as unknown as Tokenizer
      const [{ finishReason, ids }] = await generate(model, aborting, ['abc'], options, controller)
      expect(finishReason).toBe('aborted')
      expect(ids).toEqual(whole.ids.slice(0, 3))
    }
    const [searched] = await generate(model, undefined, [[1]], { numBeams: 2 }, { signal: AbortSignal.abort() })
    expect(searched).toMatchObject({ finishReason: 'aborted' })
    const [unstarted] = await generate(model, undefined, [[1]], {}, { signal: AbortSignal.abort() })
    expect(unstarted).toMatchObject({ finishReason: 'aborted', newTokens: 0, ids: [] })
  })
})

describe('streamText', () => {
  it('yields the text of generate in pieces, and lets timers run between them', async () => {
    const [whole] = await generate(model, tokenizer, ['abc'], { maxNewTokens: 20 })
    let ticks = 0
    const timer = setInterval(() => ticks++, 0)
    const pieces = []
    for await (const piece of streamText(model, tokenizer, 'abc', { maxNewTokens: 20 })) pieces.push(piece)
    clearInterval(timer)
    expect(pieces.map(({ text }) => text).join('')).toBe(whole.text)
    expect(pieces.slice(0, -1).map(({ id }) => id)).toEqual(whole.ids)
    expect(pieces.at(-1)?.finishReason).toBe('length')
    expect(ticks).toBeGreaterThan(2)
  })

  it('ends when the caller leaves the loop and when the signal fires', async () => {
    const controller = new AbortController()
    let count = 0
    let reason: string | undefined
    for await (const piece of streamText(model, tokenizer, 'abc', { maxNewTokens: 50 }, controller)) {
      if (++count === 3) controller.abort()
      reason = piece.finishReason
    }
    expect(reason).toBe('aborted')
    expect(count).toBeLessThan(6)
    for await (const _ of streamText(model, tokenizer, 'abc')) break
  })
})
