// The numbers of an event by the names that trackers show: `train/loss`, `evaluation/accuracy` …
import type { TrainingEvent } from './event-types.ts'

const inGroup = (group: string, values: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [`${group}/${name}`, value]))

/** The numbers of an event; none for events without any. */
export const eventScalars = (event: TrainingEvent): Record<string, number> => {
  if (event.type === 'evaluation' || event.type === 'rollout') return inGroup(event.type, event.metrics)
  if (event.type !== 'step') return {}
  const { loss, learningRate, gradientNorm, tokens, tokensPerSecond, memoryBytes } = event
  return {
    ...inGroup('train', { loss, learningRate, gradientNorm, tokens, ...event.terms, ...event.metrics }),
    ...inGroup('gradient-norm', event.gradientNorms ?? {}),
    ...inGroup('speed', { tokensPerSecond, memoryBytes }),
  }
}
