// Names, row order and types of the tensors of GGUF files, for whole models and for adapters. Names come from the table that
// GGUF files are read by, so both directions agree.
import { z } from 'zod'
import { type GgufName, ggufNames, ggufType } from '../../checkpoint/index.ts'
import type { Model } from '../../models/index.ts'
import { noGrad, scope, type Tensor } from '../../tensor/index.ts'
import type { GgufEntry } from './gguf-file.ts'
import { quantizers } from './quantizers.ts'

/** ggml's name of our architectures: Mistral is a Llama there. */
export const architectures: Readonly<Record<string, string>> = {
  llama: 'llama',
  mistral: 'llama',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
}

const configSchema = z.object({
  vocabSize: z.number(),
  hiddenSize: z.number(),
  numLayers: z.number(),
  numHeads: z.number(),
  numKvHeads: z.number().optional(),
  headDim: z.number().optional(),
  intermediateSize: z.number(),
  maxPositions: z.number(),
  normEps: z.number(),
  activation: z.string(),
  slidingWindow: z.number().optional(),
  useSlidingWindow: z.boolean().optional(),
  ropeTheta: z.number(),
  ropeScaling: z.looseObject({ kind: z.string() }),
})
export type Settings = z.output<typeof configSchema>

export const headDimOf = ({ headDim, hiddenSize, numHeads }: Settings): number => headDim ?? hiddenSize / numHeads

export const settingsOf = (model: Model): Settings => configSchema.parse(model.config)

/** Names of all tensors of the model's architecture, by ggml's name. */
export const namesOf = (model: Model): Map<string, GgufName> => {
  const settings = settingsOf(model)
  const { numHeads: heads, numKvHeads: kvHeads = heads, numLayers: layers } = settings
  const names = ggufNames(architectures[model.definition.type], {
    hidden: settings.hiddenSize,
    intermediate: settings.intermediateSize,
    layers,
    heads,
    kvHeads,
    headDim: headDimOf(settings),
    vocab: settings.vocabSize,
  })
  return names ?? new Map<string, GgufName>()
}

/** llama.cpp stores the two halves of a head, which RoPE pairs up, as alternate rows. */
export const permute = (tensor: Tensor, heads: number): Tensor => {
  const { shape } = tensor
  const [rows, ...rest] = shape
  // [H·D,…] -> [H,2,D/2,…] -> [H,D/2,2,…] -> [H·D,…]
  return tensor
    .contiguous()
    .view([heads, 2, rows / heads / 2, ...rest])
    .transpose(1, 2)
    .contiguous()
    .view(shape)
}

/** A tensor of the file, in one of ggml's types. */
export const entryOf = (
  name: string,
  tensor: Tensor,
  type: string,
  { permutedHeads }: Pick<GgufName, 'permutedHeads'>,
): GgufEntry => {
  const { shape, size } = tensor
  const inOrder = () => (permutedHeads === undefined ? tensor : permute(tensor, permutedHeads)).contiguous()
  const { code, blockSize, blockBytes, dtype } = ggufType(type)
  const bytes = (size / blockSize) * blockBytes
  if (dtype !== undefined) {
    const read = () => {
      const out = new Uint8Array(bytes)
      noGrad(() => scope(() => inOrder().to(dtype).copyInto(out)))
      return out
    }
    return { name, shape, code, bytes, read }
  }
  const { quantize } = quantizers[type]
  const read = () => {
    const out = new Uint8Array(bytes)
    quantize(
      noGrad(() => scope(() => inOrder().toFloat32Array())),
      out,
    )
    return out
  }
  return { name, shape, code, bytes, read }
}
