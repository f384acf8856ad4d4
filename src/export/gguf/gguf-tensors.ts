// Names, row order and types of the tensors of GGUF files, for whole models and for adapters. Names come from the table that
// GGUF files are read by, so both directions agree.
import { type GgufName, ggufNames, ggufType, hfState, inStoredOrder, toHfKeys } from '../../checkpoint/index.ts'
import { type Model, modelKeys, Seq2SeqLmHead } from '../../models/index.ts'
import { noGrad, type Tensor, zeros } from '../../tensor/index.ts'
import { architectureOf, headDimOf, settingsOf } from './architectures.ts'
import type { GgufEntry } from './gguf-file.ts'
import { quantizers } from './mixes.ts'

/** Factor of the hidden states before the output layer. */
const scaleOf = ({ head }: Model): number => (head instanceof Seq2SeqLmHead ? head.scale : 1)

/** Whether the output matrix is the token embedding. */
export const isTied = (model: Model): boolean => !model.parameters().has('head.lmHead.weight')

/**
 * Tensors of the model by the keys that the table of GGUF has. Where the architecture is another there, tables of positions
 * begin with the first position, and there is a row of zeros for segments that the model does not have. A tied output matrix is
 * there twice where llama.cpp needs one of its own.
 */
export const stateOf = (model: Model): Map<string, Tensor> => {
  const { as, output } = architectureOf(model)
  if (as === undefined) {
    const state = hfState(model)
    const [norm, scale] = [state.get('decoder.final_layer_norm.weight'), scaleOf(model)]
    if (norm !== undefined && scale !== 1)
      state.set(
        'decoder.final_layer_norm.weight',
        noGrad(() => norm.mul(scale)),
      )
    if (output === 'own' && isTied(model)) {
      const names = namesOf(model)
      const [table, own] = ['token_embd.weight', 'output.weight'].map((name) => names.get(name)?.theirs ?? '')
      const shared = state.get(table)
      if (shared !== undefined) state.set(own, shared)
    }
    return state
  }
  const { hiddenSize, numLayers, maxPositions } = settingsOf(model)
  const state = toHfKeys(model.parameters(), modelKeys(as, as.presets.test, 'embedding'), numLayers)
  const [positions, segments] = ['position', 'token_type'].map((table) => `embeddings.${table}_embeddings.weight`)
  const rows = state.get(positions)
  if (rows !== undefined) state.set(positions, rows.narrow(0, rows.shape[0] - maxPositions, maxPositions))
  if (!state.has(segments)) state.set(segments, zeros([1, hiddenSize]))
  return state
}

/** Names of all tensors of the model's architecture, by ggml's name. */
export const namesOf = (model: Model): Map<string, GgufName> => {
  const settings = settingsOf(model)
  const { numHeads: heads, numKvHeads: kvHeads = heads, numLayers: layers } = settings
  const names = ggufNames(architectureOf(model).name, {
    hidden: settings.hiddenSize,
    intermediate: settings.intermediateSize,
    layers,
    heads,
    kvHeads,
    headDim: headDimOf(settings),
    vocab: settings.vocabSize,
    positions: settings.maxPositions,
    segments: settings.typeVocabSize,
    decoderLayers: settings.numDecoderLayers ?? settings.numLayers,
    buckets: settings.relativeBuckets,
    gated: settings.gated,
    experts: settings.numExperts,
    expertSize: settings.expertSize,
  })
  return names ?? new Map<string, GgufName>()
}

/**
 * A tensor of the file, in one of ggml's types.
 * @param tensors the matrices that it has along a first dimension, or the tensor itself
 * @param importance of the columns of each, where there is an importance matrix
 */
export const entryOf = (
  name: string,
  tensors: readonly Tensor[],
  type: string,
  { order, offset, experts }: Pick<GgufName, 'order' | 'offset' | 'experts'>,
  importance?: readonly Float32Array[],
): GgufEntry => {
  const [{ shape, size }] = tensors
  const { code, blockSize, blockBytes, dtype } = ggufType(type)
  const weighted = dtype === undefined && quantizers[type].weighted
  const parts = tensors.map((tensor, i) => {
    const stored = noGrad(() => {
      const ordered = order === undefined ? tensor : inStoredOrder(tensor, order)
      return offset === undefined ? ordered : ordered.add(offset)
    })
    const columns = weighted ? importance?.[i] : undefined
    return { name, tensor: stored, as: dtype ?? type, columns, finite: dtype === 'float16' }
  })
  const bytes = tensors.length * (size / blockSize) * blockBytes
  return { name, shape: experts === undefined ? shape : [experts, ...shape], code, bytes, parts }
}
