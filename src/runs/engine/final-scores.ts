// The final evaluation of a run: its scores beside those of predictions that take no training, and warnings about a model that learned
// nothing that they show.
import { type ScoreIntervals, scoresOf } from '../../tasks/index.ts'
import { isLowerBetter } from '../../tracking/index.ts'
import type { ReferenceScores } from './evaluation-files.ts'
import type { FinalScores } from './run-kind.ts'

/** The name of the reference that is the base before training. */
export const untrainedBase = 'untrained base'

interface Evaluated {
  metrics: ScoreIntervals
  mainMetric: string
}

const short = (value: number) => String(Number(value.toPrecision(4)))

/** Lines about references that the model does not beat: by a clear margin, or at all in the case of the base that it comes from. */
const notBeaten = ({ metrics, mainMetric }: Evaluated, references: readonly ReferenceScores[]): string[] => {
  const own = metrics[mainMetric]
  if (own === undefined || !Number.isFinite(own.value)) return []
  const lower = isLowerBetter(mainMetric)
  const beats = (value: number, reference: number) => (lower ? value < reference : value > reference)
  // The same records answer both for the base and for the model: the interval, which is over records, is too wide for this.
  const bound = lower ? own.high : own.low
  return references.flatMap(({ name, metrics: theirs }) => {
    const reference = theirs[mainMetric]?.value
    if (reference === undefined || !Number.isFinite(reference)) return []
    const scores = `${mainMetric} ${short(own.value)} is`
    if (!beats(own.value, reference))
      return [`${scores} not better than the baseline \`${name}\` (${short(reference)}).`]
    if (name === untrainedBase || !Number.isFinite(bound) || beats(bound, reference)) return []
    return [
      `${scores} not clearly better than the baseline \`${name}\` (${short(reference)}): with so few records, the interval reaches ${short(bound)}.`,
    ]
  })
}

/** @param more.advice what to look at if the model is no better than a reference; `warnings` of the task about the predictions */
export const finalScores = (
  evaluated: Evaluated,
  references: readonly ReferenceScores[],
  { advice, warnings = [] }: { advice: string; warnings?: readonly string[] },
): FinalScores => {
  const missed = notBeaten(evaluated, references)
  return {
    metrics: scoresOf(evaluated),
    mainMetric: evaluated.mainMetric,
    references: references.map(({ name, metrics }) => ({ name, metrics: scoresOf({ metrics }) })),
    warnings: [...missed, ...(missed.length === 0 ? [] : [advice]), ...warnings],
  }
}
