// Memory of a model's weights: what is kept beside them while it is served, and freeing what is not used any more.
import { totalmem } from 'node:os'
import { BlockMatrix, Embedding, Linear, type Module } from '../nn/index.ts'
import { dropPacked, freeTensors, keepPacked, type Tensor } from '../tensor/index.ts'
import { freePrepared } from './fused-weights.ts'
import type { Model } from './model-with-head.ts'

/** Frees all weights of a model, quantised matrices included. It must not be used afterwards. */
export const freeWeights = (model: Model): void => {
  const quantized = [...model.modules()].flatMap(([, module]) => quantizedTensors(module))
  const weights = new Set([...model.parameters().values(), ...quantized])
  freePrepared(weights)
  freeTensors(weights)
}

/**
 * Keeps matrices of a model in the layout of their products too, up to a number of bytes (default: a quarter of the memory): those in blocks
 * of a GGUF file, see `keepPackedBlocks`, and those in float32 for batch-invariant products, see `keepPacked`. Those of embeddings take
 * memory only where the head uses them. Returns a function that frees them.
 */
export const keepPackedWeights = (model: Model, bytes = totalmem() / 4): (() => void) => {
  const blocks = packBlocks(model, bytes)
  let left = (bytes - blocks.bytes) / Float32Array.BYTES_PER_ELEMENT
  const matrices: Tensor[] = []
  for (const parameter of model.parameters().values()) {
    if (parameter.ndim !== 2 || parameter.dtype !== 'float32' || parameter.device !== 'cpu') continue
    if (parameter.shape[1] === 0 || parameter.size > left) continue
    left -= parameter.size
    matrices.push(parameter)
  }
  if (matrices.length > 0) keepPacked(matrices)
  const all = [...matrices, ...blocks.kept]
  return () => {
    if (all.length > 0) dropPacked(all)
  }
}

/**
 * Keeps the matrices of a model that are blocks of a GGUF file in the layout of their products too, see `keepPackedBlocks`, up to a number
 * of bytes (default: a quarter of the memory). Those beyond it are kept no longer.
 */
export const keepPackedBlocksOf = (model: Model, bytes = totalmem() / 4): void => {
  packBlocks(model, bytes)
}

const packBlocks = (model: Model, most: number): { bytes: number; kept: Tensor[] } => {
  let bytes = 0
  const kept: Tensor[] = []
  const dropped: Tensor[] = []
  for (const [, module] of model.modules()) {
    const matrix = module instanceof Linear ? module.quantizedMatrix : undefined
    if (!(matrix instanceof BlockMatrix) || matrix.codes.device !== 'cpu') continue
    const fits = bytes + matrix.shape[0] * matrix.codes.shape[1] <= most
    if (fits) bytes += matrix.keepPacked()
    ;(fits ? kept : dropped).push(matrix.codes)
  }
  if (dropped.length > 0) dropPacked(dropped)
  return { bytes, kept }
}

const quantizedTensors = (module: Module): readonly Tensor[] => {
  if (module instanceof Linear) return module.quantizedMatrix?.tensors ?? []
  return module instanceof Embedding ? (module.blocks?.tensors ?? []) : []
}
