// Predictions that a model writes: prompts of alike length go on side by side with a cache of keys and values, and right answers are
// weighed by what they cost the model. Knows no task, no template and no architecture.
import { setImmediate } from 'node:timers/promises'
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
  /** Answers are written to so many of the records, the first ones. */
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
  const cuts = records.map(() => 0)
  const { device } = model.body.embedTokens.weight
  const { batches, tokens } = exampleBatches(items, criterion, model, batchTokens, padded)
  for (const part of batches) {
    await setImmediate()
    signal?.throwIfAborted()
    const found = inferenceMode(() =>
      scope(() =>
        generation.losses(
          model,
          criterion.collate(
            part.map((i) => items[i].example),
            { padded, device },
          ),
        ),
      ),
    )
    part.forEach((i, k) => {
      const { record, example } = items[i]
      const before = losses[record] ?? { nats: 0, tokens: 0 }
      losses[record] = { nats: before.nats + found[k].nats, tokens: before.tokens + found[k].tokens }
      cuts[record] += example.truncatedTokens
    })
    progress(part.length)
  }
  return { losses, cuts, tokens, examples: items.length }
}

/** A stream of draws for each record, whatever batches there are. */
const seedsOf = (generation: GenerationOptions, part: readonly number[]): GenerationOptions =>
  typeof generation.seed === 'number'
    ? { ...generation, seed: part.map((i) => (generation.seed as number) + i) }
    : generation

const answersOf = async <Record extends TaskRecord, Prediction extends TaskPrediction>(
  model: Model,
  tokenizer: Tokenizer,
  writing: TextGenerationPlan<Record, Prediction>,
  records: readonly Record[],
  { batchTokens, signal }: PredictOptions,
  progress: OnSteps,
) => {
  const prompts = records.map((record) => writing.prompt(record))
  const room = writing.generation.maxNewTokens ?? 0
  const { order, lengths } = byLength(prompts, ({ ids }) => ids.length + room)
  const written: GeneratedAnswer[] = []
  // Each beam holds a row of the cache.
  const most = batchTokens / (writing.generation.numBeams ?? 1)
  for (const [from, to] of batchesByTokens(lengths, most, true)) {
    signal?.throwIfAborted()
    const part = order.slice(from, to)
    const results = await generate(
      model,
      tokenizer,
      part.map((i) => prompts[i].ids),
      seedsOf(writing.generation, part),
      { signal },
    )
    // A text that was broken off is no answer.
    signal?.throwIfAborted()
    for (const { promptIndex, text = '', finishReason, newTokens } of results)
      written[part[promptIndex]] = { text, endedByItself: finishReason === 'eos' || finishReason === 'stop', newTokens }
    progress(part.length)
  }
  return { written, cuts: prompts.map(({ cut }) => cut) }
}

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
  const asked = records.slice(0, options.answers)
  let done = 0
  const progress = (steps: number) => {
    done += steps
    options.onProgress?.({ examples: done, of: records.length + asked.length })
  }
  const { losses, cuts, tokens, examples } = await lossesOf(model, prepared, records, options, progress)
  const answers = await answersOf(model, tokenizer, prepared.generation, asked, options, progress)
  return {
    predictions: records.map((record, i) => prepared.generation.decode(record, answers.written[i], losses[i])),
    examples: Math.max(examples, asked.length),
    answered: asked.length,
    tokens: tokens + answers.written.reduce((sum, { newTokens }) => sum + newTokens, 0),
    // What did not fit into the question did not fit into the example either.
    cuts: cuts.map((cut, i) => Math.max(cut, answers.cuts[i] ?? 0)),
  }
}
