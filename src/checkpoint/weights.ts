// The tensors of a checkpoint by their keys in files: one safetensors file, shards with an index, or a GGUF file. Python's pickle format can
// run code when it is read: it is refused by its first bytes.
import { open, readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { CheckpointError, parseConfig } from '../core/index.ts'
import type { HeadOptions } from '../models/index.ts'
import type { Tensor } from '../tensor/index.ts'
import { openGguf } from './gguf.ts'
import { ggufToHf } from './gguf-model.ts'
import { ggufTokenizer } from './gguf-tokenizer.ts'
import { floatsOf, type HfFields } from './hf-config.ts'
import { openSafetensors } from './safetensors.ts'

const suffixes = /\.(bin|pt|pth|ckpt|pkl|pickle)$/i

const isPickle = (start: Uint8Array): boolean =>
  // torch.save writes a zip archive; before version 1.6 it wrote a pickle, which begins with its protocol.
  (start[0] === 0x50 && start[1] === 0x4b && start[2] === 3 && start[3] === 4) ||
  (start[0] === 0x80 && start[1] >= 2 && start[1] <= 5)

/** The first bytes of a file; undefined for what is no file. */
const startOf = async (path: string): Promise<Uint8Array | undefined> => {
  const file = await open(path).catch(() => undefined)
  if (file === undefined) return undefined
  try {
    if (!(await file.stat()).isFile()) return undefined
    const { buffer, bytesRead } = await file.read(new Uint8Array(4), 0, 4, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** Refuses pickles by their first bytes, and other formats that have their suffix. @throws CheckpointError with the way out */
export const refusePickle = async (path: string): Promise<void> => {
  const start = await startOf(path)
  if (start === undefined && !suffixes.test(path)) return
  if (start === undefined || (start.length === 4 && isPickle(start)))
    throw new CheckpointError(
      `Expected a safetensors or GGUF file for \`${path}\`, got ${basename(path)} in Python's pickle format, which can run code. ` +
        `If you trust it, convert its folder once: python -c "from transformers import AutoModel; AutoModel.from_pretrained('FOLDER').save_pretrained('OUT', safe_serialization=True)"`,
    )
  if (!suffixes.test(path)) return
  throw new CheckpointError(
    `Expected a safetensors or GGUF file for \`${path}\`, got ${basename(path)} in a format that Tunesmith does not read. Convert it to safetensors or GGUF with the program that wrote it.`,
  )
}

export interface OpenedWeights {
  /** Fields of config.json, or their equivalent in a GGUF file. */
  fields: HfFields
  /** Names of the fields with floating point numbers. */
  floats: ReadonlySet<string>
  /** Tensors by key; each is mapped when its function is called. */
  tensors: Map<string, () => Tensor>
  /** Folder with other files of the model; undefined for a GGUF file. */
  folder?: string
  /** Options of the head that a GGUF file has in its metadata. */
  headOptions?: Partial<HeadOptions>
  /** The tokenizer files of a GGUF file in UTF-8, by name: as objects they take ten times the memory. */
  tokenizer?: Record<string, Uint8Array>
}

const indexName = 'model.safetensors.index.json'
const maxJsonBytes = 100_000_000

const readJsonText = async (path: string): Promise<string> => {
  const { size } = await stat(path).catch(() => {
    throw new CheckpointError(
      `${path}: Expected a file, found none. A model folder contains config.json and model.safetensors.`,
    )
  })
  if (size > maxJsonBytes)
    throw new CheckpointError(`${path}: Expected at most ${maxJsonBytes} bytes of JSON, got ${size}. Check the file.`)
  return readFile(path, 'utf8')
}

const parseObject = (path: string, text: string): Record<string, unknown> => {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw new CheckpointError(`${path}: Expected JSON, got something else (${(error as Error).message}).`)
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new CheckpointError(
      `${path}: Expected a JSON object, got ${Array.isArray(parsed) ? 'an array' : typeof parsed}.`,
    )
  return parsed as Record<string, unknown>
}

/** Reads a JSON object. @throws CheckpointError for a missing, oversized or invalid file */
export const readJsonFile = async (path: string): Promise<Record<string, unknown>> =>
  parseObject(path, await readJsonText(path))

const readConfig = async (folder: string) => {
  const path = join(folder, 'config.json')
  const text = await readJsonText(path)
  return { fields: parseObject(path, text), floats: floatsOf(text) }
}

const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string()) })

interface MappingOptions {
  /** Give each tensor its own mapping; see `openSafetensors`. */
  mapEachTensor?: boolean
  /** Leave quantised matrices of a GGUF file packed; see `ggufToHf`. */
  packed?: boolean
}

const openSharded = async (folder: string, options: MappingOptions): Promise<Map<string, () => Tensor>> => {
  const path = join(folder, indexName)
  const { weight_map: map } = parseConfig(indexSchema, await readJsonFile(path), path)
  const tensors = new Map<string, () => Tensor>()
  for (const shard of new Set(Object.values(map))) {
    if (basename(shard) !== shard)
      throw new CheckpointError(`${path}: Expected file names beside it, got \`${shard}\`.`)
    const file = await openSafetensors(join(folder, shard), options)
    for (const name of file.tensors.keys()) {
      if (map[name] !== shard)
        throw new CheckpointError(
          `${path}: Expected \`${name}\` in ${map[name] ?? 'no file'}, found it in ${shard}. The index and the files do not belong together: download the folder again.`,
        )
      tensors.set(name, () => file.tensor(name))
    }
  }
  const missing = Object.keys(map).filter((name) => !tensors.has(name))
  if (missing.length > 0)
    throw new CheckpointError(
      `${path}: Expected ${missing.length} more tensors in its files: ${missing.slice(0, 20).join(', ')}. Download the folder again.`,
      { missing },
    )
  return tensors
}

const openSingle = async (path: string, options: MappingOptions): Promise<Map<string, () => Tensor>> => {
  await refusePickle(path)
  const file = await openSafetensors(path, options)
  return new Map([...file.tensors.keys()].map((name) => [name, () => file.tensor(name)]))
}

/** A JSON file as `saveModel` writes it. */
const utf8Json = (value: unknown): Uint8Array => Buffer.from(`${JSON.stringify(value, null, 2)}\n`)

const openFolder = async (folder: string, options: MappingOptions): Promise<Map<string, () => Tensor>> => {
  const files = await readdir(folder)
  if (files.includes(indexName)) return openSharded(folder, options)
  if (files.includes('model.safetensors')) return openSingle(join(folder, 'model.safetensors'), options)
  for (const file of files) await refusePickle(join(folder, file))
  throw new CheckpointError(
    `${folder}: Expected model.safetensors or ${indexName}, found ${files.slice(0, 10).join(', ') || 'an empty folder'}.`,
  )
}

/**
 * Opens a checkpoint, whose tensors stay on disk until they are used.
 * @param path a folder, a .safetensors file with a config.json beside it, or a .gguf file
 * @throws CheckpointError for missing or damaged files
 */
export const openWeights = async (path: string, options: MappingOptions = {}): Promise<OpenedWeights> => {
  if ((await stat(path)).isDirectory())
    return { ...(await readConfig(path)), tensors: await openFolder(path, options), folder: path }
  if (path.endsWith('.gguf')) {
    const file = await openGguf(path)
    const { config: fields, tensors, headOptions } = ggufToHf(file, options)
    const { tokenizer, config } = ggufTokenizer(file)
    // The tensors keep the file, which would keep every token as a string.
    file.metadata.clear()
    return {
      fields,
      floats: new Set(),
      tensors,
      headOptions,
      tokenizer: { 'tokenizer.json': utf8Json(tokenizer), 'tokenizer_config.json': utf8Json(config) },
    }
  }
  const tensors = await openSingle(path, options)
  return { ...(await readConfig(dirname(path))), tensors, folder: dirname(path) }
}
