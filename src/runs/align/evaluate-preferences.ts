// Scores of a model on preferences or ratings that it was not trained with, the same as at the end of a run that learns them.

import { join } from 'node:path'
import { adaptersOf } from '../../adapters/index.ts'
import type { ModelTokenizer } from '../../checkpoint/index.ts'
import { ConfigError, exists } from '../../core/index.ts'
import type { ProcessGroup } from '../../distributed/index.ts'
import type { Model } from '../../models/index.ts'
import { createCompletionEncoder, type ReadReport, type ScoreIntervals, scoreIntervals } from '../../tasks/index.ts'
import { runFiles } from '../../tracking/index.ts'
import { shareOf } from '../../training/index.ts'
import { readRunRecipe } from '../run-recipe.ts'
import { alignmentData } from './data.ts'
import { encodeAnswers, encodingNotes, lengthsOf, noneFits } from './encode-answers.ts'
import { findObjective } from './objectives.ts'
import type { AlignRecipe } from './recipe.ts'
import { predictionsOf, sumAnswers } from './score-answers.ts'
import type { AlignmentPrediction } from './scores.ts'

/** A kind of data that preference objectives learn from: `pairs` of answers, or `ratings` of single ones. */
export type PreferenceKind = keyof typeof alignmentData

/** How records are read and encoded; what is undefined is as in a recipe that does not name it. */
type PreferenceEncoding = Pick<AlignRecipe, 'template' | 'system' | 'maxLength' | 'maxPromptLength'> &
  Partial<Pick<AlignRecipe, 'columns' | 'tooLong'>>

/** What a run that learned preferences says of evaluating its model. */
export interface PreferenceRun {
  kind: PreferenceKind
  /** What the run began with: the reference of its scores. */
  base: string
  encoding: PreferenceEncoding
}

/** How the run in a folder learned preferences; undefined for a folder without a run, or with another one. */
export const preferenceRunOf = async (folder: string): Promise<PreferenceRun | undefined> => {
  if (!(await exists(join(folder, runFiles.recipe)))) return undefined
  // The next line checks that it is a recipe of `align`.
  const recipe = (await readRunRecipe(folder)) as unknown as AlignRecipe
  const kind = recipe.command === 'align' ? findObjective(recipe.objective).data : 'prompts'
  if (kind === 'prompts') return undefined
  const { base, columns, template, system, maxLength, maxPromptLength, tooLong } = recipe
  return { kind, base, encoding: { columns, template, system, maxLength, maxPromptLength, tooLong } }
}

/** A model with its tokenizer. */
interface ScoringModel {
  model: Model
  tokenizer: ModelTokenizer
}

/** What is evaluated. */
export interface EvaluatePreferencesInput extends PreferenceEncoding, ScoringModel {
  kind: PreferenceKind
  /** File or folder of the records. */
  path: string
  /** Opens the model that answers are compared with; only likelihoods are scored without it. */
  reference?: (() => Promise<ScoringModel>) | undefined
}

/** Called while answers are scored. */
export interface EvaluatePreferencesHooks {
  onNote?(line: string): void
  /** Called after the answers of each model. */
  onProgress?(done: { answers: number; of: number }): void
  signal?: AbortSignal | undefined
  group?: ProcessGroup | undefined
}

/** Metrics with intervals, and what happened to the records. */
export interface PreferenceReport {
  records: number
  /** Records that could not be used, by reason. */
  skipped: ReadReport['skipped']
  mainMetric: string
  metrics: ScoreIntervals
  predictions: AlignmentPrediction[]
  seconds: number
}

/** Tokens of a forward pass. */
const microTokens = 4096

/** Positions that the active adapters of a model take from its texts. */
const virtualTokensOf = (model: Model): number => {
  const bank = adaptersOf(model)
  return bank.active.reduce((sum, name) => sum + (bank.get(name).attachment.virtualTokens ?? 0), 0)
}

/** @throws ConfigError for a reference whose tokens are others */
const expectSameTokens = (own: ModelTokenizer, reference: ModelTokenizer, ids: Iterable<number>): void => {
  const text = (tokenizer: ModelTokenizer) => tokenizer.decode([...ids], { skipSpecialTokens: false })
  if (own.maxId !== reference.maxId || text(own) !== text(reference))
    throw new ConfigError(
      'Expected a model with the same tokenizer for `reference`, got one with another. Give the model that training began with.',
    )
}

/**
 * Scores a model on preferences.
 * @throws DataError with file and line, ConfigError for records that do not fit, or a reference with another tokenizer
 */
export const evaluatePreferences = async (
  { kind, path, model, tokenizer, reference: openReference, ...encoding }: EvaluatePreferencesInput,
  { onNote, onProgress, signal, group }: EvaluatePreferencesHooks = {},
): Promise<PreferenceReport> => {
  const { columns = {}, template, system, tooLong = 'truncate' } = encoding
  const data = alignmentData[kind]
  const { records, report } = await data.read(path, columns)
  const lengths = lengthsOf(encoding, model, virtualTokensOf(model))
  const encoder = createCompletionEncoder(tokenizer, { template, system, tooLong, ...lengths })
  const encoded = encodeAnswers(data, encoder, records)
  for (const line of encodingNotes(encoder, lengths, { records: records.length, columns, path })) onNote?.(line)
  if (encoded.examples.length === 0) throw noneFits(data.noun, lengths, 'evaluation')
  const started = performance.now()
  const completions = encoded.examples.flatMap((example) => data.completions(example))
  const of = completions.length * (openReference === undefined ? 1 : 2)
  const sums = (scored: Model) =>
    sumAnswers(scored, data, encoded.examples, {
      microTokens,
      padded: false,
      ...(signal && { signal }),
      ...shareOf(group),
      wholeBatches: true,
    })
  const policy = await sums(model)
  onProgress?.({ answers: completions.length, of })
  const reference = await openReference?.()
  if (reference !== undefined) expectSameTokens(tokenizer, reference.tokenizer, completions[0].ids)
  const base = reference === undefined ? undefined : await sums(reference.model)
  if (base !== undefined) onProgress?.({ answers: of, of })
  const predictions = predictionsOf(data, encoded, policy, base)
  return {
    records: encoded.records.length,
    skipped: { ...report.skipped, ...encoder.skipped },
    mainMetric: data.scores.mainMetric(base !== undefined),
    metrics: scoreIntervals(data.scores.score(encoded.records, predictions), { seed: 0 }),
    predictions,
    seconds: (performance.now() - started) / 1000,
  }
}
