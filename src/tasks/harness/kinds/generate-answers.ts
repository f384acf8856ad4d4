// Answers that the scheduler of text generation writes for prompts, greedily. A prompt that leaves no space for its answer is
// truncated at the beginning. Independent of what is done with the answers. @source lm-eval 0.4.13, `generate_until`
import { ConfigError } from '../../../core/index.ts'
import { shareItems } from '../../../distributed/index.ts'
import { generateMany } from '../../../generation/index.ts'
import { expectCausal, requestLength } from '../../language-modelling/score-requests.ts'
import type { HarnessEngine } from './kind.ts'

/** When an answer ends. */
export interface AnswerLimits {
  stop: readonly string[]
  maxNewTokens: number
}

/** Answers in the order of the prompts, without what follows a stop string. */
export const generateAnswers = async (
  prompts: readonly string[],
  { stop, maxNewTokens }: AnswerLimits,
  { model, tokenizer, maxLength, batchTokens, signal, group, onProgress }: HarnessEngine,
): Promise<{ answers: string[]; truncated: number }> => {
  expectCausal(model, 'generate answers')
  const space = requestLength(model, tokenizer, maxLength) - maxNewTokens
  if (space < 1)
    throw new ConfigError(
      `The task needs ${maxNewTokens} tokens for an answer and at least one for its prompt, and the model takes ${space + maxNewTokens}. Lower \`maxNewTokens\` in a task file of your own.`,
    )
  let truncated = 0
  const ids = prompts.map((prompt) => {
    const all = Array.from(tokenizer.encode(prompt).ids)
    truncated += Number(all.length > space)
    return all.slice(Math.max(0, all.length - space))
  })
  const longest = Math.max(...ids.map(({ length }) => length)) + maxNewTokens
  const wasTraining = model.training
  model.eval()
  try {
    const answers = await shareItems(group, ids, async (own) => {
      const results = await generateMany(
        model,
        tokenizer,
        own,
        { maxNewTokens, ...(stop.length > 0 ? { stop: [...stop] } : {}) },
        {
          // Every row has space for the longest prompt and its answer.
          batchSize: Math.max(1, Math.floor((2 * batchTokens) / longest)),
          signal,
          onBatch: (_, { prompts: done }) => onProgress?.(done),
        },
      )
      signal?.throwIfAborted()
      return results.map(({ text = '' }) => stop.reduce((cut, word) => cut.split(word)[0], text))
    })
    return { answers, truncated }
  } finally {
    if (wasTraining) model.train()
  }
}
