// Runs the layers of a stack, some of them with activation checkpointing. Independent of layers.
import { currentDropout, withDropout } from '../nn/index.ts'
import { checkpoint, scope, type Tensor } from '../tensor/index.ts'
import type { BodyInputs } from './model.ts'

/** Runs layers as functions of their inputs; a layer that is recomputed has the dropout masks of the first time. */
export const layerRunner = ({
  recompute = 0,
  recomputeIn: within = (layer) => layer(),
}: Pick<BodyInputs, 'recompute' | 'recomputeIn'>) => {
  const masks = currentDropout()
  return <Outputs extends Tensor | readonly Tensor[]>(
    index: number,
    layer: (...inputs: Tensor[]) => Outputs,
    inputs: readonly Tensor[],
  ): Outputs =>
    index < recompute
      ? checkpoint((...given: Tensor[]) => withDropout(masks, () => within(() => layer(...given))), inputs, {
          generators: masks === undefined ? [] : [masks.generator],
        })
      : // Frees what autograd does not hold: everything, in layers that are not trained.
        scope(() => layer(...inputs))
}
