// The reference model that a policy is kept close to: the base with its adapters off, a frozen copy in any precision, or an adapter's
// own first values. Independent of objectives.

import { realpath } from 'node:fs/promises'
import { type AppliedAdapter, adaptersOf, baseOfAdapter, loadAdapter } from '../adapters/index.ts'
import { resolveModel } from '../checkpoint/index.ts'
import { ConfigError } from '../core/index.ts'
import { buildModel, type Model, quantizationOf, quantizeWeights } from '../models/index.ts'
import type { Quantization } from '../nn/index.ts'
import { noGrad, scope, type Tensor } from '../tensor/index.ts'
import type { CompletionTokens } from './log-probs.ts'
import { type ScoreCompletionsOptions, scoreCompletions } from './score-completions.ts'

/** Log-probabilities of completions under weights that gradients never change. */
export interface Reference {
  /** One line for reports: what the reference is. */
  readonly summary: string
  /** Log-probabilities of the tokens of each completion. */
  logProbs(completions: readonly CompletionTokens[], options: ScoreCompletionsOptions): Promise<readonly Float32Array[]>
  /** Whether it computes with weights of the policy's model. */
  readonly readsPolicy: boolean
  /** For references whose weights may follow the policy (TR-DPO). */
  readonly follows?: FollowingWeights
}

/** Weights that follow those of the policy at intervals. */
export interface FollowingWeights {
  /**
   * Sets each tensor of the reference to `mix * policy + (1 - mix) * reference`; of LoRA these are the factors, whose product
   * is mixed exactly only with a mix of 1. @source arXiv:2404.09656
   */
  update(mix: number): void
  /** The weights by path, for checkpoints. */
  tensors(): ReadonlyMap<string, Tensor>
}

const scoresOf = async (
  model: Model,
  completions: readonly CompletionTokens[],
  options: ScoreCompletionsOptions,
): Promise<Float32Array[]> => (await scoreCompletions(model, completions, options)).map(({ logProbs }) => logProbs)

/** Runs with these adapters active and then activates those that were active before, even after an error. */
export const withAdapters = async <Result>(
  policy: Model,
  names: readonly string[],
  run: (model: Model) => Promise<Result>,
): Promise<Result> => {
  const bank = adaptersOf(policy)
  const before = bank.active
  const merged = before.filter((name) => bank.isMerged(name))
  const model = bank.activate(names)
  try {
    return await run(model)
  } finally {
    bank.activate(before, { merged })
  }
}

/**
 * The base under an adapter as its own reference, which needs no second copy of the weights.
 * @param options.adapters adapters that belong to the reference (default: those that training began with)
 * @throws ConfigError for a method that trains the base itself
 */
export const adaptersOffReference = (
  applied: AppliedAdapter,
  options: { adapters?: readonly string[] } = {},
): Reference => {
  refuseInPlace(applied)
  const { adapters = applied.startNames } = options
  return {
    summary: summaryOf(adapters, applied),
    readsPolicy: true,
    logProbs: (completions, scoring) =>
      withAdapters(applied.model, adapters, (model) => scoresOf(model, completions, scoring)),
  }
}

const summaryOf = (adapters: readonly string[], { start, below }: AppliedAdapter): string => {
  if (adapters.length === 0) return 'the base with adapters off'
  if (adapters.join() === below.join()) return 'the base with the adapters below the trained one'
  return adapters.join() === start
    ? 'the base with the adapter as it was before training'
    : `the base with ${adapters.join(', ')}`
}

const refuseInPlace = ({ inPlace, definition }: AppliedAdapter): void => {
  if (inPlace)
    throw new ConfigError(
      `The reference needs the weights from before training, and \`${definition.type}\` trains the base itself: use a frozen copy as the reference.`,
    )
}

/**
 * The values that an adapter has now, kept as a second adapter on the same base: the reference for an adapter that was trained
 * before, or one that follows the policy.
 * @throws ConfigError for a method that trains the base itself, or a name that is taken
 */
export const adapterCopyReference = (
  applied: AppliedAdapter,
  { name = 'reference' }: { name?: string } = {},
): Reference => {
  refuseInPlace(applied)
  const { bank } = applied
  bank.duplicate(applied.name, name)
  const own = () => bank.tensorsOf(name)
  const pairs = (): [Tensor, Tensor][] =>
    [...own()].map(([path, tensor]) => [
      tensor,
      applied.trainable.get(path.replace(`.adapters.${name}.`, `.adapters.${applied.name}.`)) as Tensor,
    ])
  return {
    summary: `a frozen copy of the adapter ${applied.name}`,
    readsPolicy: true,
    logProbs: (completions, scoring) =>
      withAdapters(applied.model, [name], (model) => scoresOf(model, completions, scoring)),
    follows: { update: (mix) => follow(pairs(), mix), tensors: own },
  }
}

/** Moves each first tensor towards its second one. */
const follow = (pairs: readonly [Tensor, Tensor][], mix: number): void =>
  noGrad(() =>
    scope(() => {
      for (const [reference, policy] of pairs) {
        const target = policy.detach().to(reference.dtype)
        if (mix === 1) reference.detach().copy_(target)
        else reference.detach().lerp_(target, mix)
      }
    }),
  )

/**
 * Another model in memory as the reference.
 * @param policy the model that it may follow: of the same architecture, where the reference is not quantised
 */
export const modelReference = (model: Model, policy?: Model): Reference => {
  model.requireGrad(false).eval()
  const own = model.parameters()
  const theirs = policy?.parameters()
  const same =
    theirs !== undefined &&
    own.size === theirs.size &&
    [...own].every(([path, { shape }]) => theirs.get(path)?.shape.join() === shape.join())
  return {
    summary: 'a frozen copy',
    readsPolicy: false,
    logProbs: (completions, scoring) => scoresOf(model, completions, scoring),
    ...(same
      ? {
          follows: {
            // Both are read anew: converting a model replaces its tensors.
            update: (mix) => {
              const policyNow = policy?.parameters()
              follow(
                [...model.parameters()].map(([path, tensor]) => [tensor, policyNow?.get(path) as Tensor]),
                mix,
              )
            },
            tensors: () => model.parameters(),
          },
        }
      : {}),
  }
}

/** Dtype of a frozen copy, or of its matrices where it is quantised. */
export type CopyPrecision = 'float32' | Quantization

/**
 * A copy of a model with its own weights, without gradients.
 * @param precision of the copy (default: that of the model). `bfloat16` halves the memory of float32 weights, and computes in float32;
 * int8 and nf4 compute in the model's dtype
 * @throws ConfigError for a model with active adapters, or one that is quantised
 */
export const frozenCopy = (model: Model, precision?: CopyPrecision): Model => {
  const bank = adaptersOf(model)
  // A method that trains the base itself puts nothing beside it.
  const active = bank.active.filter((name) => !(bank.get(name).definition.inPlace ?? false))
  if (active.length > 0)
    throw new ConfigError(
      `Expected a model without active adapters to copy, got one with ${active.join(', ')}. Use the base with adapters off as the reference.`,
    )
  const quantised = quantizationOf(model)
  if (quantised !== undefined)
    throw new ConfigError(`Expected a model that is not quantised to copy, got one in ${quantised}. Load it twice.`)
  const copy = buildModel(model.definition, model.config, model.headType, model.headOptions)
  const state = model.parameters()
  noGrad(() => {
    // The dtype first: values are copied into the tensors that are there.
    for (const [path, parameter] of copy.parameters())
      parameter.become(scope(() => parameter.detach().to(state.get(path)?.dtype ?? parameter.dtype)))
    copy.loadState(state)
  })
  if (precision === 'float32') copy.to({ dtype: precision })
  else if (precision !== undefined) {
    const { dtype } = model.body.embedTokens.weight
    quantizeWeights(copy, precision)
    if (precision !== 'bfloat16' && dtype !== 'float32') copy.to({ dtype })
  }
  const { device } = model.body.embedTokens
  if (device !== 'cpu') copy.to({ device })
  copy.requireGrad(false).eval()
  return copy
}

/** A base in memory with the folder that it was loaded from. */
export interface SharedBase {
  model: Model
  folder: string
}

const realFolder = async (folder: string): Promise<string> =>
  realpath(await resolveModel(folder).catch(() => folder)).catch(() => folder)

/** Whether an adapter was trained on this base. */
export const isOnBase = async (adapter: string, { folder }: SharedBase): Promise<boolean> => {
  const own = await baseOfAdapter(adapter).catch(() => undefined)
  return own !== undefined && (await realFolder(own)) === (await realFolder(folder))
}

/** Puts an adapter on a base in memory, without gradients; the adapters that are active stay so. @param name used as it is, or with a number */
export const putOnBase = async (
  adapter: string,
  base: Model,
  name: string,
): Promise<{ model: Model; name: string }> => {
  const bank = adaptersOf(base)
  const active = bank.active
  const merged = active.filter((one) => bank.isMerged(one))
  const own = bank.unusedName(name)
  try {
    return { model: (await loadAdapter(adapter, { base, name: own })).model, name: own }
  } finally {
    bank.activate(active, { merged })
  }
}
