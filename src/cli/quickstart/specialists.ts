// The second half of the quickstart: the base becomes specialists for three tasks, each with full fine-tuning and with LoRA, from the
// pretrained weights and from random ones. Independent of tasks and variants.
import { join } from 'node:path'
import { withoutUndefined } from '../../core/index.ts'
import { predict, renderPrediction } from '../../inference/index.ts'
import { type Comparison, compareRuns, type FinetuneInput, runFiles } from '../../runs/index.ts'
import type { Interval } from '../../tasks/index.ts'
import type { CommandContext } from '../command.ts'
import { type RunCost, readCost } from './costs.ts'
import { type SpecialistPlan, variantPlans } from './plan.ts'
import { runToEnd } from './run.ts'
import type { StoryProgress } from './story-progress.ts'

export interface SpecialistsInput {
  /** Folder or Hub id of the pretrained model. */
  base: string
  pretrained: boolean
  /** Folder of the bundled data. */
  data: string
  out: string
  plans: readonly SpecialistPlan[]
  /** Estimated seconds of a run, for the progress. */
  runSeconds: number
  progress: StoryProgress
}

/** A validation score with its 95 % interval. */
export type Score = Interval

/** One way of fine-tuning, from the base and from random weights. */
export interface SpecialistPair {
  variant: 'full' | 'lora'
  base: Score
  random: Score
  /** Base minus random over the same records, with its 95 % interval. */
  gain: Score
}

export interface SpecialistResult {
  name: string
  question: string
  metric: string
  pairs: SpecialistPair[]
  /** Folder of the run from the base with the better score. */
  best: string
  /** Of the base with an untrained head, and of answers that need no model. */
  references: { name: string; value: number }[]
  costs: RunCost[]
  comparison: Comparison
  /** Predictions of the best run, as text. */
  examples: string
}

const pairOf = ({ runs }: Comparison, folder: string, variant: SpecialistPair['variant']): SpecialistPair => {
  const runIn = (name: string) => runs.find(({ run }) => run === join(folder, name))
  const [base, random] = [runIn(variant), runIn(`${variant}-from-random`)]
  const score = ({ value = Number.NaN, low = Number.NaN, high = Number.NaN }: Partial<Score> = {}): Score => ({
    value,
    low,
    high,
  })
  return { variant, base: score(base), random: score(random), gain: score(base?.pretraining) }
}

export const makeSpecialists = async (
  { base, pretrained, data, out, plans, runSeconds, progress }: SpecialistsInput,
  context: CommandContext,
): Promise<SpecialistResult[]> => {
  const results: SpecialistResult[] = []
  for (const { name, question, recipe, texts, ...files } of plans) {
    progress.next()
    const folder = join(out, name)
    const costs: RunCost[] = []
    const runs: string[] = []
    for (const [variant, changes] of Object.entries(variantPlans(pretrained))) {
      const run = join(folder, variant)
      const shared = { base, data: join(data, files.data), validation: join(data, files.validation), out: run }
      const input = withoutUndefined({ ...recipe, ...shared, ...changes }) as FinetuneInput
      const finished = await runToEnd({ ...input, command: 'finetune' }, `${name}, ${variant}`, context)
      context.signal.throwIfAborted()
      progress.done(runSeconds, { skipped: finished === undefined })
      const cost = await readCost(`${name}, ${variant}`, run, join(run, runFiles.model))
      const state = finished === undefined ? 'done before' : `${cost.steps} steps`
      context.log(`      ${variant}: ${state} (${progress.left()})`)
      costs.push(cost)
      runs.push(run)
    }
    const comparison = await compareRuns(runs)
    for (const warning of comparison.warnings) context.warn(warning)
    const pairs = (['full', 'lora'] as const).map((variant) => pairOf(comparison, folder, variant))
    const best = pairs.reduce((one, other) => (other.base.value > one.base.value ? other : one)).variant
    const predicted = await predict({ model: join(folder, best), texts }, { signal: context.signal })
    results.push({
      name,
      question,
      metric: comparison.runs[0].metric,
      pairs,
      best: join(folder, best),
      references: comparison.references.map(({ name: reference, value }) => ({ name: reference, value })),
      costs,
      comparison,
      examples: predicted.predictions.map((one) => renderPrediction(predicted.head, one)).join('\n'),
    })
  }
  return results
}

/** Tasks where the base beats random weights by more than the interval of the difference. */
export const tasksWon = (results: readonly SpecialistResult[], variant: SpecialistPair['variant']): number =>
  results.filter(({ pairs }) => pairs.some((pair) => pair.variant === variant && pair.gain.low > 0)).length
