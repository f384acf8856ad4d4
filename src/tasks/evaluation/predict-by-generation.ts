// Predictions of generative tasks: the scheduler of text generation writes the answers, and the reference answers are
// scored by their cross entropy. Independent of single tasks, templates and architectures.
import { setImmediate } from 'node:timers/promises'
import { computeByTurns, shareItems } from '../../distributed/index.ts'
import { generateMany } from '../../generation/index.ts'
import type { Model } from '../../models/index.ts'
import { mustPad } from '../../objectives/index.ts'
import { inferenceMode, scope } from '../../tensor/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { byLength, computeOrHalve, exampleBatches } from '../learning/batches.ts'
import type {
  AnswerLoss,
  GeneratedAnswer,
  GenerativeTask,
  TaskExample,
  TaskPrediction,
  TaskRecord,
  TextGenerationPlan,
} from '../task.ts'
import { encodeAll, type Predictions, type PredictOptions } from './predict-from-logits.ts'

export interface GenerationPredictOptions extends PredictOptions {
  /** Generate answers for this many of the records, the first ones. */
  answers: number
  /** Number of the first record among all, which the seed of its answer depends on. */
  first: number
}

type OnSteps = (steps: number) => void

const lossesOf = async <Record extends TaskRecord, Prediction extends TaskPrediction>(
  model: Model,
  {
    criterion,
    generation,
    encode,
  }: Pick<GenerativeTask<Record, TaskExample, Prediction>, 'criterion' | 'generation' | 'encode'>,
  records: readonly Record[],
  { batchTokens, signal, group }: PredictOptions,
  progress: OnSteps,
) => {
  const padded = mustPad(criterion, model)
  const items = await encodeAll(records, encode, signal)
  const losses = records.map((): AnswerLoss | undefined => undefined)
  const truncated = records.map(() => 0)
  const { device } = model.body.embedTokens
  const { batches, tokens } = exampleBatches(items, criterion, model, batchTokens, padded)
  const compute = async (part: readonly number[]) => {
    await setImmediate()
    signal?.throwIfAborted()
    return computeOrHalve(part, (some) => {
      const batch = some.map((i) => items[i].example)
      return inferenceMode(() => scope(() => generation.losses(model, criterion.collate(batch, { padded, device }))))
    })
  }
  for await (const [part, found] of computeByTurns(group, batches, compute)) {
    part.forEach((i, k) => {
      const { record, example } = items[i]
      const before = losses[record] ?? { nats: 0, tokens: 0 }
      losses[record] = { nats: before.nats + found[k].nats, tokens: before.tokens + found[k].tokens }
      truncated[record] += example.truncatedTokens
    })
    progress(part.length)
  }
  return { losses, truncated, tokens, examples: items.length }
}

interface Part {
  /** Indices of the prompts, from long to short. */
  prompts: number[]
  /** Maximum tokens of a prompt with its answer. */
  longest: number
}

/** Parts of prompts whose lengths differ by at most a factor of two, since every row has the space of the longest. */
const partsOf = ({ order, lengths }: ReturnType<typeof byLength>): Part[] => {
  const parts: Part[] = []
  for (let k = order.length - 1; k >= 0; k--) {
    const part = parts.at(-1)
    if (part === undefined || 2 * lengths[k] < part.longest) parts.push({ prompts: [order[k]], longest: lengths[k] })
    else part.prompts.push(order[k])
  }
  return parts
}

const answersOf = async <Record extends TaskRecord, Prediction extends TaskPrediction>(
  model: Model,
  tokenizer: Tokenizer,
  plan: TextGenerationPlan<Record, Prediction>,
  records: readonly Record[],
  { batchTokens, signal, group, first }: GenerationPredictOptions,
  progress: OnSteps,
) => {
  const prompts = records.map((record) => plan.prompt(record))
  const { maxNewTokens = 0, numBeams = 1, seed } = plan.generation
  const parts = partsOf(byLength(prompts, ({ ids }) => ids.length + maxNewTokens))
  const generated: GeneratedAnswer[] = []
  for (const { prompts: part, longest } of parts) {
    signal?.throwIfAborted()
    let done = 0
    const answer = async (own: readonly number[]): Promise<GeneratedAnswer[]> => {
      const results = await generateMany(
        model,
        tokenizer,
        own.map((i) => prompts[i].ids),
        // A seed for each record, so that its answer does not depend on those beside it.
        typeof seed === 'number' ? { ...plan.generation, seed: own.map((i) => seed + first + i) } : plan.generation,
        {
          // Each beam needs a row of the cache.
          batchSize: Math.max(1, Math.floor(batchTokens / numBeams / longest)),
          signal,
          onBatch(_, { prompts: finished }) {
            progress(finished - done)
            done = finished
          },
        },
      )
      // An aborted generation gives partial texts, which are no answers.
      signal?.throwIfAborted()
      const answers: GeneratedAnswer[] = []
      for (const { promptIndex, text = '', finishReason, newTokens } of results)
        answers[promptIndex] = { text, endedByItself: finishReason === 'eos' || finishReason === 'stop', newTokens }
      return answers
    }
    const answers = await shareItems(group, part, answer)
    for (const [k, i] of part.entries()) generated[i] = answers[k]
    progress(part.length - done)
  }
  return { generated, truncated: prompts.map(({ truncatedTokens }) => truncatedTokens) }
}

/** Generates answers for the first `options.answers` records and scores the reference answers of all. */
export const predictByGeneration = async <Record extends TaskRecord, Prediction extends TaskPrediction>(
  model: Model,
  tokenizer: Tokenizer,
  prepared: GenerativeTask<Record, TaskExample, Prediction>,
  records: readonly Record[],
  options: GenerationPredictOptions,
): Promise<Predictions<Prediction>> => {
  const answered = records.slice(0, options.answers)
  let done = 0
  const progress = (steps: number) => {
    done += steps
    // A record is done when its reference is scored and its answer, if it gets one, is generated.
    const share = done / (records.length + answered.length)
    options.onProgress?.({ examples: Math.floor(share * records.length), of: records.length })
  }
  const { losses, truncated, tokens, examples } = await lossesOf(model, prepared, records, options, progress)
  const answers = await answersOf(model, tokenizer, prepared.generation, answered, options, progress)
  return {
    predictions: records.map((record, i) => prepared.generation.decode(record, answers.generated[i], losses[i])),
    examples: Math.max(examples, answered.length),
    answered: answered.length,
    tokens: tokens + answers.generated.reduce((sum, { newTokens }) => sum + newTokens, 0),
    // A prompt and a training example of the same record are truncated alike: count the larger.
    truncated: truncated.map((tokens, i) => Math.max(tokens, answers.truncated[i] ?? 0)),
  }
}
