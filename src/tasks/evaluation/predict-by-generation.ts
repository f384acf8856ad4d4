// Predictions of generative tasks: prompts of similar length are generated in one batch with a KV cache, and the reference answers
// are scored by their cross entropy. Independent of single tasks, templates and architectures.
import { setImmediate } from 'node:timers/promises'
import { OutOfMemoryError } from '../../core/index.ts'
import { type GenerationOptions, generate } from '../../generation/index.ts'
import type { Model } from '../../models/index.ts'
import { mustPad } from '../../objectives/index.ts'
import { inferenceMode, scope } from '../../tensor/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { batchesByTokens, byLength, exampleBatches } from '../learning/batches.ts'
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
  /** Generate answers for this many records, the first ones. */
  answers: number
}

type OnSteps = (steps: number) => void

const lossesOf = async <Record extends TaskRecord, Example extends TaskExample, Prediction extends TaskPrediction>(
  model: Model,
  {
    criterion,
    generation,
    encode,
  }: Pick<GenerativeTask<Record, Example, Prediction>, 'criterion' | 'generation' | 'encode'>,
  records: readonly Record[],
  { batchTokens, signal }: PredictOptions,
  progress: OnSteps,
) => {
  const padded = mustPad(criterion, model)
  const items = await encodeAll(records, encode, signal)
  const losses = records.map((): AnswerLoss | undefined => undefined)
  const truncated = records.map(() => 0)
  const { device } = model.body.embedTokens.weight
  const { batches, tokens } = exampleBatches(items, criterion, model, batchTokens, padded)
  for (let part = batches.shift(); part !== undefined; part = batches.shift()) {
    await setImmediate()
    signal?.throwIfAborted()
    const batch = part.map((i) => items[i].example)
    let found: AnswerLoss[]
    try {
      found = inferenceMode(() => scope(() => generation.losses(model, criterion.collate(batch, { padded, device }))))
    } catch (error) {
      if (!(error instanceof OutOfMemoryError) || part.length < 2) throw error
      const half = Math.ceil(part.length / 2)
      batches.unshift(part.slice(0, half), part.slice(half))
      continue
    }
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

/** A seed for each record, so that its answer does not depend on the batch that it is in. */
const seedsOf = (generation: GenerationOptions, part: readonly number[]): GenerationOptions =>
  typeof generation.seed === 'number'
    ? { ...generation, seed: part.map((i) => (generation.seed as number) + i) }
    : generation

const answersOf = async <Record extends TaskRecord, Prediction extends TaskPrediction>(
  model: Model,
  tokenizer: Tokenizer,
  plan: TextGenerationPlan<Record, Prediction>,
  records: readonly Record[],
  { batchTokens, signal }: PredictOptions,
  progress: OnSteps,
) => {
  const prompts = records.map((record) => plan.prompt(record))
  const maxNewTokens = plan.generation.maxNewTokens ?? 0
  const { order, lengths } = byLength(prompts, ({ ids }) => ids.length + maxNewTokens)
  const generated: GeneratedAnswer[] = []
  // Each beam needs a row of the cache.
  const maxTokens = batchTokens / (plan.generation.numBeams ?? 1)
  for (const [from, to] of batchesByTokens(lengths, maxTokens, true)) {
    signal?.throwIfAborted()
    const part = order.slice(from, to)
    const results = await generate(
      model,
      tokenizer,
      part.map((i) => prompts[i].ids),
      seedsOf(plan.generation, part),
      { signal },
    )
    // An aborted generation gives partial texts, which are no answers.
    signal?.throwIfAborted()
    for (const { promptIndex, text = '', finishReason, newTokens } of results)
      generated[part[promptIndex]] = {
        text,
        endedByItself: finishReason === 'eos' || finishReason === 'stop',
        newTokens,
      }
    progress(part.length)
  }
  return { generated, truncated: prompts.map(({ truncatedTokens }) => truncatedTokens) }
}

/** Generates answers for the first `options.answers` records and scores the reference answers of all. */
export const predictByGeneration = async <
  Record extends TaskRecord,
  Example extends TaskExample,
  Prediction extends TaskPrediction,
>(
  model: Model,
  tokenizer: Tokenizer,
  prepared: GenerativeTask<Record, Example, Prediction>,
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
