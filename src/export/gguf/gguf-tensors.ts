// Names, row order and types of the tensors of GGUF files, for whole models and for adapters. Names come from the table that
// GGUF files are read by, so both directions agree.
import { z } from 'zod'
import { type GgufName, ggufNames, ggufType, hfState } from '../../checkpoint/index.ts'
import type { Model } from '../../models/index.ts'
import { noGrad, scope, type Tensor } from '../../tensor/index.ts'
import type { GgufEntry } from './gguf-file.ts'
import { quantizers } from './quantizers.ts'

/** An architecture in GGUF. */
interface GgufArchitecture {
  /** ggml's name. */
  name: string
  /** The activation that llama.cpp computes. */
  activation: string
  /** Key of the norms' epsilon. */
  normKey: string
  /** Whether positions are rotary. */
  rope: boolean
  /** Whether llama.cpp has no output matrix beside the token embedding. */
  tiedOnly?: boolean
}

const llamaKin = (name: string): GgufArchitecture => ({
  name,
  activation: 'silu',
  normKey: 'attention.layer_norm_rms_epsilon',
  rope: true,
})

/** GGUF's form of our architectures: Mistral is a Llama there. */
export const architectures: Readonly<Record<string, GgufArchitecture>> = {
  llama: llamaKin('llama'),
  mistral: llamaKin('llama'),
  qwen2: llamaKin('qwen2'),
  qwen3: llamaKin('qwen3'),
  gemma: { ...llamaKin('gemma'), activation: 'gelu_pytorch_tanh', tiedOnly: true },
  gpt2: { name: 'gpt2', activation: 'gelu_new', normKey: 'attention.layer_norm_epsilon', rope: false },
}

/** GGUF's form of the model's architecture. */
export const architectureOf = ({ definition }: Model): GgufArchitecture => architectures[definition.type]

/** Whether the output matrix is the token embedding. */
export const isTied = (model: Model): boolean => !hfState(model).has('lm_head.weight')

const configSchema = z.object({
  vocabSize: z.number(),
  hiddenSize: z.number(),
  numLayers: z.number(),
  numHeads: z.number(),
  numKvHeads: z.number().optional(),
  headDim: z.number().optional(),
  intermediateSize: z.number().optional(),
  maxPositions: z.number(),
  normEps: z.number(),
  activation: z.string(),
  slidingWindow: z.number().optional(),
  useSlidingWindow: z.boolean().optional(),
  ropeTheta: z.number().default(10_000),
  ropeScaling: z.looseObject({ kind: z.string() }).default({ kind: 'default' }),
  scaleAttention: z.boolean().default(true),
  scaleAttentionByLayer: z.boolean().default(false),
  tiedEmbeddings: z.boolean().default(false),
})
export type Settings = z.output<typeof configSchema> & { intermediateSize: number }

export const headDimOf = ({ headDim, hiddenSize, numHeads }: Settings): number => headDim ?? hiddenSize / numHeads

export const settingsOf = (model: Model): Settings => {
  const parsed = configSchema.parse(model.config)
  return { ...parsed, intermediateSize: parsed.intermediateSize ?? 4 * parsed.hiddenSize }
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

/** A tensor of the file, in one of ggml's types. @param importance of its columns, where there is an importance matrix */
export const entryOf = (
  name: string,
  tensor: Tensor,
  type: string,
  { permutedHeads, offset }: Pick<GgufName, 'permutedHeads' | 'offset'>,
  importance?: Float32Array,
): GgufEntry => {
  const { shape, size } = tensor
  const inOrder = () => {
    const ordered = permutedHeads === undefined ? tensor : permute(tensor, permutedHeads)
    return (offset === undefined ? ordered : ordered.add(offset)).contiguous()
  }
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
  const { quantize, weighted } = quantizers[type]
  const read = () => {
    const out = new Uint8Array(bytes)
    const values = noGrad(() => scope(() => inOrder().toFloat32Array()))
    if (importance !== undefined && weighted !== undefined) weighted(values, out, importance)
    else quantize(values, out)
    return out
  }
  return { name, shape, code, bytes, read }
}
