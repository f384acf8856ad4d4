// Opens the model of an export: any MODEL in float32, with its adapters merged into the matrices of the base. An adapter that was trained
// on a quantised base is merged into the original one, whose matrices were never rounded; how far the result is from the model that was
// trained, and how far a merge into the dequantised base would be, is measured.

import { resolve } from 'node:path'
import { z } from 'zod'
import { adaptersOf, isAdapterFolder, loadAdapter } from '../adapters/index.ts'
import { type ModelTokenizer, modelOfTask, resolveModel, sourceOf } from '../checkpoint/index.ts'
import { CheckpointError, ConfigError, exists, show } from '../core/index.ts'
import { isFeatureModel } from '../features/index.ts'
import {
  generationDefaults,
  type InferenceModel,
  type LoadHooks,
  loadForInference,
  parseAdapters,
} from '../inference/index.ts'
import { expectFinite, LanguageHead, type Model, withQuantizedValues } from '../models/index.ts'
import type { Quantization } from '../nn/index.ts'
import { readTask } from '../runs/index.ts'
import type { Dtype } from '../tensor/index.ts'
import type { ExportSource } from './export-target.ts'
import { textLogits } from './proof/compare-models.ts'
import { RelativeDifference, rounded } from './proof/differences.ts'
import { proofTexts } from './proof/runner.ts'

/** What is merged, and the texts that both merges are compared on. */
interface QuantizedMerge {
  model: Model
  tokenizer: ModelTokenizer
  /** Adapters of the model that are merged. */
  names: readonly string[]
  texts: readonly string[]
}

const difference = (a: readonly Float32Array[], b: readonly Float32Array[]): number => {
  const found = new RelativeDifference()
  for (const [i, values] of a.entries()) found.add(values, b[i])
  return rounded(found.value)
}

/**
 * Merges adapters into the base and says how the merged model differs from the one that was trained. Adapters are active
 * before and merged afterwards.
 * @param format of the matrices that the adapters were trained on
 */
const mergeIntoOriginal = async (
  { model, tokenizer, names, texts }: QuantizedMerge,
  format: Quantization,
): Promise<string> => {
  const bank = adaptersOf(model)
  const logits = () => textLogits({ model: model.eval(), tokenizer }, texts)
  bank.activate([])
  const { trained, dequantised, matrices } = await withQuantizedValues(model, format, async (matrices) => {
    try {
      bank.activate(names)
      const trained = await logits()
      bank.activate(names, { merged: names })
      return { trained, dequantised: await logits(), matrices }
    } finally {
      bank.activate([])
    }
  })
  bank.activate(names, { merged: names })
  const original = await logits()
  return `Trained on a base in ${format}, whose matrices differ from the original ones by ${rounded(matrices)}. Merged into the original base, logits differ by at most ${difference(trained, original)} of the largest from those of the trained model; merged into the dequantised base they would differ by ${difference(trained, dequantised)}.`
}

/** Which model is exported. */
export const sourceSchema = z.strictObject({
  model: z.string().describe('model: a folder, a run, an adapter, a .gguf file or a Hub id'),
  task: z.string().optional().describe('task of a model of several, which `multitask` makes'),
  revision: z.string().optional().describe('branch, tag or commit of a Hub id'),
  adapters: z
    .array(z.string())
    .readonly()
    .optional()
    .describe('adapters to merge into the model: folders or NAME=FOLDER'),
  weights: z.array(z.number()).readonly().optional().describe('weight of each adapter in their sum (default: 1 each)'),
  texts: z.array(z.string()).readonly().optional().describe('validation texts to compare on (default: built-in ones)'),
})

/** Which model is exported. */
export interface SourceInput extends z.input<typeof sourceSchema> {}

const namePattern = /[^\w.-]+/g

/** A name for files from a path or Hub id. */
const nameOf = (model: string): string => {
  const parts = resolve(model)
    .replace(/\.(gguf|safetensors)$/, '')
    .split(/[\\/]/)
  const last = parts.at(-1) === 'model' ? parts.at(-2) : parts.at(-1)
  return (last ?? 'model').replace(namePattern, '-').replace(/^[.-]+/, '') || 'model'
}

const floatDtypes: Record<string, Dtype> = { float32: 'float32', float16: 'float16', bfloat16: 'bfloat16' }

/** dtype of the weights in the files of a model. */
export const storedDtype = (model: Model): Dtype => {
  const { dtype, torch_dtype: older } = sourceOf(model)?.fields ?? {}
  return floatDtypes[String(dtype ?? older)] ?? 'float32'
}

/** Puts adapters on the model: one alone, or the weighted sum of several. */
const addAdapters = async (loaded: InferenceModel, { adapters = [], weights }: SourceInput): Promise<void> => {
  if (weights !== undefined && weights.length !== adapters.length)
    throw new ConfigError(
      `Expected a weight for each of ${adapters.length} adapters, got ${weights.length} in \`weights\`. Give one for each, in order.`,
    )
  if (adapters.length === 0) return
  const bank = adaptersOf(loaded.model)
  if (bank.active.length > 0)
    throw new ConfigError(
      `Expected a whole model with \`adapters\`, got an adapter for \`model\`. Name the base, and all adapters in \`adapters\`.`,
    )
  const parts: { name: string; weight: number }[] = []
  for (const [i, { name, folder }] of parseAdapters(adapters).entries()) {
    if (folder === undefined) throw new ConfigError('`adapters` needs folders of adapters, got "base": leave it out.')
    const path = await resolveModel(folder)
    if (!(await isAdapterFolder(path)))
      throw new CheckpointError(
        `${folder}: Expected the folder of an adapter, got a folder without adapter_config.json. Check the path.`,
      )
    await loadAdapter(path, { base: loaded.model, name })
    parts.push({ name, weight: weights?.[i] ?? 1 })
  }
  const [first] = parts
  if (parts.length === 1 && first.weight === 1) bank.activate(first.name)
  else {
    bank.activate([])
    bank.average('weighted-sum', parts)
    bank.activate('weighted-sum')
  }
}

/** Formats of the bases that adapters were trained on. */
const baseFormats = (model: Model): Quantization[] => {
  const bank = adaptersOf(model)
  return [
    ...new Set(
      bank.names.flatMap((name) => bank.stackOf(name)).flatMap((name) => bank.get(name).baseQuantization ?? []),
    ),
  ]
}

/** Makes the active adapters part of the base's matrices. @returns sentences about it */
const mergeActive = async (
  model: Model,
  tokenizer: ModelTokenizer,
  given: readonly string[] | undefined,
): Promise<string[]> => {
  const bank = adaptersOf(model)
  const names = bank.active
  if (names.length === 0) return []
  const methods = names.map((name) => bank.get(name).definition)
  for (const name of names) {
    const { attachment, definition } = bank.get(name)
    if ((attachment.virtualTokens ?? 0) > 0)
      throw new ConfigError(
        `Expected an adapter that can be merged, got ${definition.type}: its ${attachment.virtualTokens} virtual tokens are inputs, and no matrix of the base has their effect. Use it with Tunesmith or PEFT.`,
      )
  }
  const notes = [`Merged in float32: ${names.map((name, i) => `${name} (${methods[i].type})`).join(', ')}.`]
  for (const format of baseFormats(model))
    notes.push(await mergeIntoOriginal({ model, tokenizer, names, texts: proofTexts(given) }, format))
  bank.activate(names, { merged: names })
  return notes
}

/**
 * Opens any MODEL for an export.
 * @throws ConfigError for a feature-based run and for adapters that cannot be merged, CheckpointError for files that cannot be loaded,
 *   and for NaN or infinity in a tensor
 */
export const openSource = async (input: SourceInput, hooks: LoadHooks = {}): Promise<ExportSource> => {
  const { model: chosen, task: named, revision } = input
  if (chosen === '') throw new ConfigError(`Expected a model to export, got ${show(chosen)}.`)
  const given = named === undefined ? chosen : await modelOfTask(chosen, named)
  // Its head is a fitted learner, not a layer that formats of models know: said before the base is loaded.
  if (await isFeatureModel(await resolveModel(given, { revision, onProgress: hooks.onDownload })))
    throw new ConfigError(
      `Expected a model that an export can write, got ${given}, a feature-based run: a learner on a frozen base, which no format of \`export\` has. Use it with \`predict\`, \`serve\` or, in TypeScript, \`open\`; to export, fine-tune with the variant full, or with an adapter that can be merged, such as lora.`,
    )
  const loaded = await loadWholeModel({ model: given, revision }, hooks)
  await addAdapters(loaded, input)
  const bank = adaptersOf(loaded.model)
  const active = bank.active.at(-1)
  const model = active === undefined ? loaded.model : bank.get(active).model
  const dtype = storedDtype(model)
  const folder = loaded.folder
  const usesTexts = baseFormats(model).length > 0
  const notes = await mergeActive(model, loaded.tokenizer, input.texts)
  expectFinite(model.parameters(), given)
  const task = folder === undefined ? undefined : await readTask(folder)
  return {
    given,
    ...((await exists(given)) ? {} : { hubId: given }),
    name: nameOf(given),
    model: model.eval(),
    tokenizer: loaded.tokenizer,
    folder,
    dtype,
    generation: await generationDefaults({ folder, model }),
    chatTemplate: loaded.tokenizer.chatTemplate,
    ...(task === undefined ? {} : { task }),
    notes,
    usesTexts,
  }
}

/** The model with the head of its files. @throws ConfigError where they hold none */
const loadWholeModel = async (
  choice: { model: string; revision?: string },
  hooks: LoadHooks,
): Promise<InferenceModel> => {
  const loaded = await loadForInference({ ...choice, device: 'cpu' }, { ...hooks, dtype: 'float32' })
  if (loaded.report.newHead.length === 0 || loaded.model.head instanceof LanguageHead) return loaded
  throw new ConfigError(
    `Expected a model whose files hold its head, got ${choice.model} without ${loaded.report.newHead.join(', ')}. Fine-tune it first.`,
  )
}
