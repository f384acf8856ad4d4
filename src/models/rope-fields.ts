// Rotary position embeddings in config.json: `rope_theta` and `rope_scaling`, or `rope_parameters` since transformers 5.
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import type { RopeScaling } from '../nn/index.ts'

const factor = z.number().positive()
const positions = z.int().positive()

/** Settings of the scaling. */
const ropeScalingSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('default') }),
  z.strictObject({ kind: z.literal('linear'), factor }),
  z.strictObject({ kind: z.literal('dynamic'), factor, originalPositions: positions }),
  z.strictObject({
    kind: z.literal('llama3'),
    factor,
    lowFreqFactor: factor,
    highFreqFactor: factor,
    originalPositions: positions,
  }),
  z.strictObject({
    kind: z.literal('yarn'),
    factor,
    originalPositions: positions,
    betaFast: factor,
    betaSlow: factor,
    attentionFactor: factor.optional(),
    mscale: factor.optional(),
    mscaleAllDim: factor.optional(),
    truncate: z.boolean().optional(),
  }),
  z.strictObject({
    kind: z.literal('longrope'),
    shortFactor: z.array(factor).min(1),
    longFactor: z.array(factor).min(1),
    originalPositions: positions,
    factor,
    attentionFactor: factor.optional(),
  }),
])

type Fields = Record<string, unknown>

/** The length of pretraining: a field of config.json itself comes first, as in transformers. */
const originalLength = (fields: Fields, maxPositions: unknown, config: Fields): unknown =>
  config.original_max_position_embeddings ?? fields.original_max_position_embeddings ?? maxPositions

const longrope = (fields: Fields, maxPositions: unknown, config: Fields): unknown => {
  const original = originalLength(fields, maxPositions, config)
  return {
    kind: 'longrope',
    shortFactor: fields.short_factor,
    longFactor: fields.long_factor,
    originalPositions: original,
    factor: fields.factor ?? Number(maxPositions) / Number(original),
    attentionFactor: fields.attention_factor ?? undefined,
  }
}

const yarn = (fields: Fields, maxPositions: unknown, config: Fields): unknown => {
  const original = originalLength(fields, maxPositions, config)
  return {
    kind: 'yarn',
    factor: fields.factor ?? Number(maxPositions) / Number(original),
    originalPositions: original,
    // transformers takes the default in place of 0 too, and both scales or none.
    betaFast: fields.beta_fast || 32,
    betaSlow: fields.beta_slow || 1,
    attentionFactor: fields.attention_factor ?? undefined,
    mscale: fields.mscale || undefined,
    mscaleAllDim: fields.mscale_all_dim || undefined,
    truncate: fields.truncate ?? undefined,
  }
}

const readers: Record<string, (fields: Fields, maxPositions: unknown, config: Fields) => unknown> = {
  default: () => ({ kind: 'default' }),
  linear: ({ factor }) => ({ kind: 'linear', factor }),
  // transformers goes by the maximum length here, whatever the original length says.
  dynamic: ({ factor }, maxPositions) => ({ kind: 'dynamic', factor, originalPositions: maxPositions }),
  llama3: (fields) => ({
    kind: 'llama3',
    factor: fields.factor,
    lowFreqFactor: fields.low_freq_factor,
    highFreqFactor: fields.high_freq_factor,
    originalPositions: fields.original_max_position_embeddings,
  }),
  yarn,
  longrope,
  // Its first name, in early files of Phi 3.
  su: longrope,
}

/** Settings of a model with rotary positions. */
export const ropeSettings = {
  ropeTheta: z.number().positive().describe('base of the rotary frequencies').default(10000),
  ropeScaling: ropeScalingSchema
    .default({ kind: 'default' })
    .describe('scaling of the rotary frequencies; dynamic and longrope go by the longest text of a batch'),
}

/** The settings of a file: where it has both fields, transformers takes the older one, unless that is empty. */
const givenIn = ({ rope_scaling: older, rope_parameters: newer }: Fields): Fields => {
  const isGiven = typeof older === 'object' && older !== null && Object.keys(older).length > 0
  return ((isGiven ? older : newer) ?? {}) as Fields
}

/** @throws ConfigError for an unsupported kind of scaling */
const read = (fields: Fields): Fields => {
  const given = givenIn(fields)
  const kind = String(given.rope_type ?? given.type ?? 'default')
  const reader = Object.hasOwn(readers, kind) ? readers[kind] : undefined
  if (reader === undefined)
    throw new ConfigError(
      `Expected one of ${Object.keys(readers).join(', ')} for \`rope_type\` in config.json, got ${JSON.stringify(kind.slice(0, 80))}.`,
    )
  return {
    ropeTheta: given.rope_theta ?? fields.rope_theta,
    ropeScaling: reader(given, fields.max_position_embeddings, fields),
  }
}

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

const write = (config: { ropeTheta: number; ropeScaling: RopeScaling }): Fields => {
  const { kind, ...rest } = config.ropeScaling
  const written = Object.entries(rest).map(([name, value]) => [
    name === 'originalPositions' ? 'original_max_position_embeddings' : snake(name),
    value,
  ])
  return {
    rope_parameters: { rope_type: kind, rope_theta: config.ropeTheta, ...Object.fromEntries(written) },
    rope_theta: config.ropeTheta,
  }
}

/** Reads and writes both settings; for `hfExtra`. */
export const ropeFields = { read, write }

/** Settings of a model whose heads are rotated in part. */
export const partialRopeSettings = {
  ...ropeSettings,
  partialRotaryFactor: z.number().positive().max(1).describe('share of the elements of a head that are rotated'),
}

/** Reads and writes the settings of heads that are rotated in part; for `hfExtra`. */
export const partialRopeFields = {
  read: (fields: Fields): Fields => {
    const given = givenIn(fields)
    return { ...read(fields), partialRotaryFactor: given.partial_rotary_factor ?? fields.partial_rotary_factor }
  },
  write: (config: { ropeTheta: number; ropeScaling: RopeScaling; partialRotaryFactor: number }): Fields => {
    const { rope_parameters, ...rest } = write(config)
    return {
      ...rest,
      rope_parameters: { ...(rope_parameters as Fields), partial_rotary_factor: config.partialRotaryFactor },
    }
  },
}

/**
 * The even number of elements of a head that are rotated.
 * @throws ConfigError for an odd one, and for factors of LongRoPE of another length
 */
export const rotaryDimOf = (headDim: number, share: number, scaling: RopeScaling): number => {
  const rotaryDim = Math.floor(headDim * share)
  if (rotaryDim % 2 !== 0 || rotaryDim === 0)
    throw new ConfigError(
      `Expected an even number of rotated elements of a head, got ${share} of ${headDim}. Change \`partialRotaryFactor\`.`,
    )
  if ('longFactor' in scaling)
    for (const name of ['shortFactor', 'longFactor'] as const)
      if (scaling[name].length !== rotaryDim / 2)
        throw new ConfigError(
          `Expected ${rotaryDim / 2} numbers for \`${name}\`, one per rotary frequency, got ${scaling[name].length}.`,
        )
  return rotaryDim
}
