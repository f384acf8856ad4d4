// A task with a known optimum on a tiny GPT: the reward is the share of one token in the answer. Each algorithm must find
// it, with its own estimator, loss, critic and number of passes over the answers, through the gradients of the loop.
import { expect, it } from 'vitest'
import {
  type AlgorithmType,
  advantageSchema,
  algorithms,
  createCritic,
  estimateAdvantages,
  needsCritic,
  policyCriterion,
  policySchema,
  type RolloutExample,
  type ScoredAnswer,
  scoreCompletions,
  scoreValues,
} from '../../../src/alignment/index.ts'
import { createRandom } from '../../../src/core/index.ts'
import { sampleToken } from '../../../src/generation/token-choice.ts'
import type { Model } from '../../../src/models/index.ts'
import { createOptimizer, optimizerSchema } from '../../../src/optim/index.ts'
import { Generator, noGrad, scope, Tensor } from '../../../src/tensor/index.ts'
import { computeGradients } from '../../../src/training/index.ts'
import { testDevice } from '../../device.ts'
import { build } from '../../objectives/small-models.ts'

const [vocabulary, length, wanted, prompts] = [8, 6, 5, 4]

/** Samples answers of the full length; row i continues prompt i. */
const sample = (model: Model, starts: readonly number[], seed: string): number[][] => {
  const rows = starts.map((start) => [start])
  const random = createRandom(seed)
  for (let t = 0; t < length; t++)
    noGrad(() =>
      scope(() => {
        const inputIds = Tensor.from(Int32Array.from(rows.flat()), {
          shape: [rows.length, t + 1],
          dtype: 'int64',
          device: testDevice,
        })
        const last = model.forward({ inputIds }).logits.select(1, t).toFloat32Array()
        rows.forEach((row, i) => {
          row.push(sampleToken(last.slice(i * vocabulary, (i + 1) * vocabulary), random))
        })
      }),
    )
  return rows
}

const rewardOf = (row: readonly number[]) => row.slice(1).filter((id) => id === wanted).length / length

/** Mean reward after a number of rounds of sampling and updates. */
const train = async (type: AlgorithmType, rounds: number): Promise<number> => {
  const algorithm = algorithms[type]
  const model = build('gpt2', 'causal-lm', {
    vocabSize: vocabulary,
    hiddenSize: 16,
    numLayers: 1,
    numHeads: 2,
    maxPositions: 8,
    embeddingDropout: 0,
    hiddenDropout: 0,
    attentionDropout: 0,
    std: 0.1,
  })
  const critic = needsCritic(algorithm) ? createCritic(model) : undefined
  const parameters = new Map([...model.parameters(), ...(critic?.trainable ?? [])])
  const criterion = policyCriterion(policySchema.parse({ loss: algorithm.loss, maxTokens: length }), { critic })
  const optimizer = createOptimizer(optimizerSchema.parse({ type: 'adamw', weightDecay: 0 }), parameters)
  const estimator = advantageSchema.parse(algorithm.advantages)
  const perPrompt = Math.max(8, algorithm.answersPerPrompt)
  const starts = Array.from({ length: prompts * perPrompt }, (_, i) => Math.floor(i / perPrompt))
  const mask = new Uint8Array(length).fill(1)
  const how = { microTokens: 4096, padded: true }
  let mean = 0
  for (let round = 0; round < rounds; round++) {
    model.eval()
    const rows = sample(model, starts, `${type}/${round}`)
    const scores = rows.map(rewardOf)
    mean = scores.reduce((sum, score) => sum + score, 0) / scores.length
    const completions = rows.map((row) => ({ ids: Uint32Array.from(row), starts: [0], promptTokens: 1 }))
    const old = await scoreCompletions(model, completions, how)
    const values = critic === undefined ? undefined : await scoreValues(critic, model, completions, how)
    const answers = rows.map((_, i): ScoredAnswer => {
      const own = { group: starts[i], rewards: [scores[i]], score: scores[i], mask, finished: true }
      return values === undefined ? own : { ...own, values: values[i] }
    })
    const { advantages, returns } = estimateAdvantages(answers, estimator)
    const examples = completions.map(
      (completion, i): RolloutExample => ({
        ...completion,
        mask,
        advantages: advantages[i],
        oldLogProbs: old[i].logProbs,
        ...(returns === undefined ? {} : { returns: returns[i], oldValues: values?.[i].slice(0, length) }),
      }),
    )
    model.train()
    for (let epoch = 0; epoch < algorithm.epochs; epoch++) {
      const context = { model, microTokens: 4096, padded: true, device: testDevice, step: round, position: 0, seed: 0 }
      const prepared = (await criterion.prepare?.(examples, context)) ?? examples
      const options = {
        microTokens: 4096,
        padded: false,
        device: testDevice,
        recompute: 0,
        generator: new Generator(1),
      }
      const result = await computeGradients({ model, objective: criterion, parameters }, prepared, options)
      optimizer.step(result.gradients, { learningRate: 0.02, maxGradientNorm: 1 })
      result.release()
    }
  }
  return mean
}

it.each([
  ['ppo', 25],
  ['grpo', 40],
  ['rloo', 40],
  ['reinforce-plus-plus', 40],
] as const)('%s learns to write one token only', async (type, rounds) => {
  // A random policy has 1/8; the optimum is 1.
  expect(await train(type, 1)).toBeLessThan(0.3)
  expect(await train(type, rounds)).toBeGreaterThan(0.95)
})
