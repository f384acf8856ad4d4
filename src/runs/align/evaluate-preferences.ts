// Scores of a model on preferences or ratings that it was not trained with, the same as at the end of a run that learns them, and the margins that
// such a run has left in its files.
import { join } from 'node:path'
import { adaptersOf } from '../../adapters/index.ts'
import type { ModelTokenizer } from '../../checkpoint/index.ts'
import { ConfigError, DataError, exists } from '../../core/index.ts'
import type { ProcessGroup } from '../../distributed/index.ts'
import type { Model } from '../../models/index.ts'
import {
  contentOf,
  createCompletionEncoder,
  type ReadReport,
  type ScoreIntervals,
  scoreIntervals,
} from '../../tasks/index.ts'
import { runFiles } from '../../tracking/index.ts'
import { shareOf } from '../../training/index.ts'
import { openScoredRun, scoredPredictions, scoredRecords } from '../compare/scored-run.ts'
import { readRunRecipe } from '../kinds.ts'
import { type AlignmentPrediction, type AnswerQuality, alignmentData, dataOf } from './data.ts'
import { encodeAnswers, encodingNotes, lengthsOf, noneFits, predictionsOf, sumAnswers } from './encode-answers.ts'
import { findObjective } from './objectives.ts'
import type { AlignRecipe } from './recipe.ts'

/** A kind of data that preference objectives learn from: `pairs` of answers, or `ratings` of single ones. */
export type PreferenceKind = keyof typeof alignmentData

/** How records are read and encoded; what is undefined is as in a recipe that does not name it. */
type PreferenceEncoding = Pick<AlignRecipe, 'template' | 'system' | 'maxLength' | 'maxPromptLength'> &
  Partial<Pick<AlignRecipe, 'columns' | 'tooLong'>>

/**
 * How the run in a folder learned preferences, with the base that it began with, which is the reference of its scores; undefined for a folder without
 * a run, or with another one.
 */
export const preferenceRunOf = async (
  folder: string,
): Promise<{ kind: PreferenceKind; base: string; encoding: PreferenceEncoding } | undefined> => {
  if (!(await exists(join(folder, runFiles.recipe)))) return undefined
  // The next line checks that it is a recipe of `align`.
  const recipe = (await readRunRecipe(folder)) as unknown as AlignRecipe
  const kind = recipe.command === 'align' ? findObjective(recipe.objective).data : 'prompts'
  if (kind === 'prompts') return undefined
  const { base, columns, template, system, maxLength, maxPromptLength, tooLong } = recipe
  return { kind, base, encoding: { columns, template, system, maxLength, maxPromptLength, tooLong } }
}

interface ScoringModel {
  model: Model
  tokenizer: ModelTokenizer
}

interface EvaluatePreferencesInput extends PreferenceEncoding, ScoringModel {
  kind: PreferenceKind
  path: string
  /** Opens the model that answers are compared with; only likelihoods are scored without it. */
  reference?: (() => Promise<ScoringModel>) | undefined
}

interface EvaluatePreferencesHooks {
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

/** An answer with its log-probabilities in nats. */
export interface ScoredAnswerText {
  quality: AnswerQuality
  text: string
  logProb: number
  /** Log-probability minus that under the base: the implicit reward. Null where the base was not measured. */
  ratio: number | null
  tokens: number
}

/** A validation record with its answers. */
export interface PreferenceMargin {
  id: string
  prompt: string
  answers: ScoredAnswerText[]
  /** Ratio of the chosen minus that of the rejected answer. Null for ratings, and where the base was not measured. */
  margin: number | null
  /** Whether a chosen or good answer has become less likely than under the base. Null where the base was not measured. */
  displaced: boolean | null
}

const marginOf = (answers: readonly ScoredAnswerText[]): number | null => {
  const [chosen, rejected] = answers
  if (rejected === undefined || chosen.ratio === null || rejected.ratio === null) return null
  return chosen.ratio - rejected.ratio
}

/** Whether the data prefers such an answer. */
const isPreferred: Record<AnswerQuality, boolean> = { chosen: true, good: true, rejected: false, bad: false }

const isDisplaced = (answers: readonly ScoredAnswerText[]): boolean | null =>
  answers.every(({ ratio }) => ratio === null)
    ? null
    : answers.some(({ quality, ratio }) => isPreferred[quality] && ratio !== null && ratio < 0)

/**
 * Reads the margins of a run, in the order of its validation records.
 * @throws DataError for a run that did not learn from preferences, is not finished, or whose data has changed
 */
export const readPreferenceMargins = async (folder: string): Promise<PreferenceMargin[]> => {
  const run = await openScoredRun(folder)
  // The next line checks that it is a recipe of `align`.
  const recipe = run.recipe as unknown as AlignRecipe
  if (recipe.command !== 'align' || findObjective(recipe.objective).data === 'prompts')
    throw new DataError(`${folder}: Expected a run that learned from preferences, found another one.`)
  const data = dataOf(findObjective(recipe.objective))
  const records = await scoredRecords(run, folder)
  // Those of `preferenceComparison`, which parses them.
  const predictions = (await scoredPredictions(run, records)) as unknown as readonly AlignmentPrediction[]
  return records.map((record, i): PreferenceMargin => {
    const { completions } = predictions[i]
    const answers = data.answersOf(record).map(({ quality, text }, n): ScoredAnswerText => {
      const { logProb, base, tokens } = completions[n]
      return { quality, text: contentOf(text), logProb, ratio: base === undefined ? null : logProb - base, tokens }
    })
    return {
      id: record.id,
      prompt: contentOf(data.promptOf(record)),
      answers,
      margin: marginOf(answers),
      displaced: isDisplaced(answers),
    }
  })
}
