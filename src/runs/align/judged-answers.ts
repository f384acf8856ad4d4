// What a judge says of the answers of a model that learned from preferences, and how far they are from the base: its place on the chart of
// reward against KL divergence, beside models that learned from rewards.
import type { AppliedAdapter } from '../../adapters/index.ts'
import {
  type AnswerJudge,
  answerSampler,
  type Reference,
  type RolloutPrompt,
  scoreCompletions,
} from '../../alignment/index.ts'
import { type ScoreIntervals, scoreIntervals } from '../../tasks/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { withUntrainedBase } from '../engine/adapted-base.ts'
import type { AlignInputs, EncodedRecords } from './build-preferences.ts'
import { evaluateAnswers, scoreAnswers } from './reinforcement/answer-evaluation.ts'
import { openRunRewards, rewardJudge } from './reinforcement/reward-judge.ts'

/** A judge, which is closed at the end of the run. */
export type RunJudge = AnswerJudge & { close(): Promise<void> }

/** Opens the judge of a recipe before training, so that its faults cost no run; undefined without one. */
export const openJudge = async (
  { recipe, tokenizer, files }: AlignInputs,
  applied: AppliedAdapter,
  onNote: (line: string) => void,
): Promise<RunJudge | undefined> =>
  recipe.judge === undefined
    ? undefined
    : rewardJudge(await openRunRewards('judge', [recipe.judge], recipe, tokenizer, applied, files.base, onNote))

const textOf = (text: string | readonly { content: string }[]): string =>
  typeof text === 'string' ? text : (text.at(-1)?.content ?? '')

const promptsOf = ({ recipe, data }: AlignInputs, { encoder, validationRecords }: EncodedRecords): RolloutPrompt[] =>
  validationRecords.slice(0, recipe.answers.validation).flatMap((record) => {
    const prompt = data.promptOf(record)
    const ids = encoder.prompt(prompt)
    const { id, file, line } = record
    const reference = textOf(data.bestAnswer(record))
    return ids === undefined
      ? []
      : [{ record: { id, file, line, prompt, reference, fields: {} }, ids, endTokens: encoder.endTokens(prompt) }]
  })

const decodeWith = (tokenizer: Tokenizer) => (ids: ArrayLike<number>) => tokenizer.decode(Array.from(ids))

/** Scores sampled answers to validation prompts: `judge`, and `kl` from the base that training began with. */
export const judgeAnswers = async (
  inputs: AlignInputs,
  encoded: EncodedRecords,
  applied: AppliedAdapter,
  judge: RunJudge,
): Promise<ScoreIntervals> => {
  const { recipe, files, tokenizer } = inputs
  const { microTokens, padded } = recipe.batch
  const prompts = promptsOf(inputs, encoded)
  const base: Reference = {
    summary: 'the base',
    readsPolicy: !applied.inPlace,
    async logProbs(completions, how) {
      const found = await withUntrainedBase(recipe, { ...files, head: 'causal-lm', tokenizer }, applied, (model) =>
        scoreCompletions(model, completions, how),
      )
      // A second copy of the base that does not fit into memory leaves the divergence unknown.
      return (
        found?.map(({ logProbs }) => logProbs) ??
        completions.map(({ ids }) => new Float32Array(ids.length).fill(Number.NaN))
      )
    },
  }
  const predictions = await evaluateAnswers({
    prompts,
    seed: recipe.seed,
    sample: answerSampler(applied.model, {
      maxNewTokens: recipe.answers.maxNewTokens,
      temperature: 1,
      concurrency: 32,
    }),
    rewards: judge,
    reference: base,
    how: { microTokens, padded, device: recipe.device, temperature: 1 },
    decode: decodeWith(tokenizer),
  })
  const records = prompts.map(({ record }) => record)
  const { reward, kl } = scoreIntervals(scoreAnswers(records, predictions), { seed: recipe.seed })
  return { judge: reward, kl }
}
