// Builds a run that learns from rewards: base with adapter, prompts, rewards, reference, critic, rollouts and the criterion. Writes nothing
// before the end.

import { join } from 'node:path'
import type { AppliedAdapter } from '../../../adapters/index.ts'
import {
  Alarms,
  type AnswerSampler,
  answerSampler,
  createEnvironment,
  type Environment,
  type EnvironmentChoice,
  episodeSampler,
  type ResolvedRollout,
  type RolloutPrompt,
  RolloutSource,
  withPackedWeights,
} from '../../../alignment/index.ts'
import { loadTokenizer } from '../../../checkpoint/index.ts'
import { ConfigError } from '../../../core/index.ts'
import { contextLength, type Model } from '../../../models/index.ts'
import { vocabularyFacts } from '../../../objectives/index.ts'
import {
  type CompletionEncoder,
  createCompletionEncoder,
  expectFewSkipped,
  type PromptRecord,
  type PromptText,
  readPrompts,
  turnsOf,
} from '../../../tasks/index.ts'
import { setBatchInvariant, type Tensor } from '../../../tensor/index.ts'
import type { Tokenizer } from '../../../tokenizers/index.ts'
import { runFiles } from '../../../tracking/index.ts'
import type { TrainableModel } from '../../../training/index.ts'
import { loadAdaptedBase, savedAs } from '../../engine/adapted-base.ts'
import { findBase } from '../../engine/base-files.ts'
import { setOptimization } from '../../engine/optimization.ts'
import { functionOf, restoreFunctions } from '../../engine/recipe-functions.ts'
import type { BuildContext, BuiltRun } from '../../engine/run-kind.ts'
import { describeSkipped, hashesOf, readSplits, type SplitRecords } from '../../examples/run-data.ts'
import { columnsOf, objectiveConfig } from '../objectives.ts'
import type { AlignRecipe } from '../recipe.ts'
import { type OpenedReference, openReference } from '../reference-model.ts'
import { learningRateOf, withoutDropout, writePromptFiles } from '../trained-policy.ts'
import {
  type AnswerEvaluation,
  evaluateAnswers,
  judgeMean,
  scoreAnswers,
  shareEvaluation,
  shareJudge,
  shareSampler,
} from './answer-evaluation.ts'
import { checkFirstAnswers } from './check-first-answers.ts'
import {
  expectReferences,
  isFullPrecision,
  mainMetricOf,
  openAnswerTeacher,
  resolvedRollout,
  rolloutObjectiveOf,
} from './complete-recipe.ts'
import { type CriticSettings, openCritic, weightsWithCritic } from './critic-weights.ts'
import { exportAnswers } from './export-answers.ts'
import { openRunRewards, plannedJudge, plannedSampler, rewardJudge } from './reward-judge.ts'

export interface EncodedPrompts {
  encoder: CompletionEncoder
  train: RolloutPrompt[]
  validation: RolloutPrompt[]
  /** Maximum tokens of a prompt with an answer of one turn. */
  maxLength: number
  /** Maximum tokens of a prompt with its answer, which the model takes. */
  contextTokens: number
  /** Whether prompts are conversations, which the chat template renders. */
  usesTemplate: boolean
  notes: string[]
}

const encodePrompts = (
  recipe: AlignRecipe,
  { maxNewTokens }: ResolvedRollout,
  records: SplitRecords<PromptRecord>,
  tokenizer: Tokenizer,
  { model, virtualTokens }: AppliedAdapter,
): EncodedPrompts => {
  const { template, system, tooLong, environment } = recipe
  const limit = (contextLength(model) ?? Number.POSITIVE_INFINITY) - virtualTokens
  // An episode has more turns than the first one.
  const room = environment === undefined ? limit - maxNewTokens : Math.min(limit - maxNewTokens, Math.floor(limit / 2))
  const maxPromptLength = recipe.maxPromptLength ?? Math.min(1024, room)
  if (!(maxPromptLength >= 1 && maxPromptLength + maxNewTokens <= limit))
    throw new ConfigError(
      `Expected prompts and answers of at most ${limit} tokens together, the limit of the model, got ${maxNewTokens} for \`rollout.maxNewTokens\`${recipe.maxPromptLength === undefined ? '' : ` and ${maxPromptLength} for \`maxPromptLength\``}. Lower them.`,
    )
  const maxLength = maxPromptLength + maxNewTokens
  const encoder = createCompletionEncoder(tokenizer, { template, system, tooLong, maxLength, maxPromptLength })
  // Environments answer in turns.
  const promptOf = ({ prompt }: PromptRecord): PromptText =>
    environment === undefined ? prompt : turnsOf(prompt, 'user')
  const encode = (record: PromptRecord): RolloutPrompt[] => {
    const prompt = promptOf(record)
    const ids = encoder.prompt(prompt, record)
    return ids === undefined ? [] : [{ record, ids, endTokens: encoder.endTokens(prompt) }]
  }
  const train = records.train.flatMap(encode)
  const validation = records.validation.flatMap(encode).slice(0, recipe.answers.validation)
  const { maxSkipped = 0.1 } = recipe.columns as { maxSkipped?: number }
  expectFewSkipped(encoder.skipped, records.train.length + records.validation.length, maxSkipped, recipe.data)
  if (train.length === 0 || validation.length === 0)
    throw new ConfigError(
      `Expected prompts that fit in ${maxPromptLength} tokens, got none for ${train.length === 0 ? 'training' : 'validation'}. Raise \`maxPromptLength\`, or set \`tooLong\` to truncate.`,
    )
  const { prompts } = encoder.truncated
  return {
    encoder,
    train,
    validation,
    maxLength: environment === undefined ? maxLength : limit,
    contextTokens: limit,
    usesTemplate: environment !== undefined || train.some(({ record }) => typeof record.prompt !== 'string'),
    notes: [
      ...(prompts > 0
        ? [`Truncated ${prompts} prompt${prompts === 1 ? '' : 's'} to their last ${maxPromptLength} tokens.`]
        : []),
      ...encoder.notes,
      ...describeSkipped(encoder.skipped),
    ],
  }
}

/** Makes the sampler of a model: answers of one turn, or episodes with the environment. */
const samplerOf = (
  { episode }: AlignRecipe,
  rollout: ResolvedRollout,
  tokenizer: Tokenizer,
  { encoder, contextTokens }: EncodedPrompts,
  environment: Environment | undefined,
): ((model: Model) => AnswerSampler) => {
  const plain = (model: Model): AnswerSampler =>
    environment === undefined
      ? answerSampler(model, rollout)
      : episodeSampler(model, { ...rollout, environment, episode, tokenizer, encoder, contextTokens })
  return rollout.exact ? (model) => withPackedWeights(model, plain(model)) : plain
}

/**
 * The environment of a recipe.
 * @throws ConfigError for one that a resumed run does not have, and in a plan, which calls none
 */
const openEnvironment = (
  { environment, out }: AlignRecipe,
  { planned }: Pick<BuildContext, 'planned'>,
): Environment | undefined => {
  if (environment === undefined) return undefined
  if (planned)
    throw new ConfigError(
      'Expected a run to plan whose answers have one turn: what an environment says is not known before. Plan the run without `environment`, with the tokens of a whole episode as `rollout.maxNewTokens`.',
    )
  return createEnvironment(functionOf(environment, 'environment', out) as EnvironmentChoice)
}

/** Most tokens that the policy writes in an answer. */
const longestAnswer = ({ environment, episode }: AlignRecipe, { maxNewTokens }: ResolvedRollout, context: number) =>
  environment === undefined ? maxNewTokens : Math.min(episode.maxTurns * maxNewTokens, episode.maxTokens ?? context)

/** Rollouts between two evaluations. */
const evaluateEvery = 10

/** Optimizer steps on each rollout. */
const updatesOf = ({ batch }: AlignRecipe, { prompts, answers, epochs }: ResolvedRollout): number =>
  epochs * Math.max(1, Math.ceil((prompts * answers) / (batch.sequences ?? prompts * answers)))

/** Switches kernels that give the same bits in any batch. @returns a function that switches back */
const switchExact = ({ exact }: ResolvedRollout): (() => void) => {
  if (!exact) return () => {}
  const before = setBatchInvariant(true)
  return () => void setBatchInvariant(before)
}

const withEvaluations = (recipe: AlignRecipe, updates: number): AlignRecipe =>
  Object.values(recipe.evaluate).some((value) => value !== undefined)
    ? recipe
    : { ...recipe, evaluate: { steps: evaluateEvery * updates } }

/** Opens what scores answers: the rewards of training, and a judge that is not trained on. */
const openScores = async (
  recipe: AlignRecipe,
  tokenizer: Tokenizer,
  { base, applied, notes }: { base: string; applied: AppliedAdapter; notes: string[] },
) => {
  const open = (key: 'rewards' | 'judge', inputs: readonly unknown[]) =>
    openRunRewards(key, inputs, recipe, tokenizer, applied, base, (line) => void notes.push(line))
  const rewards = await open('rewards', recipe.rewards)
  const judges = recipe.judge === undefined ? [] : await open('judge', [recipe.judge])
  return {
    rewards,
    judge: await rewardJudge(rewards),
    independent: judges.length === 0 ? undefined : await rewardJudge(judges),
  }
}

/** Opens the parts of a run, in the order in which their faults are reported. */
const openParts = async (recipe: AlignRecipe, context: BuildContext) => {
  const objective = rolloutObjectiveOf(recipe)
  const settings = objectiveConfig(objective, recipe.settings)
  const rollout = resolvedRollout(recipe)
  const files = await findBase(recipe.base)
  const { base } = files
  const tokenizer = await loadTokenizer(recipe.tokenizer ?? files.tokenizer)
  const restored = await restoreFunctions(recipe)
  const environment = openEnvironment(recipe, context)
  const records = await readSplits(recipe, (path) => readPrompts(path, columnsOf('prompts', recipe.columns)))
  expectReferences(recipe, [...records.train, ...records.validation])
  const { applied, notes } = await loadAdaptedBase(recipe, { ...files, head: 'causal-lm', tokenizer })
  const prompts = encodePrompts(recipe, rollout, records, tokenizer, applied)
  const { microTokens, padded } = recipe.batch
  const how = { microTokens, padded, device: recipe.device, temperature: rollout.temperature }
  const taught = await openAnswerTeacher(recipe, rollout, {
    model: applied.model,
    tokenizer,
    maxLength: prompts.maxLength,
  })
  const reference: OpenedReference | undefined =
    taught !== undefined
      ? taught.reference
      : objective.usesReference(settings) || rollout.measureKl
        ? await openReference(recipe, applied, () => [], how, context)
        : undefined
  const critic = objective.usesCritic
    ? await openCritic(recipe, { ...(settings as CriticSettings), applied, base, tokenizer })
    : undefined
  const scores = await openScores(recipe, tokenizer, { base, applied, notes })
  const { rewards, judge } = scores
  const real = samplerOf(recipe, rollout, tokenizer, prompts, environment)
  const sampler = context.planned ? (model: Model) => plannedSampler(real(model), prompts.train) : real
  const decode = (ids: ArrayLike<number>, { special = false } = {}) =>
    tokenizer.decode(Array.from(ids), { skipSpecialTokens: !special })
  const lines = [...restored, ...notes, ...records.notes, ...prompts.notes, ...(taught?.notes ?? [])]
  if (environment !== undefined) lines.push(`Answers are written in turns with the environment ${environment.name}.`)
  if (reference !== undefined && taught === undefined) lines.push(`Reference model: ${reference.summary}.`)
  if (critic !== undefined) lines.push(critic.summary)
  return {
    objective,
    settings,
    rollout,
    files,
    tokenizer,
    records,
    applied,
    prompts,
    how,
    reference,
    taught,
    critic,
    // A plan calls no function, program or address.
    scores: context.planned
      ? { ...scores, judge: { ...plannedJudge(rewards, judge, recipe.seed), close: () => judge.close() } }
      : scores,
    sampler,
    decode,
    sample: sampler(applied.model),
    updates: updatesOf(recipe, rollout),
    notes: lines,
  }
}

type RunParts = Awaited<ReturnType<typeof openParts>>
/** The objective's method for rollouts, and the policy with its criterion as what is trained. */
const trainedParts = (recipe: AlignRecipe, parts: RunParts) => {
  const { objective, settings, applied, reference, taught, critic, scores, rollout, updates, prompts } = parts
  const { criterion, method } = objective.create(settings, {
    policy: applied.model,
    reference,
    critic,
    rewardWeights: scores.rewards.map(({ weight }) => weight),
    rollout,
    updates,
    maxTokens: longestAnswer(recipe, rollout, prompts.contextTokens),
    fullPrecision: isFullPrecision(recipe),
    teacher: taught?.teacher,
  })
  const trainable: TrainableModel = {
    model: applied.model,
    objective: recipe.dropout ? criterion : withoutDropout(criterion),
    parameters: new Map<string, Tensor>([...applied.trainable, ...(critic?.trainable ?? [])]),
  }
  return { method, trainable }
}

/** How checkpoints store the policy, with the weights of a critic. */
const savedParts = (recipe: AlignRecipe, { applied, critic, files, tokenizer, prompts }: RunParts) => {
  const saved = savedAs(recipe, files.base, applied, (folder) =>
    writePromptFiles(folder, { recipe, applied, tokenizer, prompts }),
  )
  return critic === undefined ? saved : { weights: weightsWithCritic(applied, critic, recipe.tokenizer, saved) }
}

export const buildReinforcement = async (recipe: AlignRecipe, context: BuildContext): Promise<BuiltRun> => {
  const parts = await openParts(recipe, context)
  const { objective, settings, rollout, files, tokenizer, records, applied, prompts, scores, sampler } = parts
  const { how, reference, taught, sample, decode } = parts
  const { method, trainable } = trainedParts(recipe, parts)
  const { rewards, judge, independent } = scores
  // A student begins far from its teacher.
  const alarms = new Alarms(taught === undefined ? recipe.alarms : { ...recipe.alarms, kl: 0 })
  const written = { folder: join(recipe.out, runFiles.rollouts), name: runFiles.rollouts }
  const { group } = context
  const shared =
    group === undefined ? undefined : { sample: shareSampler(group, sample), judge: shareJudge(group, judge) }
  const source = {
    prompts: prompts.train,
    settings: rollout,
    seed: recipe.seed,
    sample,
    judge,
    ...shared,
    method,
    alarms,
  }
  const recorded = (group === undefined || group.first) && !context.unrecorded ? { files: written } : {}
  const stream = new RolloutSource({ ...source, decode, ...recorded })
  const evaluation: AnswerEvaluation = {
    prompts: prompts.validation,
    seed: recipe.seed,
    sample,
    rewards: judge,
    reference,
    how,
    decode,
    ...(independent === undefined ? {} : { judge: independent }),
  }
  const together = group === undefined ? evaluation : shareEvaluation(group, evaluation)
  const switchBack = switchExact(rollout)
  const learningRate = learningRateOf(recipe, objective, applied.inPlace)
  const completed = { ...withEvaluations(recipe, parts.updates), settings, rollout }
  return {
    recipe: completed,
    tokenizer,
    tokenizerFiles: recipe.tokenizer,
    ...(prompts.usesTemplate ? { chatTemplate: prompts.encoder.template } : {}),
    vocabulary: vocabularyFacts(tokenizer),
    stream,
    ...setOptimization({ ...completed, learningRate }, trainable, stream, {
      applied,
      group,
      beside: parts.critic === undefined || parts.critic.model.body === applied.model.body ? [] : [parts.critic.model],
    }),
    ...(reference?.weights && { besideWeights: reference.weights }),
    ...savedParts(recipe, parts),
    enoughSteps: 10,
    hashes: {
      ...(await hashesOf(records.files, files.base, { start: files.start, stack: recipe.stack })),
      ...taught?.hashes,
    },
    notes: parts.notes,
    check: () =>
      checkFirstAnswers({
        ...evaluation,
        applied,
        rewards,
        prompts: prompts.train,
        // A teacher is another model from the first step on.
        reference: taught === undefined ? reference : undefined,
      }),
    metrics: {
      known: [...(rewards.length === 0 ? [] : ['reward']), mainMetricOf(recipe)],
      measure: async () => Object.keys(await evaluate(evaluation, alarms, undefined, 2)),
    },
    evaluate: () => evaluate(together, alarms, stream),
    // Answers that are decoded together take the memory; judges of other programs take none of it.
    evaluateLargest: () => {
      const longest = [...prompts.validation].sort((a, b) => b.ids.length - a.ids.length)
      return evaluateAnswers({ ...evaluation, prompts: longest.slice(0, rollout.concurrency), judge: undefined })
    },
    exportModel: (folder) =>
      exportAnswers(
        { recipe: completed, files, tokenizer, applied, critic: parts.critic, prompts, evaluation, sampler },
        folder,
      ),
    close() {
      switchBack()
      void judge.close()
      void independent?.close()
    },
  }
}

/** Scores of answers to validation prompts. Alarms of the judge become incidents with the next rollout. */
const evaluate = async (
  evaluation: AnswerEvaluation,
  alarms: Alarms,
  stream: RolloutSource<unknown> | undefined,
  limit = evaluation.prompts.length,
): Promise<Record<string, number>> => {
  const prompts = evaluation.prompts.slice(0, limit)
  const predictions = await evaluateAnswers({ ...evaluation, prompts })
  const scores = scoreAnswers(
    prompts.map(({ record }) => record),
    predictions,
  ).scores()
  const judged = judgeMean(predictions)
  if (stream !== undefined && judged !== undefined)
    stream.raise(alarms.checkJudge(scores.reward, judged.mean, judged.error))
  return scores
}
