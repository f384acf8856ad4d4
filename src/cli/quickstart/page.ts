// The quickstart's page: the pipeline, training curves, the comparison, the costs and samples in one HTML file that needs nothing else.
import { resolve } from 'node:path'
import { formatBytes, formatCount, formatDuration } from '../../core/index.ts'
import {
  escapeHtml,
  htmlPage,
  htmlTable,
  type RunHistory,
  readHistory,
  renderSvg,
  type Series,
  smoothed,
} from '../../tracking/index.ts'
import type { BaseResult } from './base-model.ts'
import { costHead, costRow } from './costs.ts'
import {
  comparisonHead,
  comparisonRows,
  conclusion,
  costRatio,
  costsOf,
  describeScore,
  type QuickstartResult,
} from './report.ts'
import type { Score, SpecialistResult } from './specialists.ts'

interface Stage {
  title: string
  lines: string[]
}

const stagesOf = ({ text, pretrained, specialists, base }: QuickstartResult): Stage[] => [
  ...(text === undefined
    ? []
    : [
        { title: 'Raw text', lines: text.corpus.sources.map(({ name, documents }) => `${name}: ${documents}`) },
        {
          title: 'Corpus',
          lines: [
            `${formatCount(text.corpus.documents)} documents`,
            formatBytes(text.corpus.bytes),
            `${text.corpus.dropped} dropped`,
          ],
        },
        { title: 'Tokenizer', lines: ['WordPiece', `${formatCount(text.tokenizer.vocabSize)} tokens`] },
        {
          title: 'Shards',
          lines: [
            `${formatCount(text.shards.train.tokens)} training`,
            `${formatCount(text.shards.validation.tokens)} validation`,
          ],
        },
      ]),
  {
    title: 'Base',
    lines:
      pretrained === undefined
        ? ['pretrained', base.split('/').at(-1) ?? base]
        : [
            `GPT, ${formatCount(pretrained.cost.trainedParameters)}`,
            `${formatCount(pretrained.cost.tokens)} tokens seen`,
          ],
  },
  { title: 'Specialists', lines: specialists.map(({ name }) => name) },
]

/** Boxes in a row, with arrows between them. */
const pipelineSvg = (stages: readonly Stage[]): string => {
  const [width, height, gap] = [150, 110, 28]
  const boxes = stages.map(({ title, lines }, i) => {
    const x = i * (width + gap) + 1
    const text = lines
      .slice(0, 4)
      .map((line, row) => `<text x="${x + 10}" y="${44 + 16 * row}">${escapeHtml(line)}</text>`)
      .join('')
    const arrow = i === 0 ? '' : `<path class="axis" d="M${x - gap + 4} ${height / 2}H${x - 6}m-6 -5l6 5l-6 5"/>`
    return (
      `${arrow}<rect class="axis" x="${x}" y="1" width="${width}" height="${height - 2}" rx="8"/>` +
      `<text x="${x + 10}" y="24" style="font-weight:600;fill:var(--ink)">${escapeHtml(title)}</text>${text}`
    )
  })
  const total = stages.length * (width + gap) - gap + 2
  return `<svg viewBox="0 0 ${total} ${height}" role="img" aria-label="Pipeline">${boxes.join('')}</svg>`
}

/** Scores with their intervals: a row for each task and way of fine-tuning, the base and random weights in it. */
const scoreSvg = (specialists: readonly SpecialistResult[]): string => {
  const rows = specialists.flatMap(({ name, pairs }) =>
    pairs.map(({ variant, base, random }) => ({
      label: `${name}, ${variant === 'lora' ? 'LoRA' : 'full'}`,
      base,
      random,
    })),
  )
  const [left, right, step] = [130, 620, 40]
  const high = Math.max(
    0.1,
    ...rows.flatMap(({ base, random }) => [base.high, random.high, base.value]).filter(Number.isFinite),
  )
  const xAt = (value: number) => (left + (Math.max(0, value) / high) * (right - left)).toFixed(1)
  const mark = ({ value, low, high: top }: Score, y: number, color: number, name: string) =>
    `<g class="point s${color}"><title>${escapeHtml(`${name} ${describeScore({ value, low, high: top })}`)}</title>` +
    `<path d="M${xAt(low)} ${y}H${xAt(top)}"/><circle cx="${xAt(value)}" cy="${y}" r="4"/></g>`
  const ticks = Array.from({ length: 6 }, (_, i) => (high * i) / 5)
  const height = step * rows.length + 30
  const grid = ticks.map(
    (tick) =>
      `<path class="grid" d="M${xAt(tick)} 0V${height - 24}"/><text class="x" x="${xAt(tick)}" y="${height - 8}">${tick.toFixed(2)}</text>`,
  )
  const marks = rows.map(
    ({ label, base, random }, i) =>
      `<text class="y" x="${left - 10}" y="${step * i + 24}">${escapeHtml(label)}</text>` +
      mark(base, step * i + 15, 0, 'base') +
      mark(random, step * i + 27, 1, 'random weights'),
  )
  return (
    '<figure><figcaption>Validation scores with 95 % intervals</figcaption>' +
    '<p class="legend"><span class="s0">pretrained base</span><span class="s1">random weights</span></p>' +
    `<svg viewBox="0 0 640 ${height}" role="img" aria-label="Scores">${grid.join('')}${marks.join('')}</svg></figure>`
  )
}

/** The smoothed loss of a run as a curve; none for a run without a step. */
const trainingCurve = (name: string, { training: { loss } }: RunHistory): Series[] => {
  if (loss === undefined) return []
  const { steps, values } = smoothed(loss)
  return [{ name, x: steps, y: values }]
}

const lossSvg = async (title: string, { run }: BaseResult): Promise<string> => {
  const history = await readHistory(run)
  const { evaluations } = history
  const series = trainingCurve('training, smoothed', history)
  if (evaluations.loss !== undefined)
    series.push({ name: 'validation', x: evaluations.loss.steps, y: evaluations.loss.values })
  return renderSvg({ title, series, axis: 'linear' })
}

const specialistSvg = async ({ name, comparison }: SpecialistResult): Promise<string> => {
  const curves = await Promise.all(
    comparison.runs.map(async ({ run, name: own }) =>
      trainingCurve(run.split('/').at(-1) ?? own, await readHistory(run)),
    ),
  )
  return renderSvg({ title: `Training loss of "${name}", smoothed`, series: curves.flat(), axis: 'linear' })
}

const samples = ({ pretrained, specialists }: QuickstartResult): string => {
  const parts: string[] = []
  if (pretrained !== undefined) {
    const rows = pretrained.samples.map(({ step, prompt, text }) => [String(step), prompt, text])
    parts.push('<h3>What the base writes</h3>', htmlTable(['step', 'prompt', 'continuation'], rows))
  }
  for (const { name, examples } of specialists)
    parts.push(`<h3>What the specialist "${escapeHtml(name)}" predicts</h3><pre>${escapeHtml(examples)}</pre>`)
  return parts.join('\n')
}

/** The whole page. */
export const renderQuickstartPage = async (result: QuickstartResult): Promise<string> => {
  const { pretrained, specialists, seconds, next, out } = result
  const curves = [
    ...(pretrained === undefined ? [] : [await lossSvg('Loss of the base over next tokens', pretrained)]),
    ...(await Promise.all(specialists.map(specialistSvg))),
  ]
  const ratio = costRatio(result)
  const tasks = specialists.map(({ name, question, metric }) => [name, question, metric])
  return htmlPage(
    'Tunesmith quickstart',
    [
      '<h1>From raw text to specialists</h1>',
      `<p>${escapeHtml(conclusion(result))}</p>`,
      `<section><h2>Pipeline</h2>${pipelineSvg(stagesOf(result))}</section>`,
      `<section><h2>Comparison</h2>${htmlTable(['task', 'question', 'score'], tasks)}`,
      `<div class="charts">${scoreSvg(specialists)}<div>${htmlTable(comparisonHead, comparisonRows(specialists))}</div></div></section>`,
      `<section><h2>Cost</h2>${htmlTable(costHead, costsOf(result).map(costRow))}`,
      `${ratio === undefined ? '' : `<p>${escapeHtml(ratio)}</p>`}</section>`,
      `<section><h2>Curves</h2><div class="charts">${curves.join('\n')}</div></section>`,
      `<section><h2>Samples</h2>${samples(result)}</section>`,
      `<section><h2>Next</h2><pre>${escapeHtml(next.join('\n'))}</pre>`,
      `<p>Everything is in ${escapeHtml(resolve(out))} (${formatDuration(seconds * 1000)}).</p></section>`,
    ].join('\n'),
  )
}
