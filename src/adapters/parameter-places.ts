// Swaps parameters of a model for an adapter's own tensors, and puts the originals back. A parameter is a tensor in a
// field of a module, and a tied one is in several fields: a swap assigns all of them, so that the model computes with
// the new tensor.

import { ConfigError } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { Linear, type Module } from '../nn/index.ts'
import { keep, noGrad, type Tensor } from '../tensor/index.ts'
import type { BankEntry } from './bank.ts'
import { TABLE_PATH, TIED_PATH, tiedLayer } from './targets.ts'

interface Field {
  module: Module
  name: string
}

/** A parameter of a model and where it is. */
export interface ParameterPlace {
  tensor: Tensor
  /** Fields that hold the tensor; found when they are needed, since that searches all modules. */
  fields(): Field[]
  /** The output matrix that is tied to the token embeddings. */
  tied: boolean
}

/** A parameter that was swapped. */
export interface SwappedParameter {
  path: string
  fields: Field[]
  original: Tensor
  tied: boolean
}

const fieldsWith = (model: Model, tensor: Tensor): Field[] =>
  [...model.modules()].flatMap(([, module]) =>
    Object.entries(module).flatMap(([name, value]) => (value === tensor ? [{ module, name }] : [])),
  )

/** The model's parameters by path, and its tied output matrix as if it were a parameter of its own. */
export const parameterPlaces = (model: Model): Map<string, ParameterPlace> => {
  const places = new Map<string, ParameterPlace>(
    [...model.parameters()].map(([path, tensor]) => [
      path,
      { tensor, fields: () => fieldsWith(model, tensor), tied: false },
    ]),
  )
  const layer = tiedLayer(model)
  if (layer === undefined) return places
  const fields = () => [{ module: layer, name: 'weight' }]
  return places.set(TIED_PATH, { tensor: layer.weight, fields, tied: true })
}

/** Puts a tensor in the place of a parameter. */
export const swapParameter = (path: string, place: ParameterPlace, tensor: Tensor): SwappedParameter => {
  const fields = place.fields()
  for (const { module, name } of fields) Reflect.set(module, name, tensor)
  return { path, fields, original: place.tensor, tied: place.tied }
}

/** The tensor that is in the place now: training or a dtype conversion may have put another one there. */
export const currentTensor = ({ fields: [{ module, name }] }: SwappedParameter): Tensor =>
  Reflect.get(module, name) as Tensor

/**
 * Puts the original back, converted to the dtype that the model has by now; a tied matrix becomes the current token
 * embeddings.
 * @returns the tensor that was in the place
 */
export const restoreParameter = (swapped: SwappedParameter, model: Model): Tensor => {
  const { fields, original, tied } = swapped
  const current = currentTensor(swapped)
  const converted = () =>
    original.dtype === current.dtype ? original : keep(noGrad(() => original.detach().to(current.dtype)))
  const value = tied ? model.body.embedTokens.weight : converted()
  for (const { module, name } of fields) Reflect.set(module, name, value)
  return current
}

/**
 * The base's matrices with the adapter's changes in them, by path.
 * @throws ConfigError where a method or base does not allow it
 */
export const mergedMatrices = ({ attachment, definition, model }: BankEntry): Map<string, Tensor> => {
  const matrices = new Map<string, Tensor>()
  for (const { path, host, adapter } of attachment.placements) {
    if (host instanceof Linear && host.quantization !== undefined)
      throw new ConfigError(
        `\`merge\` needs a base that is not quantised, got one in ${host.quantization}. Load the base again as it is and put the adapter on it.`,
      )
    const merged = noGrad(() => adapter.merged(host))
    if (merged === undefined)
      throw new ConfigError(
        `Expected an adapter that can be merged, got ${definition.type}: no matrix of the base has its effect. Keep the adapter beside the base, as Tunesmith opens both.`,
      )
    for (const [field, tensor] of Object.entries(merged)) matrices.set(`${path}.${field}`, keep(tensor))
  }
  // A tied output layer that has no adapter keeps the table that it had.
  const tied = tiedLayer(model)
  if (tied !== undefined && matrices.has(TABLE_PATH) && !attachment.placements.some(({ host }) => host === tied))
    matrices.set(TIED_PATH, tied.weight)
  return matrices
}
