// What a finished run amounts to: its final score beside the scores of predictions that take no training, and warnings.
import type { RunCard } from './run-card.ts'

/** What the lines are made from. */
export type Verdict = Pick<RunCard, 'results' | 'mainMetric' | 'references' | 'warnings'>

/** A number that is not finite is null in the card's JSON. */
const short = (value: number | null | undefined) =>
  typeof value === 'number' && Number.isFinite(value) ? String(Number(value.toPrecision(4))) : '–'

/** `accuracy 0.91 (majority class 0.505, untrained base 0.49)`; undefined without references. */
export const describeReferences = ({ results = {}, mainMetric, references = [] }: Verdict): string | undefined => {
  if (mainMetric === undefined || references.length === 0) return undefined
  const others = references.map(({ name, metrics }) => `${name} ${short(metrics[mainMetric])}`)
  return `${mainMetric} ${short(results[mainMetric])} (${others.join(', ')})`
}

/** The lines of a verdict: the comparison with the references, then the warnings. */
export const verdictLines = (verdict: Verdict): string[] => {
  const compared = describeReferences(verdict)
  return [
    ...(compared === undefined ? [] : [compared]),
    ...(verdict.warnings ?? []).map((warning) => `warning: ${warning}`),
  ]
}

/** Rows of a table of all metrics: the model first, then each reference. */
export const verdictTable = ({ results = {}, references = [] }: Verdict): { head: string[]; rows: string[][] } => {
  const names = Object.keys(results)
  const row = (name: string, metrics: Record<string, number>) => [
    name,
    ...names.map((metric) => short(metrics[metric])),
  ]
  if (references.length === 0) return { head: [], rows: [] }
  return {
    head: ['predictions of', ...names],
    rows: [row('this model', results), ...references.map(({ name, metrics }) => row(name, metrics))],
  }
}
