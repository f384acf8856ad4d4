// Frees the weights of a model that is not used any more.
import { Embedding, Linear, type Module } from '../nn/index.ts'
import { freeTensors, type Tensor } from '../tensor/index.ts'
import type { Model } from './model-with-head.ts'

/** Frees all weights of a model, quantised matrices included. It must not be used afterwards. */
export const freeWeights = (model: Model): void => {
  freeTensors(model.parameters().values())
  for (const [, module] of model.modules()) freeTensors(quantizedTensors(module))
}

const quantizedTensors = (module: Module): readonly Tensor[] => {
  if (module instanceof Linear) return module.quantizedMatrix?.tensors ?? []
  return module instanceof Embedding ? (module.blocks?.tensors ?? []) : []
}
