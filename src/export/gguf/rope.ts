// Settings of rotary positions as metadata and, for Llama 3's rule, as a tensor of divisors.
import { z } from 'zod'
import { llama3Divisors } from '../../checkpoint/index.ts'
import { ConfigError } from '../../core/index.ts'
import { count, float, type GgufField, text } from './gguf-file.ts'

interface RopeSettings {
  ropeTheta: number
  ropeScaling: { kind: string; [field: string]: unknown }
}

const published = { lowFreqFactor: 1, highFreqFactor: 4, originalPositions: 8192 } as const
const numbers = z.looseObject({ factor: z.number(), originalPositions: z.number().optional() })
const yarn = numbers.extend({ betaFast: z.number(), betaSlow: z.number(), attentionFactor: z.number().optional() })

type Scaling = RopeSettings['ropeScaling']

const scalings: Record<string, (arch: string, scaling: Scaling) => [string, GgufField][]> = {
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
  yarn: (arch, scaling) => {
    const { factor, originalPositions = 0, betaFast, betaSlow, attentionFactor } = yarn.parse(scaling)
    if (attentionFactor !== undefined)
      throw new ConfigError('Expected YaRN without `attention_factor` for `gguf`, got one. Export to merged instead.')
    return [
      [`${arch}.rope.scaling.type`, text('yarn')],
      [`${arch}.rope.scaling.factor`, float(factor)],
      [`${arch}.rope.scaling.original_context_length`, count(originalPositions)],
      [`${arch}.rope.scaling.yarn_beta_fast`, float(betaFast)],
      [`${arch}.rope.scaling.yarn_beta_slow`, float(betaSlow)],
    ]
  },
}

/** Rules whose divisors are a tensor of the file. */
const divisors: Record<string, (scaling: Scaling, theta: number, headDim: number) => Float32Array> = {
  llama3: (scaling, theta, headDim) => Float32Array.from(llama3Divisors(numbers.parse(scaling).factor, theta, headDim)),
}

/** Metadata of the rotary positions. @throws ConfigError for scaling that GGUF cannot express */
export const ropeFields = (arch: string, { ropeTheta, ropeScaling }: RopeSettings): [string, GgufField][] => {
  const { kind } = ropeScaling
  if (!Object.hasOwn(scalings, kind))
    throw new ConfigError(
      `Expected RoPE scaling of ${Object.keys(scalings).join(', ')} for \`gguf\`, got ${kind}. Export to merged instead.`,
    )
  return [[`${arch}.rope.freq_base`, float(ropeTheta)], ...scalings[kind](arch, ropeScaling)]
}

/** Divisors of the frequencies by Llama 3's rule; undefined for other scaling. */
export const ropeFactors = ({ ropeTheta, ropeScaling }: RopeSettings, headDim: number): Float32Array | undefined => {
  return divisors[ropeScaling.kind]?.(ropeScaling, ropeTheta, headDim)
}
