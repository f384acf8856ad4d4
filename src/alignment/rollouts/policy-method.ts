// Learning from rollouts by reinforcement: penalties, the KL divergence from the reference, values of a critic, and advantages over the whole
// rollout. Independent of the estimator of advantages and of the policy loss.
import { invariant } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import type { CompletionTokens } from '../log-probs.ts'
import type { Reference } from '../reference.ts'
import {
  type AdvantageConfig,
  advantageDefinition,
  type Critic,
  estimateAdvantages,
  explainedVariance,
  type KlController,
  klRewards,
  type RewardShaping,
  type RolloutExample,
  type ScoredAnswer,
  scoreValues,
  shapeReward,
  trainedTokens,
} from '../reinforcement/index.ts'
import { scoreCompletions } from '../score-completions.ts'
import { isFinished, promptIdsOf, type RolloutAnswer, type RolloutPrompt } from './rollout.ts'
import type { RolloutContext, RolloutMethod } from './rollout-source.ts'

/** What the method is made of. */
export interface PolicyMethodParts {
  /** Undefined for answers that have all log-probabilities and values already. */
  policy?: Model
  advantages: AdvantageConfig
  /** Weights of the reward functions, in their order. */
  rewardWeights: readonly number[]
  shaping: RewardShaping
  /** The KL divergence from the reference as a part of the reward. */
  rewardKl?: { controller: KlController; estimator: 'k1' | 'k3' }
  reference?: Reference
  critic?: Critic
  temperature: number
  /**
   * Log-probabilities before the first update: those of `sampling`, those that the training forward pass gives (`training`), or none where
   * each answer is trained on once, so that its ratio is 1.
   */
  oldLogProbs: 'sampling' | 'training' | 'none'
}

/** An answer with its prompt in one sequence. */
export const completionOf = (
  prompt: RolloutPrompt,
  answer: Pick<RolloutAnswer, 'ids' | 'promptIds'>,
): CompletionTokens => {
  const { ids } = answer
  const before = promptIdsOf(prompt, answer)
  const all = new Uint32Array(before.length + ids.length)
  all.set(before)
  all.set(ids, before.length)
  return { ids: all, starts: [0], promptTokens: before.length }
}

/** A rollout method that learns by a policy gradient. */
export const policyMethod = (parts: PolicyMethodParts): RolloutMethod<RolloutExample> => {
  const { policy, advantages, rewardWeights, rewardKl, reference, critic, temperature, oldLogProbs } = parts
  const controller = rewardKl?.controller
  const complete = async (
    answers: readonly { prompt: RolloutPrompt; answer: RolloutAnswer }[],
    { microTokens, padded, device, signal, share }: RolloutContext,
  ): Promise<void> => {
    invariant(policy !== undefined, 'answers are completed with the policy.')
    const completions = answers.map(({ prompt, answer }) => completionOf(prompt, answer))
    // The answers of a group are neighbours: their prompt is computed once.
    const how = { microTokens, padded, device, temperature, signal, share, shared: true }
    const references = await reference?.logProbs(completions, how)
    const values = critic === undefined ? undefined : await scoreValues(critic, policy, completions, how)
    const trained = oldLogProbs === 'training' ? await scoreCompletions(policy, completions, how) : undefined
    for (const [i, { answer }] of answers.entries()) {
      if (references !== undefined) answer.reference = references[i]
      if (values !== undefined) answer.values = values[i]
      if (trained !== undefined) answer.trained = trained[i].logProbs
    }
  }
  return {
    needsGreedyAnswer: advantageDefinition(advantages).needsGreedyAnswer ?? false,
    complete,
    examples(groups) {
      const all = groups.flatMap(({ prompt, group }) => group.map((answer) => ({ prompt, answer })))
      const scored = all.map(({ answer }) => scoredAnswer(answer, parts))
      const estimate = estimateAdvantages(scored, advantages, { rewardWeights })
      const examples: RolloutExample[] = []
      const trained: { answer: RolloutAnswer; advantages: Float32Array }[] = []
      for (const [i, { prompt, answer }] of all.entries()) {
        const returns = estimate.returns?.[i]
        const example: RolloutExample = {
          ...completionOf(prompt, answer),
          mask: scored[i].excluded === true ? new Uint8Array(answer.mask.length) : answer.mask,
          advantages: estimate.advantages[i],
          ...oldOf(answer, oldLogProbs),
          ...(answer.reference === undefined ? {} : { referenceLogProbs: answer.reference }),
          ...(returns === undefined ? {} : { returns, oldValues: answer.values?.slice(0, returns.length) }),
        }
        if (trainedTokens(example) === 0) continue
        examples.push(example)
        trained.push({ answer, advantages: estimate.advantages[i] })
      }
      const metrics = {
        ...metricsOf(scored, estimate.returns, controller),
        ...mismatchOf(all.map(({ answer }) => answer)),
      }
      return { examples, trained, metrics }
    },
    ...(controller === undefined
      ? {}
      : {
          advance: (answers: readonly RolloutAnswer[]) => controller.update(meanKl(answers), answers.length),
          carried: controller,
        }),
  }
}

const oldOf = (
  { logProbs, trained }: RolloutAnswer,
  kind: PolicyMethodParts['oldLogProbs'],
): Pick<RolloutExample, 'oldLogProbs' | 'samplingLogProbs'> => {
  // An adaptive KL coefficient in the loss measures the divergence by them.
  if (kind === 'none') return { samplingLogProbs: logProbs }
  if (kind === 'sampling' || trained === undefined) return { oldLogProbs: logProbs }
  return { oldLogProbs: trained, samplingLogProbs: logProbs }
}

const scoredAnswer = (answer: RolloutAnswer, { shaping, rewardKl }: PolicyMethodParts): ScoredAnswer => {
  const { group, rewards, reward, mask, logProbs, reference, values, greedy } = answer
  const finished = isFinished(answer)
  const { score, excluded } = shapeReward({ reward, finished, mask }, shaping)
  return {
    group,
    rewards,
    score,
    excluded,
    mask,
    finished,
    ...(rewardKl === undefined || reference === undefined
      ? {}
      : {
          tokenRewards: klRewards(
            { mask, logProbs, reference },
            { coefficient: rewardKl.controller.coefficient, estimator: rewardKl.estimator },
          ).tokenRewards,
        }),
    ...(values === undefined ? {} : { values }),
    ...(greedy === undefined ? {} : { greedyScore: greedy }),
  }
}

const meanKl = (answers: readonly RolloutAnswer[]): number => {
  let sum = 0
  for (const { mask, logProbs, reference } of answers) {
    if (reference === undefined) return Number.NaN
    for (let t = 0; t < mask.length; t++) if (mask[t] !== 0) sum += logProbs[t] - reference[t]
  }
  return sum / Math.max(1, answers.length)
}

/** Largest difference between the log-probabilities of sampling and of training; nothing where training's were not computed. */
const mismatchOf = (answers: readonly RolloutAnswer[]): { largestSamplingMismatch?: number } => {
  let largest: number | undefined
  for (const { mask, logProbs, trained } of answers)
    if (trained !== undefined)
      for (let t = 0; t < mask.length; t++)
        if (mask[t] !== 0) largest = Math.max(largest ?? 0, Math.abs(trained[t] - logProbs[t]))
  return largest === undefined ? {} : { largestSamplingMismatch: largest }
}

const metricsOf = (
  scored: readonly ScoredAnswer[],
  returns: readonly Float32Array[] | undefined,
  controller: KlController | undefined,
): Record<string, number> => {
  const metrics: Record<string, number> = {}
  const scores = scored.flatMap(({ score }) => (score === null ? [] : [score]))
  if (scores.length > 0) metrics.score = scores.reduce((sum, score) => sum + score, 0) / scores.length
  metrics.excluded = scored.filter(({ excluded }) => excluded).length / Math.max(1, scored.length)
  if (controller !== undefined) metrics.klCoefficient = controller.coefficient
  if (returns !== undefined) {
    const values = scored.map((answer) => Float32Array.from(answer.values ?? []))
    const explained = explainedVariance(
      returns,
      values,
      scored.map(({ mask }) => mask),
    )
    if (Number.isFinite(explained)) metrics.explainedVariance = explained
  }
  return metrics
}
