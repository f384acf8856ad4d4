// Typed access to the metadata of a GGUF file, and what the tables of names of all architectures are made of. Independent of particular
// fields, but for RoPE's settings as fields of config.json: Llama 3's frequency scaling is stored as a tensor of factors, which is
// accepted only if the published rule gives the same factors; LongRoPE's factors are two tensors.
import { CheckpointError } from '../core/index.ts'
import { RotaryTable } from '../nn/index.ts'
import { noGrad, Tensor } from '../tensor/index.ts'
import type { GgufFile } from './gguf.ts'

/** Sizes that the shapes of tensors follow from. */
export interface GgufSizes {
  hidden: number
  intermediate: number
  layers: number
  heads: number
  kvHeads: number
  headDim: number
  /** Elements of a head that are rotated (default: all). */
  rotaryDim?: number
  vocab: number
  positions: number
  /** Rows of the table of segments (default: 1). */
  segments?: number
  /** Of an encoder-decoder: layers of the decoder, buckets of the relative positions, and gated feed-forward blocks. */
  decoderLayers?: number
  buckets?: number
  gated?: boolean
  /** Of mixtures of experts: their number, and the width of each (default: that of feed-forward blocks). */
  experts?: number
  expertSize?: number
}

/** The order of a matrix's rows in the file: in Hugging Face's files they are a table, of which two dimensions change places. */
interface RowOrder {
  table: readonly [number, number, number]
  swapped: readonly [number, number]
}

/** A tensor of a GGUF file in Hugging Face's terms. */
export interface GgufName {
  /** Key of the tensor. Where the file has the matrices of all experts in one tensor, `{e}` is the number of an expert. */
  theirs: string
  /** Number of those matrices, which is the first dimension. */
  experts?: number
  shape: number[]
  required: boolean
  /** Order of the rows, where it is not that of Hugging Face's files. */
  order?: RowOrder
  /** Whether the matrix is transposed in Hugging Face's files. */
  transposed?: boolean
  /** What the file adds to the values. */
  offset?: number
}

/** Keys of a tensor in Hugging Face's files: one, or that of each expert. */
export const hfKeysOf = ({ theirs, experts }: Pick<GgufName, 'theirs' | 'experts'>): string[] =>
  experts === undefined
    ? [theirs]
    : Array.from({ length: experts }, (_, expert) => theirs.replace('{e}', String(expert)))

/** The two halves of a head, which RoPE pairs up, as alternate rows. */
export const pairedRows = (heads: number, headDim: number): RowOrder => ({
  table: [heads, 2, headDim / 2],
  swapped: [1, 2],
})

/** Queries, keys and values one after the other, which Hugging Face's files have head by head. */
export const separatedRows = (heads: number, headDim: number): RowOrder => ({
  table: [heads, 3, headDim],
  swapped: [0, 1],
})

/** The rows of a tensor [R,…] of Hugging Face's order as the file has them: a view [·,·,·,…]. */
export const inStoredOrder = (tensor: Tensor, { table, swapped: [a, b] }: RowOrder): Tensor =>
  tensor
    .contiguous()
    .view([...table, ...tensor.shape.slice(1)])
    .transpose(a, b)

/** The stored row of each row of Hugging Face's order, int64 [R]. */
export const storedRows = ({ table, swapped: [a, b] }: RowOrder): Tensor => {
  const rows = table.reduce((product, size) => product * size, 1)
  const stored: [number, number, number] = [...table]
  ;[stored[a], stored[b]] = [table[b], table[a]]
  const numbered = Tensor.from(
    BigInt64Array.from({ length: rows }, (_, row) => BigInt(row)),
    { shape: stored },
  )
  return noGrad(() => numbered.transpose(a, b).reshape([rows]))
}

/** Collects the names of an architecture. */
export class NameTable {
  readonly names = new Map<string, GgufName>()

  /** One tensor. @param shape as in the file */
  add(ours: string, theirs: string, shape: number[], more: Partial<GgufName> = {}): void {
    this.names.set(ours, { theirs, shape, required: true, ...more })
  }

  /** The weight of a layer and, where it has one, its bias. @param bias whether it must have one (default: it has none) */
  layer(
    ours: string,
    theirs: string,
    shape: number[],
    { bias, ...more }: Partial<GgufName> & { bias?: 'required' | 'optional' } = {},
  ): void {
    this.add(`${ours}.weight`, `${theirs}.weight`, shape, more)
    if (bias === undefined) return
    const { order } = more
    const required = bias === 'required'
    this.add(`${ours}.bias`, `${theirs}.bias`, shape.slice(0, 1), {
      required,
      ...(order === undefined ? {} : { order }),
    })
  }

  /** A layer with a weight and a bias. */
  both(ours: string, theirs: string, shape: number[], more: Partial<GgufName> = {}): void {
    this.layer(ours, theirs, shape, { bias: 'required', ...more })
  }
}

/** The fields under one prefix; errors name the full key. */
export class GgufFields {
  constructor(
    readonly file: GgufFile,
    readonly prefix: string,
  ) {}

  /** Full key of a field. */
  key(name: string): string {
    return this.prefix === '' ? name : `${this.prefix}.${name}`
  }

  /** The error for a field with a wrong value. */
  fault(what: string, name: string, got: unknown): CheckpointError {
    const text = typeof got === 'object' ? 'a list' : String(got)
    return new CheckpointError(
      `${this.file.path}: Expected ${what} for \`${this.key(name)}\`, got ${text.slice(0, 80)}. Check the file, or convert the model again.`,
    )
  }

  /** A string field, if present. @throws CheckpointError for another type */
  string(name: string): string | undefined {
    const value = this.file.metadata.get(this.key(name))
    if (value !== undefined && typeof value !== 'string') throw this.fault('a string', name, value)
    return value
  }

  /** A number field, if present. @throws CheckpointError for another type */
  number(name: string): number | undefined {
    const value = this.file.metadata.get(this.key(name))
    if (value === undefined) return undefined
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.fault('a number', name, value)
    return value
  }

  /**
   * A positive number as the shortest decimal: the file has a float32, config.json a decimal.
   * @throws CheckpointError if it is missing or not positive
   */
  positive(name: string): number {
    const value = this.number(name)
    if (value === undefined || value <= 0) throw this.fault('a positive number', name, value)
    return shortest(value)
  }

  /** A boolean field, if present. @throws CheckpointError for another type */
  boolean(name: string): boolean | undefined {
    const value = this.file.metadata.get(this.key(name))
    if (value !== undefined && typeof value !== 'boolean') throw this.fault('true or false', name, value)
    return value
  }

  /**
   * A positive integer field, if present. A list, which llama.cpp writes for values per layer, must have equal values.
   */
  count(name: string): number | undefined {
    const value = this.file.metadata.get(this.key(name))
    if (value === undefined) return undefined
    const list = typeof value === 'object' ? [...value] : [value]
    const [first] = list
    if (list.some((one) => one !== first)) throw this.fault('the same value in every layer', name, value)
    const count = typeof first === 'bigint' ? Number(first) : first
    if (typeof count !== 'number' || !Number.isInteger(count) || count < 1 || count > 2 ** 31)
      throw this.fault('a count', name, value)
    return count
  }

  /** A positive integer field. @throws CheckpointError if it is missing */
  need(name: string): number {
    const count = this.count(name)
    if (count === undefined)
      throw new CheckpointError(
        `${this.file.path}: Expected \`${this.key(name)}\` in the metadata, got none. Convert the model again.`,
      )
    return count
  }
}

/** The shortest decimal with the same float32 value. */
export const shortest = (value: number): number => {
  for (let digits = 1; digits < 10; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return short
  }
  return value
}

/**
 * A yes or no for each layer: a list, or a period whose first or last layer has no.
 * @param otherwise the period where the file says nothing
 */
export const layerFlags = (
  fields: GgufFields,
  name: string,
  layers: number,
  { every, fullFirst }: { every: number; fullFirst: boolean },
): boolean[] => {
  const value = fields.file.metadata.get(fields.key(name))
  if (typeof value === 'object') {
    const list = [...value].map(Boolean)
    if (list.length !== layers) throw fields.fault(`one value for each of ${layers} layers`, name, value)
    return list
  }
  const period = fields.count(name) ?? every
  return Array.from({ length: layers }, (_, i) => (fullFirst ? i % period !== 0 : (i + 1) % period !== 0))
}

/** Published settings of Llama 3.1 and later; `factor` is 8 for 3.1 and 32 for 3.2. @source arXiv:2407.21783 */
const llama3 = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 }

/** Divisor of each frequency by Llama 3's rule. */
export const llama3Divisors = (factor: number, theta: number, headDim: number): number[] => {
  const { low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = llama3
  return Array.from({ length: headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * i) / headDim)
    if (wavelength < original / high) return 1
    if (wavelength > original / low) return factor
    const smooth = (original / wavelength - low) / (high - low)
    return 1 / ((1 - smooth) / factor + smooth)
  })
}

/** Tensors of factors: not parameters, but settings in config.json. */
export const ropeFactorNames: readonly string[] = ['rope_freqs', 'rope_factors_short', 'rope_factors_long'].map(
  (name) => `${name}.weight`,
)
const [llama3Name, ...longropeNames] = ropeFactorNames

/** The values of a tensor of factors. @throws CheckpointError for another type or shape */
const factorsOf = ({ file }: GgufFields, name: string, rotaryDim: number): Float32Array | undefined => {
  const factors = file.tensors.get(name)
  if (factors === undefined) return undefined
  if (factors.type !== 'F32' || factors.shape.join() !== `${rotaryDim / 2}`)
    throw new CheckpointError(
      `${file.path}: Expected ${rotaryDim / 2} float32 values in \`${name}\`, got ${factors.type} [${factors.shape.join(', ')}].`,
    )
  return factors.read().toFloat32Array()
}

const readLlama3 = (fields: GgufFields, theta: number, rotaryDim: number): object | undefined => {
  const { path } = fields.file
  const values = factorsOf(fields, llama3Name, rotaryDim)
  if (values === undefined || values.every((value) => value === 1)) return undefined
  const factor = shortest(Math.max(...values))
  const rule = llama3Divisors(factor, theta, rotaryDim)
  if (!values.every((value, i) => Math.abs(value - rule[i]) <= 1e-4 * rule[i]))
    throw new CheckpointError(
      `${path}: Expected the factors of Llama 3's rule in \`rope_freqs.weight\`, got others. Use the Hugging Face folder of the model.`,
    )
  return { rope_type: 'llama3', factor, ...llama3 }
}

/** LongRoPE: factors for the original length and beyond, and the factor of cosines and sines. */
const readLongrope = (fields: GgufFields, theta: number, rotaryDim: number): object | undefined => {
  const [short, long] = longropeNames.map((name) => factorsOf(fields, name, rotaryDim))
  const none = short === undefined && long === undefined
  if (none && fields.string('rope.scaling.type') !== 'longrope') return undefined
  if (short === undefined || long === undefined)
    throw new CheckpointError(
      `${fields.file.path}: Expected both of ${longropeNames.join(' and ')}, got ${none ? 'none' : 'one'}.`,
    )
  const originalPositions = fields.need('rope.scaling.original_context_length')
  const factor = fields.need('context_length') / originalPositions
  const [shortFactor, longFactor] = [short, long].map((values) => Array.from(values, shortest))
  const scaling = { kind: 'longrope', shortFactor, longFactor, originalPositions, factor } as const
  const { magnitude } = new RotaryTable({ rotaryDim, theta, scaling }).frequencies(1)
  const given = fields.number('rope.scaling.attn_factor') ?? 1
  return {
    rope_type: 'longrope',
    short_factor: shortFactor,
    long_factor: longFactor,
    original_max_position_embeddings: originalPositions,
    factor,
    // The published rule gives the factor of most models.
    ...(Math.fround(magnitude) === given ? {} : { attention_factor: shortest(given) }),
  }
}

const refuse = (fields: GgufFields, name: string, most: number): void => {
  const value = fields.number(name)
  if (value !== undefined && value !== most) throw fields.fault(`${most}`, name, value)
}

const readScaling = (fields: GgufFields): object | undefined => {
  const kind = fields.string('rope.scaling.type')
  const factor = fields.number('rope.scaling.factor') ?? fields.number('rope.scale_linear')
  const linear = kind === 'linear' || (kind === undefined && factor !== undefined && factor !== 1)
  if (kind !== undefined && !['none', 'linear', 'yarn', 'longrope'].includes(kind))
    throw fields.fault('none, linear, yarn or longrope', 'rope.scaling.type', kind)
  if (kind === 'none' || (!linear && kind !== 'yarn')) return undefined
  if (factor === undefined || factor <= 0) throw fields.fault('a positive number', 'rope.scaling.factor', factor)
  if (linear) return factor === 1 ? undefined : { rope_type: 'linear', factor: shortest(factor) }
  refuse(fields, 'rope.scaling.yarn_attn_factor', 1)
  refuse(fields, 'rope.scaling.yarn_ext_factor', 1)
  const attention = fields.number('rope.scaling.attn_factor') ?? 1
  return {
    rope_type: 'yarn',
    factor: shortest(factor),
    original_max_position_embeddings: fields.need('rope.scaling.original_context_length'),
    beta_fast: fields.number('rope.scaling.yarn_beta_fast') ?? 32,
    beta_slow: fields.number('rope.scaling.yarn_beta_slow') ?? 1,
    // llama.cpp multiplies the published factor of cosines and sines with it.
    ...(attention === 1 ? {} : { attention_factor: attention * (factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1) }),
  }
}

/**
 * `rope_theta` and, if frequencies are scaled, `rope_scaling`.
 * @throws CheckpointError for scaling that config.json cannot express
 */
export const readRope = (fields: GgufFields, rotaryDim: number): { rope_theta: number; rope_scaling?: object } => {
  const theta = fields.number('rope.freq_base') ?? 10000
  if (theta <= 0) throw fields.fault('a positive number', 'rope.freq_base', theta)
  const found = [
    readScaling(fields),
    readLlama3(fields, theta, rotaryDim),
    readLongrope(fields, theta, rotaryDim),
  ].filter((scaling) => scaling !== undefined)
  if (found.length > 1) throw fields.fault('one kind of RoPE scaling', 'rope.scaling.type', 'two')
  const [scaling] = found
  return { rope_theta: shortest(theta), ...(scaling === undefined ? {} : { rope_scaling: scaling }) }
}
