// Exports what a run that learned from rewards made: the policy with its chat template, its scores on validation prompts, and samples.
import { join } from 'node:path'
import type { AppliedAdapter } from '../../../adapters/index.ts'
import type { AnswerSampler } from '../../../alignment/index.ts'
import { jsonLines, programCall, writeFileAtomic } from '../../../core/index.ts'
import type { Model } from '../../../models/index.ts'
import { type ScoreIntervals, scoreIntervals } from '../../../tasks/index.ts'
import type { Tokenizer } from '../../../tokenizers/index.ts'
import { runFiles } from '../../../tracking/index.ts'
import { exportAdapted, withUntrainedBase } from '../../engine/adapted-base.ts'
import type { BaseFiles } from '../../engine/base-files.ts'
import { finalScores, untrainedBase, writeEvaluationFiles } from '../../engine/evaluation-files.ts'
import type { FinalScores } from '../../engine/run-kind.ts'
import { factsOfRecords } from '../../examples/run-data.ts'
import type { SavedSample } from '../../finetune/specialist-files.ts'
import type { AlignRecipe } from '../recipe.ts'
import { writePromptFiles } from '../trained-policy.ts'
import { type AnswerEvaluation, type AnswerPrediction, evaluateAnswers, scoreAnswers } from './answer-evaluation.ts'
import type { EncodedPrompts } from './build-reinforcement.ts'
import { mainMetricOf } from './complete-recipe.ts'
import { criticFolder, type OpenedCritic } from './critic-weights.ts'

interface AlignedPolicy {
  recipe: AlignRecipe
  files: BaseFiles
  tokenizer: Tokenizer
  applied: AppliedAdapter
  /** Undefined for objectives without one. */
  critic: OpenedCritic | undefined
  prompts: EncodedPrompts
  evaluation: AnswerEvaluation
  /** Samples answers of another model as in training. */
  sampler(model: Model): AnswerSampler
}

const intervalsOf = (
  { recipe, evaluation: { prompts } }: AlignedPolicy,
  predictions: readonly AnswerPrediction[],
): ScoreIntervals =>
  scoreIntervals(
    scoreAnswers(
      prompts.map(({ record }) => record),
      predictions,
    ),
    { seed: recipe.seed },
  )

/** Writes the policy and everything beside it into a folder. @returns the final evaluation */
export const exportAnswers = async (policy: AlignedPolicy, folder: string): Promise<FinalScores> => {
  const { recipe, files, tokenizer, applied, critic, prompts, evaluation, sampler } = policy
  const started = performance.now()
  const predictions = await evaluateAnswers(evaluation)
  const seconds = (performance.now() - started) / 1000
  const before = recipe.untrainedBaseline
    ? await withUntrainedBase(recipe, { ...files, head: 'causal-lm', tokenizer }, applied, (model) =>
        evaluateAnswers({ ...evaluation, sample: sampler(model) }),
      )
    : undefined
  const metrics = intervalsOf(policy, predictions)
  const mainMetric = mainMetricOf(recipe)
  const references = before === undefined ? [] : [{ name: untrainedBase, metrics: intervalsOf(policy, before) }]
  await writeSamples(policy, predictions, before)
  await exportAdapted(recipe, files.base, applied, folder, async (target) => {
    await writeEvaluationFiles(target, {
      result: {
        metrics,
        mainMetric,
        examples: predictions.length,
        tokens: predictions.reduce((sum, { tokens }) => sum + tokens, 0),
        truncatedTokens: 0,
        truncatedRecords: 0,
        details: {},
        seconds,
      },
      records: factsOfRecords(evaluation.prompts.map(({ record }) => record)),
      predictions: jsonLines(predictions),
      parameters: { trained: applied.parameterCount, total: applied.model.parameterCount },
      references,
    })
    await critic?.export?.(join(target, criticFolder))
    await writePromptFiles(target, { recipe, applied, tokenizer, prompts })
  })
  const advice =
    recipe.rewards.length === 0
      ? `What was learned from? \`${programCall('rollouts', recipe.out, '--sort', 'kl')}\` shows answers with their divergence from the teacher.`
      : `What was rewarded? \`${programCall('rollouts', recipe.out, '--sort', 'reward')}\` shows answers with their rewards, and the report their curve.`
  return finalScores({ metrics, mainMetric }, references, { advice })
}

const writeSamples = async (
  { recipe, tokenizer, evaluation: { prompts } }: AlignedPolicy,
  after: readonly AnswerPrediction[],
  before: readonly AnswerPrediction[] | undefined,
): Promise<void> => {
  const samples = after.slice(0, recipe.answers.samples).map(
    ({ id, answer }, i): SavedSample => ({
      id,
      prompt: tokenizer.decode([...prompts[i].ids], { skipSpecialTokens: false }),
      reference: prompts[i].record.reference ?? '',
      ...(before === undefined ? {} : { before: before[i].answer }),
      after: answer,
    }),
  )
  if (samples.length > 0)
    await writeFileAtomic(join(recipe.out, runFiles.samples), `${JSON.stringify(samples, null, 2)}\n`)
}
