// Prompts that continue, branch, repeat and shrink: a session makes the texts of separate calls, and computes only new
// tokens.
import { describe, expect, it } from 'vitest'
import { adaptersOf, applyAdapter } from '../../src/adapters/index.ts'
import { type GenerationOptions, streamText, TextSession } from '../../src/generation/index.ts'
import { buildModel, type Model, models } from '../../src/models/index.ts'
import { Generator, liveTensors, noGrad } from '../../src/tensor/index.ts'
import type { Tokenizer } from '../../src/tokenizers/index.ts'
import { testDevice } from '../device.ts'

/** One token a byte. */
const tokenizer = {
  special: { additional: [] },
  encode: (text: string) => ({ ids: [...Buffer.from(text)] }),
  decode: (ids: ArrayLike<number>) => Buffer.from(Uint8Array.from(ids)).toString('latin1'),
} as unknown as Tokenizer

const types = ['gpt2', 'llama', 'mistral', 'qwen3'] as const
const build = (type: (typeof types)[number]): Model => {
  const definition = models[type] as never as (typeof models)['gpt2']
  const config = definition.config.parse({ ...definition.presets.test, vocabSize: 256 })
  return buildModel(definition as never, config, 'causal-lm')
    .initialize({ std: 0.3, generator: new Generator(8) })
    .to({ device: testDevice })
}

const collect = async (
  pieces: AsyncIterable<{ text: string; id: number | undefined }>,
  most = Number.POSITIVE_INFINITY,
) => {
  const ids: number[] = []
  for await (const { id } of pieces) {
    if (id !== undefined) ids.push(id)
    if (ids.length >= most) break
  }
  return ids
}

describe.each(types)('a session with %s', (type) => {
  const model = build(type)
  const plain = (prompt: number[], options: GenerationOptions) => collect(streamText(model, tokenizer, prompt, options))

  it.each([{ maxNewTokens: 6 }, { maxNewTokens: 6, sample: true, seed: 3, temperature: 0.8, repetitionPenalty: 1.3 }])(
    'makes the same texts with %j and reads what is new',
    async (options) => {
      const session = new TextSession(model, tokenizer)
      const say = async (prompt: number[]) => {
        const made = await collect(session.stream(prompt, options))
        expect(made).toEqual(await plain(prompt, options))
        return made
      }
      const first = [1, 2, 3, 4, 5]
      const answer = await say(first)
      expect(session.reusedTokens).toBe(0)
      const second = [...first, ...answer, 9, 8, 7]
      await say(second)
      // The last token of the answer was never read.
      expect(session.reusedTokens).toBe(first.length + answer.length - 1)
      await say([1, 2, 3, 77, 78])
      expect(session.reusedTokens).toBe(3)
      await say([1, 2, 3, 77, 78])
      expect(session.reusedTokens).toBe(4)
      await say([1, 2])
      expect(session.reusedTokens).toBe(1)
      await say([5])
      expect(session.reusedTokens).toBe(0)
      // A text that was left in the midst.
      const begun = await collect(session.stream(first, options), 3)
      await say([...first, ...begun, 50])
      expect(session.reusedTokens).toBeGreaterThanOrEqual(first.length + 2)
      session.reset()
    },
  )

  it('has no more tensors after many turns', async () => {
    const session = new TextSession(model, tokenizer)
    const prompt = [1, 2, 3]
    let live = 0
    for (let turn = 0; turn < 8; turn++) {
      prompt.push(...(await collect(session.stream(prompt, { maxNewTokens: 3 }))), 4)
      if (turn === 1) live = liveTensors()
    }
    expect(liveTensors()).toBeLessThanOrEqual(live)
    session.reset()
    expect(liveTensors()).toBeLessThan(live)
  })

  it('reuses nothing of another adapter', async () => {
    const own = build(type)
    applyAdapter(own, { type: 'prompt-tuning', virtualTokens: 3 }, { name: 'soft' })
    applyAdapter(own, { type: 'lora', rank: 2, targets: ['qProj'] }, { name: 'low' })
    const bank = adaptersOf(own)
    noGrad(() => {
      for (const name of bank.names) for (const tensor of bank.tensorsOf(name).values()) tensor.copy_(tensor.add(0.3))
    })
    const session = new TextSession(own, tokenizer)
    const options = { maxNewTokens: 4 }
    for (let turn = 0; turn < 2; turn++)
      for (const name of ['soft', 'low']) {
        session.setModel(bank.activate(name))
        const prompt = [1, 2, 3]
        for (let more = 0; more < 2; more++) {
          const made = await collect(session.stream(prompt, options))
          expect(made).toEqual(await collect(streamText(own, tokenizer, prompt, options)))
          expect(session.reusedTokens).toBe(more === 0 ? 0 : prompt.length - 2)
          prompt.push(...made, 9)
        }
      }
  })
})
