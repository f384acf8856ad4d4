// Exports what an alignment run made: the model or adapter with its chat template, its scores on the validation records, what a judge says of its
// answers, and samples.
import { join } from 'node:path'
import type { AppliedAdapter } from '../../adapters/index.ts'
import {
  type AnswerJudge,
  answerSampler,
  type Reference,
  type RolloutPrompt,
  scoreCompletions,
} from '../../alignment/index.ts'
import { jsonLines, writeFileAtomic } from '../../core/index.ts'
import { generateMany } from '../../generation/index.ts'
import type { Model } from '../../models/index.ts'
import { type ScoreIntervals, scoreIntervals, type TaskResult } from '../../tasks/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { runFiles } from '../../tracking/index.ts'
import { exportAdapted, withUntrainedBase } from '../engine/adapted-base.ts'
import { finalScores, type ReferenceScores, untrainedBase, writeEvaluationFiles } from '../engine/evaluation-files.ts'
import type { FinalScores } from '../engine/run-kind.ts'
import { factsOfRecords } from '../examples/run-data.ts'
import type { SavedSample } from '../finetune/specialist-files.ts'
import type { AlignInputs, EncodedRecords } from './build-preferences.ts'
import type { AlignmentPrediction } from './data.ts'
import { type AnswerSum, type EncodedAnswers, predictionsOf, sumAnswers } from './encode-answers.ts'
import { evaluateAnswers, scoreAnswers } from './reinforcement/answer-evaluation.ts'
import { openRunRewards, rewardJudge } from './reinforcement/reward-judge.ts'
import { writePromptFiles } from './trained-policy.ts'

/** A judge, which is closed at the end of the run. */
type RunJudge = AnswerJudge & { close(): Promise<void> }

/** Opens the judge of a recipe before training, so that its faults cost no run; undefined without one. */
export const openJudge = async (
  { recipe, tokenizer, files }: AlignInputs,
  applied: AppliedAdapter,
  onNote: (line: string) => void,
): Promise<RunJudge | undefined> =>
  recipe.judge === undefined
    ? undefined
    : rewardJudge(await openRunRewards('judge', [recipe.judge], recipe, tokenizer, applied, files.base, onNote))

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
const judgeAnswers = async (
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

interface Aligned {
  inputs: AlignInputs
  encoded: EncodedRecords
  applied: AppliedAdapter
  /** Undefined for a recipe without one. */
  judge: RunJudge | undefined
}

const validationOf = ({ validation: examples, validationRecords: records }: EncodedRecords): EncodedAnswers => ({
  records,
  examples,
})

/** Sums of the log-probabilities of all completions of the validation examples, in their order. */
const scoreValidation = (model: Model, { inputs: { recipe, data }, encoded }: Aligned): Promise<AnswerSum[]> => {
  const { microTokens, padded } = recipe.batch
  return sumAnswers(model, data, encoded.validation, { microTokens, padded, device: recipe.device })
}

/** Answers to the first validation prompts, without sampling. */
const answersOf = async (model: Model, { inputs, encoded }: Aligned): Promise<string[]> => {
  const { recipe, data, tokenizer } = inputs
  const asked = encoded.validationRecords.slice(0, recipe.answers.samples)
  const prompts = asked.map((record) => encoded.encoder.prompt(data.promptOf(record)) ?? [])
  if (prompts.length === 0) return []
  const eosTokenIds = [...new Set(asked.flatMap((record) => encoded.encoder.endTokens(data.promptOf(record))))]
  const { maxNewTokens } = recipe.answers
  const results = await generateMany(model, tokenizer, prompts, { maxNewTokens, eosTokenIds })
  return results.map(({ text = '' }) => text.trim())
}

interface BaseFacts {
  scores: AnswerSum[]
  answers: string[]
}

/** What the base gives before training; undefined where it is not asked for, or does not fit into memory. */
const baseFacts = async (aligned: Aligned): Promise<BaseFacts | undefined> => {
  const { recipe, files, tokenizer } = aligned.inputs
  if (!recipe.untrainedBaseline) return undefined
  return withUntrainedBase(recipe, { ...files, head: 'causal-lm', tokenizer }, aligned.applied, async (model) => ({
    scores: await scoreValidation(model, aligned),
    answers: await answersOf(model, aligned),
  }))
}

const textOf = (text: string | readonly { content: string }[]) =>
  typeof text === 'string' ? text : (text.at(-1)?.content ?? '')

/** Writes the model and everything beside it into a folder. @returns the final evaluation */
export const exportAligned = async (aligned: Aligned, folder: string): Promise<FinalScores> => {
  const { inputs, encoded, applied } = aligned
  const { recipe, data, files, tokenizer } = inputs
  const started = performance.now()
  const policy = await scoreValidation(applied.model, aligned)
  const seconds = (performance.now() - started) / 1000
  const answers = await answersOf(applied.model, aligned)
  const before = await baseFacts(aligned)
  const predictions = predictionsOf(data, validationOf(encoded), policy, before?.scores)
  const judged = aligned.judge === undefined ? {} : await judgeAnswers(inputs, encoded, applied, aligned.judge)
  const metrics = { ...intervalsOf(aligned, predictions), ...judged }
  const mainMetric = data.scores.mainMetric(before !== undefined)
  const references = before === undefined ? [] : [untrainedScores(aligned, before.scores)]
  await writeSamples(aligned, answers, before?.answers)
  await exportAdapted(recipe, files.base, applied, folder, async (target) => {
    await writeEvaluationFiles(target, {
      result: { ...countsOf(aligned, policy), metrics, mainMetric, seconds },
      records: factsOfRecords(encoded.validationRecords),
      predictions: jsonLines(predictions),
      parameters: { trained: applied.parameterCount, total: applied.model.parameterCount },
      references,
    })
    await writePromptFiles(target, { recipe, applied, tokenizer, prompts: encoded })
  })
  const advice =
    'Read the answers before and after in the report, and look at the pairs: are the chosen answers better?'
  return finalScores({ metrics, mainMetric }, references, { advice })
}

const intervalsOf = ({ inputs, encoded }: Aligned, predictions: readonly AlignmentPrediction[]): ScoreIntervals =>
  scoreIntervals(inputs.data.scores.score(encoded.validationRecords, predictions), { seed: inputs.recipe.seed })

/** The base compares with itself: its rewards are 0, and only its likelihoods tell the answers apart. */
const untrainedScores = (aligned: Aligned, scores: readonly AnswerSum[]): ReferenceScores => ({
  name: untrainedBase,
  metrics: intervalsOf(aligned, predictionsOf(aligned.inputs.data, validationOf(aligned.encoded), scores, scores)),
})

const countsOf = (
  { encoded }: Aligned,
  policy: readonly AnswerSum[],
): Pick<TaskResult, 'examples' | 'tokens' | 'truncatedTokens' | 'truncatedRecords' | 'details'> => ({
  examples: encoded.validation.length,
  tokens: policy.reduce((sum, { tokens }) => sum + tokens, 0),
  truncatedTokens: encoded.validation.reduce((sum, { truncatedTokens }) => sum + truncatedTokens, 0),
  truncatedRecords: encoded.validation.filter(({ truncatedTokens }) => truncatedTokens > 0).length,
  details: {},
})

const writeSamples = async (
  { inputs: { recipe, data, tokenizer }, encoded }: Aligned,
  after: readonly string[],
  before: readonly string[] | undefined,
): Promise<void> => {
  const samples = after.map((answer, i): SavedSample => {
    const record = encoded.validationRecords[i]
    const prompt = data.promptOf(record)
    return {
      id: record.id,
      prompt: tokenizer.decode(encoded.encoder.prompt(prompt) ?? [], { skipSpecialTokens: false }),
      reference: textOf(data.bestAnswer(record)),
      ...(before === undefined ? {} : { before: before[i] }),
      after: answer,
    }
  })
  if (samples.length > 0)
    await writeFileAtomic(join(recipe.out, runFiles.samples), `${JSON.stringify(samples, null, 2)}\n`)
}
