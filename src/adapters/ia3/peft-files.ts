// IA3 on a list of layers, and in PEFT's files. Layers that are fused into one matrix there have their factors
// concatenated.
import { CheckpointError } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import type { Linear } from '../../nn/index.ts'
import { noGrad, ones, type Tensor } from '../../tensor/index.ts'
import type { Attachment, Placement } from '../adapter.ts'
import type { FoundAdapter, PeftFile, PeftFormat } from '../peft/format.ts'
import { joinRows, namedLinears, splitRows, targetModules } from '../peft/names.ts'
import { blockLinears, fusedGroups, linearNames } from '../targets.ts'
import type { Ia3Config } from './ia3.ts'
import { Ia3Layer } from './layer.ts'

/** A layer to scale. */
export interface Ia3Target {
  path: string
  layer: Linear
  onInput: boolean
}

/** Layers that are fused into one matrix in files of transformers have one input there, and share its factors. */
export const attachIa3 = (model: Model, places: readonly Ia3Target[]): Attachment => {
  const groups = fusedGroups(model)
  const shared = new Map<readonly string[], Tensor>()
  const placements = places.map(({ path, layer, onInput }): Placement => {
    const group = onInput ? groups.get(path) : undefined
    const adapter = new Ia3Layer(layer, onInput, group === undefined ? undefined : shared.get(group))
    if (group !== undefined) shared.set(group, adapter.scale)
    return { path, host: layer, adapter }
  })
  return { placements, trained: [] }
}

const suffix = '.ia3_l'

const write = (model: Model, layers: ReadonlyMap<string, Ia3Layer>) => {
  const chosen = namedLinears(model).filter(({ parts }) => parts.some(({ path }) => layers.has(path)))
  const tensors = new Map<string, Tensor>()
  const onInput: typeof chosen = []
  for (const linear of chosen) {
    const { theirs, parts } = linear
    const own = parts.map(({ path }) => layers.get(path))
    const first = own.find((layer) => layer !== undefined)!
    if (first.onInput) {
      if (own.includes(undefined))
        throw new CheckpointError(
          `Expected factors for the inputs of all of ${parts.map(({ path }) => path).join(', ')}, which are one matrix in the files, got only some. Add the others to \`targets\`.`,
        )
      onInput.push(linear)
      tensors.set(theirs + suffix, first.scale.unsqueeze(0))
    } else {
      const rows = parts.map(
        ({ layer }, i) =>
          own[i]?.scale ?? ones([layer.shape[0]], { dtype: first.scale.dtype, device: first.scale.device }),
      )
      tensors.set(theirs + suffix, joinRows(rows, linear).unsqueeze(1))
    }
  }
  return {
    tensors,
    fields: {
      target_modules: targetModules(model, chosen),
      feedforward_modules: targetModules(model, onInput),
      fan_in_fan_out: chosen.some(({ transposed }) => transposed),
      init_ia3_weights: true,
    },
  }
}

const read = (file: PeftFile, model: Model): FoundAdapter<Ia3Config> => {
  const found = namedLinears(model).flatMap((linear) => {
    const { theirs, parts } = linear
    const key = theirs + suffix
    if (!file.has(key)) return []
    const [inputs, outputs] = [parts[0].layer.shape[1], parts.reduce((sum, { layer }) => sum + layer.shape[0], 0)]
    const onInput = file.shape(key)?.[0] === 1 && outputs !== 1
    const values = file.take(key, onInput ? [1, inputs] : [outputs, 1])?.view([-1])
    return [{ linear, parts, onInput, values }]
  })
  const names = new Map(blockLinears(model).map(({ path, name }) => [path, name]))
  const places = found.flatMap(({ parts, onInput }) => parts.map(({ path, layer }) => ({ path, layer, onInput })))
  const named = (wanted: (place: Ia3Target) => boolean) =>
    linearNames.filter((name) => places.some((place) => names.get(place.path) === name && wanted(place)))
  const [targets, inputTargets] = [named(() => true), named((place) => place.onInput)]
  return {
    config: { type: 'ia3', targets: targets.length > 0 ? targets : 'all-linear', inputTargets },
    plan: () => attachIa3(model, places),
    fill: ({ placements }) => {
      const layers = new Map(placements.map(({ path, adapter }) => [path, adapter as Ia3Layer]))
      noGrad(() => {
        for (const { linear, parts, onInput: shared, values } of found)
          if (values !== undefined) {
            const pieces = shared ? parts.map(() => values) : splitRows(values, linear)
            parts.forEach(({ path }, i) => {
              layers.get(path)?.scale.copy_(pieces[i])
            })
          }
      })
    },
  }
}

/** IA3 in PEFT's files. */
export const ia3Files: PeftFormat<Ia3Config> = {
  type: 'IA3',
  fields: ['target_modules', 'feedforward_modules', 'fan_in_fan_out', 'init_ia3_weights', 'exclude_modules'],
  write: (model, _, { placements }) =>
    write(model, new Map(placements.map(({ path, adapter }) => [path, adapter as Ia3Layer]))),
  read,
}
