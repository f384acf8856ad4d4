// A comparison in words and as one self-contained HTML file: verdicts, tables, scores against costs, training curves, samples.
import { formatBytes, formatCount, formatDuration, groupBy } from '../../core/index.ts'
import {
  type Chart,
  type Column,
  escapeHtml,
  htmlPage,
  htmlTable,
  type RunHistory,
  readHistory,
  renderScatter,
  renderSvg,
  type Series,
  smoothed,
} from '../../tracking/index.ts'
import type { ComparedRun, ComparedSample, Comparison } from './compare.ts'
import type { Costs, RewardChart } from './run-costs.ts'
import type { ComparedDifference } from './scored-run.ts'

/** Differences that chance gives as often as this, or more often, decide nothing. */
const significance = 0.05

const together = (names: readonly string[]): string =>
  names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names[names.length - 1]}`

const are = (names: readonly string[], what: string): string =>
  `${together(names)} ${names.length === 1 ? 'is' : 'are'} ${what}`

/** A sentence or two for each group of runs that were scored on the same records; none for a run that is alone. */
export const verdictsOf = (runs: readonly ComparedRun[]): string[] =>
  [...groupBy(runs, ({ task, metric, records }) => JSON.stringify([task, metric, records])).values()].flatMap(
    (group) => {
      const best = group.find(({ value, difference }) => difference === undefined && Number.isFinite(value))
      const others = group.filter(({ difference }) => difference !== undefined)
      if (best === undefined || others.length === 0) return []
      const isWorse = ({ difference }: ComparedRun) => (difference?.probability ?? 1) < significance
      const worse = others.filter(isWorse).map(({ name }) => name)
      const level = others.filter((run) => !isWorse(run)).map(({ name }) => name)
      const first = `${best.name} has the best ${best.metric}, ${best.value.toFixed(4)}.`
      const beaten = worse.length === 0 ? [] : [`${are(worse, 'worse')} by more than chance.`]
      const equal = level.length === 0 ? [] : [`${are(level, 'not worse')} by more than chance.`]
      return [[first, ...beaten, ...equal].join(' ')]
    },
  )

const score = (value: number) => (Number.isNaN(value) ? '–' : value.toFixed(4))
const signed = (value: number) => `${value >= 0 ? '+' : ''}${score(value)}`

/** `+0.0120 [0.0010, 0.0230], p 0.032`. */
const describeDifference = ({ value, low, high, probability }: ComparedDifference): string =>
  `${signed(value)} [${score(low)}, ${score(high)}], p ${Number.isNaN(probability) ? '–' : probability.toFixed(3)}`

const describeScore = ({ value, low, high }: { value: number; low: number; high: number }): string =>
  Number.isNaN(low) ? score(value) : `${score(value)} [${score(low)}, ${score(high)}]`

const describeVariant = ({ variant, randomInit }: ComparedRun): string =>
  randomInit ? `${variant}, from random` : variant

const describeTrained = ({ trainedParameters, trainedShare }: ComparedRun): string =>
  `${formatCount(trainedParameters)}${trainedShare === undefined ? '' : ` (${Number((100 * trainedShare).toPrecision(3))} %)`}`

/** `12.3 s, 4.5e+12 FLOPs, 0.02 USD`. */
const describeCosts = ({ seconds, flops, money }: Costs): string =>
  [
    formatDuration(1000 * seconds),
    ...(flops === undefined ? [] : [`${flops.toExponential(1)} FLOPs`]),
    ...(money === undefined ? [] : [`${Number(money.amount.toPrecision(2))} ${money.currency}`]),
  ].join(', ')

interface RunColumn {
  head: string
  cell(row: ComparedRun): string
}

/** The columns of a task's runs that at least one of them has. */
const comparisonColumns = (rows: readonly ComparedRun[]): RunColumn[] => {
  const column = (head: string, cell: RunColumn['cell']): RunColumn[] => [{ head, cell }]
  /** A column of what some runs may lack. */
  const optional = <Value>(
    head: string,
    of: (row: ComparedRun) => Value | undefined,
    text: (value: Value) => string,
  ) =>
    rows.every((row) => of(row) === undefined)
      ? []
      : column(head, (row) => {
          const value = of(row)
          return value === undefined ? '' : text(value)
        })
  const short = (value: number) => Number(value.toPrecision(3))
  return [
    ...column('run', ({ name }) => name),
    ...column('variant', describeVariant),
    ...column(rows[0].metric, describeScore),
    ...optional('to the best', ({ difference }) => difference, describeDifference),
    ...optional('pretraining brought', ({ pretraining }) => pretraining, describeDifference),
    ...column('trained', describeTrained),
    ...column('time', ({ seconds }) => formatDuration(seconds * 1000)),
    ...optional('cost per point', ({ pointCosts }) => pointCosts, describeCosts),
    ...optional('pretraining cost', ({ baseCosts }) => baseCosts, describeCosts),
    ...optional(
      'energy',
      ({ energyJoules }) => energyJoules,
      (joules) => `${short(joules / 1000)} kJ`,
    ),
    ...optional(
      'cost',
      ({ cost }) => cost,
      ({ amount, currency }) => `${short(amount)} ${currency}`,
    ),
    ...column('memory', ({ peakBytes }) => (peakBytes === 0 ? '' : formatBytes(peakBytes))),
    ...column('file', ({ fileBytes }) => formatBytes(fileBytes)),
    ...optional(
      'examples/s',
      ({ examplesPerSecond }) => examplesPerSecond,
      (rate) => String(short(rate)),
    ),
    ...optional(
      'tokens/s',
      (row) => row.tokensPerSecond || undefined,
      (rate) => formatCount(Math.round(rate)),
    ),
  ]
}

/** Rows for each task: its runs, then the references. */
export const comparisonTables = ({
  runs,
  references,
}: Comparison): { task: string; head: string[]; rows: string[][] }[] =>
  [...new Set(runs.map(({ task }) => task))].map((task) => {
    const own = runs.filter((run) => run.task === task)
    const columns = comparisonColumns(own)
    const held = references
      .filter((reference) => reference.task === task)
      .map((reference) =>
        columns.map((_, i) =>
          i === 0 ? reference.name : i === 1 ? 'reference' : i === 2 ? describeScore(reference) : '',
        ),
      )
    return {
      task,
      head: columns.map(({ head }) => head),
      rows: [...own.map((row) => columns.map(({ cell }) => cell(row))), ...held],
    }
  })

/** A chart of rewards as a table. */
export const rewardTable = ({ reward, points }: RewardChart): { head: string[]; rows: string[][] } => ({
  head: ['answers of', 'method', 'KL divergence', reward],
  rows: points.map((point) => [point.name, point.method, score(point.kl), describeScore(point)]),
})

const costs: { across: string; axis: 'log' | 'linear'; of(run: ComparedRun): number | undefined }[] = [
  // The honest comparison of rewards: how far from the base each of them was bought.
  { across: 'KL divergence from the base', axis: 'linear', of: ({ kl }) => kl },
  { across: 'seconds', axis: 'log', of: ({ seconds }) => seconds },
  { across: 'trained parameters', axis: 'log', of: ({ trainedParameters }) => trainedParameters },
]

const scatters = ({ runs, references }: Comparison, task: string): string => {
  const own = runs.filter((run) => run.task === task)
  const kinds = [...new Set(own.map(describeVariant))]
  const held = references.filter((reference) => reference.task === task)
  return costs
    .filter(({ of }) => own.some((run) => of(run) !== undefined))
    .map(({ across, axis, of }) =>
      renderScatter({
        title: `${own[0].metric} against ${across}`,
        across,
        axis,
        points: own.flatMap((run) => {
          const x = of(run)
          return x === undefined
            ? []
            : [
                {
                  name: run.name,
                  x,
                  y: run.value,
                  low: run.low,
                  high: run.high,
                  kind: kinds.indexOf(describeVariant(run)),
                },
              ]
        }),
        references: held.map(({ name, value }) => ({ name, y: value })),
      }),
    )
    .join('\n')
}

/** Charts of the training loss and of the metric, with a curve for each run of a task. */
const curves = async (runs: readonly ComparedRun[]): Promise<string> => {
  const histories = await Promise.all(
    runs.map(async (run) => ({ run, history: await readHistory(run.run).catch(() => undefined) })),
  )
  const chart = (title: string, columnOf: (history: RunHistory, run: ComparedRun) => Column | undefined): Chart => ({
    title,
    axis: 'linear',
    series: histories.flatMap(({ run, history }): Series[] => {
      const column = history && columnOf(history, run)
      return column === undefined ? [] : [{ name: run.name, x: column.steps, y: column.values }]
    }),
  })
  return [
    chart('Training loss, smoothed', ({ training }) => training.loss && smoothed(training.loss)),
    chart(`Validation: ${runs[0].metric}`, ({ evaluations }, { metric }) => evaluations[metric]),
  ]
    .filter(({ series }) => series.length > 0)
    .map(renderSvg)
    .join('\n')
}

const sampleSection = ({ id, prompt, reference, answers }: ComparedSample): string =>
  `<h3>${escapeHtml(id)}</h3><pre>${escapeHtml(prompt)}</pre>` +
  htmlTable(['who', 'says'], [['reference', reference], ...answers.map(({ name, text }) => [name, text])])

/** The comparison as a page. */
export const renderComparisonPage = async (compared: Comparison): Promise<string> => {
  const sections = comparisonTables(compared).map(async ({ task, head, rows }) => {
    const own = compared.runs.filter((run) => run.task === task)
    const samples = compared.samples.filter((sample) => sample.task === task)
    return [
      `<section><h2>${escapeHtml(task)}</h2>${htmlTable(head, rows)}`,
      `<div class="charts">${scatters(compared, task)}\n${await curves(own)}</div>`,
      samples.length === 0 ? '' : `<h2>Samples</h2>${samples.map(sampleSection).join('\n')}`,
      '</section>',
    ].join('\n')
  })
  const rewards = compared.rewards.map(({ reward, points }) => {
    const methods = [...new Set(points.map(({ method }) => method))]
    const chart = renderScatter({
      title: `${reward} against KL divergence from the base`,
      across: 'nats per answer',
      axis: 'linear',
      points: points.map(({ kl, value, method, ...point }) => ({
        ...point,
        x: kl,
        y: value,
        kind: methods.indexOf(method),
      })),
    })
    const { head, rows } = rewardTable({ reward, points })
    return `<section><h2>${escapeHtml(reward)} against KL divergence</h2>${htmlTable(head, rows)}<div class="charts">${chart}</div></section>`
  })
  const verdicts = verdictsOf(compared.runs).map((verdict) => `<p>${escapeHtml(verdict)}</p>`)
  const warnings = compared.warnings.map((warning) => `<p><b>${escapeHtml(warning)}</b></p>`)
  const notes =
    '<p>Intervals are 95 % bootstrap intervals over the validation records. Differences are between predictions of the same records: the run minus ' +
    'the other, with the probability that chance alone gives one as large. A point is 0.01 of the metric above the best score that takes no training.</p>'
  return htmlPage(
    'Comparison',
    ['<h1>Comparison</h1>', ...verdicts, ...warnings, notes, ...(await Promise.all(sections)), ...rewards].join('\n'),
  )
}
