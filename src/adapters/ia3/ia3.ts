// IA3: trained factors on keys, values and the hidden units of the feed-forward block. @source arXiv:2205.05638
import { z } from 'zod'
import { CheckpointError, type Named } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import type { Linear } from '../../nn/index.ts'
import { keep, noGrad, ones, type Tensor } from '../../tensor/index.ts'
import { type Attachment, adapterFields, defineAdapter, type Placement } from '../adapter.ts'
import { LayerAdapter } from '../layer-adapter.ts'
import type { FoundAdapter, PeftFile, PeftFormat } from '../peft/format.ts'
import { joinRows, namedLinears, splitRows, targetModules } from '../peft/names.ts'
import { blockLinears, findTargets, fusedGroups, linearNames, targetsSchema } from '../targets.ts'

type Way = (input: Tensor) => Tensor

/** Scales the output or input of a linear layer. */
class Ia3Layer extends LayerAdapter<Linear, Way> {
  /** [outputs], or [inputs] */
  scale: Tensor
  readonly #onInput: boolean

  /** @param shared tensor shared by layers that are fused in files */
  constructor({ shape, dtype, device }: Linear, onInput: boolean, shared?: Tensor) {
    super()
    this.#onInput = onInput
    this.scale = shared ?? keep(ones([shape[onInput ? 1 : 0]], { dtype, device }))
  }

  override get rowWise(): boolean {
    return true
  }

  /** Whether the input is scaled instead of the output. */
  get onInput(): boolean {
    return this.#onInput
  }

  wrap(_: Linear, next: Way): Way {
    return this.#onInput ? (input) => next(input.mul(this.scale)) : (input) => next(input).mul(this.scale)
  }

  override merged({ weight, bias }: Linear): Record<string, Tensor> {
    if (this.#onInput) return { weight: weight.mul(this.scale) }
    const changed = { weight: weight.mul(this.scale.unsqueeze(1)) }
    return bias === undefined ? changed : { ...changed, bias: bias.mul(this.scale) }
  }
}

/** A layer to scale. */
interface Ia3Target {
  path: string
  layer: Linear
  onInput: boolean
}

/** Layers that are fused into one matrix in files of transformers have one input there, and share its factors. */
const attachIa3 = (model: Model, places: readonly Ia3Target[]): Attachment => {
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
const ia3Files: PeftFormat<Ia3Config> = {
  type: 'IA3',
  fields: ['target_modules', 'feedforward_modules', 'fan_in_fan_out', 'init_ia3_weights', 'exclude_modules'],
  write: (model, _, { placements }) =>
    write(model, new Map(placements.map(({ path, adapter }) => [path, adapter as Ia3Layer]))),
  read,
}

const schema = z.strictObject({
  targets: targetsSchema
    .default(['kProj', 'vProj', 'downProj'])
    .describe('layers to adapt: names such as kProj and vProj, or all-linear'),
  inputTargets: z
    .array(z.enum(linearNames))
    .default(['downProj'])
    .describe('targets whose input is scaled instead of their output'),
  ...adapterFields,
})
/** Checked settings of IA3. */
type Ia3Config = z.output<Named<'ia3', typeof schema>>

export const ia3 = defineAdapter({
  type: 'ia3',
  source: 'arXiv:2205.05638',
  config: schema,
  learningRate: 1e-2,
  plan: (model, config) => {
    const { targets, inputTargets } = config
    const places = findTargets(model, targets, 'adapter.targets')
    return attachIa3(
      model,
      places.map(({ path, layer, name }) => ({
        path,
        layer,
        onInput: name !== undefined && inputTargets.includes(name),
      })),
    )
  },
  peft: ia3Files,
})
