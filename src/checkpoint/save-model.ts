// Saves a model as a folder that transformers can load, atomically.
import { copyFile, cp, link, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { ConfigError, writeFolderAtomic } from '../core/index.ts'
import { type Model, type ModelDefinition, modelKeys, quantizationOf } from '../models/index.ts'
import { type Dtype, dtypeFacts, noGrad, type Tensor } from '../tensor/index.ts'
import { loadTokenizer, longestInput } from '../tokenizers/index.ts'
import { fieldsOf, type HfFields, stringifyConfig } from './hf-config.ts'
import { toHfKeys } from './hf-keys.ts'
import { sourceOf } from './load-model.ts'
import { saveSafetensors, type WrittenFile } from './safetensors.ts'
import { writeSentenceSettings } from './sentence-settings.ts'

/** Options of `saveModel`. */
export interface SaveModelOptions {
  /** dtype of the written weights (default: as they are). */
  dtype?: Dtype
  /** Maximum size of a file of weights; larger models are split into shards (default: 5 GB). */
  maxShardBytes?: number
  /**
   * Folder (or a file in it) of the tokenizer to save with the model (default: that of the files it was loaded from).
   * Ids of its special tokens are written to config.json where it has none, and the number of positions of the model to its
   * tokenizer_config.json where that names no longest input.
   */
  tokenizer?: string
  /** Fields of config.json that override those of the model. */
  fields?: HfFields
  /** Adds files to the folder before it appears under its name. */
  addFiles?(folder: string): Promise<void>
  /** Give the head a file of its own, so that models over the same body can share the files of the body. */
  splitHead?: boolean
  /**
   * Folder of a model over the same body, which `splitHead` wrote: files with the same tensors are linked instead of written again, or
   * copied where the file system has no links.
   */
  sameBody?: string
  /** Write the files of weights; without them the folder has what is beside them (default: true). */
  weights?: boolean
  /** Called with the name, size and hash of each written file of weights. */
  onWritten?(name: string, file: WrittenFile): void
}

const beside =
  /^(tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|vocabulary|generation_config|modules|sentence_bert_config|config_sentence_transformers)\.json$|^(vocab|merges)\.txt$|^chat_template\.jinja$|^(spiece|tokenizer|sentencepiece\.bpe)\.model$|^(\d+_)?(Pooling|Normalize)$/i
const tokenizerFile = /^(tokenizer|special_tokens|added_tokens|vocab|merges|chat_template|spiece|sentencepiece)/

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`

/** @throws ConfigError for a quantised model */
const expectPlain = (model: Model): void => {
  const held = quantizationOf(model)
  if (held !== undefined)
    throw new ConfigError(
      `Expected a model with plain weights to save, got one quantised to ${held}. Save its adapter by \`saveAdapter\`.`,
    )
}

/**
 * Tensors of a model by their keys in transformers, in the order of files.
 * @throws ConfigError for a quantised model
 */
export const hfState = (model: Model): Map<string, Tensor> => {
  expectPlain(model)
  return hfStateOf(model, () => true)
}

/** Special token ids for config.json, where transformers' defaults would be those of another vocabulary. */
const specialIds = async (tokenizer: string, fields: HfFields): Promise<HfFields> => {
  const roles = (['bos', 'eos', 'pad'] as const).filter((role) => (fields[`${role}_token_id`] ?? null) === null)
  if (roles.length === 0) return {}
  const { special } = await loadTokenizer(tokenizer)
  return Object.fromEntries(
    roles.flatMap((role) => (special[role] === undefined ? [] : [[`${role}_token_id`, special[role].id]])),
  )
}

const inHead = (model: Model): ((parameter: Tensor) => boolean) => {
  const own = new Set([...model.parameters()].flatMap(([path, tensor]) => (path.startsWith('head.') ? [tensor] : [])))
  return (parameter) => own.has(parameter)
}

/** Tensors that become one file. */
interface FilePart {
  tensors: ReadonlyMap<string, Tensor>
  /** Whether they are of the head, which no other model shares, though its own may have the same names. */
  isHead: boolean
}

/** Tensors in the parts that become files. */
const partsOf = (
  model: Model,
  tensors: ReadonlyMap<string, Tensor>,
  { dtype, maxShardBytes = 5e9, splitHead }: SaveModelOptions,
): FilePart[] => {
  const split = (part: ReadonlyMap<string, Tensor>, isHead: boolean) =>
    splitBySize(part, dtype, maxShardBytes).map((own) => ({ tensors: own, isHead }))
  if (splitHead !== true) return split(tensors, false)
  const ofHead = new Set(hfStateOf(model, inHead(model)).keys())
  const some = (isHead: boolean) => new Map([...tensors].filter(([key]) => ofHead.has(key) === isHead))
  return [false, true].flatMap((isHead) => {
    const part = some(isHead)
    return part.size === 0 ? [] : split(part, isHead)
  })
}

const indexFile = 'model.safetensors.index.json'

/** Name of one of several files of weights. @param number from 1 */
export const shardName = (number: number, count: number): string =>
  `model-${String(number).padStart(5, '0')}-of-${String(count).padStart(5, '0')}.safetensors`

/** Writes the index of several files of weights. @param map name of the file of each tensor @param bytes of all tensors */
export const writeShardIndex = (folder: string, map: Record<string, string>, bytes: number): Promise<void> =>
  writeFile(join(folder, indexFile), json({ metadata: { total_size: bytes }, weight_map: map }))

/** Some tensors of a model by their keys in transformers. @param isIn whether a parameter is one of them; all of a layer are, or none */
export const hfStateOf = (model: Model, isIn: (parameter: Tensor) => boolean): Map<string, Tensor> => {
  const { definition, config, headType } = model
  const some = new Map([...model.parameters()].filter(([, parameter]) => isIn(parameter)))
  const state = toHfKeys(some, modelKeys(definition, config, headType), definition.facts(config).numLayers)
  return definition.needsCopies?.(config) ? withCopies(state, definition) : state
}

/** The tensors, each copy behind its original. */
const withCopies = (state: Map<string, Tensor>, { hfCopies }: ModelDefinition): Map<string, Tensor> => {
  if (hfCopies === undefined) return state
  const { of, theirs } = hfCopies
  return new Map(
    [...state].flatMap(([key, tensor]): [string, Tensor][] => {
      const prefix = key.slice(0, -of.length)
      const isOriginal = key.endsWith(of) && (prefix === '' || prefix.endsWith('.'))
      return [[key, tensor], ...(isOriginal ? theirs.map((name): [string, Tensor] => [prefix + name, tensor]) : [])]
    }),
  )
}

/** The file of a folder with exactly these tensors, which is one of a body that models share. */
const fileWith = async (folder: string, keys: Iterable<string>): Promise<string | undefined> => {
  const { weight_map: map } = JSON.parse(await readFile(join(folder, indexFile), 'utf8')) as {
    weight_map: Record<string, string>
  }
  const wanted = [...keys].sort()
  const file = map[wanted[0]]
  const there = Object.keys(map).filter((key) => map[key] === file)
  return file !== undefined && there.sort().join() === wanted.join() ? join(folder, file) : undefined
}

const linkFile = (from: string, to: string): Promise<void> => link(from, to).catch(() => copyFile(from, to))

/** Splits tensors in order into parts, each as large as the limit allows. */
const splitBySize = (tensors: ReadonlyMap<string, Tensor>, dtype: Dtype | undefined, maxBytes: number) => {
  const parts: Map<string, Tensor>[] = [new Map()]
  let filled = 0
  for (const [name, tensor] of tensors) {
    const bytes = tensor.size * dtypeFacts(dtype ?? tensor.dtype).bytes
    if (filled > 0 && filled + bytes > maxBytes) {
      parts.push(new Map())
      filled = 0
    }
    parts[parts.length - 1].set(name, tensor)
    filled += bytes
  }
  return parts
}

const writeOne = async (
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  { dtype, onWritten }: Pick<SaveModelOptions, 'dtype' | 'onWritten'>,
) => {
  const hash = onWritten !== undefined
  const written = await saveSafetensors(path, tensors, { format: 'pt' }, { dtype, hash })
  onWritten?.(basename(path), written)
}

const copyBeside = async (from: string, to: string, wanted: (name: string) => boolean) => {
  for (const name of await readdir(from).catch(() => []))
    if (beside.test(name) && wanted(name))
      await cp(join(from, name), join(to, name), { recursive: true, dereference: true })
}

/**
 * Writes the number of positions to a tokenizer that names no longest input, as one that was trained alone does. Transformers truncates to
 * nothing else, and would give the model more tokens than it has positions for.
 */
const limitTokenizer = async (folder: string, positions: number | undefined): Promise<void> => {
  const path = join(folder, 'tokenizer_config.json')
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined || positions === undefined) return
  const config = JSON.parse(text) as Parameters<typeof longestInput>[0]
  if (longestInput(config) === undefined) await writeFile(path, json({ ...config, model_max_length: positions }))
}

/** Writes the files of weights, with their index where there are several. */
const writeParts = async (target: string, parts: readonly FilePart[], options: SaveModelOptions): Promise<void> => {
  const { dtype, splitHead = false, sameBody } = options
  if (parts.length === 1 && !splitHead) return writeOne(join(target, 'model.safetensors'), parts[0].tensors, options)
  const map: Record<string, string> = {}
  let size = 0
  for (const [i, { tensors, isHead }] of parts.entries()) {
    const name = shardName(i + 1, parts.length)
    const same = sameBody === undefined || isHead ? undefined : await fileWith(sameBody, tensors.keys())
    if (same === undefined) await writeOne(join(target, name), tensors, options)
    else await linkFile(same, join(target, name))
    for (const [key, tensor] of tensors) {
      map[key] = name
      size += tensor.size * dtypeFacts(dtype ?? tensor.dtype).bytes
    }
  }
  await writeShardIndex(target, map, size)
}

/** The field of an output layer that an adapter was merged into, beside the table that it was tied to: transformers would tie them again. */
const untiedField = (model: Model): HfFields =>
  model.facts.tiedEmbeddings && model.parameters().has('head.lmHead.weight') ? { tie_word_embeddings: false } : {}

/** All tensors of a model, with those of its files that it has no parameters for. */
const tensorsToSave = (model: Model, dtype: Dtype): Map<string, Tensor> =>
  noGrad(() => {
    const tensors = new Map([...hfState(model)].map(([name, tensor]) => [name, tensor.detach()]))
    for (const [name, tensor] of extraTensors(model, dtype)) if (!tensors.has(name)) tensors.set(name, tensor)
    return tensors
  })

/** Tensors of the files that a model was loaded from which are none of its parameters. */
export const extraTensors = (model: Model, dtype: Dtype): Map<string, Tensor> =>
  noGrad(() => new Map([...(sourceOf(model)?.extra ?? [])].map(([name, read]) => [name, read().to(dtype)])))

/**
 * Saves config.json, weights and accompanying files, such as the tokenizer. An existing `folder` is replaced in one
 * step.
 */
export const saveModel = async (model: Model, folder: string, options: SaveModelOptions = {}): Promise<void> => {
  const { dtype } = options
  expectPlain(model)
  const source = sourceOf(model)
  const first =
    [...model.parameters().values()].find(({ dtype: kind }) => dtypeFacts(kind).floating)?.dtype ?? 'float32'
  const tensors = (options.weights ?? true) ? tensorsToSave(model, first) : new Map<string, Tensor>()
  await writeFolderAtomic(folder, async (target) => {
    const fields = {
      ...fieldsOf(model, source?.fields ?? {}, dtype ?? first),
      ...untiedField(model),
      ...options.fields,
    }
    const ids = options.tokenizer === undefined ? {} : await specialIds(options.tokenizer, fields)
    const floats = new Set([...model.definition.hfFloats, ...(source?.floats ?? [])])
    await writeFile(join(target, 'config.json'), stringifyConfig({ ...fields, ...ids }, floats))
    if (source?.folder !== undefined)
      await copyBeside(source.folder, target, (name) => options.tokenizer === undefined || !tokenizerFile.test(name))
    if (source?.tokenizer !== undefined && options.tokenizer === undefined)
      for (const [name, value] of Object.entries(source.tokenizer)) await writeFile(join(target, name), value)
    if (options.tokenizer !== undefined) {
      const isFolder = (await stat(options.tokenizer)).isDirectory()
      await copyBeside(isFolder ? options.tokenizer : dirname(options.tokenizer), target, (name) =>
        tokenizerFile.test(name),
      )
      await limitTokenizer(target, model.facts.maxPositions)
    }
    // A pooling of its own, or that of the files it was loaded from.
    if (model.headOptions.pooling !== undefined) await writeSentenceSettings(target, model)
    if (options.weights ?? true) await writeParts(target, partsOf(model, tensors, options), options)
    await options.addFiles?.(target)
  })
  for (const tensor of tensors.values()) tensor.free()
}
