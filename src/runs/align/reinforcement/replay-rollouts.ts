// Replays the answers that a run sampled: scores them by other rewards, estimates advantages with other settings, or computes their
// log-probabilities under another model. Nothing is sampled, and the files of the run stay as they are.
import { z } from 'zod'
import { loadAdapter } from '../../../adapters/index.ts'
import {
  closeRewards,
  completionOf,
  openRewards,
  type RewardInput,
  type RolloutAnswer,
  type RolloutPrompt,
  type RolloutRow,
  rewardShapingSchema,
  scoreCompletions,
  scoreSamples,
  scoreValues,
} from '../../../alignment/index.ts'
import { loadModel, loadTokenizer, resolveModel } from '../../../checkpoint/index.ts'
import { ConfigError, DataError, groupBy, parseConfig, parseJson } from '../../../core/index.ts'
import type { FinishReason } from '../../../generation/index.ts'
import { type PromptRecord, readPrompts, type Turn } from '../../../tasks/index.ts'
import type { Tokenizer } from '../../../tokenizers/index.ts'
import { findBase } from '../../engine/base-files.ts'
import { readRunRecipe } from '../../kinds.ts'
import { columnsOf, objectiveConfig } from '../objectives.ts'
import type { AlignRecipe } from '../recipe.ts'
import { resolvedRollout } from './complete-recipe.ts'
import { loadCriticModel } from './critic-weights.ts'
import { findRolloutObjective, rolloutObjectiveTypes } from './objectives.ts'
import { openFolder, sampleOf } from './reward-judge.ts'

/** What is computed again; all else stays as the run had it. */
export const replaySchema = z.strictObject({
  reward: z
    .array(z.unknown())
    .optional()
    .describe('rewards to score the answers by, in place of those of the run: names with settings')
    .meta({ commas: false }),
  objective: z.string().optional().describe("objective to estimate the advantages of (default: the run's)"),
  advantages: z
    .record(z.string(), z.unknown())
    .optional()
    .describe("settings of the advantage estimator over the objective's: type, scale, gamma, lambda …"),
  shaping: rewardShapingSchema.optional().describe('penalties, clipping and truncated answers, before advantages'),
  beta: z.number().nonnegative().optional().describe('coefficient of the KL divergence in the reward'),
  critic: z
    .string()
    .optional()
    .describe(
      'reward model to compute the values of a critic with, such as `model/critic` of a run (default: the values of the run)',
    ),
  model: z.string().optional().describe('model to compute log-probabilities of the answers with: a folder or a run'),
})

/** What to compute again, as a caller writes it. */
export type ReplayInput = z.input<typeof replaySchema>

type Replay = z.output<typeof replaySchema>

/** An answer with what was computed again, and what it was in the run. */
export interface ReplayedRow extends RolloutRow {
  before: Pick<RolloutRow, 'reward' | 'rewards' | 'advantage' | 'kl'>
}

/** Whether anything is to be computed again. */
export const isReplay = (input: ReplayInput): boolean => Object.values(input).some((value) => value !== undefined)

interface Placed {
  row: ReplayedRow
  prompt: RolloutPrompt
  answer: RolloutAnswer
}

/** Turns of an episode, as they were written to the file: the prompt ends before the first of the model's own turns. */
const episodeOf = ({ messages, turns, completion, rewards, end }: RolloutRow): RolloutAnswer['episode'] => {
  if (messages === null) return undefined
  const all = parseJson(messages, { path: 'messages' }) as Turn[]
  const own = all.flatMap(({ role }, i) => (role === 'assistant' ? [i] : [])).slice(-turns)
  const from = own[0] ?? all.length
  const ends = end as NonNullable<RolloutAnswer['episode']>['end']
  return {
    prompt: all.slice(0, from),
    messages: all.slice(from),
    completion,
    turns,
    end: ends,
    reward: rewards.environment ?? null,
  }
}

const placedOf = (row: RolloutRow, record: PromptRecord): Placed => {
  const { reward, rewards, advantage, kl, referenceLogProbs, values } = row
  const episode = episodeOf(row)
  return {
    row: { ...row, before: { reward, rewards, advantage, kl } },
    prompt: { record, ids: row.promptIds, endTokens: [] },
    answer: {
      prompt: 0,
      group: row.group,
      member: row.member,
      reward,
      rewards: Object.values(rewards),
      ids: Uint32Array.from(row.completionIds),
      mask: Uint8Array.from(row.mask),
      finishReason: row.finishReason as FinishReason,
      logProbs: Float32Array.from(row.logProbs),
      ...(referenceLogProbs.length === 0 ? {} : { reference: Float32Array.from(referenceLogProbs) }),
      ...(values.length === 0 && row.completionIds.length > 0 ? {} : { values: Float32Array.from(values) }),
      ...(episode === undefined ? {} : { episode }),
    },
  }
}

/** The records of the prompts. @throws DataError where the data of the run has changed */
const recordsOf = async ({ data, columns }: AlignRecipe, rows: readonly RolloutRow[]) => {
  const { records } = await readPrompts(data, columnsOf('prompts', columns))
  const byId = new Map(records.map((record) => [record.id, record]))
  return (row: RolloutRow): PromptRecord => {
    const found = byId.get(row.id)
    if (found !== undefined) return found
    throw new DataError(
      `Expected the record ${row.id} of ${rows.length} answers in the data of the run, found none. Restore ${data}.`,
      data,
    )
  }
}

const tokenizerOf = async ({ base, tokenizer }: AlignRecipe): Promise<Tokenizer> =>
  loadTokenizer(tokenizer ?? (await findBase(base)).tokenizer)

const alignRecipe = async (run: string): Promise<AlignRecipe> => {
  // The file's recipe is of any command: its name is checked before anything else is read.
  const recipe = (await readRunRecipe(run)) as unknown as AlignRecipe
  if (recipe.command !== 'align')
    throw new DataError(`${run}: Expected a run of \`tunesmith align\`, found another one.`)
  return recipe
}

/** The tokenizer that the answers of a run were written with. @throws DataError for a run of another kind */
export const loadRolloutTokenizer = async (run: string): Promise<Tokenizer> => tokenizerOf(await alignRecipe(run))

const scoreAgain = async (
  inputs: readonly unknown[],
  recipe: AlignRecipe,
  placed: readonly Placed[],
): Promise<void> => {
  const tokenizer = await tokenizerOf(recipe)
  const functions = await openRewards(inputs as RewardInput[], { tokenizer, device: recipe.device, openFolder })
  try {
    const samples = placed.map(({ prompt, answer, row }) => sampleOf(prompt, answer, row.completion))
    const { scores } = await scoreSamples(functions, samples, {})
    const names = functions.map(({ name }) => name)
    const rewardWeights = Object.fromEntries(functions.map(({ name, weight }) => [name, weight]))
    for (const [i, { row, answer }] of placed.entries()) {
      Object.assign(answer, scores[i])
      row.reward = scores[i].reward
      row.rewards = Object.fromEntries(names.map((name, f) => [name, scores[i].rewards[f]]))
      row.rewardWeights = rewardWeights
    }
  } finally {
    await closeRewards(functions)
  }
}

/** Values of the answers by another critic than that of the run. */
const computeValues = async (choice: string, recipe: AlignRecipe, placed: readonly Placed[]): Promise<void> => {
  const { device, batch } = recipe
  const tokenizer = await tokenizerOf(recipe)
  const { model } = await loadCriticModel(await resolveModel(choice), {
    ...{ device, tokenizer, trainable: false, option: 'critic' },
  })
  const completions = placed.map(({ prompt, answer }) => completionOf(prompt, answer))
  const how = { microTokens: batch.microTokens, padded: batch.padded, device }
  const values = await scoreValues({ model }, model, completions, how)
  for (const [i, { row, answer }] of placed.entries()) {
    answer.values = values[i]
    row.values = Array.from(values[i])
  }
}

/** The coefficient of the KL divergence that the run used in this rollout: an adaptive one differs from that of its recipe. */
const keptBeta = ([{ row }]: readonly Placed[]): { beta?: number } =>
  row.klCoefficient === null ? {} : { beta: row.klCoefficient }

/** Advantages over each rollout. @throws ConfigError for an objective whose advantages need what is not kept */
const estimateAgain = (
  { objective: chosen, advantages, shaping, beta, critic }: Replay,
  recipe: AlignRecipe,
  placed: readonly Placed[],
): void => {
  const type = chosen ?? recipe.objective
  const objective = findRolloutObjective(type)
  if (objective === undefined)
    throw new ConfigError(`Expected one of ${rolloutObjectiveTypes().join(', ')} for \`objective\`, got ${type}.`)
  if (objective.usesCritic && placed.some(({ answer }) => answer.values === undefined))
    throw new ConfigError(
      `The objective ${type} needs the values of a critic, which this run did not keep: set \`critic\` to a reward model, or \`objective\` to one without a critic, such as rloo.`,
    )
  if (!objective.usesCritic && critic !== undefined)
    throw new ConfigError(
      `Expected no \`critic\` with the objective ${type}, which has none. Remove it, or choose ppo.`,
    )
  const same = type === recipe.objective
  const given = Object.fromEntries(
    Object.entries({ advantages, shaping, beta }).filter(([, value]) => value !== undefined),
  )
  const settingsOf = (answers: readonly Placed[]) =>
    objectiveConfig(objective, { ...(same ? { ...recipe.settings, ...keptBeta(answers) } : {}), ...given })
  const settings = settingsOf(placed)
  if (objective.usesReference(settings) && placed.some(({ answer }) => answer.reference === undefined))
    throw new ConfigError(
      'The KL divergence needs the log-probabilities of the reference, which this run did not measure: set `beta` to 0.',
    )
  const groups = Math.min(...[...groupBy(placed, ({ row }) => row.group).values()].map(({ length }) => length))
  const rollout = { ...resolvedRollout({ ...recipe, objective: type }), answers: groups }
  for (const answers of groupBy(placed, ({ row }) => row.rollout).values()) {
    const [{ row: first }] = answers
    const rewardWeights = Object.keys(first.rewards).map((name) => first.rewardWeights[name])
    const method = objective.method(settingsOf(answers), { rewardWeights, rollout })
    const all = [...groupBy(answers, ({ row }) => row.group).values()]
    const { trained } = method.examples(
      all.map((group) => ({ prompt: group[0].prompt, group: group.map(({ answer }) => answer) })),
    )
    const found = new Map(trained.map((one) => [one.answer, one.advantages]))
    for (const { row, answer } of answers) {
      const values = found.get(answer)
      row.trained = found.has(answer)
      row.advantage =
        values === undefined ? null : Array.from(values).reduce((sum, one) => sum + one, 0) / values.length
    }
  }
}

/** Log-probabilities under another model, and the divergence of that model's distribution from the reference on these answers. */
const computeAgain = async (choice: string, recipe: AlignRecipe, placed: readonly Placed[]): Promise<void> => {
  const { device, batch } = recipe
  const { base, start } = await findBase(choice)
  const model =
    start === undefined
      ? await loadModel(base, { device, head: 'causal-lm' })
      : (await loadAdapter(start, { device })).model
  const { temperature } = resolvedRollout(recipe)
  const completions = placed.map(({ prompt, answer }) => completionOf(prompt, answer))
  const how = { microTokens: batch.microTokens, padded: batch.padded, device, temperature }
  const scores = await scoreCompletions(model, completions, how)
  for (const [i, { row, answer }] of placed.entries()) {
    answer.logProbs = scores[i].logProbs
    row.logProbs = Array.from(scores[i].logProbs)
    const { reference, mask } = answer
    row.kl =
      reference === undefined
        ? null
        : row.logProbs.reduce((sum, value, t) => (mask[t] === 0 ? sum : sum + value - reference[t]), 0)
  }
}

/**
 * Computes rewards, values, advantages or log-probabilities of answers again. Advantages are over the rows that are given: pass whole rollouts.
 * @param rows of `browseRollouts`
 * @throws ConfigError for settings that do not fit, DataError for data that is no longer there
 */
export const replayRollouts = async (
  run: string,
  rows: readonly RolloutRow[],
  input: ReplayInput,
): Promise<ReplayedRow[]> => {
  const replay = parseConfig(replaySchema, input, 'rollouts')
  const recipe = await alignRecipe(run)
  const recordOf = await recordsOf(recipe, rows)
  const placed = rows.map((row) => placedOf(row, recordOf(row)))
  if (placed.length === 0) return []
  if (replay.model !== undefined) await computeAgain(replay.model, recipe, placed)
  if (replay.reward !== undefined) await scoreAgain(replay.reward, recipe, placed)
  if (replay.critic !== undefined) await computeValues(replay.critic, recipe, placed)
  const { reward, objective, advantages, shaping, beta, critic } = replay
  if (isReplay({ reward, objective, advantages, shaping, beta, critic })) estimateAgain(replay, recipe, placed)
  return placed.map(({ row }) => row)
}
