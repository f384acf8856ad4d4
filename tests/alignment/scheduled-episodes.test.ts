// Episodes that a model writes through the scheduler: its recorded log-probabilities are those of the training forward pass over the whole
// episode, at its own tokens, and an episode depends on its seed alone.
import { describe, expect, it } from 'vitest'
import {
  createEnvironment,
  type Environment,
  type Episode,
  measureEpisodes,
  runEpisode,
  sampleOfEpisode,
  scheduledTurns,
  scoreCompletions,
} from '../../src/alignment/index.ts'
import { GenerationScheduler } from '../../src/generation/index.ts'
import { createCompletionEncoder, type PromptRecord } from '../../src/tasks/index.ts'
import { build } from '../objectives/small-models.ts'
import { chatTokenizer } from '../tasks/chat-tokenizer.ts'

const tokenizer = chatTokenizer({ chatTemplate: 'chatml' })
const model = build('llama', 'causal-lm', { vocabSize: 268 })
const encoder = createCompletionEncoder(tokenizer, { maxLength: 400, tooLong: 'truncate' })
const record: PromptRecord = { id: '0', file: 'test', line: 1, prompt: 'Say ho.', fields: {} }
const chatty: Environment = {
  name: 'chatty',
  step: (messages) => ({ messages: [{ role: 'user', content: 'And?' }], reward: 0.5, done: messages.length > 5 }),
}

const episodesOf = async (seeds: readonly string[], { maxRows = 4, environment = chatty, temperature = 1.3 } = {}) => {
  const scheduler = new GenerationScheduler(model, { maxRows, prefillTokens: 16 })
  try {
    const run = (seed: string) =>
      runEpisode(environment, record, {
        tokenizer,
        encoder,
        // Forty bytes end turns too, so that a model that was never trained ends some.
        generate: scheduledTurns(scheduler, {
          seed,
          endTokens: [4, ...Array.from({ length: 40 }, (_, i) => 60 + i)],
          temperature,
        }),
        maxNewTokens: 12,
        maxTurns: 3,
        timeoutSeconds: 60,
        onFailure: 'stop',
      })
    return (await Promise.all(seeds.map(run))) as Episode[]
  } finally {
    scheduler.free()
  }
}

describe('episodes of a model', () => {
  const seeds = Array.from({ length: 8 }, (_, i) => `seed ${i}`)

  it('have the log-probabilities of the training forward pass at the tokens of the model', async () => {
    const episodes = await episodesOf(seeds)
    expect(measureEpisodes(episodes).turns).toBeGreaterThan(1)
    expect(measureEpisodes(episodes).environmentTokens).toBeGreaterThan(0.1)
    const scored = await scoreCompletions(
      model,
      episodes.map(({ promptIds, ids }) => ({
        ids: Uint32Array.from([...promptIds, ...ids]),
        starts: [0],
        promptTokens: promptIds.length,
      })),
      { microTokens: 1000, padded: false, temperature: 1.3 },
    )
    for (const [i, { mask, logProbs }] of episodes.entries())
      for (const [t, bit] of mask.entries())
        if (bit === 1) expect(Math.abs(scored[i].logProbs[t] - logProbs![t]), `${i} ${t}`).toBeLessThan(2e-5)
        else expect(logProbs![t]).toBe(0)
  })

  it('depend on their seed alone, whatever runs beside them', async () => {
    const together = await episodesOf(seeds)
    const alone = [...(await episodesOf([seeds[3]], { maxRows: 1 })), ...(await episodesOf([seeds[6]]))]
    expect(alone.map(({ ids }) => ids)).toEqual([together[3].ids, together[6].ids])
    expect(new Set(together.map(({ ids }) => ids.join())).size).toBe(seeds.length)
  })

  it('are samples for rewards', async () => {
    const [episode] = await episodesOf(['one'], { environment: createEnvironment('calculator') })
    const sample = sampleOfEpisode(record, episode)
    expect(sample).toMatchObject({ completion: episode.completion, record, finishReason: episode.finishReason })
    expect(sample.prompt[0]).toMatchObject({ role: 'system' })
    expect(sample.episode).toEqual({ messages: episode.messages, reward: null, failed: false })
  })
})
