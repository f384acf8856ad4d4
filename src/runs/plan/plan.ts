// What a run costs before it starts: memory, arithmetic, time, money and energy, for each fine-tuning method, beside pretraining the base.
import { ConfigError } from '../../core/index.ts'
import { readBaseCard } from '../engine/base-files.ts'
import { machineMemory } from '../engine/memory-limits.ts'
import type { CommonRecipe, RunKind } from '../engine/run-kind.ts'
import { nonIterativeVariants } from '../finetune/variant-names.ts'
import { kindOf, startOf } from '../kinds.ts'
import { withModules } from '../use-modules.ts'
import { rememberedSpeed } from './calibration.ts'
import { costsOf, type Limits, type Prices, type RunCosts, type Speed } from './costs.ts'
import { type Fit, fitRun } from './fit.ts'
import { findAccelerator } from './machines.ts'
import { type PlannedBase, planBuiltRun, planFeatures, planPretraining, type RunPlan } from './plan-run.ts'
import { measureSpeed, tableSpeed } from './speed.ts'

/** Settings of a plan. */
export interface PlanOptions extends Prices {
  /** Graphics card whose data sheet gives speed and memory, in place of this machine. */
  gpu?: string | undefined
  /** Number of cards. */
  count?: number | undefined
  /** Share of the card's peak that training reaches. */
  utilisation?: number | undefined
  /** Time two steps of the run on this machine, or one rollout with the steps on it. */
  measure?: boolean | undefined
  /** Plan the other fine-tuning methods and the pretraining of the base too (default: true). */
  story?: boolean | undefined
  /** Tokens that the base is pretrained on (default: those of its run card, else 20 for each parameter). */
  pretrainingTokens?: number | undefined
  /** Find the largest run within limits. */
  fit?: Limits | undefined
}

/** One run of a plan. */
export interface PlannedRow extends RunPlan {
  name: string
  /** Tokens of the whole run. */
  tokens: number
  /** Floating-point operations of the whole run. */
  flops: number
  costs?: RunCosts
  /** Whether the memory of its tensors fits into the machine's. */
  fits: boolean
}

/** A plan. */
export interface RunPlans {
  command: string
  /** The run that was asked for is the first. */
  rows: PlannedRow[]
  /** Undefined where nothing says how fast the machine is. */
  speed?: Speed
  /** Memory of the machine or the card, in bytes. */
  memoryBytes: number
  notes: string[]
  fit?: Fit
}

/** The method of a recipe; undefined for pretraining. */
const variantOf = (recipe: CommonRecipe): string | undefined => (recipe as { variant?: string }).variant

const minutesOf = ({ budget }: CommonRecipe): number | undefined => budget.minutes

/** A run that ends by time does as many steps as its speed allows. */
const rowOf = (
  name: string,
  plan: RunPlan,
  { recipe, speed, memoryBytes, prices }: { recipe?: CommonRecipe; speed?: Speed; memoryBytes: number; prices: Prices },
): PlannedRow => {
  const minutes = recipe === undefined ? undefined : minutesOf(recipe)
  const byTime =
    minutes === undefined || speed === undefined
      ? Number.POSITIVE_INFINITY
      : Math.floor((60 * minutes * speed.flopsPerSecond) / plan.flopsPerStep)
  const steps = Math.min(plan.steps ?? Number.POSITIVE_INFINITY, byTime)
  const known = Number.isFinite(steps) ? steps : 0
  const flops = known * plan.flopsPerStep
  return {
    ...plan,
    ...(known > 0 ? { steps: known } : {}),
    name,
    tokens: known * plan.tokensPerStep,
    flops,
    ...(speed === undefined || known === 0 ? {} : { costs: costsOf(flops, speed, prices) }),
    fits: plan.memory.heldBytes <= memoryBytes,
  }
}

/** Fine-tuning methods that are planned beside the one of the recipe. */
const comparedVariants = ({ nonIterative }: RunKind): string[] => [
  'full',
  'lora',
  ...(nonIterative === undefined ? [] : nonIterativeVariants),
]

/** Rows of the other methods; those that the task or the recipe rules out are named in the notes. */
const planVariants = async (
  asked: string | undefined,
  recipe: CommonRecipe,
  toRow: (name: string, plan: RunPlan) => PlannedRow,
  notes: string[],
): Promise<PlannedRow[]> => {
  const kind = kindOf(recipe.command)
  const rows: PlannedRow[] = []
  for (const variant of comparedVariants(kind)) {
    if (variant === asked) continue
    try {
      const other = { ...recipe, variant, adapter: {} } as CommonRecipe
      const plan = kind.nonIterative?.(other) === undefined ? planBuiltRun : planFeatures
      rows.push(toRow(variant, await plan(kind, other)))
    } catch (error) {
      notes.push(`${variant} is not planned: ${(error as Error).message}`)
    }
  }
  return rows
}

/** The row of pretraining the base from scratch. */
const planBase = async (
  { base }: { base?: string },
  planned: PlannedBase,
  { pretrainingTokens, gpu }: PlanOptions,
  toRow: (name: string, plan: RunPlan) => PlannedRow,
  prices: Prices,
  notes: string[],
): Promise<PlannedRow[]> => {
  if (base === undefined) return []
  const length = Math.min(512, planned.definition.facts(planned.config).maxPositions ?? 512)
  const step = await planPretraining(planned, length, 16 * length)
  const card = await readBaseCard(base)
  const tokens = pretrainingTokens ?? card?.tokens ?? 20 * step.parameters
  const row = toRow('pretraining the base', {
    ...step,
    steps: Math.max(1, Math.round(tokens / step.tokensPerStep)),
  })
  if (pretrainingTokens !== undefined) return [row]
  if (card === undefined) {
    notes.push(
      'Pretraining the base is planned with 20 tokens for each parameter (arXiv:2203.15556). Set `pretrainingTokens` to what it had.',
    )
    return [row]
  }
  if (gpu !== undefined || !(card.wallSeconds > 0)) {
    notes.push('Pretraining the base is planned with the tokens of its run card.')
    return [row]
  }
  notes.push('Pretraining the base has the tokens and the time of its run card.')
  const { wallSeconds: seconds } = card
  return [{ ...row, costs: costsOf(row.flops, exactSpeed(row.flops / seconds), prices) }]
}

/** The speed of a run that is over. */
const exactSpeed = (flopsPerSecond: number): Speed => ({
  flopsPerSecond,
  tolerance: 0,
  basis: 'measured',
  source: 'its run card',
})

const speedOf = async (recipe: CommonRecipe, plan: RunPlan, options: PlanOptions): Promise<Speed | undefined> => {
  const { gpu, count, utilisation, measure } = options
  if (gpu !== undefined) return tableSpeed({ gpu, count, utilisation }, recipe.precision)
  if (measure) return measureSpeed(kindOf(recipe.command), recipe, plan)
  // What is remembered is the speed of training steps.
  if (plan.rollouts !== undefined) return undefined
  return rememberedSpeed(recipe.precision, plan.flopsPerStep / plan.tokensPerStep)
}

const expectOptions = ({ gpu, count, utilisation, measure, ...prices }: PlanOptions): void => {
  if (gpu === undefined && (count !== undefined || utilisation !== undefined))
    throw new ConfigError('`count` and `utilisation` need a graphics card: set `gpu`.')
  if (gpu !== undefined && measure) throw new ConfigError('`measure` times this machine: remove `gpu`.')
  if (prices.pricePerKilowattHour !== undefined && prices.watts === undefined && gpu === undefined)
    throw new ConfigError('`pricePerKilowattHour` needs the power of the machine: set `watts`.')
}

/** @throws ConfigError for a limit of money where nothing has a price */
const expectPrice = ({ fit }: PlanOptions, { pricePerHour, pricePerKilowattHour }: Prices): void => {
  if (fit?.money !== undefined && pricePerHour === undefined && pricePerKilowattHour === undefined)
    throw new ConfigError('`fit` by money needs a price: set `pricePerHour`, or `watts` and `pricePerKilowattHour`.')
}

/** What the plan of a run that writes its own answers takes for granted. */
const rolloutNotes = ({ rollouts, flopsPerStep }: RunPlan, speed: Speed | undefined): string[] => {
  if (rollouts === undefined) return []
  const share = Math.round((100 * rollouts.flops) / (rollouts.steps * flopsPerStep))
  return [
    `Every answer is planned with the most tokens that it may have (\`rollout.maxNewTokens\`). Rollouts take ${share} % of the FLOPs; a rollout serves ${rollouts.steps === 1 ? '1 step' : `${rollouts.steps} steps`}. Environments, functions, programs and addresses that give rewards are not counted.`,
    ...(speed?.basis === 'table'
      ? ['The time by a data sheet is that of training: answers are written token by token, which takes longer.']
      : []),
  ]
}

/**
 * Plans a run of any kind by its recipe: reads its data, and computes nothing unless `measure` is set.
 * @throws ConfigError for settings that do not fit each other, an unknown card, or limits that no run stays within
 */
export const planRun = async (input: object, options: PlanOptions = {}): Promise<RunPlans> => {
  expectOptions(options)
  const given = await withModules(input)
  const { command = 'pretrain' } = given as { command?: string }
  const recipe = await startOf(command).resolve(given)
  const card = options.gpu === undefined ? undefined : findAccelerator(options.gpu)
  const memoryBytes = recipe.memoryBudget ?? card?.memoryBytes ?? machineMemory()
  const watts = options.watts ?? (card === undefined ? undefined : card.watts * (options.count ?? 1))
  const prices: Prices = { ...options, watts, pricePerHour: options.pricePerHour ?? recipe.pricePerHour }
  expectPrice(options, prices)
  const notes: string[] = []
  const kind = kindOf(command)
  const features = kind.nonIterative?.(recipe) !== undefined
  // A method without steps has no budget and no batches: those of a run with steps are planned, as it has them by default.
  const stepwise = features ? await startOf(command).resolve({ ...given, variant: 'full', adapter: {} }) : recipe
  const planned = features ? await planFeatures(kind, stepwise) : await planBuiltRun(kind, recipe)
  const speed = features && options.measure ? undefined : await speedOf(recipe, planned, options)
  if (speed === undefined)
    notes.push(
      `No time is known for this ${planned.rollouts === undefined ? 'machine yet' : 'run'}: add \`measure\` to time ${planned.rollouts === undefined ? 'two steps' : 'a rollout'}, or choose a \`gpu\`.`,
    )
  notes.push(...rolloutNotes(planned, speed))
  const toRow = (name: string, plan: RunPlan) => rowOf(name, plan, { recipe, speed, memoryBytes, prices })
  const rows = [toRow(variantOf(recipe) ?? 'pretraining', planned)]
  if (options.story !== false && variantOf(recipe) !== undefined) {
    rows.push(...(await planVariants(variantOf(recipe), stepwise, toRow, notes)))
    // The speed of a rollout says nothing about pretraining.
    const steps = planned.rollouts === undefined || options.gpu !== undefined
    const plain = (name: string, plan: RunPlan) => rowOf(name, plan, { ...(steps && { speed }), memoryBytes, prices })
    if (planned.base !== undefined)
      rows.push(...(await planBase(recipe as { base?: string }, planned.base, options, plain, prices, notes)))
  }
  const fit =
    options.fit === undefined ? undefined : await fitRun(kind, recipe, planned, { limits: options.fit, speed, prices })
  return { command, rows, ...(speed && { speed }), memoryBytes, notes, ...(fit && { fit }) }
}
