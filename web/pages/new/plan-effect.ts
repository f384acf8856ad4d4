// What a change of one setting does to the plan of a run, in a few words beside the setting.
import type { RecipePlan } from '../../../src/serving/studio/types/new-run-types.ts'
import { formatBytes, formatCount, formatDuration } from '../../format.ts'

type Plan = NonNullable<RecipePlan['plan']>

/** Changes below this share are not named. */
const least = 0.005

const signed = (difference: number, show: (size: number) => string): string =>
  `${difference < 0 ? '−' : '+'}${show(Math.abs(difference))}`

const part = (
  name: string,
  before: number | null | undefined,
  after: number | null | undefined,
  show: (size: number) => string,
): string[] => {
  if (typeof before !== 'number' || typeof after !== 'number' || !(before > 0)) return []
  return Math.abs(after / before - 1) < least ? [] : [`${name} ${signed(after - before, show)}`]
}

const percent = (before: number) => (difference: number) => `${Number(((100 * difference) / before).toPrecision(2))} %`

/** The differences of two plans: `memory +120 MiB, FLOPs +50 %`. */
export const effectOf = (before: Plan, after: Plan): string => {
  const parts = [
    ...part('memory', before.peakBytes, after.peakBytes, formatBytes),
    ...part('parameters', before.parameters, after.parameters, formatCount),
    ...part('trained', before.trainedParameters, after.trainedParameters, formatCount),
    ...part('steps', before.steps, after.steps, formatCount),
    ...part('FLOPs', before.flops, after.flops, percent(before.flops)),
    ...part('time', before.seconds?.value, after.seconds?.value, (seconds) => formatDuration(1000 * seconds)),
    ...part('disk', before.diskBytes, after.diskBytes, formatBytes),
  ]
  return parts.length === 0 ? 'memory and time stay the same' : parts.join(', ')
}
