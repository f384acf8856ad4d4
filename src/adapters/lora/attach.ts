// Low-rank changes for a list of layers. Knows no config of a method and no file.
import type { Model } from '../../models/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { AttachContext, Attachment, Placement } from '../adapter.ts'
import { fusedGroups, type LinearAt } from '../targets.ts'
import { LoraLayer, type LoraShape } from './layer.ts'

/** A layer that is changed, and how. */
export type LoraPlace = LinearAt & { shape: LoraShape }

/** Layers that are one matrix in the files of transformers share A, as they do in PEFT. */
export const attachLora = (
  model: Model,
  places: readonly LoraPlace[],
  { loraPlusRatio }: { loraPlusRatio: number },
  { generator, draws }: AttachContext,
): Attachment => {
  const groups = fusedGroups(model)
  const shared = new Map<readonly string[], Tensor>()
  const placements: Placement[] = places.map(({ path, layer, shape }) => {
    const group = groups.get(path)
    const known = group === undefined ? undefined : shared.get(group)
    const adapter = new LoraLayer(layer, shape, draws, known)
    if (known === undefined) adapter.draw(generator)
    if (group !== undefined) shared.set(group, adapter.a)
    return { path, host: layer, adapter }
  })
  return {
    placements,
    trained: [],
    learningRateScale: (path) => (/\.adapters\.[^.]+\.b$/.test(path) ? loraPlusRatio : 1),
  }
}
