// The state of a training loop besides its tensors: what a checkpoint must store so that a resumed run gives the same bits.
import { z } from 'zod'
import { NativeError } from '../core/index.ts'
import type { TrainingSettings } from './settings.ts'
import type { RunState } from './snapshot.ts'

// Dynamic loss scaling for float16, in which gradients below 6e-8 are zero and those above 65,504 are infinite: the loss is multiplied
// by a factor, and gradients are divided by it in float32. Independent of the loop. @source torch.amp.GradScaler

/** Settings of the loss scale. The factors of its changes are powers of two, which round nothing. */
export const lossScaleSchema = z.strictObject({
  initial: z.number().min(1).default(65_536).describe('factor of the loss in the first step'),
  growthInterval: z
    .int()
    .positive()
    .default(2000)
    .describe('steps in a row without an overflow after which the factor doubles; it halves at each overflow'),
})

/** The loss scale between two steps. */
export type LossScale = NonNullable<LoopState['lossScale']>

/** The scale below which the run ends: the loss needs no factor below 1, so something else is wrong. */
const floor = 1
const largest = 2 ** 127

/** The settings of the loss scale, with those that were left out. */
export const lossScaleSettings = (given: TrainingSettings['lossScale']) => given ?? lossScaleSchema.parse({})

/** The loss scale before the first step; undefined for a precision that needs none. */
export const initialLossScale = ({
  precision,
  lossScale,
}: Pick<TrainingSettings, 'precision' | 'lossScale'>): LossScale | undefined =>
  precision === 'float16' ? { scale: lossScaleSettings(lossScale).initial, sound: 0, skipped: 0 } : undefined

/**
 * The loss scale after a step.
 * @param overflow whether a gradient was not finite, so that the step was skipped
 * @throws NativeError for a scale below 1
 */
export const nextLossScale = (
  { scale, sound, skipped }: LossScale,
  { overflow, growthInterval, step }: { overflow: boolean; growthInterval: number; step: number },
): LossScale => {
  if (!overflow) {
    const grows = sound + 1 >= growthInterval
    return { scale: grows ? Math.min(2 * scale, largest) : scale, sound: grows ? 0 : sound + 1, skipped }
  }
  if (scale / 2 < floor)
    throw new NativeError(
      `Training stopped in step ${step}: gradients are not finite in float16 although the loss scale is ${scale}, and a smaller one does not help. Lower \`learningRate\`, look at the data, or set \`precision\` to bfloat16.`,
    )
  return { scale: scale / 2, sound: 0, skipped: skipped + 1 }
}

/** The sentence about a step that was skipped. */
export const describeOverflow = ({ scale, skipped }: LossScale): string =>
  `Gradients overflowed in float16: the step was skipped, and the loss scale is now ${scale} (${skipped} skipped so far).`

/** What a step records of the scale that it had. */
export const lossScaleMetrics = (used: LossScale | undefined, now: LossScale | undefined): Record<string, number> =>
  used === undefined || now === undefined ? {} : { lossScale: used.scale, skippedSteps: now.skipped }

/** The state of the loop without the counters of optimizer and average, which those store themselves. */
export type LoopState = Omit<RunState, 'optimizerStep' | 'averageUpdates'>

type MemorySettings = Pick<TrainingSettings, 'batch' | 'recompute'>

/** The settings that decide how much memory a batch takes. The loss does not depend on them. */
const requestedMemory = ({ batch, recompute }: MemorySettings, numLayers: number): LoopState['requested'] => ({
  microTokens: batch.microTokens,
  recompute: recompute === 'all' ? numLayers : recompute === 'none' ? 0 : Math.min(recompute, numLayers),
})

type StateSettings = MemorySettings & Pick<TrainingSettings, 'precision' | 'lossScale'>

/** The state of a run before its first step. */
export const initialState = (settings: StateSettings, numLayers: number): LoopState => {
  const requested = requestedMemory(settings, numLayers)
  const lossScale = initialLossScale(settings)
  return {
    step: 0,
    position: 0,
    tokens: 0,
    seconds: 0,
    ...requested,
    requested,
    losses: [],
    best: null,
    stale: 0,
    ...(lossScale && { lossScale }),
    pending: [],
  }
}

/**
 * A saved state under the settings of now. Smaller micro-batches that a lack of memory enforced are kept only while the settings are
 * those of then.
 */
export const resumedState = (state: LoopState, settings: StateSettings, numLayers: number): LoopState => {
  const requested = requestedMemory(settings, numLayers)
  const { microTokens, recompute } = state.requested
  const same = requested.microTokens === microTokens && requested.recompute === recompute
  const initial = initialLossScale(settings)
  const next = { ...state, ...(same ? {} : { ...requested, requested }) }
  if (initial === undefined) delete next.lossScale
  else next.lossScale ??= initial
  return next
}

type Settings = NonNullable<TrainingSettings['plateau']>
type State = NonNullable<LoopState['plateau']>

/** The state after an evaluation. @source torch.optim.lr_scheduler.ReduceLROnPlateau */
export const afterEvaluation = (
  { patience }: Settings,
  { reductions, waited }: State = { reductions: 0, waited: 0 },
  improved: boolean,
): State => {
  if (improved) return { reductions, waited: 0 }
  return waited + 1 > patience ? { reductions: reductions + 1, waited: 0 } : { reductions, waited: waited + 1 }
}

/** Factor of the learning rate. */
export const plateauFactor = (settings: Settings | undefined, state: State | undefined): number =>
  settings === undefined || state === undefined ? 1 : Math.max(settings.floor, settings.factor ** state.reductions)
