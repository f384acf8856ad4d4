// Exponential moving average or mean of the weights, evaluated or saved instead of them. Independent of optimizers.
import { z } from 'zod'
import { CheckpointError, invariant, ShapeError } from '../core/index.ts'
import { keep, noGradScope, scope, type Tensor } from '../tensor/index.ts'

/** Settings of the average. */
export const averageSchema = z
  .strictObject({
    method: z
      .enum(['exponential', 'mean'])
      .default('exponential')
      .describe('exponential (EMA), or mean: all weights alike (stochastic weight averaging, SWA)'),
    decay: z.number().gt(0).lt(1).optional().describe('decay of the exponential average per step (default: 0.999)'),
    warmup: z
      .boolean()
      .default(false)
      .describe('decay of (1 + updates) / (10 + updates) while below `decay`, so that early weights fade'),
    startStep: z.int().min(0).default(0).describe('number of steps before the first weights that count'),
    interval: z.int().min(1).default(1).describe('steps between the weights that count'),
  })
  .refine(({ method, decay, warmup }) => method === 'exponential' || (decay === undefined && !warmup), {
    path: ['method'],
    message: '`method` mean has no `decay` and no `warmup`: remove them, or choose exponential.',
  })
/** Checked settings. */
export type AverageConfig = z.output<typeof averageSchema>

/** Share of the next weights in the average after some others. */
const shareOf = ({ method, decay = 0.999, warmup }: AverageConfig, before: number): number => {
  if (method === 'mean') return 1 / (before + 1)
  return 1 - (warmup ? Math.min(decay, (1 + before) / (10 + before)) : decay)
}

/** An average of weights. Memory: 4 bytes per element, plus a copy of the parameters while swapped in. */
export interface WeightAverage {
  /** Updates the average from the weights; the first call copies them. Call after each step. */
  update(): void
  /** Whether the parameters hold the averages now. */
  readonly swapped: boolean
  /** Copies the averages into the parameters and stores the weights. */
  swapIn(): void
  /** Restores the weights exactly. */
  swapOut(): void
  /** The averages by path, which are not copies, and the number of updates. */
  state(): { tensors: Map<string, Tensor>; updates: number }
  /** Restores a state. @throws CheckpointError for missing, unexpected and mismatched paths, before any change */
  loadState(state: { tensors: ReadonlyMap<string, Tensor>; updates: number }): void
}

/** Swaps other weights into parameters, and the parameters back. @param other the weights for a parameter by its number */
export const swapWeights = (
  entries: readonly { parameter: Tensor }[],
  other: (index: number) => Tensor,
): Pick<WeightAverage, 'swapped' | 'swapIn' | 'swapOut'> => {
  let stored: Tensor[] | undefined
  return {
    get swapped() {
      return stored !== undefined
    },
    swapIn() {
      invariant(stored === undefined, 'an average is swapped in twice.')
      stored = noGradScope(() => entries.map(({ parameter }) => keep(parameter.detach().clone())))
      noGradScope(() => {
        for (const [i, { parameter }] of entries.entries()) scope(() => parameter.copy_(other(i)))
      })
    },
    swapOut() {
      const before = stored
      invariant(before !== undefined, 'an average is swapped out that was not swapped in.')
      noGradScope(() => {
        entries.forEach(({ parameter }, i) => {
          parameter.copy_(before[i])
          before[i].free()
        })
      })
      stored = undefined
    },
  }
}

/**
 * Averages `parameters` in float32. `weights` are the tensors to average where the parameters are rounded copies: the
 * optimizer's `weights`.
 * @source torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn; warm-up as in tf.train.ExponentialMovingAverage
 */
export const createAverage = (
  config: AverageConfig,
  parameters: ReadonlyMap<string, Tensor>,
  options: { weights?: ReadonlyMap<string, Tensor> } = {},
): WeightAverage => {
  const entries = [...parameters].map(([path, parameter]) => {
    const weight = options.weights?.get(path) ?? parameter
    if (weight.shape.join() !== parameter.shape.join())
      throw new ShapeError(
        `Expected [${parameter.shape.join(', ')}] for the weight of \`${path}\`, got [${weight.shape.join(', ')}].`,
      )
    return {
      path,
      parameter,
      weight,
      average: noGradScope(() => keep(weight.detach().to({ dtype: 'float32', copy: true }))),
    }
  })
  let updates = 0
  const swap = swapWeights(entries, (i) => entries[i].average)

  return {
    get swapped() {
      return swap.swapped
    },
    swapIn: () => swap.swapIn(),
    swapOut: () => swap.swapOut(),
    update() {
      invariant(!swap.swapped, 'an average is updated while it is swapped in.')
      const since = updates - config.startStep
      updates++
      if (since > 0 && since % config.interval !== 0) return
      const share = since <= 0 ? 1 : shareOf(config, since / config.interval)
      noGradScope(() => {
        for (const { average, weight } of entries)
          if (share === 1) average.copy_(weight)
          else scope(() => average.lerp_(weight.to('float32'), share))
      })
    },
    state: () => ({ tensors: new Map(entries.map(({ path, average }) => [path, average])), updates }),
    loadState(state) {
      if (!(Number.isSafeInteger(state.updates) && state.updates >= 0))
        throw new CheckpointError(
          `Expected a whole number of updates for the average of weights, got ${state.updates}.`,
        )
      const report = {
        missing: entries.map(({ path }) => path).filter((path) => !state.tensors.has(path)),
        unexpected: [...state.tensors.keys()].filter((path) => !parameters.has(path)),
        mismatched: entries
          .filter(({ path, average }) => {
            const given = state.tensors.get(path)
            return given !== undefined && (given.dtype !== 'float32' || given.shape.join() !== average.shape.join())
          })
          .map(({ path }) => path),
      }
      const faults = Object.entries(report).filter(([, paths]) => paths.length > 0)
      if (faults.length > 0)
        throw new CheckpointError(
          `Expected an average of the same weights, got ${faults.map(([kind, paths]) => `${paths.length} ${kind} (${paths.slice(0, 5).join(', ')})`).join(', ')}. Check that model and checkpoint belong together.`,
          report,
        )
      noGradScope(() => {
        for (const { path, average } of entries) average.copy_(state.tensors.get(path)!)
      })
      updates = state.updates
    },
  }
}
