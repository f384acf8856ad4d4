// Settings of rotary positions as metadata and, for Llama 3's rule and LongRoPE, as tensors of divisors.
import { z } from 'zod'
import { llama3Divisors, ropeFactorNames } from '../../checkpoint/index.ts'
import { ConfigError } from '../../core/index.ts'
import { RotaryTable } from '../../nn/index.ts'
import { count, float, type GgufField, text } from './gguf-file.ts'
import { rotaryDimOf, type Settings } from './settings.ts'

type Scaling = Settings['ropeScaling']

const published = { lowFreqFactor: 1, highFreqFactor: 4, originalPositions: 8192 } as const
const numbers = z.looseObject({ factor: z.number(), originalPositions: z.number().optional() })
const yarn = numbers.extend({
  kind: z.literal('yarn'),
  originalPositions: z.number(),
  betaFast: z.number(),
  betaSlow: z.number(),
  attentionFactor: z.number().optional(),
  mscale: z.number().optional(),
  mscaleAllDim: z.number().optional(),
  truncate: z.boolean().optional(),
})
const longrope = numbers.extend({
  kind: z.literal('longrope'),
  shortFactor: z.array(z.number()),
  longFactor: z.array(z.number()),
  originalPositions: z.number(),
  attentionFactor: z.number().optional(),
})

const scalings: Record<string, (arch: string, scaling: Scaling, settings: Settings) => [string, GgufField][]> = {
  default: () => [],
  llama3: (_, scaling) => {
    const other = Object.entries(published).find(([name, value]) => scaling[name] !== value)
    if (other !== undefined)
      throw new ConfigError(
        `Expected ${other[1]} for \`${other[0]}\` of Llama 3's RoPE for \`gguf\`, got ${String(scaling[other[0]])}. Export to merged instead.`,
      )
    return []
  },
  linear: (arch, scaling) => [
    [`${arch}.rope.scaling.type`, text('linear')],
    [`${arch}.rope.scaling.factor`, float(numbers.parse(scaling).factor)],
  ],
  yarn: (arch, scaling, settings) => {
    const { factor, originalPositions, betaFast, betaSlow, ...others } = yarn.parse(scaling)
    if (others.truncate === false)
      throw new ConfigError(
        'Expected YaRN with `truncate` for `gguf`, got false: llama.cpp rounds the bounds of the ramp. Export to merged instead.',
      )
    // llama.cpp multiplies the published factor of cosines and sines with this one.
    const published = { kind: 'yarn', factor, originalPositions, betaFast, betaSlow }
    const change = magnitudeOf(settings, scaling) / magnitudeOf(settings, published)
    return [
      ...(change === 1 ? [] : [[`${arch}.rope.scaling.attn_factor`, float(change)] as [string, GgufField]]),
      [`${arch}.rope.scaling.type`, text('yarn')],
      [`${arch}.rope.scaling.factor`, float(factor)],
      [`${arch}.rope.scaling.original_context_length`, count(originalPositions)],
      [`${arch}.rope.scaling.yarn_beta_fast`, float(betaFast)],
      [`${arch}.rope.scaling.yarn_beta_slow`, float(betaSlow)],
    ]
  },
  longrope: (arch, scaling, settings) => {
    const { originalPositions } = longrope.parse(scaling)
    return [
      [`${arch}.rope.scaling.attn_factor`, float(magnitudeOf(settings, scaling))],
      [`${arch}.rope.scaling.original_context_length`, count(originalPositions)],
    ]
  },
}

/** Factor of cosines and sines. */
const magnitudeOf = (settings: Settings, scaling: Scaling): number => {
  const known = z.discriminatedUnion('kind', [yarn, longrope]).parse(scaling)
  const table = new RotaryTable({ rotaryDim: rotaryDimOf(settings), theta: settings.ropeTheta, scaling: known })
  return table.frequencies(1).magnitude
}

const [llama3Name, shortName, longName] = ropeFactorNames

/** Rules whose divisors are tensors of the file, by their names. */
const divisors: Record<string, (scaling: Scaling, settings: Settings) => [string, readonly number[]][]> = {
  llama3: (scaling, settings) => [
    [llama3Name, llama3Divisors(numbers.parse(scaling).factor, settings.ropeTheta, rotaryDimOf(settings))],
  ],
  longrope: (scaling) => {
    const { shortFactor, longFactor } = longrope.parse(scaling)
    return [
      [longName, longFactor],
      [shortName, shortFactor],
    ]
  },
}

/**
 * Metadata of the rotary positions.
 * @param computed scalings that llama.cpp computes for the architecture
 * @throws ConfigError for others, and for settings that GGUF cannot express
 */
export const ropeFields = (arch: string, settings: Settings, computed: readonly string[]): [string, GgufField][] => {
  const { ropeScaling, ropeTheta } = settings
  if (!computed.includes(ropeScaling.kind))
    throw new ConfigError(
      `Expected RoPE scaling of ${computed.join(', ')} for \`gguf\`, got ${ropeScaling.kind}. Export to merged instead.`,
    )
  return [[`${arch}.rope.freq_base`, float(ropeTheta)], ...scalings[ropeScaling.kind](arch, ropeScaling, settings)]
}

/** Divisors of the frequencies by the names of their tensors; none for most kinds of scaling. */
export const ropeFactors = (settings: Settings): Map<string, Float32Array> =>
  new Map(
    divisors[settings.ropeScaling.kind]?.(settings.ropeScaling, settings).map(([name, values]) => [
      name,
      Float32Array.from(values),
    ]),
  )
