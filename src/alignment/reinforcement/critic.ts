// The critic of PPO: a reward head that is read at every token. It is over the policy's own hidden states, over the
// policy's frozen base with an adapter of its own, or over another model. So policy, critic, reward model and reference can
// be adapters of one frozen base.
import { setImmediate } from 'node:timers/promises'
import { z } from 'zod'
import { type AdapterInput, adaptersOf, addAdapter } from '../../adapters/index.ts'
import { ConfigError } from '../../core/index.ts'
import { type BodyInputs, type Model, RewardHead, withHead } from '../../models/index.ts'
import { sharesPrompts, toInt64 } from '../../objectives/index.ts'
import { cat, Generator, noGrad, scope, type Tensor } from '../../tensor/index.ts'
import { type CompletionBatch, type CompletionTokens, collateCompletions, completionLength } from '../log-probs.ts'
import { inShares, microBatchesOf, type ScoreCompletionsOptions } from '../score-completions.ts'

/** A critic. */
export interface Critic {
  /**
   * A model with the head `reward`. Over the policy's own body it either reads the policy's hidden states, so that only
   * its head is new, or has an adapter of its own.
   */
  model: Model
  /** Name of the critic's adapter, which is on the policy's body and is active only while the critic computes. */
  adapter?: string
}

/** How a critic over the policy's body is made. */
export interface CriticOptions {
  /** Name of its adapter (default: `critic`). */
  name?: string
  /** An adapter of its own; without one, only its head is new, and it reads the hidden states of the policy. */
  adapter?: AdapterInput
  /** Name of an adapter on the policy's body with a reward head, which the critic begins as a copy of. */
  from?: string
  /** Random seed of the initial values (default: 0). */
  seed?: number
  /** Initial values of a new head: zero, so that its first values are 0 (default), or those of a new reward model. */
  head?: 'zero' | 'normal'
}

/** A critic over the policy's body, with its trained tensors by path. */
export interface CreatedCritic extends Critic {
  trainable: ReadonlyMap<string, Tensor>
}

/**
 * Makes a critic over the policy's body. The policy's adapters stay active.
 * @throws ConfigError for an adapter that does not fit, or a body whose reward head is not one layer
 */
export const createCritic = (policy: Model, options: CriticOptions = {}): CreatedCritic => {
  const { name = 'critic', adapter, from, seed = 0 } = options
  if (from !== undefined) {
    adaptersOf(policy).duplicate(from, name)
    return criticOfAdapter(policy, name)
  }
  const model = withHead(policy, 'reward')
  initializeHead(model, options)
  if (adapter === undefined) {
    model.head.requireGrad(true)
    const tensors = [...model.head.parameters()].map(([path, tensor]): [string, Tensor] => [`head.${path}`, tensor])
    return { model, trainable: named(new Map(tensors)) }
  }
  return { model, adapter: name, trainable: named(addAdapter(model, adapter, { name, seed }).trainable) }
}

const named = (tensors: ReadonlyMap<string, Tensor>) =>
  new Map([...tensors].map(([path, tensor]): [string, Tensor] => [`critic.${path}`, tensor]))

/** An adapter on the policy's body as its critic, trainable from now on. @throws ConfigError for one without a reward head */
export const criticOfAdapter = (policy: Model, name: string): CreatedCritic => {
  const bank = adaptersOf(policy)
  const { model } = bank.get(name)
  headOf({ model })
  bank.setTrainable(name, true)
  return { model, adapter: name, trainable: named(bank.tensorsOf(name)) }
}

const initializeHead = (model: Model, { seed = 0, head = 'zero' }: CriticOptions): void => {
  headOf({ model }).initialize({ std: model.facts.initializerRange, generator: new Generator(seed) })
  if (head === 'zero')
    noGrad(() => {
      for (const parameter of model.head.parameters().values()) parameter.zero_()
    })
  model.head.to({ dtype: 'float32' })
}

const headOf = ({ model }: Critic): RewardHead => {
  const { head, headType } = model
  if (head instanceof RewardHead) return head
  throw new ConfigError(
    `Expected a critic with the head reward, got ${headType}. Build or load it with \`head: 'reward'\`.`,
  )
}

export const sharesHiddenStates = ({ model, adapter }: Critic, policy: Model): boolean =>
  model.body === policy.body && adapter === undefined

/** Runs `body` with the critic's adapter in place of the policy's. */
const withAdapter = <Result>(policy: Model, adapter: string, body: () => Result): Result => {
  const bank = adaptersOf(policy)
  const before = bank.active
  if (before.length === 1 && before[0] === adapter) return body()
  const merged = before.filter((name) => bank.isMerged(name))
  bank.activate(adapter, { merged: [] })
  try {
    return body()
  } finally {
    bank.activate(before, { merged })
  }
}

/** Hidden states of a critic with its own pass through a body: [B*T,C]. */
const ownHidden = ({ model, adapter }: Critic, policy: Model, inputs: BodyInputs): Tensor => {
  const run = (given: BodyInputs) => model.bodyForward(given).hidden.flatten(0, 1)
  if (adapter === undefined) return run(inputs)
  const recomputeIn = <Result>(layer: () => Result) => withAdapter(policy, adapter, layer)
  return withAdapter(policy, adapter, () => run({ ...inputs, recomputeIn }))
}

/**
 * Values of the texts up to the positions `places` (int64 [M]) of a batch: float32 [M], with a gradient. `hidden` are the
 * hidden states of the policy, [B*T,C], where they are known.
 * @param policy the model that the critic's adapter shares its base with
 * @throws ConfigError for a model without a reward head
 */
export const criticValues = (
  critic: Critic,
  policy: Model,
  { inputs, places, hidden }: { inputs: BodyInputs; places: Tensor; hidden?: Tensor },
): Tensor => {
  const head = headOf(critic)
  const shared = sharesHiddenStates(critic, policy)
  if (shared) {
    const states = hidden ?? policy.bodyForward(inputs).hidden.flatten(0, 1)
    return head.ofTokens(states.indexSelect(0, places)).to('float32')
  }
  // The head of an adapter is in place only while the adapter is active.
  const { adapter } = critic
  const states = ownHidden(critic, policy, inputs).indexSelect(0, places)
  const read = () => head.ofTokens(states).to('float32')
  return adapter === undefined ? read() : withAdapter(policy, adapter, read)
}

/**
 * Positions of a batch whose hidden states give values of its completions: of the text before each completion token, and,
 * as one token more, of the whole text. int64 [M]
 * @param wanted which of them, by the number of the completion and of the token
 */
export const valuePlaces = (
  { places, ends, counts }: Pick<CompletionBatch, 'places' | 'ends' | 'counts'>,
  wanted: (completion: number, token: number) => boolean,
): Tensor => {
  const picked: number[] = []
  const total = counts.reduce((sum, count) => sum + count, 0)
  let first = 0
  for (const [i, count] of counts.entries()) {
    for (let t = 0; t < count; t++) if (wanted(i, t)) picked.push(first + t)
    if (count > 0 && wanted(i, count)) picked.push(total + i)
    first += count
  }
  return cat([places, ends], 0).indexSelect(0, toInt64(Int32Array.from(picked), [picked.length], places.device))
}

/** Whether the critic can compute a prompt once for all answers to it. */
export const criticSharesPrompts = ({ model, adapter }: Critic, policy: Model): boolean =>
  adapter === undefined ? sharesPrompts(model) : withAdapter(policy, adapter, () => sharesPrompts(model))

/**
 * The critic's values of answers, in their order, without gradients and without dropout.
 * @returns for an answer with n completion tokens n + 1 values: of the text before each token, and of the whole text
 * @throws ConfigError for a model without a reward head, the signal's reason when it is aborted
 */
export const scoreValues = (
  critic: Critic,
  policy: Model,
  examples: readonly CompletionTokens[],
  options: Omit<ScoreCompletionsOptions, 'temperature'>,
): Promise<readonly Float32Array[]> =>
  inShares(examples, options, {
    work: (own) => scoreOwnValues(critic, policy, own, options),
    standIn: (one) => new Float32Array(completionLength(one) + 1),
  })

const scoreOwnValues = async (
  critic: Critic,
  policy: Model,
  examples: readonly CompletionTokens[],
  options: Omit<ScoreCompletionsOptions, 'temperature'>,
): Promise<Float32Array[]> => {
  const { device = critic.model.body.embedTokens.device, signal } = options
  const shared = options.shared === true && criticSharesPrompts(critic, policy)
  const { packs, batches } = microBatchesOf(critic.model, examples, options)
  const values: Float32Array[] = []
  const inTraining = [critic.model, policy].filter(({ training }) => training)
  for (const model of inTraining) model.eval()
  try {
    for (const indices of batches) {
      // Signals and timers run between micro-batches.
      await setImmediate()
      signal?.throwIfAborted()
      noGrad(() =>
        scope(() => {
          const part = indices.map((i) => examples[i])
          const batch = collateCompletions(part, { padded: !packs, device, shared })
          const places = valuePlaces(batch, () => true)
          const all = criticValues(critic, policy, { inputs: batch.inputs, places }).toFloat32Array()
          let at = 0
          for (const [k, i] of indices.entries()) {
            const size = batch.counts[k] === 0 ? 0 : batch.counts[k] + 1
            values[i] = all.slice(at, at + size)
            at += size
          }
        }),
      )
    }
  } finally {
    for (const model of inTraining) model.train()
  }
  return values
}

// @source arXiv:1707.06347; with clipping as in OpenAI's baselines
export const valueLossSchema = z.strictObject({
  coefficient: z.number().positive().default(0.1).describe('weight of the loss of the critic'),
  clip: z
    .number()
    .positive()
    .nullable()
    .default(0.2)
    .describe('largest change of a value that lowers the loss; null for none'),
})

type ValueLossConfig = z.output<typeof valueLossSchema>

/**
 * `½ · max((V − R)², (V_old + clip(V − V_old) − R)²)` of each token.
 * @param values float32 [N], with a gradient
 * @param targets.returns float32 [N]
 * @param targets.oldValues float32 [N], before the update
 * @returns `clipped`: bool [N], tokens whose clipped value has the larger error
 */
export const valueLosses = (
  values: Tensor,
  { returns, oldValues }: { returns: Tensor; oldValues: Tensor },
  { clip }: Pick<ValueLossConfig, 'clip'>,
): { losses: Tensor; clipped?: Tensor } => {
  const plain = values.sub(returns).square()
  if (clip === null) return { losses: plain.mul(0.5) }
  // Within the bounds the value itself, not a rounded sum, so that both errors are equal there.
  const moved = values
    .clamp({ min: oldValues.sub(clip), max: oldValues.add(clip) })
    .sub(returns)
    .square()
  return { losses: plain.maximum(moved).mul(0.5), clipped: noGrad(() => moved.gt(plain)) }
}
