// The report of a run as plain text, for a terminal or a file.
import { formatCount, formatDuration } from '../core/index.ts'
import { type CurveOptions, renderCurves } from './curve.ts'
import { bestOf, type RunHistory } from './history.ts'
import { chartsOf } from './report-sections.ts'
import { type RunCard, runCardRows, verdictLines } from './run-card.ts'

/** Options of `renderTextReport`. */
export interface TextReportOptions extends Pick<CurveOptions, 'width' | 'style' | 'color'> {
  name?: string
  card?: RunCard
  /** How many of the last samples are shown. */
  samples?: number
}

/** The result first, then evaluations, incidents, curves, samples and the card. */
export const renderTextReport = (history: RunHistory, options: TextReportOptions = {}): string => {
  const { name, card, samples = 3, width = 80, style, color } = options
  const parts = [`${name === undefined ? 'Run' : name}: ${describeRun(history)}`]
  const lines = (title: string, list: string[]) => {
    if (list.length > 0) parts.push([title, ...list.map((line) => `  ${line}`)].join('\n'))
  }
  if (card !== undefined) lines('Result', verdictLines(card))
  lines('Evaluations', evaluationLines(history))
  lines(
    `Incidents (${history.incidents.length})`,
    history.incidents.map(
      ({ step, kind, message }) => `step ${step}: ${kind === undefined ? '' : `${kind}: `}${message}`,
    ),
  )
  lines(
    'Notes',
    history.notes.map(({ step, message }) => `step ${step}: ${message}`),
  )
  for (const { title, series, axis } of chartsOf(history))
    parts.push(renderCurves(series, { title, axis, width, style, color, height: 12, xLabel: 'step' }))
  lines(
    'Samples',
    (samples > 0 ? history.samples.slice(-samples) : []).flatMap(({ step, prompt, text }) => [
      `step ${step}${prompt === undefined ? '' : `, after ${JSON.stringify(prompt)}`}:`,
      ...text.split('\n').map((line) => `  ${line}`),
    ]),
  )
  if (card !== undefined) {
    const rows = runCardRows(card)
    const longest = Math.max(...rows.map(([label]) => label.length))
    lines(
      'Card',
      rows.map(([label, value]) => `${label.padEnd(longest)}  ${value}`),
    )
  }
  return `${parts.join('\n\n')}\n`
}

/** One line: how it ended, how far it got, how long it took. */
export const describeRun = ({ end, start, lastStep, tokens, trainingSeconds, training }: RunHistory): string => {
  const loss = training.loss?.values.at(-1)
  return [
    end === undefined ? 'not ended' : end.reason,
    `${lastStep}${start?.totalSteps === undefined ? '' : ` of ${start.totalSteps}`} steps`,
    `${formatCount(tokens)} tokens`,
    formatDuration(trainingSeconds * 1000),
    ...(loss === undefined ? [] : [`loss ${loss.toFixed(4)}`]),
  ].join(' · ')
}

const evaluationLines = ({ evaluations }: RunHistory): string[] =>
  Object.entries(evaluations).map(([name, { steps, values }]) => {
    const best = bestOf(evaluations, name)
    const last = `${short(values.at(-1)!)} at step ${steps.at(-1)}`
    return `${name}: ${short(values[0])} at step ${steps[0]}, last ${last}${best === undefined ? '' : `, best ${short(best.value)} at step ${best.step}`}`
  })

const short = (value: number) => String(Number(value.toPrecision(5)))
