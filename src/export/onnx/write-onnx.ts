// Writes a model's ONNX files, with weights streamed into them, or into files beside them where they are large.
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError, didYouMean, makeFolder } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import { writeTensorFile } from '../../tensor/index.ts'
import type { OnnxOperators } from '../export-target.ts'
import { type NamedPart, notFinite } from '../save-into.ts'
import type { GraphFormat } from './graph.ts'
import { modelGraphs } from './model-files.ts'
import { type FilePiece, piecesOf } from './protobuf.ts'
import type { Constant, ExternalPlace } from './schema.ts'

const formats = {
  fp32: { suffix: '', type: 'float32', matrices: 'float' },
  fp16: { suffix: '_fp16', type: 'float16', matrices: 'float' },
  q8: { suffix: '_quantized', type: 'float32', matrices: 'int8' },
  q4: { suffix: '_q4', type: 'float32', matrices: 'int4' },
  q4f16: { suffix: '_q4f16', type: 'float16', matrices: 'int4' },
} as const satisfies Record<string, Pick<GraphFormat, 'type' | 'matrices'> & { suffix: string }>
/** Name of an ONNX format, as transformers.js names its dtypes. */
export type OnnxFormat = keyof typeof formats
const onnxFormats = Object.keys(formats) as OnnxFormat[]

export interface WriteOnnxOptions {
  /** Format of the weights (default: fp32). */
  format?: OnnxFormat
  /** Operators of the graphs (default: plain). */
  operators?: OnnxOperators
  /** In q8, a scale for each output of a matrix: more precise than one for the matrix (default: false). */
  scalePerOutput?: boolean
  /** Weights larger than this are in files beside the model (default: 1.8 GB). */
  maxInlineBytes?: number
  /** Called with the path and the SHA-256 of each file. */
  onHash?(path: string, sha256: string): void
  signal?: AbortSignal | undefined
}

/** Smaller constants stay in the model file. */
const smallestExternal = 1024
const alignment = 4096

/** Places of large constants in files of at most `limit` bytes. */
const externalPlaces = (file: string, constants: readonly Constant[], limit: number) => {
  const places = new Map<string, ExternalPlace>()
  let [number, offset] = [0, 0]
  for (const { name, data } of constants) {
    if (data.bytes < smallestExternal) continue
    if (offset > 0 && offset + data.bytes > limit) [number, offset] = [number + 1, 0]
    places.set(name, { file: `${file}_data${number === 0 ? '' : `_${number}`}`, offset })
    offset += Math.ceil(data.bytes / alignment) * alignment
  }
  return { places, files: places.size === 0 ? 0 : number + 1 }
}

/** Writes a file of bytes and tensors. @returns its SHA-256 */
const writePieces = async (path: string, pieces: Iterable<FilePiece>, signal?: AbortSignal): Promise<string> => {
  const parts: FilePiece[] = []
  let small: Uint8Array[] = []
  const join = () => {
    if (small.length > 0) parts.push(Buffer.concat(small))
    small = []
  }
  for (const piece of pieces)
    if (piece instanceof Uint8Array) small.push(piece)
    else {
      join()
      parts.push(piece)
    }
  join()
  await rm(path, { force: true })
  return writeTensorFile(path, new Uint8Array(0), parts, {
    signal,
    notFinite: (index) => notFinite(parts[index] as NamedPart),
  })
}

/** The constants that are placed in one file, with the gaps between them. */
function* externalPieces(constants: readonly Constant[], places: ReadonlyMap<string, ExternalPlace>, file: string) {
  let at = 0
  for (const { name, data } of constants) {
    const place = places.get(name)
    if (place?.file !== file) continue
    if (place.offset > at) yield new Uint8Array(place.offset - at)
    yield* piecesOf(data)
    at = place.offset + data.bytes
  }
}

/** Declares files beside the models in config.json: a browser cannot list a folder. */
const declareExternal = async (folder: string, files: Record<string, number>): Promise<void> => {
  if (Object.keys(files).length === 0) return
  const path = join(folder, 'config.json')
  const fields = JSON.parse(await readFile(path, 'utf8')) as Record<string, Record<string, unknown>>
  const settings = fields['transformers.js_config'] ?? {}
  const declared = { ...(settings.use_external_data_format as object), ...files }
  fields['transformers.js_config'] = { ...settings, use_external_data_format: declared }
  await writeFile(path, `${JSON.stringify(fields, null, 2)}\n`)
}

/**
 * Writes `onnx/model.onnx`, or `onnx/encoder_model.onnx` and `onnx/decoder_model_merged.onnx`, with the suffix of the
 * format, into a folder of transformers (`saveModel`), for onnxruntime and transformers.js. Returns their paths in it.
 * @throws ConfigError for an unknown format, and an architecture or head without a graph of these operators; CheckpointError that names a
 *   tensor with NaN, infinity or, in fp16, elements that are too large
 */
export const writeOnnx = async (model: Model, folder: string, options: WriteOnnxOptions = {}): Promise<string[]> => {
  const { format = 'fp32', operators = 'plain', scalePerOutput = false, maxInlineBytes = 1.8e9 } = options
  if (!Object.hasOwn(formats, format))
    throw new ConfigError(
      `Expected one of ${onnxFormats.join(', ')} for the ONNX format, got ${format}.${didYouMean(format, onnxFormats)}`,
    )
  const { suffix } = formats[format]
  const graphs = modelGraphs(model, { ...graphFormatOf(format), scalePerOutput, operators })
  await makeFolder(join(folder, 'onnx'))
  const written: string[] = []
  const declared: Record<string, number> = {}
  const write = async (name: string, pieces: Iterable<FilePiece>) => {
    const path = join(folder, 'onnx', name)
    const sha256 = await writePieces(path, pieces, options.signal)
    options.onHash?.(path, sha256)
    written.push(`onnx/${name}`)
  }
  for (const [stem, build] of graphs) {
    const graph = build()
    const name = `${stem}${suffix}.onnx`
    const { constants } = graph
    const bytes = constants.reduce((sum, { data }) => sum + data.bytes, 0)
    const outside = bytes > maxInlineBytes ? externalPlaces(name, constants, maxInlineBytes) : undefined
    await write(name, graph.model(outside?.places).pieces())
    for (const file of new Set([...(outside?.places.values() ?? [])].map((place) => place.file)))
      await write(file, externalPieces(constants, outside?.places ?? new Map(), file))
    if (outside !== undefined) declared[name] = outside.files
  }
  await declareExternal(folder, declared)
  return written
}

export const formatOf = (variant: string): OnnxFormat => onnxFormats.find((format) => format === variant) ?? 'fp32'

export const fileOf = (stem: string, format: OnnxFormat): string => `${stem}${formats[format].suffix}.onnx`

/**
 * How the graphs of an export compute. 8-bit matrices have a scale for each output: one outlier would make the steps of a
 * whole matrix with one scale coarse, as in MiniLM's first layer.
 */
export const graphFormatOf = (format: OnnxFormat, operators: OnnxOperators = 'plain'): GraphFormat => ({
  type: formats[format].type,
  matrices: formats[format].matrices,
  scalePerOutput: true,
  operators,
})
