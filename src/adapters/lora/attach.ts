// Puts LoRA on a list of layers. Independent of files.
import type { Model } from '../../models/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { AttachContext, Attachment, Placement } from '../adapter.ts'
import { fusedGroups, type TargetLayer } from '../targets.ts'
import { LoraLayer, type LoraShape } from './layer.ts'

/** A layer and the shape of its LoRA. */
export type LoraTarget = TargetLayer & { shape: LoraShape }

/** Layers that are fused into one matrix in files of transformers share A, as in PEFT. */
export const attachLora = (
  model: Model,
  places: readonly LoraTarget[],
  { loraPlusRatio }: { loraPlusRatio: number },
  { generator, dropout }: AttachContext,
): Attachment => {
  const groups = fusedGroups(model)
  const shared = new Map<readonly string[], Tensor>()
  const placements: Placement[] = places.map(({ path, layer, shape }) => {
    const group = groups.get(path)
    const known = group === undefined ? undefined : shared.get(group)
    const adapter = new LoraLayer(layer, shape, dropout, known)
    if (known === undefined) adapter.initializeA(generator)
    if (group !== undefined) shared.set(group, adapter.a)
    return { path, host: layer, adapter }
  })
  return {
    placements,
    trained: [],
    learningRateScale: (path) => (/\.adapters\.[^.]+\.b$/.test(path) ? loraPlusRatio : 1),
  }
}
