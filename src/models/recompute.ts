// Runs the layers of a stack, some of them so that their activations are computed again in the backward pass. Knows no layer.
import { checkpoint, scope, type Tensor } from '../tensor/index.ts'
import type { BodyInputs } from './model.ts'

/** A layer as a function of what flows through the stack; dropout's draws are replayed the second time. */
export const layerRunner =
  ({ recompute = 0, generator }: Pick<BodyInputs, 'recompute' | 'generator'>) =>
  <Outputs extends Tensor | readonly Tensor[]>(
    index: number,
    layer: (...inputs: Tensor[]) => Outputs,
    inputs: readonly Tensor[],
  ): Outputs =>
    index < recompute
      ? checkpoint(layer, inputs, { generators: generator === undefined ? [] : [generator] })
      : // What the graph does not need goes when the layer is done: of frozen layers that is everything.
        scope(() => layer(...inputs))
