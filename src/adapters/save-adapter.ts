// Writes an adapter folder: adapter_config.json and adapter_model.safetensors, in PEFT's format for methods that PEFT
// has, otherwise in ours (the same file names; tensors by our paths). `tunesmith.json` has the settings that PEFT's
// fields cannot express. A stack is a folder of such folders.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { saveSafetensors, sourceOf, toHfKeys } from '../checkpoint/index.ts'
import { ConfigError, writeFolderAtomic } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { type Dtype, noGrad, type Tensor } from '../tensor/index.ts'
import { AppliedAdapter } from './apply.ts'
import { modulesToSave, rulesOf, taskTypes } from './peft/names.ts'

export const CONFIG_FILE = 'adapter_config.json'
export const WEIGHTS_FILE = 'adapter_model.safetensors'
export const EXTRA_FILE = 'tunesmith.json'
/** Prefix of every key in PEFT's files. */
export const keyPrefix = 'base_model.model.'
/** `peft_type` for methods that PEFT does not have. */
export const ownType = (type: string) => `TUNESMITH_${type.toUpperCase().replaceAll('-', '_')}`

/** Type of a folder with several adapters, each in a folder of its own, that are active one on the other. */
export const stackType = 'stack'
/** What the file of a stack names. */
export const stackSchema = z.strictObject({
  /** Folders of the adapters within that of the stack, lowest first. */
  adapters: z.array(z.string().regex(/^[\w-]+$/)).min(1),
})

/** Options of `saveAdapter`. */
export interface SaveAdapterOptions {
  /** Folder or Hub id of the base, from which the adapter can be loaded (default: where the base was loaded from). */
  base?: string
  /**
   * Random seed of a randomly initialised base: `base` then gives its architecture only. PEFT cannot load such an
   * adapter.
   */
  baseSeed?: number
  /** dtype of the written tensors (default: as they are). */
  dtype?: Dtype
  /** Model over the same body whose trained head is written in place of the adapter's own, for an adapter that several heads share. */
  headOf?: Model
  /** Adds files to the folder before it appears under its name. */
  addFiles?(folder: string): Promise<void>
}

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`

/** The adapter's own values of parameters of the model, by their keys in the base's files. */
const copiesByKey = (model: Model, copies: ReadonlyMap<string, Tensor>): Map<string, Tensor> => {
  const { rules, numLayers } = rulesOf(model)
  return toHfKeys(copies, rules, numLayers)
}

/** The tensors of an adapter, and those of them that are its own values of parameters of the model, with the head of a model. */
const tensorsWithHead = (
  tensors: ReadonlyMap<string, Tensor>,
  copied: ReadonlyMap<string, Tensor>,
  headOf: Model | undefined,
): [all: Map<string, Tensor>, copies: Map<string, Tensor>] => {
  const isHead = (path: string) => headOf !== undefined && path.startsWith('head.')
  const own = [...tensors].filter(([path]) => !isHead(path))
  const head = [...(headOf?.head.parameters() ?? [])].map(([path, tensor]) => [`head.${path}`, tensor] as const)
  return [new Map([...own, ...head]), new Map([...own.filter(([path]) => copied.has(path)), ...head])]
}

/** Writes the file that makes a folder one of several adapters, each in a folder of its own. PEFT opens those, and refuses the whole. */
export const writeStackFile = (folder: string, base: string | null, adapters: readonly string[]): Promise<void> => {
  const fields = { base_model_name_or_path: base, peft_type: ownType(stackType), inference_mode: true }
  return writeFile(join(folder, CONFIG_FILE), json({ ...fields, tunesmith: { adapters } }))
}

/**
 * Writes an adapter folder atomically; for an adapter that stands on others, a folder with one for each.
 * @throws ConfigError for a method that trains the base itself
 */
export const saveAdapter = async (
  applied: AppliedAdapter,
  folder: string,
  options: SaveAdapterOptions = {},
): Promise<void> => {
  const { name, bank, below } = applied
  if (below.length === 0) return saveOne(applied, folder, options)
  const { headOf, addFiles, ...shared } = options
  const base = options.base ?? sourceOf(headOf ?? applied.model)?.folder ?? null
  await writeFolderAtomic(folder, async (target) => {
    const folders: string[] = []
    for (const one of [...below, name]) {
      const own = bank.get(one).part ?? one
      folders.push(folders.includes(own) ? `${own}-${folders.length}` : own)
      const more = one === name ? { ...shared, headOf } : shared
      await saveOne(new AppliedAdapter(bank, one), join(target, folders[folders.length - 1]), more)
    }
    await writeStackFile(target, base, folders)
    await addFiles?.(target)
  })
}

const saveOne = async (applied: AppliedAdapter, folder: string, options: SaveAdapterOptions): Promise<void> => {
  const { name, bank } = applied
  const { definition, config, attachment, ...entry } = bank.get(name)
  const { headOf } = options
  const model = headOf ?? entry.model
  if (definition.inPlace)
    throw new ConfigError(
      `\`saveAdapter\` needs an adapter beside its base: \`${definition.type}\` trains the base itself. Use \`saveModel\`.`,
    )
  const base = options.base ?? sourceOf(model)?.folder ?? null
  const [all, copies] = tensorsWithHead(bank.tensorsOf(name), entry.copies, headOf)
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
  const { baseSeed } = options
  const saved = definition.savedConfig?.(config) ?? config
  const { headType: head, headOptions } = model
  const { baseQuantization } = entry
  const extra = { type: definition.type, config: saved, head, headOptions, baseSeed, baseQuantization }
  await writeFolderAtomic(folder, async (target) => {
    await writeFile(join(target, CONFIG_FILE), json(fields))
    await writeFile(join(target, EXTRA_FILE), json(extra))
    const plain = noGrad(
      () => new Map([...tensors].map(([key, tensor]) => [key, tensor.detach().to(options.dtype ?? tensor.dtype)])),
    )
    await saveSafetensors(join(target, WEIGHTS_FILE), plain, { format: 'pt' })
    await options.addFiles?.(target)
  })
}
