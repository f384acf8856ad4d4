// What `inspectData` found, as text and as a page.
import { formatCount } from '../../core/index.ts'
import { htmlPage, htmlTable } from '../../tracking/index.ts'
import type { DataInspection, Finding, InspectedPart } from './inspect-data.ts'

const shownLabels = 20
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

interface Section {
  title: string
  head: string[]
  rows: string[][]
}

const summaryOf = ({ path, report, lengths, labels }: InspectedPart, name: string): Section[] => {
  const { unit, of, min, median, mean, p95, p99, max, tooLong } = lengths
  const skipped = Object.entries(report.skipped).map(([reason, { count }]) => `${count} ${reason}`)
  const rows = [
    ['data', path],
    ['records', formatCount(report.records)],
    ...(skipped.length > 0 ? [['skipped', skipped.join(', ')]] : []),
    ...(report.unreadColumns === undefined ? [] : [['columns not read', report.unreadColumns.join(', ')]]),
    [`${unit} per ${of}`, `${min} to ${max}, median ${median}, mean ${mean.toFixed(1)}, p95 ${p95}, p99 ${p99}`],
    ['too long', `${formatCount(tooLong)} (${percent(tooLong / report.records)})`],
  ]
  return [
    { title: name, head: ['', ''], rows },
    {
      title: `Labels of ${name}`,
      head: ['label', 'count', 'share'],
      rows: labels.slice(0, shownLabels).map(({ label, count, share }) => [label, String(count), percent(share)]),
    },
  ]
}

const findingsOf = ({ train, validation, overlap }: DataInspection): [string, Finding][] => {
  const inPart = (part: InspectedPart, name: string): [string, Finding][] => [
    [`copies in ${name}`, part.copies],
    [`same text, other answer in ${name}`, part.contradictions],
    [`near copies in ${name}`, part.nearCopies],
    [`near copies with another answer in ${name}`, part.nearContradictions],
  ]
  return [
    ...inPart(train, 'training'),
    ...(validation === undefined ? [] : inPart(validation, 'validation')),
    ...(overlap === undefined
      ? []
      : ([
          ['validation texts that are in training', overlap.texts],
          ['validation texts that are nearly in training', overlap.near],
        ] as [string, Finding][])),
  ]
}

const sectionsOf = (inspection: DataInspection): Section[] => {
  const { train, validation, overlap, labelNotes, example, nearRecords, similarity } = inspection
  const findings = findingsOf(inspection)
  const labels = [
    ...(overlap?.onlyInTraining.map((label) => [label, 'training only']) ?? []),
    ...(overlap?.onlyInValidation.map((label) => [label, 'validation only']) ?? []),
  ]
  return [
    ...summaryOf(train, 'training'),
    ...(validation === undefined ? [] : summaryOf(validation, 'validation')),
    { title: 'Labels that may be mistakes', head: [''], rows: labelNotes.map((note) => [note]) },
    {
      title: `Findings (near: ${similarity} of the word pairs, first ${formatCount(nearRecords)} records)`,
      head: ['finding', 'records'],
      rows: findings.map(([name, { count }]) => [name, String(count)]),
    },
    {
      title: 'First example (the loss includes what is between ⟦ and ⟧)',
      head: ['', ''],
      rows:
        example === undefined
          ? []
          : [
              ['record', example.place],
              ['tokens', `${example.tokens}, of which the loss includes ${example.trainedTokens}`],
              ['text', example.text.replaceAll('\n', '\n          ')],
            ],
    },
    { title: 'Labels of one part only', head: ['label', 'where'], rows: labels },
    ...findings.map(([name, { examples }]) => ({
      title: `Examples: ${name}`,
      head: ['first', 'second', 'answers', 'text'],
      rows: examples.map(({ first, second, answers, text }) => [first, second, answers.join(' | '), text]),
    })),
  ].filter(({ rows }) => rows.length > 0)
}

/** As text, one finding a line. */
export const renderInspection = (inspection: DataInspection): string =>
  sectionsOf(inspection)
    .map(({ title, rows }) => {
      const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
      const lines = rows.map((row) =>
        row.map((cell, i) => (i < row.length - 1 ? cell.padEnd(widths[i]) : cell)).join('  '),
      )
      return `${title}\n${lines.map((line) => `  ${line.trimEnd()}`).join('\n')}`
    })
    .join('\n\n')

/** As a page of its own. */
export const renderInspectionPage = (inspection: DataInspection): string =>
  htmlPage(
    `Data for ${inspection.task}`,
    `<h1>Data for ${inspection.task}</h1>\n${sectionsOf(inspection)
      .map(({ title, head, rows }) => `<h2>${title}</h2>\n${htmlTable(head, rows)}`)
      .join('\n')}`,
  )
