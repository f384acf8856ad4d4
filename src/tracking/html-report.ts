// The report of a run as one self-contained HTML file with charts as inline SVG.
import type { Column, RunHistory } from './history.ts'
import { htmlPage, htmlTable } from './html-page.ts'
import { chartsOf } from './report-sections.ts'
import { type RunCard, runCardRows } from './run-card.ts'
import { escapeHtml, renderSvg } from './svg-chart.ts'
import { describeRun } from './text-report.ts'
import { verdictTable } from './verdict.ts'

/** Title and run card of a report. */
export interface HtmlReportOptions {
  name?: string
  card?: RunCard
}

/** The report as a page. */
export const renderHtmlReport = (history: RunHistory, { name = 'Run', card }: HtmlReportOptions = {}): string => {
  const section = (title: string, body: string) => (body === '' ? '' : `<section><h2>${title}</h2>${body}</section>`)
  const charts = chartsOf(history).map(renderSvg).join('\n')
  const incidents = history.incidents.map(({ step, time, kind, message }) => [String(step), time, kind ?? '', message])
  const notes = history.notes.map(({ step, time, message }) => [String(step), time, message])
  const hashes = Object.entries(card?.dataHashes ?? {})
  const body = [
    `<h1>${escapeHtml(name)}</h1><p>${escapeHtml(describeRun(history))}</p>`,
    section('Result', card === undefined ? '' : resultOf(card)),
    section('Curves', charts && `<div class="charts">${charts}</div>`),
    section('Evaluations', evaluationTable(history.evaluations)),
    section('Incidents', htmlTable(['step', 'time', 'kind', 'message'], incidents)),
    section('Notes', htmlTable(['step', 'time', 'message'], notes)),
    section(
      'Samples',
      history.samples
        .map(({ step, prompt = '', text }) => {
          const shown = prompt === '' ? '' : `<b>${escapeHtml(prompt)}</b>`
          return `<div>Step ${step}<pre>${shown}${escapeHtml(text)}</pre></div>`
        })
        .join(''),
    ),
    card === undefined
      ? ''
      : section('Card', htmlTable(['what', 'value'], runCardRows(card))) +
        section('Data', htmlTable(['what', 'SHA-256'], hashes)) +
        section('Configuration', `<pre>${escapeHtml(JSON.stringify(card.config, null, 2) ?? '')}</pre>`),
  ]
  return htmlPage(name, body.filter(Boolean).join('\n'))
}

const resultOf = (card: RunCard): string => {
  const { head, rows } = verdictTable(card)
  const warnings = (card.warnings ?? []).map((warning) => `<p class="warning">${escapeHtml(warning)}</p>`)
  return warnings.join('') + htmlTable(head, rows)
}

/** One row per step, one column per metric. */
const evaluationTable = (evaluations: Record<string, Column>): string => {
  const names = Object.keys(evaluations)
  const rows = new Map<number, Map<string, number>>()
  for (const name of names) {
    evaluations[name].steps.forEach((step, i) => {
      const row = rows.get(step) ?? new Map<string, number>()
      rows.set(step, row.set(name, evaluations[name].values[i]))
    })
  }
  return htmlTable(
    ['step', ...names],
    [...rows]
      .sort(([a], [b]) => a - b)
      .map(([step, row]) => [String(step), ...names.map((name) => formatValue(row.get(name)))]),
  )
}

const formatValue = (value: number | undefined) => (value === undefined ? '' : String(Number(value.toPrecision(6))))
