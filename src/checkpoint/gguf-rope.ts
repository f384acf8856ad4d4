// RoPE settings of a GGUF file as fields of config.json. Llama 3's frequency scaling is stored as a tensor of factors, which is
// accepted only if the published rule gives the same factors; LongRoPE's factors are two tensors.
import { CheckpointError } from '../core/index.ts'
import { RotaryTable } from '../nn/index.ts'
import { type GgufFields, shortest } from './gguf-fields.ts'

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
