// Memory of a model's weights: what is kept beside them while it is served, and freeing what is not used any more.
import { totalmem } from 'node:os'
import { Embedding, Linear, type Module } from '../nn/index.ts'
import { dropPacked, freeTensors, keepPacked, type Tensor } from '../tensor/index.ts'
import type { Model } from './model-with-head.ts'

/** Frees all weights of a model, quantised matrices included. It must not be used afterwards. */
export const freeWeights = (model: Model): void => {
  freeTensors(model.parameters().values())
  for (const [, module] of model.modules()) freeTensors(quantizedTensors(module))
}

/**
 * Keeps the float32 matrices of a model in the layout of batch-invariant products too, see `keepPacked`, up to a number of bytes (default: a
 * quarter of the memory). Those of embeddings take memory only where the head uses them. Returns a function that frees them.
 */
export const keepPackedWeights = (model: Model, bytes = totalmem() / 4): (() => void) => {
  let left = bytes / Float32Array.BYTES_PER_ELEMENT
  const matrices: Tensor[] = []
  for (const parameter of model.parameters().values()) {
    if (parameter.ndim !== 2 || parameter.dtype !== 'float32' || parameter.device !== 'cpu') continue
    if (parameter.shape[1] === 0 || parameter.size > left) continue
    left -= parameter.size
    matrices.push(parameter)
  }
  if (matrices.length > 0) keepPacked(matrices)
  return () => {
    if (matrices.length > 0) dropPacked(matrices)
  }
}

const quantizedTensors = (module: Module): readonly Tensor[] => {
  if (module instanceof Linear) return module.quantizedMatrix?.tensors ?? []
  return module instanceof Embedding ? (module.blocks?.tensors ?? []) : []
}
