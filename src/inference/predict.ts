// `predict` as a function: predictions about texts, by the head of the model.
import { setImmediate } from 'node:timers/promises'
import { ConfigError, optionCheck, parseConfig } from '../core/index.ts'
import type { HeadType } from '../models/index.ts'
import { type InferenceModel, type LoadHooks, loadForInference, type ModelChoice, modelChoiceNames } from './load.ts'
import { methodsOf, predictions } from './predictions/index.ts'

/** Which model predicts what for which texts. */
export interface PredictInput extends ModelChoice {
  /** One text or several. */
  texts: string | readonly string[]
  /** Head to predict with (default: the one in the model's files). */
  head?: HeadType
  /** Options of the head's prediction, such as `topK` for masks or `maxLength` for classes. */
  options?: { [name: string]: unknown }
}

const expectInput = optionCheck<PredictInput>('predict', {
  ...modelChoiceNames,
  texts: true,
  head: true,
  options: true,
})

/** Called while predictions are made. */
export interface PredictHooks extends LoadHooks {
  /** Called after each text. */
  onProgress?(done: { texts: number; of: number }): void
  signal?: AbortSignal | undefined
}

/** Predictions in the order of the texts. */
export interface PredictResult {
  model: string
  head: HeadType
  predictions: unknown[]
}

const entryOf = (headType: HeadType) => {
  const entry = predictions[headType]
  if (entry !== undefined) return entry
  throw new ConfigError(
    `Expected a model with one of the heads ${Object.keys(predictions).join(', ')} for \`predict\`, got ${headType}. Use \`open\` in TypeScript with its method ${methodsOf(headType)}, or \`serve\`, which lists the paths that the model answers at /v1/models; for vectors, \`embed\`.`,
  )
}

/** Predictions of a model that is in memory. @throws ConfigError for a head that `predict` does not serve, or unknown options */
export const predictWith = async (
  loaded: InferenceModel,
  texts: readonly string[],
  options: { [name: string]: unknown } = {},
  { onProgress, signal }: Pick<PredictHooks, 'onProgress' | 'signal'> = {},
): Promise<unknown[]> => {
  const entry = entryOf(loaded.model.headType)
  const parsed = parseConfig(entry.options, options, `options of ${loaded.model.headType}`)
  const results: unknown[] = []
  for (const text of texts) {
    // Lets signals and progress through between two texts.
    await setImmediate()
    signal?.throwIfAborted()
    results.push(await entry.predict(loaded, text, parsed))
    onProgress?.({ texts: results.length, of: texts.length })
  }
  return results
}

/**
 * Loads a model and predicts what its head predicts for each text: tokens for masks, classes, numbers, tags or answers.
 * @throws ConfigError for a head that `predict` does not serve, CheckpointError for files that cannot be loaded
 */
export const predict = async (
  input: PredictInput,
  { onProgress, signal, ...hooks }: PredictHooks = {},
): Promise<PredictResult> => {
  expectInput(input)
  const { texts: given, head, options, ...choice } = input
  const texts = [given ?? []].flat()
  if (texts.length === 0 || texts.some((text) => typeof text !== 'string'))
    throw new ConfigError('`predict` needs at least one text: pass `texts`, a text or a list of them.')
  const loaded = await loadForInference(choice, { head, ...hooks })
  return {
    model: choice.model,
    head: loaded.model.headType,
    predictions: await predictWith(loaded, texts, options, { onProgress, signal }),
  }
}

/** A prediction as text for a terminal. */
export const renderPrediction = (head: HeadType, prediction: unknown): string =>
  predictions[head]?.render(prediction) ?? ''
