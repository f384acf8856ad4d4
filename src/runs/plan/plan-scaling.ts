// The loss of a pretraining run before it is paid for: a resumable grid of small runs, the scaling law that they follow, and what it says
// about the planned run and about the best use of its compute.
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { ConfigError, DataError, formatCount, parseJson, writeFileAtomic } from '../../core/index.ts'
import { expectOneProcess } from '../../distributed/index.ts'
import { readEvents, readRunCard, runFiles } from '../../tracking/index.ts'
import { evaluationPhase } from '../../training/index.ts'
import type { RunKind } from '../engine/run-kind.ts'
import { pretrainKind, resolvePretraining } from '../pretrain/pretrain.ts'
import type { PretrainRecipe } from '../pretrain/recipe.ts'
import { readMark, runPoints, type SweepListener, type SweptRun } from '../sweep/run-points.ts'
import { type PlannedBase, planBuiltRun, type RunPlan } from './plan-run.ts'
import {
  type Bounded,
  boundedBy,
  expectEnoughRuns,
  fitScalingLaw,
  leastLevels,
  lossOf,
  optimalSplit,
  type ScalingLaw,
  type ScalingPoint,
} from './scaling-law.ts'

/** The grid of small runs, and the run whose loss is asked for. */
export interface ScalingInput {
  /** Recipe of the planned run; its `out` is not used. */
  recipe: object
  /** Folder of the grid, with one folder per run. */
  out: string
  /** Depths of the small models, of which width and learning rate follow (default: shares of the planned model's layers). */
  depths?: readonly number[] | undefined
  /** Tokens of the small runs (default: 1/32, 1/16 and 1/8 of the planned run's). */
  tokens?: readonly number[] | undefined
}

/** A run of the grid. */
export interface ScalingRun {
  name: string
  folder: string
  status: SweptRun['status']
  depth: number
  /** Operations of a token divided by six. */
  size: number
  tokens: number
  /** Validation loss at the end. */
  loss?: number
  /** The loss that the law gives. */
  fitted?: number
  /** Why the run is no part of the fit. */
  excluded?: string
}

/** What the grid says. */
export interface ScalingResult {
  out: string
  reason: 'finished' | 'interrupted'
  runs: ScalingRun[]
  /** Operations of all small runs, and their share of the planned run's. */
  gridFlops: number
  gridShare: number
  target: { size: number; tokens: number; flops: number }
  /** Undefined for a grid that is not finished. */
  fit?: {
    law: Record<keyof ScalingLaw, Bounded>
    /** Root mean square of the relative errors of the fitted runs. */
    error: number
    /** Loss of the planned run. */
    loss: Bounded
    /** The best size and tokens for the same operations, and their loss. */
    optimal: { size: Bounded; tokens: Bounded; loss: Bounded }
  }
  notes: string[]
}

/** Sizes that follow from the depth. */
const sizeFields = ['numLayers', 'hiddenSize', 'numHeads', 'numKvHeads', 'headDim', 'intermediateSize']

/** Small runs take at most this share of the planned run's operations each. */
const largestShare = 0.1
const layerShares = [0.25, 0.4, 0.55, 0.7]
const tokenShares = [1 / 32, 1 / 16, 1 / 8]
/** Fewer steps are warmup and decay only. */
const leastSteps = 20
const gridFile = 'scaling.json'

/** Depths of a grid for a model of some layers: shares of these, and the smallest others where too few for a fit are left. */
const depthsFor = (layers: number): number[] => {
  const depths = new Set(layerShares.map((share) => Math.max(1, Math.round(share * layers))))
  for (let depth = 1; depth <= layers && depths.size < leastLevels; depth++) depths.add(depth)
  return [...depths].sort((a, b) => a - b)
}

const withoutSizes = (config: object): object =>
  Object.fromEntries(Object.entries(config).filter(([name]) => !sizeFields.includes(name)))

const smallRecipe = (recipe: Record<string, unknown>, depth: number, tokens: number): Record<string, unknown> => {
  const { type, config = {} } = recipe.model as { type?: string; config?: object }
  return {
    ...recipe,
    model: { type, depth, config: withoutSizes(config) },
    budget: { tokens },
    // One evaluation at the end is all that is fitted.
    evaluate: {},
    checkpoint: {},
    keep: { last: 1 },
  }
}

// As `kinds.ts` has it: a kind reads only recipes that its own schema has made.
const kind = pretrainKind as unknown as RunKind

const planOf = (recipe: PretrainRecipe): Promise<RunPlan & { base: PlannedBase }> =>
  planBuiltRun(kind, recipe, { microBatches: 2, steps: 1 })

const targetOf = (plan: RunPlan): ScalingResult['target'] => {
  if (plan.steps === undefined)
    throw new ConfigError(
      'A predicted loss needs the tokens of the planned run: set `budget` in tokens, steps or epochs instead of minutes.',
    )
  const tokens = plan.steps * plan.tokensPerStep
  const size = plan.flopsPerStep / plan.tokensPerStep / 6
  return { size, tokens, flops: 6 * size * tokens }
}

/** @throws ConfigError for a run whose loss is not evaluated */
const expectValidation = ({ operations }: RunPlan): void => {
  if (!operations.some(({ phase }) => phase === evaluationPhase))
    throw new ConfigError(
      'A scaling law needs validation losses: encode the corpus with a `--validation` share, and leave `validationExamples` above 0.',
    )
}

/** @throws ConfigError for a folder with another grid, or with other files */
const expectSameGrid = async (out: string, own: object): Promise<void> => {
  const text = await readMark(out, gridFile, 'grid')
  if (text === undefined) return
  const known = parseJson(text, {
    path: join(out, gridFile),
    advice: () => 'The file is damaged: start another grid in a new folder.',
  })
  if (!isDeepStrictEqual(known, own))
    throw new ConfigError(
      `Expected the recipe that the grid in ${out} was started with. Depths and tokens may change, other settings not: start another grid in a new folder.`,
    )
}

interface GridPoint {
  depth: number
  size: number
  tokens: number
  recipe: Record<string, unknown>
}

/** Points whose operations are a small share of the planned run's. */
const gridOf = async (
  recipe: Record<string, unknown>,
  target: ScalingResult['target'],
  { depths, tokens }: { depths: readonly number[]; tokens: readonly number[] },
): Promise<{ points: GridPoint[]; flops: number; notes: string[] }> => {
  const points: GridPoint[] = []
  const notes: string[] = []
  let flops = 0
  for (const depth of depths) {
    const own = await resolvePretraining({ ...smallRecipe(recipe, depth, Math.max(...tokens)), out: 'grid' })
    const plan = await planOf(own)
    const leftOut: string[] = []
    for (const budget of tokens) {
      const needed = (plan.flopsPerStep / plan.tokensPerStep) * budget
      if (needed > largestShare * target.flops) {
        leftOut.push(formatCount(budget))
        continue
      }
      if (budget < leastSteps * plan.tokensPerStep)
        throw new ConfigError(
          `Expected at least ${formatCount(leastSteps * plan.tokensPerStep)} for \`tokens\`, which are ${leastSteps} steps of ${formatCount(plan.tokensPerStep)} tokens, got ${formatCount(budget)}. Raise it, or make the batch smaller.`,
        )
      flops += needed
      const size = plan.flopsPerStep / plan.tokensPerStep / 6
      points.push({ depth, size, tokens: budget, recipe: smallRecipe(recipe, depth, budget) })
    }
    if (leftOut.length > 0)
      notes.push(
        `Depth ${depth} with ${leftOut.join(', ')} tokens is left out: it takes more than a tenth of the planned run's operations.`,
      )
  }
  return { points, flops, notes }
}

/** @throws DataError for a grid whose runs could not be fitted, before the first of them */
const expectGridFits = (points: readonly GridPoint[], leftOut: readonly string[]): void => {
  try {
    expectEnoughRuns(points)
  } catch (error) {
    if (leftOut.length === 0 || !(error instanceof DataError)) throw error
    throw new DataError([error.message, ...leftOut.slice(0, 3)].join(' '))
  }
}

/** Fills in what a finished run of the grid showed. */
const readRun = async (run: ScalingRun, message: string | undefined): Promise<void> => {
  if (run.status === 'failed') run.excluded = message ?? 'it failed'
  const card = await readRunCard(run.folder)
  if (run.status !== 'finished' || card === undefined) return
  const { prediction, results = {}, tokens } = card
  run.tokens = tokens
  run.loss = results.loss
  if (prediction !== undefined) run.size = prediction.flopsPerStep / prediction.tokensPerStep / 6
  // A loss that is no number is null in a file.
  if (!('loss' in results)) run.excluded = 'it has no validation loss: encode the corpus with a `--validation` share'
  else if (!Number.isFinite(run.loss)) run.excluded = 'its loss is not finite'
  for await (const event of readEvents(join(run.folder, runFiles.events)))
    if (event.type === 'incident' && event.kind === 'divergence') run.excluded = `it diverged: ${event.message}`
}

const isPoint = (run: ScalingRun): run is ScalingRun & ScalingPoint =>
  run.excluded === undefined && run.loss !== undefined

const fitRuns = (runs: readonly ScalingRun[], target: ScalingResult['target']): NonNullable<ScalingResult['fit']> => {
  const points = runs.filter(isPoint)
  let fit: ReturnType<typeof fitScalingLaw>
  try {
    fit = fitScalingLaw(points)
  } catch (error) {
    const excluded = runs.filter((run) => run.excluded !== undefined)
    if (excluded.length === 0 || !(error instanceof DataError)) throw error
    const listed = excluded.slice(0, 3).map(({ name, excluded: why }) => `${name} (${why})`)
    throw new DataError(
      `${error.message} Left out: ${listed.join('; ')}${excluded.length > 3 ? ` and ${excluded.length - 3} more` : ''}.`,
    )
  }
  for (const run of points) run.fitted = lossOf(fit.law, run)
  const bounded = (of: (law: ScalingLaw) => number) => boundedBy(fit, of)
  const constant = (name: keyof ScalingLaw) => bounded((law) => law[name])
  return {
    law: {
      irreducible: constant('irreducible'),
      sizeFactor: constant('sizeFactor'),
      sizeExponent: constant('sizeExponent'),
      tokenFactor: constant('tokenFactor'),
      tokenExponent: constant('tokenExponent'),
    },
    error: fit.error,
    loss: bounded((law) => lossOf(law, target)),
    optimal: {
      size: bounded((law) => optimalSplit(law, target.flops).size),
      tokens: bounded((law) => optimalSplit(law, target.flops).tokens),
      loss: bounded((law) => lossOf(law, optimalSplit(law, target.flops))),
    },
  }
}

/**
 * Runs the grid, or what is left of it, and fits the law.
 * @throws ConfigError for a grid that does not fit the planned run; DataError for too few runs, or too many that diverged
 */
export const planScaling = async (input: ScalingInput, listener: SweepListener = {}): Promise<ScalingResult> => {
  expectOneProcess('plan scaling')
  const { out } = input
  const { out: _, command: __, ...recipe } = JSON.parse(JSON.stringify(input.recipe)) as Record<string, unknown>
  const { base } = recipe as { base?: string }
  if (base !== undefined)
    throw new ConfigError(`Expected a new \`model\` for a scaling law, got the base ${base}. Remove it.`)
  const plan = await planOf(await resolvePretraining({ ...recipe, out }))
  const target = targetOf(plan)
  expectValidation(plan)
  const { numLayers: layers } = plan.base.definition.facts(plan.base.config)
  // The name of a run has its depth and its tokens: each is there once.
  const depths = new Set(input.depths ?? depthsFor(layers))
  const tokens = new Set(input.tokens ?? tokenShares.map((share) => Math.round(share * target.tokens)))
  const { points, flops: gridFlops, notes } = await gridOf(recipe, target, { depths: [...depths], tokens: [...tokens] })
  expectGridFits(points, notes)
  await expectSameGrid(out, recipe)
  await writeFileAtomic(join(out, gridFile), `${JSON.stringify(recipe, null, 2)}\n`)
  const swept: SweptRun[] = points.map(({ depth, tokens: budget }) => {
    const name = `depth=${depth},tokens=${budget}`
    return { name, over: { depth, tokens: budget }, folder: join(out, name), status: 'waiting' }
  })
  const reason = await runPoints(
    swept,
    (run) => ({ ...points[swept.indexOf(run)].recipe, command: 'pretrain' }),
    listener,
  )
  const runs = swept.map(({ name, folder, status }, i): ScalingRun => {
    const { recipe: _, ...point } = points[i]
    return { name, folder, status, ...point }
  })
  for (const [i, run] of runs.entries()) await readRun(run, swept[i].message)
  const result: ScalingResult = { out, reason, runs, gridFlops, gridShare: gridFlops / target.flops, target, notes }
  return reason === 'interrupted' ? result : { ...result, fit: fitRuns(runs, target) }
}
