// What the quickstart found, as text for a terminal of 80 columns and as data for its page. Reads results only; runs nothing.
import { formatBytes, formatCount, formatDuration } from '../../core/index.ts'
import { alignedTable, leadingSpaces, wrapText } from '../parts/text-lines.ts'
import type { BaseResult, LanguageScores } from './base-model.ts'
import { costHead, costRow, type RunCost } from './costs.ts'
import { type Score, type SpecialistPair, type SpecialistResult, tasksWon } from './specialists.ts'
import type { TextResult } from './text-stages.ts'

export interface QuickstartResult {
  out: string
  plan: 'full' | 'fast'
  /** The model that the specialists start from: the quickstart's own base, or the one of `--pretrained`. */
  base: string
  /** Undefined with `--pretrained`, as is `pretrained`. */
  text?: TextResult
  pretrained?: BaseResult
  specialists: SpecialistResult[]
  /** The HTML page. */
  page: string
  seconds: number
  /** Next commands, as typed from the current directory. */
  next: string[]
}

const percent = (value: number) => `${(100 * value).toFixed(1)} %`
const signed = (value: number) => `${value < 0 ? '-' : '+'}${Math.abs(value).toFixed(3)}`

const describeGain = ({ value, low, high }: Score): string =>
  Number.isNaN(value) ? '' : `${signed(value)} [${signed(low)}, ${signed(high)}]`

export const describeScore = ({ value, low, high }: Score): string =>
  Number.isNaN(low) ? value.toFixed(3) : `${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`

const verdict = ({ low, high }: Score): string => (low > 0 ? 'better' : high < 0 ? 'worse' : 'no clear difference')

const variantNames = { full: 'full', lora: 'LoRA' } as const

export const comparisonHead = ['task', 'method', 'metric', 'base', 'random', 'base - random [95 %]', 'base is']

/** A row for each task and way of fine-tuning. */
export const comparisonRows = (results: readonly SpecialistResult[]): string[][] =>
  results.flatMap(({ name, metric, pairs }) =>
    pairs.map(({ variant, base, random, gain }) => [
      name,
      variantNames[variant],
      metric,
      base.value.toFixed(3),
      random.value.toFixed(3),
      describeGain(gain),
      verdict(gain),
    ]),
  )

/** What the comparison says about pretraining, whichever way it went. */
export const conclusion = ({ specialists, plan }: QuickstartResult): string => {
  const total = specialists.length
  const won = (variant: SpecialistPair['variant']) => `${tasksWon(specialists, variant)} of ${total} tasks`
  const caution =
    plan === 'fast'
      ? ' This was the fast run: a base that saw few tokens and specialists of few steps. Run without --fast to see more.'
      : ''
  return (
    `The pretrained base is better than random weights by more than the 95 % interval on ${won('full')} with full fine-tuning ` +
    `and on ${won('lora')} with LoRA. The intervals are over validation records; another seed moves a score by a few points.${caution}`
  )
}

export const costsOf = ({ pretrained, specialists }: QuickstartResult): RunCost[] => [
  ...(pretrained === undefined ? [] : [pretrained.cost]),
  ...specialists.flatMap(({ costs }) => costs.filter(({ name }) => !name.endsWith('-from-random'))),
]

/** How often the base's cost is that of a specialist; undefined where the base was pretrained elsewhere. */
export const costRatio = ({ pretrained, specialists }: QuickstartResult): string | undefined => {
  if (pretrained === undefined) return undefined
  const flops = costsOf({ specialists } as QuickstartResult).map((cost) => cost.flops)
  const mean = flops.reduce((sum, value) => sum + value, 0) / Math.max(1, flops.length)
  const ratio = pretrained.cost.flops / mean
  return `The base took ${Number(ratio.toPrecision(2))} times the computation of a specialist, once for all of them.`
}

const languageTable = (before: LanguageScores, after: LanguageScores): string =>
  alignedTable([
    ['', 'untrained', 'trained'],
    ['validation perplexity', before.perplexity.toFixed(0), after.perplexity.toFixed(0)],
    ['next-token accuracy', percent(before.accuracy), percent(after.accuracy)],
  ])

const describeTraining = ({ steps, tokens, seconds }: RunCost): string =>
  `${steps} steps, ${formatCount(tokens)} tokens, ${formatDuration(seconds * 1000)}`

/** A line that begins with a label of a fixed width. */
const labelled = (label: string, text: string): string =>
  `${label.padEnd(11)}${wrapText(text, { indent: 11, taken: 11 })}`

const oneLine = (text: string) => text.replace(/\s+/g, ' ').trim()

const textLines = ({ corpus, tokenizer, shards, sample, pieces }: TextResult): string[] => [
  labelled(
    'Corpus',
    `${formatCount(corpus.documents)} documents, ${formatBytes(corpus.bytes)} of text; ${corpus.dropped} of ${corpus.read} raw documents dropped`,
  ),
  alignedTable([
    ['source', 'documents', 'characters'],
    ...corpus.sources.map(({ name, documents, characters }) => [name, String(documents), formatCount(characters)]),
  ]),
  labelled(
    'Tokenizer',
    `${formatCount(tokenizer.vocabSize)} tokens (WordPiece) from ${formatCount(tokenizer.distinctWords)} distinct words`,
  ),
  wrapText(`"${sample}"`, { first: 2, indent: 2 }),
  wrapText(pieces.join(' '), { first: 2, indent: 2 }),
  labelled(
    'Shards',
    `${formatCount(shards.train.tokens)} training tokens, ${formatCount(shards.validation.tokens)} validation tokens (${shards.validation.documents} documents)`,
  ),
  '',
]

const baseLines = ({ before, after, cost, samples }: BaseResult): string[] => {
  const last = samples.reduce((step, sample) => Math.max(step, sample.step), 0)
  return [
    `Base (GPT): ${describeTraining(cost)}`,
    languageTable(before, after),
    ...samples
      .filter(({ step }) => step === last)
      .map(({ prompt, text }) => wrapText(`${oneLine(prompt)} … ${oneLine(text)}`, { first: 2, indent: 4 })),
    '',
  ]
}

/** The whole report; no line is longer than 80 columns, paths and commands aside. */
export const renderQuickstart = (result: QuickstartResult): string => {
  const { text, pretrained, specialists, page, seconds, out, next } = result
  const short = comparisonRows(specialists).map((row) => row.filter((_, i) => i !== 2))
  const ratio = costRatio(result)
  return [
    ...(text === undefined ? [] : textLines(text)),
    ...(pretrained === undefined ? [`Base: ${result.base}`, ''] : baseLines(pretrained)),
    'Specialists: validation scores from the pretrained base and from random weights',
    ...specialists.map(({ name, question, metric }) =>
      wrapText(`${name}: ${question} Score: ${metric}.`, { first: 2, indent: 4 }),
    ),
    '',
    alignedTable([comparisonHead.filter((_, i) => i !== 2), ...short]),
    '',
    wrapText(conclusion(result)),
    '',
    'Cost',
    alignedTable([costHead, ...costsOf(result).map(costRow)]),
    ...(ratio === undefined ? [] : [wrapText(ratio)]),
    '',
    ...specialists.flatMap(({ name, examples }) => [
      `Predictions of the specialist "${name}"`,
      ...examples.split('\n').map((line) => wrapText(line, { first: 2 + leadingSpaces(line), indent: 6 })),
    ]),
    '',
    `Everything is in ${out} (${formatDuration(seconds * 1000)}).`,
    `Page: ${page}`,
    'Next:',
    ...next.map((command) => `  ${command}`),
  ].join('\n')
}
