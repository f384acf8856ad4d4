// The importance matrix of a model: the mean square of each input of each matrix on calibration text. Quantisers weigh errors
// by it. Collected as llama-imatrix does, and written in its format. @source https://github.com/ggml-org/llama.cpp, tools/imatrix
import { expandRules, hfKeysOf } from '../../checkpoint/index.ts'
import { ConfigError } from '../../core/index.ts'
import { modelKeys } from '../../models/index.ts'
import { Linear } from '../../nn/index.ts'
import { noGrad, scope, Tensor } from '../../tensor/index.ts'
import type { ExportSource, Importance, WriteContext } from '../export-target.ts'
import { count, type GgufEntry, type GgufField, text, writeGgufFile } from './gguf-file.ts'
import { namesOf } from './gguf-tensors.ts'

/** Tokens of a chunk, as llama-imatrix has by default. */
const chunkTokens = 512

/** Token ids of the calibration texts: the whole text in chunks for decoders, a text each for encoders. */
const chunksOf = ({ model, tokenizer, given }: ExportSource, texts: readonly string[]): number[][] => {
  const { maxPositions = chunkTokens, causal } = model.facts
  const most = Math.min(chunkTokens, maxPositions)
  const chunks: number[][] = []
  if (causal) {
    const ids = Array.from(tokenizer.encode(texts.join('\n'), { addSpecialTokens: false }).ids)
    const { bos } = tokenizer.special
    const framed = bos !== undefined && tokenizer.encode('a').ids[0] === bos.id
    for (let from = 0; from < ids.length; from += most) {
      const chunk = ids.slice(from, from + most)
      if (framed) chunk[0] = bos.id
      chunks.push(chunk)
    }
    // Few tokens without the text before them are not what the model usually reads.
    if (chunks.length > 1 && chunks[chunks.length - 1].length < most / 2) chunks.pop()
  } else for (const one of texts) chunks.push(Array.from(tokenizer.encode(one).ids).slice(0, most))
  const filled = chunks.filter(({ length }) => length > 0)
  if (filled.length === 0)
    throw new ConfigError(`\`imatrix\` needs text, and that for ${given} has no token. Give a file with text.`)
  return filled
}

/** The layers of each tensor of the file within the stack, by ggml's name: one, or that of each expert. */
const layersOf = ({ model }: ExportSource): Map<string, Linear[]> => {
  const { definition, config, headType, facts } = model
  const rules = expandRules(modelKeys(definition, config, headType), facts.numLayers)
  // Queries, keys and values of one matrix read the same input: any of them will do.
  const paths = new Map(rules.map(({ theirs, ours }) => [theirs, ours[0]]))
  const modules = new Map(model.modules())
  const layers = new Map<string, Linear[]>()
  for (const [name, entry] of namesOf(model)) {
    if (!/(^|\.)blk\.\d+\..*\.weight$/.test(name)) continue
    const found = hfKeysOf(entry).map((key) => modules.get((paths.get(key) ?? '').replace(/\.weight$/, '')))
    const linear = found.filter((module) => module instanceof Linear)
    if (linear.length > 0) layers.set(name, linear)
  }
  return layers
}

/** Calls `see` with every input of the layers while `compute` runs. */
const watchInputs = (layers: Iterable<Linear>, see: (layer: Linear, input: Tensor) => void, compute: () => void) => {
  const watched = [...layers]
  for (const layer of watched) {
    const forward = (input: Tensor): Tensor => {
      see(layer, input)
      return Linear.prototype.forward.call(layer, input)
    }
    // Not enumerable, as fields of modules are parameters and modules.
    Object.defineProperty(layer, 'forward', { value: forward, configurable: true, enumerable: false })
  }
  try {
    compute()
  } finally {
    for (const layer of watched) Reflect.deleteProperty(layer, 'forward')
  }
}

/**
 * Runs the model on calibration texts.
 * @throws ConfigError for texts without tokens, and for a matrix whose inputs are not finite
 */
export const collectImportance = (
  source: ExportSource,
  texts: readonly string[],
  { onProgress, signal }: Pick<WriteContext, 'onProgress' | 'signal'> = {},
): Importance => {
  const { model } = source
  const layers = layersOf(source)
  const sums = new Map([...layers].map(([name, some]) => [name, new Float32Array(some.length * some[0].shape[1])]))
  const counts = new Map([...layers].map(([name, some]) => [name, new Float32Array(some.length)]))
  const byLayer = new Map<Linear, { name: string; part: number }[]>()
  for (const [name, some] of layers)
    for (const [part, layer] of some.entries()) byLayer.set(layer, [...(byLayer.get(layer) ?? []), { name, part }])
  const see = (layer: Linear, input: Tensor) => {
    const width = layer.shape[1]
    const squares = scope(() => input.to('float32').reshape([-1, width]).square().sum(0).toFloat32Array())
    for (const { name, part } of byLayer.get(layer) ?? []) {
      const total = sums.get(name)!.subarray(part * width, (part + 1) * width)
      for (let i = 0; i < width; i++) total[i] += squares[i]
      counts.get(name)![part] += input.size / width
    }
  }
  const chunks = chunksOf(source, texts)
  for (const [i, ids] of chunks.entries()) {
    signal?.throwIfAborted()
    onProgress?.(`Collecting the importance matrix: chunk ${i + 1} of ${chunks.length}`)
    const inputIds = Tensor.from(BigInt64Array.from(ids, BigInt), { shape: [1, ids.length] })
    watchInputs(byLayer.keys(), see, () => noGrad(() => scope(() => void model.bodyForward({ inputIds }))))
    inputIds.free()
  }
  for (const [name, total] of sums)
    if (!total.every(Number.isFinite))
      throw new ConfigError(
        `Expected finite inputs of \`${name}\` for \`imatrix\`, got infinity or NaN. Choose other texts, or check the model.`,
      )
  return {
    sums,
    counts,
    chunks: chunks.length,
    chunkTokens: Math.min(chunkTokens, model.facts.maxPositions ?? chunkTokens),
    tokens: chunks.reduce((total, { length }) => total + length, 0),
  }
}

/**
 * Mean square of each input of the matrices of a tensor; ones for an expert that no text has passed, as llama-quantize has.
 * @returns undefined where no text has passed any of them
 */
export const importanceOf = ({ sums, counts }: Importance, name: string): Float32Array[] | undefined => {
  const [total, rows] = [sums.get(name), counts.get(name)]
  if (total === undefined || rows === undefined || rows.every((count) => count === 0)) return undefined
  const width = total.length / rows.length
  return Array.from(rows, (count, part) =>
    total.slice(part * width, (part + 1) * width).map((value) => (count === 0 ? 1 : value / count)),
  )
}

/** Metadata that llama-quantize adds to the file of the model. */
export const importanceFields = ({ sums, chunks }: Importance): [string, GgufField][] => [
  ['quantize.imatrix.entries_count', { type: 'int32', value: sums.size }],
  ['quantize.imatrix.chunks_count', { type: 'int32', value: chunks }],
]

/** Writes the matrix for `--imatrix` of llama-quantize. */
export const writeImportance = async (
  { sums, counts, chunks, chunkTokens: size }: Importance,
  path: string,
  signal?: AbortSignal,
): Promise<void> => {
  const floats = (name: string, values: Float32Array, rows: number): GgufEntry => {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    return { name, shape: [rows, values.length / rows], code: 0, bytes: bytes.length, parts: [bytes] }
  }
  const metadata = new Map<string, GgufField>([
    ['general.type', text('imatrix')],
    ['imatrix.datasets', text(['calibration text'])],
    ['imatrix.chunk_count', count(chunks)],
    ['imatrix.chunk_size', count(size)],
  ])
  const entries = [...sums]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, total]) => {
      const passed = counts.get(name)!
      return [floats(`${name}.in_sum2`, total, passed.length), floats(`${name}.counts`, passed, passed.length)]
    })
  await writeGgufFile(path, metadata, entries, signal)
}
