// Whether, or how often, a regular expression matches an answer. Answers are written by a model that is rewarded for them, so a pattern that
// backtracks without end would be found: it is tried on typical texts first, and each match has a time limit.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { isTimeout, probeRegex, runPureWithTimeLimit } from '../../tokenizers/index.ts'
import { defineReward, RewardError, scoreEach } from './reward.ts'

const timeoutMs = 250
const knownFlags = /^(?!.*(.).*\1)[imsuv]*$/

/** The pattern as a global regular expression. @throws ConfigError */
const compile = (pattern: string, flags: string): RegExp => {
  if (!knownFlags.test(flags))
    throw new ConfigError(
      `Expected some of i, m, s, u and v for \`flags\` of the reward \`regular-expression\`, got ${flags}.`,
    )
  try {
    return new RegExp(pattern, `${flags}g`)
  } catch (error) {
    throw new ConfigError(
      `Expected a regular expression for \`pattern\` of the reward \`regular-expression\`, got ${JSON.stringify(pattern)}: ${(error as Error).message}.`,
    )
  }
}

export const regularExpression = defineReward({
  type: 'regular-expression',
  source: 'ECMA-262',
  summary: 'Whether a JavaScript regular expression matches the answer.',
  config: z.strictObject({
    pattern: z
      .string()
      .min(1)
      .describe('JavaScript regular expression; anchor it with ^ and $ to match the whole answer'),
    flags: z.string().default('s').describe('flags of the expression: i, m, s, u or v'),
    maximum: z
      .int()
      .positive()
      .default(1)
      .describe('matches that count: the reward is their number, up to this, divided by it'),
  }),
  open({ pattern, flags, maximum }) {
    const regex = compile(pattern, flags)
    probeRegex(regex, pattern, 'the reward `regular-expression`')
    const matchesIn = (text: string): number => {
      let found = 0
      for (const _ of text.matchAll(regex)) if (++found >= maximum) break
      return found
    }
    return {
      score: scoreEach(({ completion }) => {
        try {
          return runPureWithTimeLimit(() => matchesIn(completion), timeoutMs) / maximum
        } catch (error) {
          if (!isTimeout(error)) throw error
          throw new RewardError(
            `The pattern ${JSON.stringify(pattern)} of the reward \`regular-expression\` takes more than ${timeoutMs} ms on an answer of ${completion.length} characters: write it without nested repeats.`,
            { failure: 'timeout', retry: false },
          )
        }
      }),
    }
  },
  // A slow answer fails alone.
  limits: { samplesPerCall: 1 },
})
