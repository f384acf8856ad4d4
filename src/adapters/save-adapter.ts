// Writes an adapter as a folder: adapter_config.json and adapter_model.safetensors, in PEFT's format where it has the method, otherwise
// in ours (same two names; tensors by our paths). `tunesmith.json` beside them holds what PEFT's fields cannot say.
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { saveSafetensors, sourceOf, toHfKeys } from '../checkpoint/index.ts'
import { ConfigError, writeFolderAtomic } from '../core/index.ts'
import { type Model, modelKeys } from '../models/index.ts'
import { type Dtype, noGrad, type Tensor } from '../tensor/index.ts'
import type { AppliedAdapter } from './apply.ts'
import { modulesToSave, taskTypes } from './peft/names.ts'

export const CONFIG_FILE = 'adapter_config.json'
export const WEIGHTS_FILE = 'adapter_model.safetensors'
export const EXTRA_FILE = 'tunesmith.json'
/** Before every key in PEFT's files. */
export const keyPrefix = 'base_model.model.'
/** `peft_type` of methods that PEFT does not have. */
export const ownType = (type: string) => `TUNESMITH_${type.toUpperCase().replaceAll('-', '_')}`

export interface SaveAdapterOptions {
  /** Folder or Hub id of the base, as whoever opens the files will find it; where the base came from unless given. */
  base?: string
  /** Seed of a base whose weights are drawn at random: `base` says its shape only. PEFT cannot open such an adapter. */
  fresh?: number
  /** Converts what is written. */
  dtype?: Dtype
  /** Writes more files into the folder before it appears. */
  also?(folder: string): Promise<void>
}

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`

/** The adapter's own values of parameters of the model, by their keys in the base's files. */
const copiesByKey = (model: Model, copies: ReadonlyMap<string, Tensor>): Map<string, Tensor> => {
  const { definition, config, headType } = model
  return toHfKeys(copies, modelKeys(definition, config, headType), definition.facts(config).numLayers)
}

/** Two files, whole or not at all. @throws ConfigError for a variant that is a model of its own */
export const saveAdapter = async (
  applied: AppliedAdapter,
  folder: string,
  options: SaveAdapterOptions = {},
): Promise<void> => {
  const { name, bank } = applied
  const { definition, config, model, attachment, copies: own } = bank.get(name)
  if (definition.inPlace)
    throw new ConfigError(
      `Expected an adapter beside its base to save, got \`${definition.type}\`, which trains the base itself. Save the model.`,
    )
  const base = options.base ?? sourceOf(model)?.folder ?? null
  const all = bank.tensorsOf(name)
  const copies = new Map([...all].filter(([path]) => own.has(path)))
  const common = {
    base_model_name_or_path: base,
    task_type: taskTypes[model.headType] ?? null,
    inference_mode: true,
    revision: null,
  }
  const { fields, tensors } = noGrad(() => {
    if (definition.peft === undefined)
      return {
        fields: { ...common, peft_type: ownType(definition.type), tunesmith: config },
        tensors: new Map([...all].map(([path, tensor]) => [path.replace(`.adapters.${name}.`, '.adapter.'), tensor])),
      }
    const { prefix = keyPrefix } = definition.peft
    const written = definition.peft.write(model, config, attachment)
    const named = new Map([...written.tensors, ...copiesByKey(model, copies)])
    return {
      fields: {
        ...common,
        peft_type: definition.peft.type,
        ...written.fields,
        modules_to_save: copies.size === 0 ? null : modulesToSave(model, copies.keys()),
      },
      tensors: new Map([...named].map(([key, tensor]) => [(written.bare?.has(key) ? '' : prefix) + key, tensor])),
    }
  })
  const { fresh } = options
  const extra = { type: definition.type, config, head: model.headType, headOptions: model.headOptions, fresh }
  await mkdir(dirname(folder), { recursive: true })
  await writeFolderAtomic(folder, async (target) => {
    await writeFile(join(target, CONFIG_FILE), json(fields))
    await writeFile(join(target, EXTRA_FILE), json(extra))
    const plain = noGrad(
      () => new Map([...tensors].map(([key, tensor]) => [key, tensor.detach().to(options.dtype ?? tensor.dtype)])),
    )
    await saveSafetensors(join(target, WEIGHTS_FILE), plain, { format: 'pt' })
    await options.also?.(target)
  })
}
