// Rewards that look at an answer alone: its form, its length, repetitions, a pattern, its end; and the reward that an environment gave.
// @source sections: arXiv:2501.12948, section 2.2.2
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { spacedWords } from '../../tasks/index.ts'
import { isTimeout, probeRegex, runPureWithTimeLimit } from '../../tokenizers/index.ts'
import { defineReward, RewardError, type RewardSample, scoreEach } from './reward.ts'

const countOf = (text: string, part: string): number => text.split(part).length - 1

/** Whether the text is exactly these sections, with nothing but white space around them. */
const hasForm = (text: string, sections: readonly string[]): boolean => {
  let rest = text.trim()
  for (const name of sections) {
    const [open, close] = [`<${name}>`, `</${name}>`]
    const end = rest.indexOf(close)
    if (!rest.startsWith(open) || end < 0) return false
    const inside = rest.slice(open.length, end)
    if (sections.some((other) => inside.includes(`<${other}>`) || inside.includes(`</${other}>`))) return false
    rest = rest.slice(end + close.length).trimStart()
  }
  return rest === ''
}

export const sections = defineReward({
  type: 'sections',
  source: 'arXiv:2501.12948',
  summary: 'Whether the answer consists of named sections in their order, such as <think>…</think><answer>…</answer>.',
  config: z.strictObject({
    sections: z
      .array(z.string().regex(/^[\w-]+$/, 'letters, digits, _ and -'))
      .min(1)
      .default(['think', 'answer'])
      .describe('names of the sections, in their order'),
    begins: z
      .boolean()
      .default(false)
      .describe('the prompt already has the opening tag of the first section, so that answers begin inside it'),
    partial: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe('reward of an answer without the form that has every tag exactly once; less for fewer tags'),
  }),
  open: ({ sections: names, begins, partial }) => ({
    score: scoreEach(({ completion }) => {
      const text = begins ? `<${names[0]}>${completion}` : completion
      if (hasForm(text, names)) return 1
      const tags = names.flatMap((name) => [`<${name}>`, `</${name}>`])
      return (partial * tags.filter((tag) => countOf(text, tag) === 1).length) / tags.length
    }),
  }),
})

const unitField = z
  .enum(['tokens', 'words', 'characters'])
  .default('tokens')
  .describe('unit of length; tokens are those of the policy, with the end token')

const lengthIn: { readonly [unit in z.output<typeof unitField>]: (sample: RewardSample) => number } = {
  tokens: ({ completionIds }) => completionIds.length,
  words: ({ completion }) => spacedWords(completion).length,
  characters: ({ completion }) => Array.from(completion).length,
}

export const answerLength = defineReward({
  type: 'length',
  source: 'arXiv:2503.04697 (L1), for the distance from a target',
  summary: 'Minus a cost per token, or minus the distance from a target length.',
  config: z
    .strictObject({
      unit: unitField,
      target: z
        .number()
        .positive()
        .optional()
        .describe('target length: the reward is 0 there and falls by 1 at a distance of the target itself'),
      cost: z.number().optional().describe('cost of each unit, such as 0.001; a negative cost pays for length'),
    })
    .refine(({ target, cost }) => (target === undefined) !== (cost === undefined), {
      path: ['target'],
      message: 'The reward `length` needs one of `target` and `cost`: set one of them.',
    }),
  open: ({ unit, target, cost = 0 }) => ({
    score: scoreEach((sample) => {
      const length = lengthIn[unit](sample)
      return 0 - (target === undefined ? cost * length : Math.abs(length - target) / target)
    }),
  }),
})

// @source arXiv:2502.03373, section 4.3
/** 1 - distinct / all n-grams; 0 for a text with fewer than two. */
const repeatedShare = (items: readonly (string | number)[], n: number): number => {
  const count = items.length - n + 1
  if (count < 2) return 0
  const seen = new Set<string>()
  for (let at = 0; at < count; at++) seen.add(JSON.stringify(items.slice(at, at + n)))
  return 1 - seen.size / count
}

export const repetition = defineReward({
  type: 'repetition',
  source: 'arXiv:2502.03373',
  summary: 'Minus the share of n-grams of the answer that repeat an earlier one.',
  config: z.strictObject({
    n: z.int().positive().max(100).default(3).describe('length of the n-grams'),
    unit: z
      .enum(['words', 'tokens'])
      .default('words')
      .describe('units of the n-grams: words in lower case, or tokens of the policy'),
  }),
  open: ({ n, unit }) => ({
    score: scoreEach(
      ({ completion, completionIds }) =>
        0 - repeatedShare(unit === 'tokens' ? Array.from(completionIds) : spacedWords(completion.toLowerCase()), n),
    ),
  }),
})

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

export const finished = defineReward({
  type: 'finished',
  source: 'arXiv:1909.08593',
  summary: 'Whether the answer ends with an end token or a stop text, and was not truncated.',
  config: z.strictObject({
    ended: z.number().default(1).describe('reward of an answer that ends by itself'),
    truncated: z.number().default(0).describe('reward of an answer that reached the maximum length'),
  }),
  open: ({ ended, truncated }) => ({
    score: scoreEach(({ finishReason }) => (finishReason === 'eos' || finishReason === 'stop' ? ended : truncated)),
  }),
})

export const environmentReward = defineReward({
  type: 'environment',
  source: 'the environment',
  summary: 'The sum of the rewards that the environment gave in the turns of an episode.',
  config: z.strictObject({}),
  needsEnvironment: true,
  open: () => ({ score: scoreEach(({ episode }) => episode?.reward ?? null) }),
})
