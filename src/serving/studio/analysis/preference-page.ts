// Validation records of a run that learned from preferences, with their margins, a page at a time.
import { join } from 'node:path'
import { type PreferenceMargin, readPreferenceMargins } from '../../../runs/index.ts'
import { modelFiles, runFiles } from '../../../tracking/index.ts'
import { listedText, spreadOf } from '../shown-values.ts'
import type { PreferenceOrder, PreferencePage, PreferenceRow } from '../types/alignment-types.ts'
import { Recent } from './recent.ts'

/** Which records in which order. */
export interface PreferenceQuery {
  folder: string
  order: PreferenceOrder
  from: number
  count: number
}

const recent = new Recent<PreferenceMargin[]>(3)

const margin = ({ margin: value }: PreferenceMargin) => value ?? 0

/** Of displaced records, those whose preferred answer lost most come first. */
const loss = ({ answers: [preferred] }: PreferenceMargin) => preferred?.ratio ?? 0

const orders: Record<PreferenceOrder, (a: PreferenceMargin, b: PreferenceMargin) => number> = {
  displaced: (a, b) => Number(b.displaced) - Number(a.displaced) || loss(a) - loss(b),
  smallest: (a, b) => margin(a) - margin(b),
  largest: (a, b) => margin(b) - margin(a),
  data: () => 0,
}

const bins = 24

const histogramOf = (values: readonly number[]): PreferencePage['histogram'] => {
  const { min, max } = spreadOf(values)
  if (min === null || max === null) return []
  const width = (max - min) / bins || 1
  const counts = Array.from({ length: bins }, () => 0)
  for (const value of values) counts[Math.min(bins - 1, Math.floor((value - min) / width))]++
  return counts.map((count, i) => ({ from: min + i * width, to: min + (i + 1) * width, count }))
}

const rowOf = ({ id, prompt, answers, margin: value, displaced }: PreferenceMargin): PreferenceRow => ({
  id,
  prompt: listedText(prompt),
  answers: answers.map((answer) => ({ ...answer, text: listedText(answer.text) })),
  margin: value,
  displaced,
})

export const preferencePage = async ({ folder, order, from, count }: PreferenceQuery): Promise<PreferencePage> => {
  const files = [modelFiles.evaluation, modelFiles.predictions].map((name) => join(folder, runFiles.model, name))
  const all = await recent.of(folder, files, () => readPreferenceMargins(folder))
  const margins = all.flatMap(({ margin: value }) => (value === null ? [] : [value]))
  return {
    total: all.length,
    from,
    rows: [...all]
      .sort(orders[order])
      .slice(from, from + count)
      .map(rowOf),
    displaced: all.every(({ displaced }) => displaced === null)
      ? null
      : all.filter(({ displaced }) => displaced).length,
    wrong: margins.filter((value) => value < 0).length,
    margin: spreadOf(margins),
    histogram: histogramOf(margins),
  }
}
