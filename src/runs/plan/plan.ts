// What a run costs before it starts: memory, arithmetic, time, money and energy, for each fine-tuning method, beside pretraining the base.
import { z } from 'zod'
import { ConfigError, formatBytes } from '../../core/index.ts'
import { PlannedGroup } from '../../distributed/index.ts'
import { deviceMemory } from '../../tensor/index.ts'
import type { RunCard } from '../../tracking/index.ts'
import { readBaseCard } from '../engine/base-files.ts'
import type { CommonRecipe, RunKind } from '../engine/run-kind.ts'
import { machineMemory } from '../engine/run-limits.ts'
import { nonIterativeVariants } from '../finetune/recipe.ts'
import { kindOf, startOf } from '../kinds.ts'
import { withModules } from '../use-modules.ts'
import { type Fit, fitRun } from './fit.ts'
import {
  betweenMachines,
  cardsOfMachine,
  findAccelerator,
  findInterconnect,
  type Network,
  type NetworkSettings,
  namedNetwork,
} from './machines.ts'
import {
  type PlanContext,
  type PlannedBase,
  type PretrainingBatch,
  planBuiltRun,
  planFeatures,
  plannedElsewhere,
  planPretraining,
  type RunPlan,
} from './plan-run.ts'
import {
  costsOf,
  type Limits,
  measureSpeed,
  type Prices,
  pricesOfAll,
  type RunCosts,
  rememberedSpeed,
  type Speed,
  tableSpeed,
  timesCount,
  unplannedMemory,
} from './speed.ts'
import { type StepTime, stepTime } from './step-time.ts'

/** Settings of a plan. */
export interface PlanOptions extends Prices, NetworkSettings {
  /** Graphics card whose data sheet gives speed and memory, in place of this machine. */
  gpu?: string | undefined
  /** Number of processes that share each batch: one for each card, or on machines like this one (default: 1). */
  count?: number | undefined
  /** Number of the process whose memory is planned (default: 0). */
  rank?: number | undefined
  /** Share of the card's peak that training reaches. */
  utilisation?: number | undefined
  /** Time steps of the run on this machine for some seconds, or one rollout with the steps on it. */
  measure?: boolean | undefined
  /** Plan the other fine-tuning methods and the pretraining of the base too (default: true). */
  story?: boolean | undefined
  /** Tokens that the base is pretrained on (default: those of its run card, else 20 for each parameter). */
  pretrainingTokens?: number | undefined
  /** Find settings and steps within limits. */
  fit?: Limits | undefined
}

/** One run of a plan. */
export interface PlannedRow extends Omit<RunPlan, 'timeline'> {
  name: string
  /** Tokens of the whole run. */
  tokens: number
  /** Floating-point operations of the whole run. */
  flops: number
  costs?: RunCosts
  /** Time of a step in several processes; undefined where the speed or the network is not known. */
  step?: StepTime
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
  /** What joins the processes, where there are several. */
  network?: Network
  /** Memory of the machine or the card, in bytes. */
  memoryBytes: number
  notes: string[]
  fit?: Fit
}

/** The method of a recipe; undefined for pretraining. */
const variantOf = (recipe: CommonRecipe): string | undefined => (recipe as { variant?: string }).variant

const minutesOf = ({ budget }: CommonRecipe): number | undefined => budget.minutes

interface RowContext {
  /** Of a run with a budget of minutes. */
  recipe?: CommonRecipe
  speed?: Speed | undefined
  network?: Network | undefined
  memoryBytes: number
  prices: Prices
}

/** A run that ends by time does as many steps as its speed allows. */
const rowOf = (
  name: string,
  // The model of the run is no part of its costs.
  { timeline, base: _, ...plan }: RunPlan & { base?: PlannedBase },
  { recipe, speed, network, memoryBytes, prices }: RowContext,
): PlannedRow => {
  const minutes = recipe === undefined ? undefined : minutesOf(recipe)
  const step = speed === undefined ? undefined : stepTime({ ...plan, timeline }, speed, network)
  const byTime =
    minutes === undefined || step === undefined ? Number.POSITIVE_INFINITY : Math.floor((60 * minutes) / step.seconds)
  const steps = Math.min(plan.steps ?? Number.POSITIVE_INFINITY, byTime)
  const known = Number.isFinite(steps) ? steps : 0
  return {
    ...plan,
    ...(known > 0 ? { steps: known } : {}),
    name,
    tokens: known * plan.tokensPerStep,
    flops: known * plan.flopsPerStep,
    ...(speed === undefined || step === undefined || known === 0
      ? {}
      : { costs: costsOf(known * step.seconds + (speed.startSeconds ?? 0), speed, prices) }),
    ...(step === undefined || plan.processes === undefined ? {} : { step }),
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
  machines: PlanContext,
): Promise<PlannedRow[]> => {
  const kind = kindOf(recipe.command)
  const rows: PlannedRow[] = []
  for (const variant of comparedVariants(kind)) {
    if (variant === asked) continue
    try {
      const other = { ...recipe, variant, adapter: {} } as CommonRecipe
      const isStepwise = kind.nonIterative?.(other) === undefined
      const plan = isStepwise ? await planBuiltRun(kind, other, machines) : await planFeatures(kind, other, machines)
      rows.push(toRow(variant, plan))
    } catch (error) {
      notes.push(`${variant} is not planned: ${(error as Error).message}`)
    }
  }
  return rows
}

/** What a plan of pretraining takes from the recipe of a run card; runs of other kinds and versions may have none of it. */
const batchSchema = z.object({
  maxLength: z.int().positive().optional(),
  batch: z
    .object({
      sequences: z.int().positive().optional(),
      tokens: z.int().positive().optional(),
      microTokens: z.int().positive().optional(),
    })
    .default({}),
})

/** The rows that a base was pretrained on, by its run card, or those of a usual run. */
const pretrainingBatch = (card: RunCard | undefined, maxPositions = 512): PretrainingBatch => {
  const { maxLength = 512, batch } = batchSchema.safeParse(card?.config).data ?? { batch: {} }
  const length = Math.min(maxLength, maxPositions)
  const { sequences, tokens, microTokens } = batch
  return { length, sequences: sequences ?? (tokens && Math.ceil(tokens / length)), microTokens }
}

/** A row of what a run took, by its card, in place of what was planned. */
const recordedRow = (row: PlannedRow, card: RunCard, prices: Prices): PlannedRow => {
  const { steps, tokens, flops = row.flops, measured, prediction, wallSeconds } = card
  const peakBytes = measured?.peakBytes ?? prediction?.peakBytes
  // What held that peak is not recorded.
  const peak = { phase: prediction?.phase ?? '', operator: '', holders: [], phases: [] }
  return {
    ...row,
    ...(steps > 0 && { steps, tokensPerStep: tokens / steps, flopsPerStep: flops / steps }),
    tokens,
    flops,
    ...(peakBytes !== undefined && {
      memory: { peakBytes, heldBytes: Math.max(peakBytes, prediction?.heldBytes ?? 0), ...peak },
    }),
    costs: costsOf(wallSeconds, { tolerance: 0 }, prices),
  }
}

/**
 * The row of pretraining the base from scratch.
 * @param prices of one machine, which are those of what its run card recorded
 */
const planBase = async (
  { base, shard, precision }: Pick<CommonRecipe, 'shard' | 'precision'> & { base?: string },
  planned: PlannedBase,
  { pretrainingTokens, gpu }: PlanOptions,
  toRow: (name: string, plan: RunPlan) => PlannedRow,
  prices: Prices,
  notes: string[],
  group: PlannedGroup | undefined,
): Promise<PlannedRow[]> => {
  if (base === undefined) return []
  const card = await readBaseCard(base)
  const batch = pretrainingBatch(card, planned.definition.facts(planned.config).maxPositions)
  const step = await planPretraining(planned, batch, { group, card: gpu !== undefined, shard, precision })
  const tokens = pretrainingTokens ?? card?.tokens ?? 20 * step.parameters
  const row = toRow('pretraining the base', {
    ...step,
    steps: Math.max(1, Math.round(tokens / step.tokensPerStep)),
  })
  if (pretrainingTokens !== undefined) return [row]
  if (card === undefined) {
    notes.push(
      'Pretraining the base is planned with 20 tokens for each parameter (arXiv:2203.15556). Set how many it had by `pretrainingTokens`.',
    )
    return [row]
  }
  if (gpu !== undefined || !(card.wallSeconds > 0)) {
    notes.push('Pretraining the base is planned with the tokens, batch and maximum length of its run card.')
    return [row]
  }
  notes.push('Pretraining the base has the tokens, FLOPs, memory and time of its run card.')
  return [recordedRow(row, card, prices)]
}

const speedOf = async (recipe: CommonRecipe, plan: RunPlan, options: PlanOptions): Promise<Speed | undefined> => {
  const { gpu, count = 1, utilisation, measure } = options
  if (gpu !== undefined) return tableSpeed({ gpu, count, utilisation }, recipe.precision)
  // What is remembered is the speed of training steps on the CPU.
  if (!measure && (plan.rollouts !== undefined || recipe.device !== 'cpu')) return undefined
  const each = plan.flopsPerStep / plan.tokensPerStep
  const speed = measure
    ? await measureSpeed(kindOf(recipe.command), recipe, plan)
    : await rememberedSpeed(recipe.precision, each)
  return speed && timesCount(speed, count)
}

/** What joins the processes of a plan: what the user names, and between the cards of one machine their own link. */
const networkOf = (options: PlanOptions): Network | undefined => {
  const { gpu, count = 1, interconnect } = options
  const named = namedNetwork(options)
  if (gpu === undefined) return named
  const link = findInterconnect(findAccelerator(gpu).link)
  if (count <= cardsOfMachine) return named ?? link
  return interconnect === undefined || named === undefined ? named : betweenMachines(link, named, cardsOfMachine)
}

/** The options of a plan without an effect, or that contradict each other. @throws ConfigError that names them */
const expectOptions = (options: PlanOptions): void => {
  const { gpu, count = 1, rank, utilisation, measure, interconnect, bandwidth, latency, ...prices } = options
  if (gpu === undefined && utilisation !== undefined)
    throw new ConfigError('`utilisation` needs a graphics card: set `gpu`.')
  if (gpu !== undefined && measure) throw new ConfigError('`measure` times this machine: remove `gpu`.')
  for (const [name, value] of Object.entries({ rank, interconnect, bandwidth, latency }))
    if (value !== undefined && count === 1)
      throw new ConfigError(`\`${name}\` needs several processes: set \`count\` to 2 or more.`)
  if (interconnect !== undefined && (bandwidth !== undefined || latency !== undefined))
    throw new ConfigError(
      '`interconnect` has a bandwidth and a latency: remove it, or remove `bandwidth` and `latency`.',
    )
  if (latency !== undefined && bandwidth === undefined)
    throw new ConfigError('`latency` needs the speed of the network: set `bandwidth`.')
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

/** What a card has beside tensors. */
const cardNote = ({ memory }: RunPlan): string =>
  `With the segments of CUDA's allocator and its context a process has about ${formatBytes(memory.heldBytes)} of a card, counted with the kernels of the CPU.`

/** What the plan of several processes takes for granted. */
const processNotes = (
  { processes, tokensPerStep }: RunPlan,
  { gpu }: PlanOptions,
  network: Network | undefined,
  { pricePerHour, watts }: Prices,
): string[] => {
  if (processes === undefined) return []
  const { count, rank, tokens } = processes
  const share = (count * tokens) / tokensPerStep
  const notes: string[] = []
  if (network === undefined)
    notes.push('No time is known without the network between the processes: set `interconnect`, or `bandwidth`.')
  if (share > 1.1)
    notes.push(
      `Rank ${rank} computes ${share.toFixed(1)} times the mean of all: the rows of a step cannot be divided better. Raise \`batch\`, or lower \`count\`.`,
    )
  if (gpu !== undefined)
    notes.push(
      'Tunesmith trains in several processes on CPUs, over Gloo. Collectives of cards are planned as rings of NCCL.',
    )
  const one = gpu === undefined ? 'machine' : 'card'
  if (pricePerHour !== undefined || watts !== undefined)
    notes.push(
      `Money and energy are those of ${count} ${one}s, one for each process: prices and power are those of one ${one}.`,
    )
  return notes
}

/** @throws ConfigError for weights that are divided among one process */
const expectProcesses = ({ shard }: CommonRecipe, group: PlannedGroup | undefined): void => {
  if (shard !== 'none' && group === undefined)
    throw new ConfigError(
      `\`shard\` ${shard} needs several processes: start them by \`launch\`, set \`count\` of a plan to 2 or more, or \`shard\` to none.`,
    )
}

/** The process that is planned; undefined for a run in one process. */
const groupOf = ({ gpu, count = 1, rank = 0 }: PlanOptions): PlannedGroup | undefined =>
  count === 1 ? undefined : new PlannedGroup({ rank, size: count, library: gpu === undefined ? 'gloo' : 'nccl' })

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
  const group = groupOf(options)
  expectProcesses(recipe, group)
  const network = group && networkOf(options)
  const memoryBytes = recipe.memoryBudget ?? card?.memoryBytes ?? deviceMemory(recipe.device)?.total ?? machineMemory()
  const { count = 1, watts = card?.watts, pricePerHour = recipe.pricePerHour, pricePerKilowattHour } = options
  const eachPrices: Prices = { watts, pricePerHour, pricePerKilowattHour }
  const prices = pricesOfAll(eachPrices, count)
  expectPrice(options, prices)
  const notes: string[] = []
  // Of a run that no machine here may hold, with cards or processes that are not here.
  const machines: PlanContext =
    card === undefined && group === undefined
      ? {}
      : { group, card: card !== undefined, memoryBytes: memoryBytes * count }
  const kind = kindOf(command)
  const features = kind.nonIterative?.(recipe) !== undefined
  if (features && group !== undefined)
    throw new ConfigError(
      `\`variant\` ${variantOf(recipe)} is planned in one process only: plan it without \`launch\` or \`count\`.`,
    )
  // A method without steps has no budget and no batches: those of a run with steps are planned, as it has them by default.
  const stepwise = features ? await startOf(command).resolve({ ...given, variant: 'full', adapter: {} }) : recipe
  const planned = features ? await planFeatures(kind, stepwise, machines) : await planBuiltRun(kind, recipe, machines)
  // Before other methods are planned, which leave memory behind.
  const unplanned = card === undefined ? await unplannedMemory(recipe.device) : { processBytes: 0, marginBytes: 0 }
  const speed = features && options.measure ? undefined : await speedOf(recipe, planned, options)
  if (speed === undefined)
    notes.push(
      `No time is known for this ${planned.rollouts === undefined ? 'machine yet' : 'run'}: use \`measure\` to time ${planned.rollouts === undefined ? 'some steps' : 'a rollout'}, or \`gpu\` for the speed of a graphics card.`,
    )
  if (card === undefined && recipe.device !== 'cpu') notes.push(plannedElsewhere(recipe.device))
  if (card !== undefined) notes.push(cardNote(planned))
  notes.push(...rolloutNotes(planned, speed), ...processNotes(planned, options, network, eachPrices))
  const context = { speed, network, memoryBytes, prices }
  const toRow = (name: string, plan: RunPlan) => rowOf(name, plan, { recipe, ...context })
  const rows = [toRow(variantOf(recipe) ?? 'pretraining', planned)]
  if (options.story !== false && variantOf(recipe) !== undefined) {
    rows.push(...(await planVariants(variantOf(recipe), stepwise, toRow, notes, machines)))
    // The speed of a rollout says nothing about pretraining.
    const steps = planned.rollouts === undefined || options.gpu !== undefined
    const plain = (name: string, plan: RunPlan) => rowOf(name, plan, { ...context, speed: steps ? speed : undefined })
    if (planned.base !== undefined)
      rows.push(...(await planBase(recipe as CommonRecipe, planned.base, options, plain, eachPrices, notes, group)))
  }
  const fit =
    options.fit === undefined
      ? undefined
      : await fitRun(kind, recipe, planned, {
          ...{ limits: options.fit, speed, network, prices, machines },
          speedOf: (found, plan) => speedOf(found, plan, options),
          unplannedBytes: unplanned.processBytes + unplanned.marginBytes,
        })
  return {
    command,
    rows,
    ...(speed && { speed }),
    ...(network && { network }),
    memoryBytes,
    notes,
    ...(fit && { fit }),
  }
}
