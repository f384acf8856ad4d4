// The reference model of an alignment run: the base with adapters off, a copy of the adapter, or a frozen copy of the model; its log-probabilities may be cached on disk.
import { join } from 'node:path'
import { type AppliedAdapter, adapterWeightFiles } from '../../adapters/index.ts'
import {
  adapterCopyReference,
  adaptersOffReference,
  type CompletionTokens,
  cachedReference,
  frozenCopy,
  hashWeights,
  modelReference,
  type Reference,
  type ScoreCompletionsOptions,
  scoreCompletions,
} from '../../alignment/index.ts'
import { ConfigError, sha256File, userCache } from '../../core/index.ts'
import type { ProcessGroup } from '../../distributed/index.ts'
import { type Model, quantizationOf } from '../../models/index.ts'
import { ShardedWeights } from '../../training/index.ts'
import { findBase } from '../engine/base-files.ts'
import type { BuildContext } from '../engine/run-kind.ts'
import type { AlignRecipe } from './recipe.ts'

/** What distinguishes the weights of the base, and the precision in which the reference computes. */
const identityOf = async (recipe: AlignRecipe, { model }: AppliedAdapter): Promise<string> => {
  const { frozenWeights, precision, reference } = recipe
  const { base, start } = await findBase(recipe.base)
  const how = `${frozenWeights}/${precision}/${reference.precision ?? ''}`
  if (quantizationOf(model) === undefined) return `${hashWeights(model)}/${how}`
  const files = [join(base, 'model.safetensors'), ...(start === undefined ? [] : await adapterWeightFiles(start))]
  const hashes = await Promise.all(files.map((path) => sha256File(path)))
  return `${hashes.join('+')}/${how}`
}

/** Largest difference of equal models: sums of float32 and bfloat16 in another order. */
const tolerance = 1e-3

/**
 * Before the first step, policy and reference are the same model: the loss starts from margins of 0. New virtual tokens alone change what a
 * model computes before they have learned anything.
 * @param how.exact whether they have the same precision
 * @returns a line for people
 * @throws ConfigError where they differ
 */
export const checkReference = async (
  { model: policy, virtualTokens }: Pick<AppliedAdapter, 'model' | 'virtualTokens'>,
  reference: Reference,
  completions: readonly CompletionTokens[],
  { exact, ...how }: ScoreCompletionsOptions & { exact: boolean },
): Promise<string[]> => {
  const [own, theirs] = [await scoreCompletions(policy, completions, how), await reference.logProbs(completions, how)]
  let [largest, tokens] = [0, 0]
  for (const [i, { logProbs }] of own.entries())
    for (const [t, value] of logProbs.entries()) {
      largest = Math.max(largest, Math.abs(value - theirs[i][t]))
      tokens++
    }
  const difference = Number(largest.toPrecision(2))
  if (!exact)
    return [`The reference differs from the base by up to ${difference} nats per token, as it has another precision.`]
  if (largest > tolerance && virtualTokens > 0)
    return [
      `The ${virtualTokens} virtual tokens change the model before the first step, by up to ${difference} nats per token: margins and KL divergences do not start at 0.`,
    ]
  if (!(largest <= tolerance))
    throw new ConfigError(
      `Expected the same log-probabilities from policy and reference before the first step, got a difference of ${difference} nats. Delete the cache of reference log-probabilities if \`reference.cache\` is set; otherwise this is a fault of Tunesmith.`,
    )
  return [
    `Policy and reference agree on ${tokens} tokens before the first step: largest difference ${difference} nats.`,
  ]
}

export interface OpenedReference extends Reference {
  /** Its weights, where each process has a part of them. */
  weights?: ShardedWeights
}

/** A reference of which each process has a part: whole until its weights are closed, and then while it computes. */
const divided = (reference: Reference, model: Model, group: ProcessGroup): OpenedReference => {
  const weights = new ShardedWeights(group, [model], new Map())
  return {
    ...reference,
    summary: `${reference.summary}, of which each process has a part`,
    weights,
    logProbs: (completions, options) => weights.whole(() => reference.logProbs(completions, options)),
  }
}

/**
 * The reference of a run, made before the first step.
 * @param completions that are scored in training and validation: a frozen copy with a cache scores them now, and is freed
 */
export const openReference = async (
  recipe: AlignRecipe,
  applied: AppliedAdapter,
  completions: () => readonly CompletionTokens[],
  how: ScoreCompletionsOptions,
  { say, group }: BuildContext,
): Promise<OpenedReference> => {
  const { precision, cache } = recipe.reference
  const { inPlace, model } = applied
  if (!inPlace && precision !== undefined)
    throw new ConfigError(
      `Expected no \`reference.precision\` with the variant ${recipe.variant}, whose reference is the base with adapters off, got ${precision}. Set \`frozenWeights\` to quantise the base.`,
    )
  if (!inPlace) {
    // A reference that follows the policy has an adapter of its own.
    const follows = recipe.settings.referenceSyncSteps !== undefined
    const reference = follows ? adapterCopyReference(applied) : adaptersOffReference(applied)
    if (!cache) return reference
    applied.enableStart()
    const identity = await identityOf(recipe, applied)
    applied.enable()
    return cachedReference(reference, { folder: userCache('reference'), identity })
  }
  const frozen = frozenCopy(model, precision)
  if (!cache) {
    const copy = modelReference(frozen, model)
    return recipe.shard === 'parameters' && group !== undefined ? divided(copy, frozen, group) : copy
  }
  const identity = await identityOf(recipe, applied)
  const copy = modelReference(frozen)
  const cached = await cachedReference(copy, { folder: userCache('reference'), identity })
  const all = completions()
  say(`Computing reference log-probabilities of ${all.length} completions, unless they are cached.`)
  await cached.precompute(all, how)
  cached.release()
  return cached
}
