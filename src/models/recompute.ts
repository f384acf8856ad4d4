// Runs the layers of a stack, some of them with activation checkpointing. Independent of layers.
import { checkpoint, scope, type Tensor } from '../tensor/index.ts'
import type { BodyInputs } from './model.ts'

/** Runs layers as functions of their inputs; the random numbers of dropout are repeated when a layer is recomputed. */
export const layerRunner =
  ({ recompute = 0, recomputeIn: within, generator }: Pick<BodyInputs, 'recompute' | 'recomputeIn' | 'generator'>) =>
  <Outputs extends Tensor | readonly Tensor[]>(
    index: number,
    layer: (...inputs: Tensor[]) => Outputs,
    inputs: readonly Tensor[],
  ): Outputs =>
    index < recompute
      ? checkpoint(within === undefined ? layer : (...given: Tensor[]) => within(() => layer(...given)), inputs, {
          generators: generator === undefined ? [] : [generator],
        })
      : // Frees what autograd does not hold: everything, in layers that are not trained.
        scope(() => layer(...inputs))
