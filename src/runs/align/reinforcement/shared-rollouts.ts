// Rollouts of several processes: each samples and scores the answers to some prompts, and all get all of them. The answers to one prompt
// stay on one process.
import type { AnswerJudge, AnswerSampler } from '../../../alignment/index.ts'
import { type ProcessGroup, shareBlocks, shareItems } from '../../../distributed/index.ts'
import type { AnswerEvaluation } from './answer-evaluation.ts'

/** The process that answers the prompt with a number. */
const ownerOf = ({ size }: ProcessGroup, number: number): number => number % size

/** A sampler that divides prompts among processes. */
export const shareSampler =
  (group: ProcessGroup, sample: AnswerSampler): AnswerSampler =>
  (requests, answers, context) =>
    shareItems(group, requests, (own) => sample(own, answers, context))

/** A judge that scores each answer on one process: a reward function that is not deterministic gives all the same reward. */
export const shareJudge = (group: ProcessGroup, judge: AnswerJudge): AnswerJudge => ({
  names: judge.names,
  weights: judge.weights,
  async score(answers, context) {
    let number = -1
    const owners = answers.map(({ prompt }, i) => {
      if (i === 0 || prompt !== answers[i - 1].prompt) number++
      return ownerOf(group, number)
    })
    const own = answers.filter((_, i) => owners[i] === group.rank)
    const all = await group.gather(own.length === 0 ? [] : await judge.score(own, context))
    const next = new Array<number>(group.size).fill(0)
    return owners.map((owner) => all[owner][next[owner]++])
  },
})

/** An evaluation of which each process samples and scores the answers to some prompts; all get all of them. */
export const shareEvaluation = (group: ProcessGroup, evaluation: AnswerEvaluation): AnswerEvaluation => {
  const { sample, rewards, judge, how } = evaluation
  return {
    ...evaluation,
    sample: shareSampler(group, sample),
    rewards: shareJudge(group, rewards),
    ...(judge === undefined ? {} : { judge: shareJudge(group, judge) }),
    how: { ...how, share: (...given) => shareBlocks(group, ...given) },
  }
}
