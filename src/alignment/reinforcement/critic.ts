// The critic of PPO: a reward head that is read at every token. It is over the policy's own hidden states, over the
// policy's frozen base with an adapter of its own, or over another model. So policy, critic, reward model and reference can
// be adapters of one frozen base.
import { setImmediate } from 'node:timers/promises'
import { adaptersOf } from '../../adapters/index.ts'
import { ConfigError } from '../../core/index.ts'
import { planMicroBatches } from '../../data/index.ts'
import { type BodyInputs, type Model, RewardHead } from '../../models/index.ts'
import { positionsIn, toInt64 } from '../../objectives/index.ts'
import { checkpoint, noGrad, scope, type Tensor } from '../../tensor/index.ts'
import { type CompletionBatch, type CompletionTokens, collateCompletions } from '../log-probs.ts'
import type { ScoreCompletionsOptions } from '../score-completions.ts'

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

const headOf = ({ model }: Critic): RewardHead => {
  const { head, headType } = model
  if (head instanceof RewardHead) return head
  throw new ConfigError(
    `Expected a critic with the head reward, got ${headType}. Build or load it with \`head: 'reward'\`.`,
  )
}

/** Whether the critic reads the hidden states of the policy. */
export const sharesHiddenStates = ({ model, adapter }: Critic, policy: Model): boolean =>
  model.body === policy.body && adapter === undefined

/** Runs `body` with the critic's adapter in place of the policy's. */
const withAdapter = <Result>(policy: Model, adapter: string, body: () => Result): Result => {
  const bank = adaptersOf(policy)
  const before = bank.active
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
  const run = () => model.bodyForward(inputs).hidden.flatten(0, 1)
  if (adapter === undefined) return run()
  const active = () => withAdapter(policy, adapter, run)
  if (inputs.recompute === undefined || inputs.recompute === 0) return active()
  // Layers are recomputed in backward, when the policy's adapter is active again: all of them are recomputed here, so
  // that the critic's adapter is active at that time too.
  const { generator } = inputs
  return checkpoint(active, [], { generators: generator === undefined ? [] : [generator] })
}

/**
 * Values of the texts up to the positions `places` of a batch: float32 [M], with a gradient.
 * @param policy the model that the critic's adapter shares its base with
 * @param places int64 [M]
 * @param hidden hidden states of the policy, [B*T,C], where they are known
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
  { places, counts }: Pick<CompletionBatch, 'places' | 'counts'>,
  wanted: (completion: number, token: number) => boolean,
): Tensor => {
  const picked: number[] = []
  const offsets: number[] = []
  let first = 0
  for (const [i, count] of counts.entries()) {
    for (let t = 0; t < count; t++)
      if (wanted(i, t)) {
        picked.push(first + t)
        offsets.push(0)
      }
    // The place of the last token follows the place that predicts it.
    if (count > 0 && wanted(i, count)) {
      picked.push(first + count - 1)
      offsets.push(1)
    }
    first += count
  }
  const list = (values: number[]) => toInt64(Int32Array.from(values), [values.length], places.device)
  return places.indexSelect(0, list(picked)).add(list(offsets))
}

/**
 * The critic's values of answers, in their order, without gradients and without dropout.
 * @returns for an answer with n completion tokens n + 1 values: of the text before each token, and of the whole text
 * @throws ConfigError for a model without a reward head, the signal's reason when it is aborted
 */
export const scoreValues = async (
  critic: Critic,
  policy: Model,
  examples: readonly CompletionTokens[],
  { microTokens, padded, device, signal }: Omit<ScoreCompletionsOptions, 'temperature'>,
): Promise<Float32Array[]> => {
  const lengths = examples.map(positionsIn({ tokens: ({ ids }: CompletionTokens) => ids.length }, critic.model))
  const packs = !padded && critic.model.facts.packs !== false
  const values: Float32Array[] = []
  const inTraining = [critic.model, policy].filter(({ training }) => training)
  for (const model of inTraining) model.eval()
  try {
    for (const indices of planMicroBatches(lengths, microTokens, !packs)) {
      // Signals and timers run between micro-batches.
      await setImmediate()
      signal?.throwIfAborted()
      noGrad(() =>
        scope(() => {
          const part = indices.map((i) => examples[i])
          const batch = collateCompletions(part, { padded: !packs, device })
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
