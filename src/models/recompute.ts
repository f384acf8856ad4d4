// Runs the layers of a stack, some of them with activation checkpointing. Independent of layers.
import { Ambient, currentDropout, withDropout } from '../nn/index.ts'
import { checkpoint, gradEnabled, noGrad, scope, type Tensor } from '../tensor/index.ts'
import type { BodyInputs } from './model.ts'

/** Which run of a layer it is: forward, or backward, in which it is recomputed first. */
export type LayerPass = 'forward' | 'backward'

/** Brings the weights of layers into memory, and takes them out again. */
export interface LayerWeights {
  /** Whether any weight of the layer is trained. */
  trains(layer: object): boolean
  /** Runs `body` with the weights of the layer in memory. */
  during<Result>(layer: object, pass: LayerPass, body: () => Result): Result
  /** The same for one of several forward passes of a micro-batch, not all of which every micro-batch has. @param number of the pass */
  part(number: number): LayerWeights
}

const current = new Ambient<LayerWeights | undefined>(undefined)

/** What brings weights into memory now; undefined where all are there. */
export const currentLayerWeights = (): LayerWeights | undefined => current.value

/** Runs `body`, in which every layer of a model runs with these weights. */
export const withLayerWeights = <Result>(weights: LayerWeights | undefined, body: () => Result): Result =>
  current.during(weights, body)

/**
 * Runs layers as functions of their inputs; a layer that is recomputed has the dropout masks of the first time. Where processes share
 * the weights, every layer that is trained, or whose inputs are, is recomputed: its weights are there only while it runs.
 */
export const layerRunner = ({
  recompute = 0,
  recomputeIn: within = (layer) => layer(),
}: Pick<BodyInputs, 'recompute' | 'recomputeIn'>) => {
  const masks = currentDropout()
  const weights = currentLayerWeights()
  /** @param module the layer itself */
  return <Outputs extends Tensor | readonly Tensor[]>(
    index: number,
    module: object,
    layer: (...inputs: Tensor[]) => Outputs,
    inputs: readonly Tensor[],
  ): Outputs => {
    const during = weights && (<Result>(pass: LayerPass, body: () => Result) => weights.during(module, pass, body))
    const isTrained = weights !== undefined && (weights.trains(module) || inputs.some((input) => input.requiresGrad))
    if (index < recompute || (isTrained && gradEnabled()))
      return checkpoint((...given: Tensor[]) => withDropout(masks, () => within(() => layer(...given))), inputs, {
        generators: masks === undefined ? [] : [masks.generator],
        during,
      })
    // Frees what autograd does not hold: everything, in layers that are not trained.
    const run = () => scope(() => layer(...inputs))
    return during === undefined ? run() : during('forward', () => noGrad(run))
  }
}
