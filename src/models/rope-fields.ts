// Rotary position embeddings in config.json: `rope_theta` and `rope_scaling`, or `rope_parameters` since transformers 5.
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import type { RopeScaling } from '../nn/index.ts'

const factor = z.number().positive()
const positions = z.int().positive()

/** Settings of the scaling. */
export const ropeScalingSchema = z.discriminatedUnion('kind', [
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
  }),
])

type Fields = Record<string, unknown>

const readers: Record<string, (fields: Fields, maxPositions: unknown) => unknown> = {
  default: () => ({ kind: 'default' }),
  linear: ({ factor }) => ({ kind: 'linear', factor }),
  dynamic: ({ factor, original_max_position_embeddings }, maxPositions) => ({
    kind: 'dynamic',
    factor,
    originalPositions: original_max_position_embeddings ?? maxPositions,
  }),
  llama3: (fields) => ({
    kind: 'llama3',
    factor: fields.factor,
    lowFreqFactor: fields.low_freq_factor,
    highFreqFactor: fields.high_freq_factor,
    originalPositions: fields.original_max_position_embeddings,
  }),
  yarn: (fields, maxPositions) => ({
    kind: 'yarn',
    factor: fields.factor,
    originalPositions: fields.original_max_position_embeddings ?? maxPositions,
    betaFast: fields.beta_fast ?? 32,
    betaSlow: fields.beta_slow ?? 1,
    attentionFactor: fields.attention_factor ?? undefined,
  }),
}

/** Settings of a model with rotary positions. */
export const ropeSettings = {
  ropeTheta: z.number().positive().default(10000).describe('base of the rotary frequencies'),
  ropeScaling: ropeScalingSchema.default({ kind: 'default' }).describe('scaling of the rotary frequencies'),
}

/** @throws ConfigError for an unsupported kind of scaling */
const read = (fields: Fields): Fields => {
  const given = (fields.rope_parameters ?? fields.rope_scaling ?? {}) as Fields
  const kind = String(given.rope_type ?? given.type ?? 'default')
  const reader = Object.hasOwn(readers, kind) ? readers[kind] : undefined
  if (reader === undefined)
    throw new ConfigError(
      `Expected one of ${Object.keys(readers).join(', ')} for \`rope_type\` in config.json, got ${JSON.stringify(kind)}.`,
    )
  return {
    ropeTheta: given.rope_theta ?? fields.rope_theta,
    ropeScaling: reader(given, fields.max_position_embeddings),
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
