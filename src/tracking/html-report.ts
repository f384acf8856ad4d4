// The report of a run as one self-contained HTML file with charts as inline SVG.
import type { Column, RunHistory } from './history.ts'
import { chartsOf } from './report-sections.ts'
import { type RunCard, runCardRows, verdictTable } from './run-card.ts'
import { escapeHtml, renderSvg } from './svg-chart.ts'
import { describeRun } from './text-report.ts'

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

const style = `
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #6a737d; --paper: #fff; --grid: #e4e7eb;
  --c0: #2563eb; --c1: #d97706; --c2: #c026d3; --c3: #16a34a; --c4: #dc2626; --c5: #4f46e5 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #8b949e; --paper: #0d1117; --grid: #262c36;
  --c0: #60a5fa; --c1: #fbbf24; --c2: #e879f9; --c3: #4ade80; --c4: #f87171; --c5: #a5b4fc } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1360px; margin: 2rem auto; padding: 0 1rem }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 520px), 1fr)); gap: 1rem }
figure { margin: 0 } figcaption { font-weight: 600 } .legend { margin: 0; font-size: 13px } .legend span { margin-right: 1rem }
svg { width: 100%; height: auto } svg text { font-size: 11px; fill: var(--soft) } .y { text-anchor: end } .x { text-anchor: middle }
.grid { stroke: var(--grid) } .axis { stroke: var(--soft); fill: none }
.line path { fill: none; stroke: currentColor; stroke-width: 1.5; stroke-linejoin: round } .line circle { fill: currentColor }
.s0 { color: var(--c0) } .s1 { color: var(--c1) } .s2 { color: var(--c2) } .s3 { color: var(--c3) } .s4 { color: var(--c4) } .s5 { color: var(--c5) }
table { border-collapse: collapse } td, th { text-align: left; padding: .2rem 1rem .2rem 0; border-bottom: 1px solid var(--grid); vertical-align: top }
.point circle { fill: currentColor } .point path { stroke: currentColor; fill: none; opacity: .6 } .point text { fill: var(--ink) }
.warning { border-left: 4px solid var(--c1); padding-left: .6rem }
.reference { stroke: var(--soft); stroke-dasharray: 4 4 }
td.number { text-align: right; font-variant-numeric: tabular-nums } pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .2rem 0 1rem }
`

/** The page around a body of HTML. */
export const htmlPage = (title: string, body: string): string =>
  '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">' +
  '<meta name="viewport" content="width=device-width, initial-scale=1">' +
  `<title>${escapeHtml(title)}</title><style>${style}</style></head>\n<body>\n${body}\n</body></html>\n`

/** A table of plain text, with numbers aligned to the right; empty for no rows. */
export const htmlTable = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  if (rows.length === 0) return ''
  const cells = (row: readonly string[]) =>
    row
      .map((text) => `<td${/^-?[\d.]+(e[-+]?\d+)?$/.test(text) ? ' class="number"' : ''}>${escapeHtml(text)}</td>`)
      .join('')
  const titles = head.map((text) => `<th>${escapeHtml(text)}</th>`).join('')
  return `<table><tr>${titles}</tr>${rows.map((row) => `<tr>${cells(row)}</tr>`).join('')}</table>`
}
