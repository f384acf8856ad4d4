// Records that a reward model learns from: answers that were compared, rated, or rated step by step; and answers to score.
import { show } from '../../core/index.ts'
import { fault, flagOf, hasValue, setColumns } from '../records/columns.ts'
import type { DataRow, Fields } from '../records/row.ts'
import {
  type ComparisonSettings,
  comparisonFormNames,
  comparisonFormOf,
  comparisonsIn,
  siftedComparisons,
} from './read-comparisons.ts'
import { answerIn, type RatingSettings } from './read-ratings.ts'
import { alike, checkPrompt, drop, isEmpty, type PromptText, type Sifted, textOrTurns } from './texts.ts'

/** Answers to a prompt with what is known of them. */
export interface RewardAnswers {
  prompt: PromptText
  answers: readonly PromptText[]
  /** Compared answers: the score of each, of which the higher is better. */
  scores?: readonly number[]
  /** Rated answers: whether each is good. */
  good?: readonly boolean[]
  /** Pairs: how much better the first answer is, where a column says so. */
  margin?: number
}

export interface RewardFormSettings extends Omit<RatingSettings, 'form'> {
  form: 'auto' | RewardForm
  stepLabels: string
  separator: string
}

interface RewardReader {
  fits(values: Fields, settings: RewardFormSettings): boolean
  records(row: DataRow, settings: RewardFormSettings): Sifted<RewardAnswers>[]
}

const listIn = ({ answers }: RewardFormSettings, values: Fields): unknown[] | undefined =>
  answers.map((name) => values[name]).find(Array.isArray)

/**
 * A solution in steps, each rated: an answer for each of its beginnings. A decoder reads each at its last token, as if it were scored at
 * the separator. @source Lightman et al. 2023, arXiv:2305.20050
 */
const steps: RewardReader = {
  fits: (values, settings) => Array.isArray(values[settings.stepLabels]) && listIn(settings, values) !== undefined,
  records({ values }, settings) {
    const { prompt: names, stepLabels, separator, texts } = settings
    const list = listIn(settings, values) ?? []
    const given: unknown = values[stepLabels]
    const labels = Array.isArray(given) ? given.map(flagOf) : []
    if (labels.length !== list.length || labels.includes(undefined))
      return [
        fault(
          'no-label',
          `Expected true or false for each of ${list.length} steps in column "${stepLabels}", got ${show(given)}.`,
        ),
      ]
    const column = names.find((name) => hasValue(values, name)) ?? names[0]
    const prompt = textOrTurns(values[column], column)
    if ('fault' in prompt) return [prompt]
    if (list.length === 0 || list.some((step) => typeof step !== 'string' || step.trim() === ''))
      return [fault('no-text', `Expected steps with text, got ${show(list)}.`)]
    const beginnings = list.map((_, i) => list.slice(0, i + 1).join(separator))
    const same = alike(prompt.value, beginnings, texts !== 'turns')
    const checked = checkPrompt(same.prompt)
    if ('fault' in checked) return [checked]
    return [{ value: { prompt: checked.value, answers: same.answers, good: labels.map((label) => label === true) } }]
  },
}

const comparison: RewardReader = {
  fits: (values, settings) => comparisonFormOf(values, settings) !== undefined,
  records: (row, settings) => comparisonsOf(row, { ...settings, form: 'auto' }),
}

const comparisonsOf = (row: DataRow, settings: ComparisonSettings): Sifted<RewardAnswers>[] =>
  siftedComparisons(row, settings).map((one): Sifted<RewardAnswers> => {
    if (!('value' in one)) return one
    const { prompt, answers, margin } = one.value
    return {
      value: {
        prompt,
        answers: answers.map(({ completion }) => completion),
        scores: answers.map(({ score }) => score),
        ...(margin === undefined ? {} : { margin }),
      },
    }
  })

const ratings: RewardReader = {
  fits: (values, { label }) => flagOf(values[label]) !== undefined,
  records(row, settings) {
    const given = row.values[settings.label]
    const good = flagOf(given)
    if (good === undefined)
      return [
        fault('no-label', `Expected true or false in column "${settings.label}", got ${show(given)}. Set \`label\`.`),
      ]
    const found = answerIn(row, settings, 'settings')
    if (!('value' in found)) return [found]
    return [{ value: { prompt: found.value.prompt, answers: [found.value.completion], good: [good] } }]
  },
}

const readers = { steps, ratings, comparison } as const

export const rewardForms = ['steps', 'ratings', ...comparisonFormNames] as const
type RewardForm = (typeof rewardForms)[number]

const byForm: { readonly [form in RewardForm]: RewardReader } = {
  steps,
  ratings,
  ...(Object.fromEntries(
    comparisonFormNames.map((form) => [
      form,
      { ...comparison, records: (row, settings) => comparisonsOf(row, { ...settings, form }) } satisfies RewardReader,
    ]),
  ) as Record<(typeof comparisonFormNames)[number], RewardReader>),
}

/** The records of a row with labels. */
export const rewardAnswersIn = (row: DataRow, settings: RewardFormSettings): Sifted<RewardAnswers>[] => {
  const { form, chosen, rejected, label } = settings
  const reader = form === 'auto' ? Object.values(readers).find((one) => one.fits(row.values, settings)) : byForm[form]
  if (reader !== undefined) return reader.records(row, settings)
  return [
    fault(
      'no-comparison',
      `Expected columns ${chosen} and ${rejected}, a list of answers with scores, a message tree, or an answer with ${label}, got ${Object.keys(row.values).slice(0, 20).join(', ')}. ${setColumns('settings', ['chosen', 'rejected'])}`,
    ),
  ]
}

/** The answers of a row whose labels, if it has any, are not read. */
export const unlabelledAnswersIn = (row: DataRow, settings: RewardFormSettings): Sifted<RewardAnswers>[] => {
  const { values } = row
  if (comparisonFormOf(values, settings) !== undefined)
    return comparisonsIn(row, { ...settings, form: 'auto' }).map((one) =>
      'value' in one
        ? { value: { prompt: one.value.prompt, answers: one.value.answers.map(({ completion }) => completion) } }
        : one,
    )
  const found = answerIn(row, settings, 'settings')
  if (!('value' in found)) return [found]
  const { prompt, completion } = found.value
  if (isEmpty(completion)) return [drop('empty-answer', 'Expected an answer with text, got an empty one.')]
  return [{ value: { prompt, answers: [completion] } }]
}
