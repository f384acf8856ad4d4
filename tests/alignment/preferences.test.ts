// Preference objectives against TRL, and against the formulas of the papers where TRL has no such objective: losses, gradients and
// logged statistics of golden/preferences.json, which make-preferences.py writes. The models beside it have its weights.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import {
  type CompletionTokens,
  findPreference,
  modelReference,
  type PreferenceInput,
  pairOf,
  preferenceCriterion,
  preferenceSchema,
  preferenceTypes,
  ratingCriterion,
} from '../../src/alignment/index.ts'
import { mismatchedPairs } from '../../src/alignment/preference/kto.ts'
import { loadModel } from '../../src/checkpoint/index.ts'
import { parseConfig } from '../../src/core/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { type StepForm, stepOf } from './preference-steps.ts'

// Tensors of this size only lose by threads.
setThreads(1)

interface GoldenCase {
  config: PreferenceInput
  by: 'trl' | 'formula'
  loss: number
  metrics: Record<string, number>
  gradients: Record<string, number[]>
  mismatched?: number[]
}
const golden = JSON.parse(readFileSync(new URL('golden/preferences.json', import.meta.url), 'utf8')) as {
  pairs: { prompt: number[]; chosen: number[]; rejected: number[] }[]
  ratings: { prompt: number[]; completion: number[]; good: boolean }[]
  cases: GoldenCase[]
}
const open = async (name: string) => {
  const model = await loadModel(fileURLToPath(new URL(`golden/${name}`, import.meta.url)), {
    head: 'causal-lm',
    dtype: 'float32',
  })
  return model.requireGrad(true)
}
const policy = await open('policy')
const reference = modelReference(await open('reference'))

/** The seed that pairs prompts and completions of KTO so that their divergence is above 0. */
const context = { seed: 10, step: 0 }

const completion = (prompt: readonly number[], answer: readonly number[]) => ({
  ids: Uint32Array.from([...prompt, ...answer]),
  starts: [0],
  promptTokens: prompt.length,
  truncatedTokens: 0,
})
const pairs = golden.pairs.map(({ prompt, chosen, rejected }) =>
  pairOf(completion(prompt, chosen), completion(prompt, rejected)),
)
const ratings = golden.ratings.map(({ prompt, completion: answer, good }) => ({ ...completion(prompt, answer), good }))

/** Where each golden gradient is in our models. */
const paths: Record<string, string> = {
  'model.norm.weight': 'body.finalNorm.weight',
  'model.layers.0.self_attn.q_proj.weight': 'body.layers.0.attention.qProj.weight',
}

/** Our names of TRL's statistics. */
const names: Record<string, string> = {
  'rewards/chosen': 'rewardChosen',
  'rewards/rejected': 'rewardRejected',
  'rewards/margins': 'rewardMargin',
  'rewards/accuracies': 'accuracy',
  'logps/chosen': 'logProbChosen',
  'logps/rejected': 'logProbRejected',
  entropy: 'entropy',
  kl: 'klBaseline',
}

/** Objectives that compare rewards per token or other scores than the log-ratio, of which TRL logs the log-ratio. */
const otherRewards = ({ type, ...config }: PreferenceInput) =>
  ['ipo', 'dpo-norm'].includes(type) || ('divergence' in config && config.divergence !== 'reverse-kl')
/** TRL logs sums of CPO and means of the others without a reference under one name. */
const meanLogProbs = ({ type }: PreferenceInput) => ['orpo', 'simpo', 'alphapo'].includes(type)

const criterionAndData = (config: PreferenceInput) => {
  const checked = parseConfig(preferenceSchema, config, 'objective')
  const run = (form: StepForm) =>
    findPreference(checked.type).data === 'ratings'
      ? stepOf(ratingCriterion(checked, { reference }), policy, ratings, form)
      : stepOf(preferenceCriterion(checked, { reference }), policy, pairs, form)
  return { run }
}

const expectClose = (value: number, wanted: number, what: string) =>
  expect(Math.abs(value - wanted) / Math.max(1, Math.abs(wanted)), `${what}: ${value}, not ${wanted}`).toBeLessThan(
    2e-5,
  )

describe.each(golden.cases.map((one) => [JSON.stringify(one.config), one.by, one] as const))(
  '%s as %s computes it',
  (_, __, { config, loss, metrics, gradients, by }) => {
    // The running mean of rewards after an earlier batch, as the formula has it.
    const carried = config.type === 'bco' && by === 'formula' ? { constants: [3, 4], syncedAt: 0 } : undefined

    it('has the loss, the gradient and the statistics', async () => {
      const { run } = criterionAndData(config)
      const got = carried === undefined ? await run({ padded: false, context }) : await withCarried(config, carried)
      expectClose(got.loss, loss, 'loss')
      for (const [theirs, ours] of Object.entries(paths)) {
        const own = got.gradients.get(ours) as Float32Array
        const most = Math.max(...gradients[theirs].map(Math.abs))
        const apart = Math.max(...gradients[theirs].map((value, i) => Math.abs(value - own[i])))
        expect(apart / most, `gradient of ${ours}`).toBeLessThan(1e-4)
      }
      for (const [theirs, ours] of Object.entries(names)) {
        if (metrics[theirs] === undefined || (config.type === 'kto' && ours === 'rewardMargin')) continue
        if (otherRewards(config) && theirs.startsWith('rewards')) continue
        const name = meanLogProbs(config) ? ours.replace(/^logProb/, 'logProbPerToken') : ours
        expectClose(got.metrics[name], metrics[theirs], theirs)
      }
    })
  },
)

const withCarried = async (config: PreferenceInput, carried: object) => {
  const criterion = preferenceCriterion(parseConfig(preferenceSchema, config, 'objective'), { reference })
  criterion.carried?.load(carried)
  return stepOf(criterion, policy, pairs, { padded: false })
}

it('covers every objective', () => {
  expect(new Set(golden.cases.map(({ config }) => config.type))).toEqual(new Set(preferenceTypes()))
})

it('pairs prompts and completions of KTO as the golden file has them', () => {
  const expected = golden.cases.find(({ mismatched }) => mismatched !== undefined)?.mismatched ?? []
  const made = mismatchedPairs(ratings, context, 64)
  const text = ({ ids, promptTokens }: CompletionTokens) => `${promptTokens}: ${ids.join()}`
  const wanted = golden.ratings.map(({ prompt }, i) => text(completion(prompt, golden.ratings[expected[i]].completion)))
  expect(made.map(text).sort()).toEqual(wanted.sort())
})
