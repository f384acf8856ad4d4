// Learning from rollouts without advantages: fine-tuning on the best answers to a prompt (best-of-n, RAFT), DPO on the best and the worst
// (online DPO), or the predictions of a teacher at every token (distillation).
import type { AnswerExample, CompletionExample } from '../../tasks/index.ts'
import { type PreferencePair, pairOf } from '../preference/index.ts'
import type { Reference } from '../reference.ts'
import { bestAndWorst, type RaftOptions, type RolloutExample, raftSelection } from '../reinforcement/index.ts'
import { completionOf } from './policy-method.ts'
import type { RolloutAnswer, RolloutPrompt } from './rollout.ts'
import type { RolloutMethod } from './rollout-source.ts'

interface Chosen {
  prompt: RolloutPrompt
  answer: RolloutAnswer
}

const flat = (groups: readonly { prompt: RolloutPrompt; group: readonly RolloutAnswer[] }[]): Chosen[] =>
  groups.flatMap(({ prompt, group }) => group.map((answer) => ({ prompt, answer })))

const candidates = (all: readonly Chosen[]) =>
  all.map(({ answer: { group, reward, ids } }) => ({ group, score: reward, key: ids.join() }))

/** The reference's log-probabilities, by which the divergence of the answers is measured. */
const measuredBy = (reference: Reference | undefined, temperature: number): Pick<RolloutMethod<unknown>, 'complete'> =>
  reference === undefined
    ? {}
    : {
        async complete(answers, { microTokens, padded, device, signal, share }) {
          const completions = answers.map(({ prompt, answer }) => completionOf(prompt, answer))
          // The answers of a group are neighbours: their prompt is computed once.
          const how = { microTokens, padded, device, temperature, signal, share, shared: true }
          const found = await reference.logProbs(completions, how)
          for (const [i, { answer }] of answers.entries()) answer.reference = found[i]
        },
      }

interface Measuring {
  reference?: Reference
  temperature: number
}

/** Fine-tunes on the best answers to each prompt. @source arXiv:2304.06767 */
export const raftMethod = (
  options: RaftOptions,
  { reference, temperature }: Measuring,
): RolloutMethod<RolloutExample> => ({
  ...measuredBy(reference, temperature),
  examples(groups) {
    const all = flat(groups)
    const chosen = raftSelection(candidates(all), options).map((i) => all[i])
    return {
      // With an advantage of 1 the policy gradient is that of the cross entropy.
      examples: chosen.map(({ prompt, answer }) => ({
        ...completionOf(prompt, answer),
        mask: answer.mask,
        advantages: new Float32Array(answer.mask.length).fill(1),
      })),
      trained: chosen.map(({ answer }) => ({ answer })),
      metrics: { chosen: chosen.length / Math.max(1, all.length) },
    }
  },
})

const encoded = ({ prompt, answer }: Chosen): CompletionExample => ({
  ...completionOf(prompt, answer),
  truncatedTokens: 0,
})

/** Learns to prefer the best answer to each prompt to the worst one. @source arXiv:2402.04792 */
export const onlinePreferenceMethod = ({ reference, temperature }: Measuring): RolloutMethod<PreferencePair> => ({
  ...measuredBy(reference, temperature),
  examples(groups) {
    const all = flat(groups)
    const pairs = bestAndWorst(candidates(all)).map(({ chosen, rejected }) => [all[chosen], all[rejected]])
    return {
      examples: pairs.map(([chosen, rejected]) => pairOf(encoded(chosen), encoded(rejected))),
      trained: pairs.flat().map(({ answer }) => ({ answer })),
      metrics: { pairs: pairs.length / Math.max(1, groups.length) },
    }
  },
})

/** The tokens that the model chose, as targets of a criterion. */
const chosenTokens = ({ prompt, answer }: Chosen): AnswerExample => {
  const { ids, promptTokens } = completionOf(prompt, answer)
  // Nothing predicts the first token of a text.
  const chosen = Array.from(answer.mask.keys()).filter((t) => answer.mask[t] !== 0 && promptTokens + t > 0)
  return {
    ids: ids.subarray(0, -1),
    starts: [0],
    positions: Uint32Array.from(chosen, (t) => promptTokens + t - 1),
    targets: Uint32Array.from(chosen, (t) => answer.ids[t]),
    truncatedTokens: 0,
  }
}

/** Learns the predictions of a teacher at every token of its own answers. @source arXiv:2306.13649 */
export const distillationMethod = ({ reference, temperature }: Measuring): RolloutMethod<AnswerExample> => ({
  ...measuredBy(reference, temperature),
  examples(groups) {
    const all = flat(groups)
    return { examples: all.map(chosenTokens), trained: all.map(({ answer }) => ({ answer })), metrics: {} }
  },
})
