// Small policies, critics and invented answers for tests of reinforcement learning.
import { applyAdapter } from '../../../src/adapters/index.ts'
import { type Critic, createCritic, type RolloutExample, scoreCompletions } from '../../../src/alignment/index.ts'
import { createRandom } from '../../../src/core/index.ts'
import { type Model, type ModelType, withHead } from '../../../src/models/index.ts'
import { Generator, noGrad, type Tensor } from '../../../src/tensor/index.ts'
import { build } from '../../objectives/small-models.ts'

export type CriticKind = 'none' | 'head' | 'adapter' | 'model'

const fill = (tensors: Iterable<Tensor>, seed: number) => {
  const generator = new Generator(seed)
  noGrad(() => {
    for (const tensor of tensors) tensor.detach().normal_(0, 0.1, { generator })
  })
}

const quiet: Partial<Record<ModelType, Record<string, unknown>>> = {
  gpt2: { embeddingDropout: 0, hiddenDropout: 0, attentionDropout: 0 },
}

/** A policy with LoRA on a frozen base, a critic, and all that is trained. */
export const policyAndCritic = (type: ModelType, kind: CriticKind, base = build(type, 'causal-lm', quiet[type])) => {
  const model: Model = base
  const policy = applyAdapter(model, { type: 'lora', rank: 3 }, { name: 'policy' })
  fill(policy.trainable.values(), 5)
  const parameters = new Map(policy.trainable)
  let critic: Critic | undefined
  if (kind === 'head' || kind === 'adapter') {
    const created = createCritic(model, {
      head: 'normal',
      ...(kind === 'adapter' ? { adapter: { type: 'lora', rank: 2 } } : {}),
    })
    if (kind === 'adapter') fill(created.trainable.values(), 6)
    for (const [path, tensor] of created.trainable) parameters.set(path, tensor)
    critic = created
  }
  if (kind === 'model') {
    const other = withHead(build(type, 'causal-lm', { ...quiet[type], seed: 9 }), 'reward')
    other.head.initialize({ std: 0.3, generator: new Generator(4) })
    other.requireGrad(true)
    for (const [path, tensor] of other.parameters()) parameters.set(`critic.${path}`, tensor)
    critic = { model: other }
  }
  return { model, critic, parameters }
}

/** Answers of uneven lengths, some with tokens of tools, one masked; their log-probabilities are near those of the policy. */
export const inventedRollouts = async (model: Model, withCritic: boolean): Promise<RolloutExample[]> => {
  const examples = inventedAnswers(withCritic)
  const scores = await scoreCompletions(model, examples, { microTokens: 512, padded: true, temperature: 0.7 })
  const random = createRandom('log-probabilities')
  const near = (values: Float32Array, scale: number) => values.map((value) => value + scale * random.normal())
  return examples.map((example, i) => {
    const { logProbs, entropy: entropies } = scores[i]
    const oldLogProbs = near(logProbs, 0.2)
    return {
      ...example,
      oldLogProbs,
      samplingLogProbs: near(oldLogProbs, 0.1),
      referenceLogProbs: near(logProbs, 0.3),
      entropies,
    }
  })
}

const inventedAnswers = (withCritic: boolean): RolloutExample[] => {
  const random = createRandom('rollouts')
  // Some answers are to the same prompt, but are not neighbours.
  const prompts = [6, 1, 8].map((length) => Array.from({ length }, () => 7 + random.integer(110)))
  return [3, 9, 1, 6, 12, 4, 5].map((length, i): RolloutExample => {
    const prompt = prompts[i % 3]
    const promptTokens = prompt.length
    const values = (scale: number, count = length) =>
      Float32Array.from({ length: count }, () => scale * random.normal())
    const masked = (t: number) => i === 5 || (i % 2 === 1 && t % 4 === 2)
    return {
      // Every fourth token has the id that padding has.
      ids: Uint32Array.of(...prompt, ...Array.from({ length }, (_, t) => (t % 4 === 3 ? 0 : 7 + random.integer(110)))),
      starts: [0],
      promptTokens,
      mask: Uint8Array.from({ length }, (_, t) => (masked(t) ? 0 : 1)),
      advantages: values(1),
      ...(withCritic ? { returns: values(1), oldValues: values(0.3) } : {}),
    }
  })
}
