// What the training loop sees of reinforcement learning: the policy loss of sampled answers, the KL divergence from the
// reference, an entropy bonus, and the loss of the critic. Everything that depends on the whole batch is on the examples
// before the loss, so that micro-batches, padding and packing change nothing. Independent of how answers were sampled.
import { ConfigError } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import {
  type Batch,
  type Criterion,
  type LossTerm,
  type Metric,
  type PrepareContext,
  sharesPrompts,
  vocabularyHead,
} from '../../objectives/index.ts'
import { cat, checkpoint, linear, type Tensor } from '../../tensor/index.ts'
import { hiddenStates, logProbsOfHidden } from '../log-probs.ts'
import { type Critic, criticSharesPrompts, criticValues, sharesHiddenStates, valueLosses } from './critic.ts'
import { KlController } from './kl-divergence.ts'
import { collateRollouts, type PolicyBatch, policyWeight } from './policy-batch.ts'
import type { PolicyConfig } from './policy-settings.ts'
import { policyLoss, policyTerms } from './policy-terms.ts'
import { checkRollouts, type RolloutExample, trainedValues } from './rollout-example.ts'

/** What a policy criterion is made of beside its settings. */
export interface PolicyParts {
  /** Trained together with the policy, where examples have `returns`. */
  critic?: Critic
}

/** The criterion of reinforcement learning over sampled answers. @throws ConfigError for settings that do not go together */
export const policyCriterion = (config: PolicyConfig, parts: PolicyParts = {}): Criterion<RolloutExample> => {
  const { loss, kl, entropy, value, maxTokens, dropout } = config
  const { critic } = parts
  if (loss.aggregation === 'fixed-length' && maxTokens === undefined)
    throw new ConfigError('The aggregation `fixed-length` needs the maximum length of an answer: set `maxTokens`.')
  const controller = new KlController(kl?.coefficient ?? 0, kl?.adaptive)
  // Whether a prompt is computed once for all answers to it, which `prepare` decides.
  let shared = false
  // Backward may recompute layers, so that the mode is not set back after the forward pass.
  const endDropout = (model: Model) => {
    if (!dropout) for (const one of [model, critic?.model]) if (one?.training) one.eval()
  }
  return {
    unpadded: true,
    tokens: ({ ids }) => ids.length,
    weights(example) {
      const weight = policyWeight(example, config)
      return {
        [policyTerms.policy]: weight,
        ...(kl === undefined ? {} : { [policyTerms.kl]: weight }),
        ...(entropy === 0 ? {} : { [policyTerms.entropy]: weight }),
        ...(critic === undefined ? {} : { [policyTerms.value]: trainedValues(example) }),
      }
    },
    collate: (examples, how) => collateRollouts(examples, config, { ...how, shared }),
    preparesWithModel: false,
    async prepare(examples, context) {
      const { model, padded } = context
      endDropout(model)
      shared = !padded && sharesPrompts(model) && (critic === undefined || criticSharesPrompts(critic, model))
      const prepared = prepareRollouts(examples, context, config, controller)
      return shared ? byPrompt(prepared) : prepared
    },
    ...(kl?.adaptive === undefined ? {} : { carried: controller }),
    loss(model, batch: Batch) {
      const rollouts = batch as PolicyBatch
      endDropout(model)
      const terms: LossTerm[] = []
      const metrics: Record<string, Metric> = {}
      const trainsPolicy = rollouts.weight > 0
      const shares = critic !== undefined && sharesHiddenStates(critic, model)
      const { values } = rollouts
      let hidden = shares ? hiddenStates(model, rollouts) : undefined
      // Before the policy, which not every micro-batch trains: dropout masks differ by the order of use.
      const estimates =
        critic !== undefined && values !== undefined
          ? criticValues(critic, model, { inputs: rollouts.inputs, places: values.places, hidden })
          : undefined
      if (trainsPolicy) hidden ??= hiddenStates(model, rollouts)
      if (trainsPolicy && hidden !== undefined) {
        const measured = logProbsOfHidden(model, hidden, rollouts, config)
        const policy = policyLoss(measured, rollouts, config, controller.coefficient)
        terms.push(...policy.terms)
        Object.assign(metrics, policy.metrics)
        if (kl?.adaptive !== undefined) metrics.klCoefficient = { sum: controller.coefficient, weight: 1 }
        if (entropy > 0) terms.push(entropyTerm(model, hidden, rollouts, config))
      }
      if (estimates !== undefined && values !== undefined) {
        const { losses, clipped } = valueLosses(estimates, values, value)
        terms.push({ name: policyTerms.value, sum: losses.sum(), weight: values.count, scale: value.coefficient })
        if (clipped !== undefined) metrics.valueClipFraction = { sum: clipped.sum(), weight: values.count }
      }
      return { terms, metrics }
    },
    describe: ({ ids, promptTokens, mask }, decode) => {
      const skipped = ids.length - mask.length - promptTokens
      const parts: string[] = [decode([...ids.subarray(0, promptTokens + skipped)])]
      for (let t = 0; t < mask.length; ) {
        let end = t + 1
        while (end < mask.length && (mask[end] === 0) === (mask[t] === 0)) end++
        const text = decode([...ids.subarray(promptTokens + skipped + t, promptTokens + skipped + end)])
        parts.push(mask[t] === 0 ? text : `⟦${text}⟧`)
        t = end
      }
      return parts.join('')
    },
  }
}

/** Answers to one prompt next to each other, so that they share it; no sum depends on the order. */
const byPrompt = (examples: readonly RolloutExample[]): RolloutExample[] => {
  const groups = new Map<string, RolloutExample[]>()
  for (const example of examples) {
    const prompt = example.ids.subarray(0, example.promptTokens).join()
    const known = groups.get(prompt)
    if (known === undefined) groups.set(prompt, [example])
    else known.push(example)
  }
  return [...groups.values()].flat()
}

/** Marks what depends on the whole batch or on the step; the KL coefficient adapts last. */
const prepareRollouts = (
  examples: readonly RolloutExample[],
  { step, evaluation = false }: Pick<PrepareContext, 'step' | 'evaluation'>,
  { criticWarmup, highEntropyShare, kl }: PolicyConfig,
  controller: KlController,
): readonly RolloutExample[] => {
  checkRollouts(examples)
  const policyFrozen = !evaluation && step < criticWarmup
  const learned = highEntropyShare === undefined ? undefined : highEntropyMasks(examples, highEntropyShare)
  const prepared = examples.map((example, i) => ({
    ...example,
    policyFrozen,
    ...(learned === undefined ? {} : { learned: learned[i] }),
  }))
  if (kl?.adaptive !== undefined && !policyFrozen && !evaluation) controller.update(meanKl(examples), examples.length)
  return prepared
}

/** Mean over answers of the sum of `log π_old − log π_ref`; NaN where an example lacks one of them. */
const meanKl = (examples: readonly RolloutExample[]): number => {
  let sum = 0
  for (const { mask, oldLogProbs, samplingLogProbs, referenceLogProbs } of examples) {
    const own = oldLogProbs ?? samplingLogProbs
    if (own === undefined || referenceLogProbs === undefined) return Number.NaN
    for (let t = 0; t < mask.length; t++) if (mask[t] !== 0) sum += own[t] - referenceLogProbs[t]
  }
  return sum / Math.max(1, examples.length)
}

/**
 * Marks the share of the trained tokens of a batch with the highest entropy.
 * @source arXiv:2506.01939
 * @throws ConfigError for examples without `entropies`
 */
const highEntropyMasks = (examples: readonly RolloutExample[], share: number): Uint8Array[] => {
  const all: number[] = []
  for (const { mask, entropies } of examples) {
    if (entropies === undefined)
      throw new ConfigError('`highEntropyShare` needs the entropies of the answers: record them while sampling.')
    for (let t = 0; t < mask.length; t++) if (mask[t] !== 0) all.push(entropies[t])
  }
  all.sort((a, b) => a - b)
  // The quantile between two values is interpolated, as in PyTorch.
  const place = (1 - share) * (all.length - 1)
  const below = all[Math.floor(place)] ?? 0
  const threshold = below + (place - Math.floor(place)) * ((all[Math.ceil(place)] ?? 0) - below)
  return examples.map(({ mask, entropies }) =>
    Uint8Array.from(mask, (own, t) => (own !== 0 && (entropies?.[t] ?? 0) >= threshold ? 1 : 0)),
  )
}

/** Rows whose logits are in memory at the same time. */
const entropyRows = 256

/** The entropy bonus, aggregated as the policy loss. */
const entropyTerm = (
  model: Model,
  hidden: Tensor,
  { places, factors, weight }: PolicyBatch,
  { entropy, temperature }: PolicyConfig,
): LossTerm => {
  const sum = entropyOf(model, hidden.indexSelect(0, places), temperature).mul(factors).sum()
  return { name: policyTerms.entropy, sum, weight, scale: -entropy }
}

/**
 * Entropy in nats of the distribution at each of N positions, with a gradient: float32 [N]. The logits exist in chunks, and
 * again in backward.
 */
const entropyOf = (model: Model, hidden: Tensor, temperature: number): Tensor => {
  const head = vocabularyHead(model, 'causal-lm')
  const { matrix: weight, bias = null } = head.outputLayer
  const prepared = head.prepare(hidden)
  const rows = prepared.shape[0]
  const parts: Tensor[] = []
  for (let start = 0; start < rows; start += entropyRows) {
    const chunk = prepared.narrow(0, start, Math.min(entropyRows, rows - start))
    parts.push(
      checkpoint(
        (input) => {
          const logProbs = head
            .capped(linear(input, weight, bias))
            .to('float32')
            .div(temperature)
            .logSoftmax(-1)
          return logProbs.exp().mul(logProbs).sum(-1).neg()
        },
        [chunk],
      ),
    )
  }
  return cat(parts, 0)
}
