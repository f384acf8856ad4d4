// Weights of layers that are in memory only while a layer runs, where processes share them. Independent of how they get there.

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

let current: LayerWeights | undefined

/** What brings weights into memory now; undefined where all are there. */
export const currentLayerWeights = (): LayerWeights | undefined => current

/** Runs `body`, in which every layer of a model runs with these weights. */
export const withLayerWeights = <Result>(weights: LayerWeights | undefined, body: () => Result): Result => {
  const before = current
  current = weights
  try {
    return body()
  } finally {
    current = before
  }
}
