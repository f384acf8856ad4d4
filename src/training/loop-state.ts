// The state of a training loop besides its tensors: what a checkpoint must store so that a resumed run gives the same bits.
import { initialLossScale } from './loss-scaling.ts'
import type { TrainingSettings } from './settings.ts'
import type { RunState } from './snapshot.ts'

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
