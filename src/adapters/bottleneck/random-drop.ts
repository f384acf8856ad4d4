// AdapterDrop in its robust form: each training step leaves adapters out of a random number of the first layers.
// @source arXiv:2010.11918, section 4.1
import { ConfigError, createRandom } from '../../core/index.ts'
import { isPlanning } from '../../tensor/index.ts'
import { layerNumber, type MethodTraining, type Placement } from '../adapter.ts'
import { BottleneckLayer } from './layer.ts'

/**
 * Leaves bottlenecks out of the first 0 to `most` layers in each step; the number depends on the seed and the step alone.
 * @throws ConfigError for a number that would leave none
 */
export const dropAtRandom = (placements: readonly Placement[], most: number): MethodTraining => {
  const numbered = placements.flatMap(({ path, adapter }) =>
    adapter instanceof BottleneckLayer ? [{ layer: layerNumber(path), adapter }] : [],
  )
  const first = Math.min(...numbered.map(({ layer }) => layer))
  const last = Math.max(...numbered.map(({ layer }) => layer))
  if (last === first)
    throw new ConfigError('`adapter.randomDropLayers` needs adapters in two layers or more: remove it.')
  if (most <= first || most > last)
    throw new ConfigError(
      `Expected ${first + 1} to ${last} for \`adapter.randomDropLayers\`, so that steps differ and one layer always has its adapter, got ${most}.`,
    )
  const dropBelow = (count: number) => {
    for (const { layer, adapter } of numbered) adapter.drop(layer < count)
  }
  return {
    // Plans take the memory of a step with all adapters.
    beginStep: ({ seed, step }) =>
      dropBelow(isPlanning() ? 0 : createRandom(`${seed}/adapter-drop/${step}`).integer(most + 1)),
    endStep: () => dropBelow(0),
  }
}
