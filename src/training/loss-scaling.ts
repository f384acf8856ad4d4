// Dynamic loss scaling for float16, in which gradients below 6e-8 are zero and those above 65,504 are infinite: the loss is multiplied
// by a factor, and gradients are divided by it in float32. Independent of the loop. @source torch.amp.GradScaler
import { z } from 'zod'
import { NativeError } from '../core/index.ts'
import type { LoopState } from './loop-state.ts'
import type { TrainingSettings } from './settings.ts'

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
