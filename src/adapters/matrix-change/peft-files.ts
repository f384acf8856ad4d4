// Changes of matrices in PEFT's files: the tensors of each module under its name, with suffixes of the method.
import type { Model } from '../../models/index.ts'
import { noGrad } from '../../tensor/index.ts'
import type { Attachment } from '../adapter.ts'
import type { FoundAdapter, PeftContents, PeftFile, PeftFormat } from '../peft/format.ts'
import { isTargeted, type NamedLinear, namedLinears, targetModules } from '../peft/names.ts'
import { blockLinears, linearNames, type Targets } from '../targets.ts'
import { attachMatrices, MatrixLayer, type MatrixMethod, sizeOf, type Tensors } from './layer.ts'

/** What a method adds to the common form of its files. */
export interface MatrixFiles<Config> {
  /** `peft_type` */
  type: string
  /** Suffixes of the tensors, by name. */
  suffixes: Readonly<Record<string, string>>
  /** Names of the fields that `read` uses, and of those that only matter in training. */
  fields: readonly string[]
  /** Fields of a config. */
  write(config: Config, attachment: Attachment): Record<string, unknown>
  /** The tensors of a module as files have them (default: as they are). */
  stored?(module: string, tensors: Tensors, attachment: Attachment): Tensors
  /** Config of the fields. @throws CheckpointError for values that are not supported */
  read(file: PeftFile, targets: Targets): Config
  method(config: Config, modules: readonly NamedLinear[], file?: PeftFile): MatrixMethod
  /** Adds to what was read. */
  attached?(config: Config, attachment: Attachment, modules: readonly NamedLinear[], file: PeftFile): Attachment
  /** Whether the files have `fan_in_fan_out`. */
  hasLayout?: boolean
}

const common = ['target_modules', 'exclude_modules', 'layers_to_transform', 'layers_pattern', 'init_weights']

const read = <Config>(form: MatrixFiles<Config>, file: PeftFile, model: Model): FoundAdapter<Config> => {
  const suffixes = Object.values(form.suffixes)
  const modules = namedLinears(model).filter(
    ({ theirs }) => suffixes.some((suffix) => file.has(theirs + suffix)) || isTargeted(file, theirs),
  )
  const names = new Map(blockLinears(model).map(({ path, name }) => [path, name]))
  const present = new Set(modules.flatMap(({ parts }) => parts.map(({ path }) => names.get(path))))
  const targets = linearNames.filter((name) => present.has(name))
  const config = form.read(file, targets.length > 0 ? targets : 'all-linear')
  const method = form.method(config, modules, file)
  const values = modules.map((module) => {
    const shapes = Object.entries(method.shapes(...sizeOf(module), module))
    return new Map(shapes.map(([name, shape]) => [name, file.take(module.theirs + form.suffixes[name], shape)]))
  })
  return {
    config,
    plan: ({ generator }) => {
      const attachment = attachMatrices(modules, method, generator)
      return form.attached?.(config, attachment, modules, file) ?? attachment
    },
    fill: ({ placements }) => {
      const layers = new Map(placements.map(({ path, adapter }) => [path, adapter as MatrixLayer]))
      noGrad(() => {
        for (const [i, { parts }] of modules.entries()) {
          const { tensors } = layers.get(parts[0].path)!
          for (const [name, value] of values[i]) if (value !== undefined) tensors[name].copy_(value)
        }
      })
    },
  }
}

/** The files of a method. */
export const matrixFiles = <Config>(form: MatrixFiles<Config>): PeftFormat<Config> => ({
  type: form.type,
  fields: [...common, ...form.fields, ...(form.hasLayout ? ['fan_in_fan_out'] : [])],
  write: (model, config, attachment): PeftContents => {
    const { placements } = attachment
    const layers = new Map(
      placements.flatMap(({ path, adapter }) => (adapter instanceof MatrixLayer ? [[path, adapter]] : [])),
    )
    const modules = namedLinears(model).filter(({ parts }) => layers.has(parts[0].path))
    const storedOf = (module: string, tensors: Tensors) => form.stored?.(module, tensors, attachment) ?? tensors
    const shared = new Map([...layers.values()].flatMap((layer) => [...layer.shared]))
    const own = modules.flatMap(({ theirs, parts }) =>
      Object.entries(storedOf(theirs, layers.get(parts[0].path)!.tensors)).map(
        ([name, tensor]) => [theirs + form.suffixes[name], tensor] as const,
      ),
    )
    return {
      fields: {
        init_weights: true,
        ...form.write(config, attachment),
        target_modules: targetModules(model, modules),
        ...(form.hasLayout ? { fan_in_fan_out: modules.some(({ transposed }) => transposed) } : {}),
      },
      tensors: new Map([...own, ...shared]),
      bare: new Set(shared.keys()),
    }
  },
  read: (file, model) => read(form, file, model),
})
