// The second half of the quickstart: the base becomes specialists for three tasks, each by several variants and once from random
// weights, and a comparison says what each cost and won. Started again, it goes on where it stopped. Knows no variant's code.
import { join } from 'node:path'
import { formatDuration, parseConfig } from '../../core/index.ts'
import type {
  Comparison,
  FinetuneInput,
  FinetuneSettings,
  RunListener,
  TaskChoice,
  VariantChoice,
} from '../../runs/index.ts'
import type { CommandContext } from '../command.ts'
import { compare } from '../commands/compare.ts'
import { predict } from '../commands/predict.ts'
import { TrainingBar } from '../parts/training-bar.ts'
import { runToEnd } from './run.ts'

type Changes = Partial<FinetuneSettings> & (VariantChoice | { variant?: undefined; adapter?: undefined })

interface Specialist {
  name: string
  /** What is asked, for people. */
  asks: string
  /** What such a model can show of it, and what not. */
  limits: string
  recipe: Omit<FinetuneSettings, 'base' | 'out' | 'data' | 'validation'> & TaskChoice
  data: string
  validation: string
  variants: { [run: string]: Changes }
  /** Texts to show the best run on. */
  texts: string[]
}

const adapted = { learningRate: 2e-3, untrainedBaseline: false } as const
const lora: Changes = { variant: 'lora', adapter: { targets: 'all-linear', rank: 8 }, ...adapted }
const variants: Specialist['variants'] = {
  full: {},
  adapter: { variant: 'pfeiffer', ...adapted },
  lora,
  // The same as `full` and `lora`, and all that differs is where they begin.
  'from-random': { randomInit: true },
  'lora-from-random': { ...lora, randomInit: true },
}
// Work that has no steps takes no settings of steps.
const noSteps: Changes = { learningRate: undefined, budget: undefined, batch: undefined, evaluate: undefined }
const features: Specialist['variants'] = {
  features: { variant: 'feature-based', ...noSteps },
  'random-features': { variant: 'feature-based', randomInit: true, ...noSteps },
}

// Measured from a base of this kind and from random weights, on SST-2: 5e-4 and 1e-3 are close for both, 2e-3 is too much.
/** Steps, so that a run can be repeated; and a bound on time, so that a slow machine comes to an end as well. */
const trained = (steps: number, minutes: number, sequences = 32): Changes => ({
  batch: { sequences },
  budget: { steps, minutes },
  learningRate: 1e-3,
  // Once, at the end.
  evaluate: { steps },
})

const specialists: Specialist[] = [
  {
    name: 'sentiment',
    asks: 'does a phrase of a movie review praise or blame? (SST-2)',
    limits:
      'the words that praise and blame can be learnt from 6,000 phrases; BERT-base knows the language before, and gets 93 %',
    recipe: { task: 'sequence-classification', dataset: 'sst2', maxLength: 64, ...trained(360, 0.6) },
    data: 'sst2/train.tsv.gz',
    validation: 'sst2/dev.tsv.gz',
    variants: { ...variants, ...features },
    texts: ['A wonderful, moving film with a brilliant cast.', 'Dull, endless and badly acted.'],
  },
  {
    name: 'medical',
    asks: 'what is a passage about health about: causes, symptoms, treatment …? (MedQuAD, eight topics)',
    limits:
      'the topic shows in single words, which a small model can learn; whether the passage is right it cannot say',
    recipe: {
      task: 'sequence-classification',
      settings: { label: 'topic' },
      maxLength: 64,
      ...trained(220, 0.6),
    },
    data: 'medquad/train.jsonl.gz',
    validation: 'medquad/dev.jsonl.gz',
    variants: { ...variants, ...features },
    texts: [
      'Signs include fever, a rash, and pain in the joints.',
      'Surgery or drugs may be used to remove the tumor.',
    ],
  },
  {
    name: 'questions',
    asks: 'which words of a paragraph answer a question? (SQuAD, questions that have an answer)',
    limits:
      'to find an answer a model must read, which takes thousands of times this pretraining: BERT-base gets an F1 of 0.88, and this one little more than a guess',
    recipe: {
      task: 'extractive-qa',
      dataset: 'squad',
      settings: { stride: 32, maxQuestionTokens: 24, maxAnswerTokens: 12 },
      maxLength: 128,
      ...trained(600, 0.6, 16),
    },
    data: 'squad/train.json.gz',
    validation: 'squad/dev.json.gz',
    // Features are for tasks that give each text an answer; this one gives its tokens scores.
    variants,
    texts: [],
  },
]

export interface SpecialistsPlan {
  /** The generalist. */
  base: string
  /** Folder of the bundled rows. */
  data: string
  out: string
  /** Of each run, in place of those planned. */
  steps?: number
}

export interface SpecialistResult {
  name: string
  asks: string
  limits: string
  runs: string[]
  comparison: Comparison
  /** The page with plots. */
  page: string
  /** Of the best run. */
  examples: unknown
}

const renderCompare = (comparison: Comparison): string => compare.render?.({ ...comparison, markdown: false }) ?? ''

const percent = (value: number) => `${(100 * value).toFixed(1)} %`

/** A bar while it trains, a line when it is done. */
const finetuneQuickly = async (input: FinetuneInput, label: string, context: CommandContext): Promise<void> => {
  const bar = new TrainingBar({ label })
  const started = performance.now()
  try {
    const listener: RunListener = {
      signal: context.signal,
      onEvent(event) {
        if (event.type === 'step') bar.update(event)
        if (event.type === 'incident') bar.line(`${label}: ${event.message}`)
      },
    }
    const done = await runToEnd({ ...input, command: 'finetune' }, listener, context)
    bar.stop()
    const time = formatDuration(performance.now() - started)
    context.log(`  ${label}: ${done === undefined ? 'done before' : `${done.steps} steps in ${time}`}`)
  } finally {
    bar.stop()
  }
}

const without = (recipe: object): object =>
  Object.fromEntries(Object.entries(recipe).filter(([, value]) => value !== undefined))

export const makeSpecialists = async (
  { base, data, out, steps }: SpecialistsPlan,
  context: CommandContext,
): Promise<SpecialistResult[]> => {
  const results: SpecialistResult[] = []
  for (const { name, asks, limits, recipe, texts, ...own } of specialists) {
    context.log(`  ${name}: ${asks}`)
    const runs: string[] = []
    for (const [variant, changes] of Object.entries(own.variants)) {
      const folder = join(out, name, variant)
      const shared = { base, data: join(data, own.data), validation: join(data, own.validation), out: folder }
      const input = without({ ...recipe, ...shared, ...changes }) as FinetuneInput
      if (steps !== undefined && input.budget !== undefined)
        Object.assign(input, { budget: { steps }, evaluate: { steps } })
      await finetuneQuickly(input, `${name}, ${variant}`, context)
      context.signal.throwIfAborted()
      runs.push(folder)
    }
    const page = join(out, name, 'comparison.html')
    const options = parseConfig(compare.options, { html: page }, 'compare')
    const comparison: Comparison = await compare.run(options, { runs }, context)
    const best = comparison.runs[0].run
    const asked = { model: best, text: texts }
    const examples =
      texts.length === 0 ? undefined : await predict.run(parseConfig(predict.options, asked, 'predict'), {}, context)
    results.push({ name, asks, limits, runs, comparison, page, examples })
  }
  return results
}

/** What the numbers say of pretraining, whichever way they went. */
const verdicts = ({ comparison }: SpecialistResult): string[] => {
  const said = comparison.runs.flatMap(({ variant, metric, pretraining }) => {
    if (pretraining === undefined) return []
    const { value, low, high } = pretraining
    const numbers = `${value >= 0 ? '+' : ''}${percent(value)} [${percent(low)}, ${percent(high)}]`
    const verdict =
      low > 0
        ? 'it helps'
        : high < 0
          ? 'it does harm here: what it learnt in so little time stands in the way'
          : 'no more than chance would give'
    return [`  pretraining, against random weights: ${variant} ${numbers} ${metric}: ${verdict}`]
  })
  // LOG.md, 2026-11-26: two seeds of random weights on MedQuAD, 0.762 and 0.839 at 3e-4 after 440 steps.
  const caution =
    '  these intervals are over the questions asked; another seed moves full fine-tuning of so small a model by several points'
  return said.length === 0 ? said : [...said, caution]
}

export const renderSpecialists = (results: readonly SpecialistResult[]): string =>
  results
    .flatMap((result) => [
      `Specialist "${result.name}": ${result.asks}`,
      renderCompare(result.comparison),
      ...verdicts(result),
      `  what it can show: ${result.limits}`,
      ...(result.examples === undefined
        ? []
        : [(predict.render?.(result.examples as never) ?? '').replace(/^/gm, '  ')]),
      '',
    ])
    .join('\n')
