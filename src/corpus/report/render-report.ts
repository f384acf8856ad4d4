// Manifest and report as text for a terminal: tables, histograms, samples of dropped documents.

import Table from 'cli-table3'
import { formatBytes, formatCount } from '../../core/index.ts'
import type { BuildResult } from '../build/build.ts'
import type { StageCounts } from '../build/stage-counts.ts'
import type { CorpusManifest } from '../manifest.ts'
import type { CorpusReport } from './corpus-report.ts'
import type { Inspection } from './inspect.ts'

const barWidth = 40
const topRows = 15

/** The output of `corpus build`: totals, stages and damaged inputs. */
export const renderBuild = ({ out, unchanged, manifest, report }: BuildResult): string => {
  const head =
    manifest.documents === 0
      ? `The corpus in ${out} is empty: every document was dropped.`
      : unchanged
        ? `The corpus in ${out} is up to date.`
        : `Built a corpus in ${out}.`
  return [`${head} ${totals(manifest)}`, stageTable(report.stages), ...damagedLines(report)].join('\n')
}

/** The output of `corpus inspect`. */
export const renderInspection = ({ folder, manifest, report, documents, damagedFiles }: Inspection): string => {
  const { statistics } = report
  const kinds = Object.entries(statistics.kinds).map(([kind, { documents }]): [string, number] => [kind, documents])
  return [
    `${folder}: ${totals(manifest)}`,
    section('Stages', stageTable(report.stages)),
    section('Dropped, by reason', reasonTable(report.stages)),
    section('Lengths in characters', lengthBars(statistics.lengths)),
    section('Languages', bars(Object.entries(statistics.languages).sort(byCount))),
    section('Kinds of source', bars(kinds.sort(byCount))),
    ...damagedLines(report),
    ...contaminationLines(report),
    section('Sample documents', documents.map(({ id, text }) => `  ${id}\n    ${quote(text)}`).join('\n')),
    section('Sample drops', sampleLines(report)),
    ...(damagedFiles.length === 0
      ? []
      : [section('Files that are missing or damaged', `  ${damagedFiles.join('\n  ')}`)]),
    `\nInputs: ${manifest.inputs.length} files, ${formatBytes(sum(manifest.inputs.map(({ bytes }) => bytes)))}. ` +
      `Dropped documents: ${manifest.dropped.map(({ path }) => path).join(', ') || 'none'}.`,
  ].join('\n')
}

const totals = (manifest: CorpusManifest): string => {
  const size = sum(manifest.parts.map(({ bytes }) => bytes))
  return (
    `${formatCount(manifest.documents)} documents, ${formatBytes(manifest.textBytes)} of text ` +
    `in ${manifest.parts.length} ${manifest.parts.length === 1 ? 'part' : 'parts'} (${formatBytes(size)} on disk).`
  )
}

const section = (title: string, body: string): string => `\n${title}\n${body === '' ? '  none' : body}`

const stageTable = (stages: readonly StageCounts[]): string => {
  const table = newTable(['stage', 'in', 'out', 'dropped', '%', 'changed', 'text'])
  for (const { stage, documentsIn, documentsOut, changed, added, bytesOut } of stages) {
    const dropped = documentsIn + added - documentsOut
    table.push([
      stage,
      String(documentsIn),
      String(documentsOut),
      String(dropped),
      documentsIn === 0 ? '' : ((100 * dropped) / documentsIn).toFixed(1),
      String(changed),
      formatBytes(bytesOut),
    ])
  }
  return table.toString()
}

const reasonTable = (stages: readonly StageCounts[]): string => {
  const rows = stages.flatMap(({ stage, dropped }) =>
    Object.entries(dropped)
      .filter(([, count]) => count > 0)
      .map(([reason, count]) => [stage, reason, count] as const),
  )
  if (rows.length === 0) return ''
  const table = newTable(['stage', 'reason', 'documents'])
  for (const [stage, reason, count] of rows.sort((a, b) => b[2] - a[2])) table.push([stage, reason, String(count)])
  return table.toString()
}

const newTable = (head: string[]): Table.Table =>
  new Table({ head, colAligns: ['left'], style: { head: [], border: [], compact: true } })

const lengthBars = (lengths: Record<string, number>): string => {
  const keys = Object.keys(lengths).map(Number)
  if (keys.length === 0) return ''
  const rows: [string, number][] = []
  for (let key = Math.min(...keys); key <= Math.max(...keys); key++) {
    const low = key === 0 ? 0 : 2 ** key
    rows.push([`${formatCount(low)} – ${formatCount(2 ** (key + 1))}`, lengths[key] ?? 0])
  }
  return bars(rows)
}

const bars = (rows: readonly (readonly [string, number])[]): string => {
  const shown = rows.slice(0, topRows + 20)
  const most = Math.max(1, ...shown.map(([, count]) => count))
  const width = Math.max(0, ...shown.map(([label]) => label.length))
  const digits = Math.max(0, ...shown.map(([, count]) => String(count).length))
  const lines = shown.map(([label, count]) => {
    const bar = '█'.repeat(Math.round((barWidth * count) / most)) || (count > 0 ? '▏' : '')
    return `  ${label.padEnd(width)}  ${String(count).padStart(digits)} ${bar}`.trimEnd()
  })
  if (rows.length > shown.length) lines.push(`  … and ${rows.length - shown.length} more`)
  return lines.join('\n')
}

const byCount = (a: readonly [string, number], b: readonly [string, number]): number =>
  b[1] - a[1] || (a[0] < b[0] ? -1 : 1)

const damagedLines = ({ damaged, damagedInputs }: CorpusReport): string[] => {
  if (damagedInputs === 0) return []
  const lines = damaged.slice(0, topRows).map(({ path, message, recordsBefore }) => {
    return `  ${path}: ${message} (after ${recordsBefore} records)`
  })
  if (damagedInputs > lines.length) lines.push(`  … and ${damagedInputs - lines.length} more`)
  return [section(`Damaged inputs: ${damagedInputs}`, lines.join('\n'))]
}

const contaminationLines = ({ contamination }: CorpusReport): string[] => {
  if (contamination === undefined) return []
  const table = newTable(['test set', 'texts', 'n-gram', 'texts found', 'documents'])
  for (const { name, items, nGram, itemsFound, documents } of contamination.testSets) {
    table.push([name, items, nGram, itemsFound, documents].map(String))
  }
  const examples = contamination.overlaps.slice(0, topRows).map(({ id, action, testSet, item, excerpt }) => {
    return `  ${id} (${action}): ${testSet} ${item}\n    ${quote(excerpt)}`
  })
  return [section('Overlaps with test sets', [table.toString(), ...examples].join('\n'))]
}

const sampleLines = ({ samples }: CorpusReport): string =>
  samples
    .map(({ stage, reason, detail, source, excerpt }) => {
      const head = `  ${stage} / ${reason}${detail === undefined ? '' : ` (${detail})`} — ${source.path} @ ${source.offset}`
      return `${head}\n    ${quote(excerpt)}`
    })
    .join('\n')

/** A text on one line, with escaped line ends. */
const quote = (text: string): string => JSON.stringify(text.length > 160 ? `${text.slice(0, 160)}…` : text)

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
