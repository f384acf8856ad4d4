// Puts LoRA on a list of layers. Independent of files.
import { ConfigError } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import type { AttachContext, Attachment } from '../adapter.ts'
import { fusedGroups, type TargetLayer } from '../targets.ts'
import { EMBEDDING_PATH } from './embedding.ts'
import { initializeLayers, type LoraInit } from './initialize.ts'
import { LoraLayer, type LoraShape } from './layer.ts'

/** A layer and the shape of its LoRA. */
export type LoraTarget = TargetLayer & { shape: LoraShape }

/** Settings of LoRA beside its shapes. */
export interface AttachSettings {
  loraPlusRatio: number
  init: LoraInit
  initIterations?: number
}

const expectEqualShapes = (targets: readonly LoraTarget[]): void => {
  const [{ shape: first }] = targets
  const other = targets.find(({ shape }) => shape.rank !== first.rank || shape.alpha !== first.alpha)
  if (other !== undefined)
    throw new ConfigError(
      `Expected one rank and alpha for ${targets.map(({ path }) => path).join(', ')}, which are one matrix in files, got ${first.rank} and ${other.shape.rank}, ${first.alpha} and ${other.shape.alpha}. Change \`rankPattern\` or \`alphaPattern\`.`,
    )
}

/** Layers that are fused into one matrix in files of transformers share A, as in PEFT. */
export const attachLora = (
  model: Model,
  places: readonly LoraTarget[],
  { loraPlusRatio, init, initIterations: iterations }: AttachSettings,
  { generator, original }: AttachContext,
): Attachment => {
  const groups = fusedGroups(model)
  const byGroup = new Map<unknown, LoraTarget[]>()
  for (const target of places) {
    const group = groups.get(target.path) ?? target.path
    byGroup.set(group, [...(byGroup.get(group) ?? []), target])
  }
  const layers = new Map<string, LoraLayer>()
  for (const targets of byGroup.values()) {
    expectEqualShapes(targets)
    const made = targets.map(({ path, layer, shape }) => {
      const [first] = targets
      const adapter = new LoraLayer(layer, shape, layers.get(first.path)?.a)
      layers.set(path, adapter)
      return { path, layer: adapter, host: layer }
    })
    initializeLayers(made, init, { generator, iterations, original })
  }
  return {
    placements: places.map(({ path, layer }) => ({ path, host: layer, adapter: layers.get(path) as LoraLayer })),
    trained: [],
    // Of the embeddings, A is the matrix that starts at zero, and LoRA+ leaves both alone.
    learningRateScale: (path) =>
      /\.adapters\.[^.]+\.b$/.test(path) && !path.startsWith(`${EMBEDDING_PATH}.`) ? loraPlusRatio : 1,
  }
}
