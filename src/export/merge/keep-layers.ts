// Models and adapters with fewer layers. `keepLayers`: some layers of a model, as the student of a distillation begins (@source Sanh et al.
// 2019, arXiv:1910.01108). `dropAdapterLayers`: an adapter without its parts in the first layers, which is faster (@source arXiv:2010.11918).
import { cp, readdir } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { z } from 'zod'
import { AppliedAdapter, baseOfAdapter, isAdapterFolder, loadAdapter, saveAdapter } from '../../adapters/index.ts'
import { loadModelWithReport, rememberSource, resolveModel, sourceOf } from '../../checkpoint/index.ts'
import { ConfigError, exists, parseConfig } from '../../core/index.ts'
import { buildModel, expectFinite, type Model } from '../../models/index.ts'
import { fineTunedTask, publicName } from '../../runs/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import { renderModelCard } from '../../tracking/index.ts'
import { storedDtype } from '../open-source.ts'
import { saveMade } from '../save-into.ts'

/** Settings of `keepLayers`. */
export const keepLayersSchema = z.strictObject({
  layers: z
    .union([
      z
        .int()
        .nonnegative()
        .transform((layer) => [layer]),
      z.array(z.int().nonnegative()).min(1),
    ])
    .describe('layers to keep, from 0, in ascending order; every second one is usual'),
})

/** Which model, which layers, and where to. */
export interface KeepLayersInput extends z.input<typeof keepLayersSchema> {
  /** Folder, run or Hub id of a whole model. */
  model: string
  /** Folder of the result; it must not exist. */
  out: string
}

/** What was written. */
export interface KeepLayersResult {
  out: string
  /** Numbers of the layers in the model that they are from. */
  layers: number[]
  /** Number of layers that the model had. */
  of: number
  /** Parameters before and after. */
  before: number
  after: number
}

type Fields = { readonly [name: string]: unknown }

/** Fields of config.json by which a layer does something else at another place, and whether they do. */
const byPlace: { [field: string]: (fields: Fields) => boolean } = {
  no_rope_layer_interval: ({ no_rope_layers: list }) => list === undefined,
  max_window_layers: ({ use_sliding_window: used, layer_types: list }) => used === true && list === undefined,
  scale_attn_by_inverse_layer_idx: ({ scale_attn_by_inverse_layer_idx: used }) => used === true,
  decoder_sparse_step: ({ decoder_sparse_step: step }) => step !== 1,
  mlp_only_layers: ({ mlp_only_layers: list }) => Array.isArray(list) && list.length > 0,
}

/** Lists with an entry for each layer keep those of the layers that are kept; lists of token ids may be as long by chance. */
const withLayers = (fields: Fields, layers: readonly number[], count: number): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      Array.isArray(value) && value.length === count && !name.endsWith('_id')
        ? layers.map((layer) => value[layer] as unknown)
        : value,
    ]),
  )

const configOf = ({ definition, config, facts }: Model, layers: readonly number[], given: string): object => {
  const fields = definition.toHf(config) as Fields
  const isFirst = layers.every((layer, i) => layer === i)
  for (const [field, moves] of Object.entries(byPlace))
    if (!isFirst && field in fields && moves(fields))
      throw new ConfigError(
        `Expected the first layers of ${given} for \`layers\`, got ${layers.join(', ')}: by \`${field}\` of its config.json, a layer computes something else at another place. Keep ${[...layers.keys()].join(', ')}.`,
      )
  const kept = withLayers(fields, layers, facts.numLayers)
  return definition.adjust(definition.fromHf(kept), { numLayers: layers.length })
}

/** @throws ConfigError for layers that the model does not have, or all of them */
const expectLayers = (layers: readonly number[], count: number, given: string): void => {
  const list = layers.join(', ')
  if (layers.some((layer, i) => i > 0 && layer <= layers[i - 1]))
    throw new ConfigError(`Expected layers in ascending order for \`layers\`, got ${list}.`)
  if (layers[layers.length - 1] >= count)
    throw new ConfigError(`Expected layers from 0 to ${count - 1}, those of ${given}, for \`layers\`, got ${list}.`)
  if (layers.length === count)
    throw new ConfigError(`Expected fewer than the ${count} layers of ${given} for \`layers\`, got all of them.`)
}

/** The model with these layers of another one. */
const cutOf = (model: Model, layers: readonly number[], given: string): Model => {
  const cut = buildModel(model.definition, configOf(model, layers, given), model.headType, model.headOptions)
  const all = model.parameters()
  const state = new Map<string, Tensor>()
  for (const name of cut.parameters().keys()) {
    const from = name.replace(/\.layers\.(\d+)\./, (_, layer: string) => `.layers.${layers[Number(layer)]}.`)
    state.set(name, all.get(from) as Tensor)
  }
  cut.loadState(state)
  const source = sourceOf(model)
  if (source !== undefined)
    rememberSource(cut, { ...source, fields: withLayers(source.fields, layers, model.facts.numLayers) })
  return cut.eval()
}

/**
 * Writes a whole model with some of its layers, with embeddings and head as they are: where a smaller student begins that learns from the
 * model (`distillation.teacher`). It needs training before it is of use.
 * @throws ConfigError for layers that the model does not have or that would compute something else, for an adapter, and for an `out` that
 *   exists; CheckpointError for damaged files
 */
export const keepLayers = async ({ model: given, out, ...rest }: KeepLayersInput): Promise<KeepLayersResult> => {
  const { layers } = parseConfig(keepLayersSchema, rest, 'keep-layers')
  if (await exists(out)) throw new ConfigError(`Expected a folder that does not exist for \`out\`, got ${out}.`)
  const path = await resolveModel(given)
  if (await isAdapterFolder(path))
    throw new ConfigError(`Expected a whole model, got the adapter ${given}. Export it to merged first.`)
  const { model, folder } = await loadModelWithReport(given, { dtype: 'float32', device: 'cpu' })
  expectFinite(model.parameters(), given)
  const { numLayers: of, decoderStartTokenId } = model.facts
  if (decoderStartTokenId !== undefined)
    throw new ConfigError(`Expected a model with one stack of layers, got the encoder-decoder ${given}.`)
  expectLayers(layers, of, given)
  const cut = cutOf(model, layers, given)
  const task = await fineTunedTask(given, path)
  const card = renderModelCard({
    name: basename(out),
    summary: `Layers ${layers.join(', ')} of the ${of} of ${await publicName(given)}.`,
    library: 'transformers',
    base: await publicName(given),
    relation: 'finetune',
    limitations: ['Its layers were not trained together: train it before you use it.'],
  })
  await saveMade(cut, out, { folder, dtype: storedDtype(model), card, task })
  return { out, layers, of, before: model.parameterCount, after: cut.parameterCount }
}

/** Settings of `dropAdapterLayers`. */
export const dropLayersSchema = z.strictObject({
  layers: z.int().positive().describe('number of first layers that the adapter leaves'),
})

/** Which adapter, how many layers, and where to. */
export interface DropInput extends z.input<typeof dropLayersSchema> {
  /** Folder, run or Hub id of a bottleneck adapter, or of a stack with one. */
  adapter: string
  /** Folder of the result; it must not exist. */
  out: string
}

/** What was written. */
export interface DropResult {
  out: string
  /** Parameters of the adapters before and after. */
  before: number
  after: number
}

/**
 * Writes an adapter without its parts in the first layers; of a stack, all bottlenecks lose them.
 * @throws ConfigError for a method that cannot lose layers, or a number that leaves none
 */
export const dropAdapterLayers = async ({ adapter, out, ...rest }: DropInput): Promise<DropResult> => {
  const { layers } = parseConfig(dropLayersSchema, rest, 'drop-layers')
  if (await exists(out)) throw new ConfigError(`Expected a folder that does not exist for \`out\`, got ${out}.`)
  const folder = await resolveModel(adapter)
  if (!(await isAdapterFolder(folder)))
    throw new ConfigError(`Expected the folder of an adapter, got ${adapter} without adapter_config.json.`)
  const { applied } = await loadAdapter(folder)
  const { bank, name } = applied
  const all = bank.stackOf(name).map((one) => new AppliedAdapter(bank, one))
  const count = () => all.reduce((sum, { parameterCount }) => sum + parameterCount, 0)
  const before = count()
  const losing = all.filter(({ definition }) => definition.dropLayers !== undefined)
  // A stack without any says which method its top has.
  for (const one of losing.length > 0 ? losing : [applied]) one.dropLayers(layers)
  const base = await baseOfAdapter(folder)
  await saveAdapter(applied, out, {
    base: (await exists(base)) ? resolve(base) : base,
    addFiles: async (target) => {
      for (const entry of await readdir(folder, { withFileTypes: true }))
        if (entry.isFile() && !/^adapter[_.]|^tunesmith\.json$/.test(entry.name))
          await cp(join(folder, entry.name), join(target, entry.name))
    },
  })
  return { out, before, after: count() }
}
