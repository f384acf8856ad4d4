// The answers of a rollout in the folder of a checkpoint: their tokens as tensors, the rest as JSON. Independent of what is learned from them.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { openSafetensors, saveSafetensors } from '../../checkpoint/index.ts'
import { CheckpointError, withoutUndefined } from '../../core/index.ts'
import { scope, Tensor } from '../../tensor/index.ts'
import type { RolloutAnswer } from './rollout.ts'

const whole = z.int().nonnegative()

const answerSchema = z.strictObject({
  prompt: whole,
  group: whole,
  member: whole,
  tokens: whole,
  /** Tokens of a prompt that is not that of the data. */
  promptTokens: whole.optional(),
  finishReason: z.enum(['eos', 'stop', 'length', 'aborted']),
  rewards: z.array(z.number().nullable()),
  reward: z.number().nullable(),
  greedy: z.number().nullable().optional(),
})

const stateSchema = z.strictObject({
  version: z.literal(1),
  /** Rollouts made so far. */
  rollouts: whole,
  /** Prompts taken so far, over all epochs. */
  cursor: whole,
  /** Position of the first example of the current rollout, and of the first one after it. */
  start: whole,
  end: whole,
  answers: z.array(answerSchema),
  /** What the method carried when it made the examples of the current rollout. */
  before: z.unknown(),
  /** What it carries to the next one. */
  after: z.unknown(),
  /** Recent measures, which alarms compare with. */
  watched: z.unknown(),
})
type StoredState = z.output<typeof stateSchema>

/** Where a run stands in its rollouts. */
export interface RolloutState extends Omit<StoredState, 'version' | 'answers'> {
  answers: RolloutAnswer[]
}

const stateFile = 'rollout.json'
const tokenFile = 'tokens.safetensors'

/** The lists of tokens of all answers end to end, by name; one that some answer lacks is left out. */
const joinTokens = (answers: readonly RolloutAnswer[]): Map<string, Tensor> => {
  const total = answers.reduce((sum, { ids }) => sum + ids.length, 0)
  const joined = new Map<string, Tensor>()
  const add = <List extends Int32Array | Float32Array | Uint8Array>(
    name: string,
    all: List,
    of: (answer: RolloutAnswer) => ArrayLike<number> | undefined,
  ) => {
    let at = 0
    for (const answer of answers) {
      const list = of(answer)
      if (list === undefined) return
      all.set(list, at)
      at += list.length
    }
    joined.set(name, Tensor.from(all))
  }
  add('ids', new Int32Array(total), ({ ids }) => ids)
  const prompts = answers.flatMap(({ promptIds }) => (promptIds === undefined ? [] : [promptIds]))
  const promptTokens = prompts.reduce((sum, { length }) => sum + length, 0)
  if (promptTokens > 0) add('promptIds', new Int32Array(promptTokens), ({ promptIds = [] }) => promptIds)
  add('mask', new Uint8Array(total), ({ mask }) => mask)
  add('logProbs', new Float32Array(total), ({ logProbs }) => logProbs)
  add('reference', new Float32Array(total), ({ reference }) => reference)
  add('trained', new Float32Array(total), ({ trained }) => trained)
  // One value more for each whole text.
  add('values', new Float32Array(total + answers.length), ({ values }) => values)
  add('entropy', new Float32Array(total), ({ entropy }) => entropy)
  return joined
}

/** Writes the state into a folder, which is made. */
export const writeRolloutState = async (folder: string, { answers, ...state }: RolloutState): Promise<void> => {
  await mkdir(folder, { recursive: true })
  const stored: StoredState = {
    version: 1,
    ...state,
    answers: answers.map(({ prompt, group, member, promptIds, ids, finishReason, rewards, reward, greedy }) => ({
      prompt,
      group,
      member,
      tokens: ids.length,
      ...(promptIds === undefined ? {} : { promptTokens: promptIds.length }),
      finishReason,
      rewards,
      reward,
      ...(greedy === undefined ? {} : { greedy }),
    })),
  }
  if (answers.length > 0) {
    const tokens = joinTokens(answers)
    await saveSafetensors(join(folder, tokenFile), tokens)
    for (const tensor of tokens.values()) tensor.free()
  }
  await writeFile(join(folder, stateFile), JSON.stringify(stored))
}

/** The state in a folder. @throws CheckpointError for damaged files */
export const readRolloutState = async (folder: string): Promise<RolloutState> => {
  const path = join(folder, stateFile)
  const text = await readFile(path, 'utf8').catch(() => {
    throw new CheckpointError(`${path}: Expected the state of rollouts, found none. The checkpoint is damaged.`)
  })
  const parsed = stateSchema.safeParse(JSON.parse(text))
  if (!parsed.success)
    throw new CheckpointError(`${path}: Expected the state of rollouts, got something else. The checkpoint is damaged.`)
  const { version: _, answers: stored, ...state } = parsed.data
  if (stored.length === 0) return { ...state, answers: [] }
  const { tensors, tensor } = await openSafetensors(join(folder, tokenFile))
  const lists = scope(() => new Map([...tensors.keys()].map((name) => [name, tensor(name).toTypedArray()])))
  let [at, promptAt] = [0, 0]
  const answers = stored.map(({ tokens, promptTokens, ...rest }, i): RolloutAnswer => {
    const [from, to] = [at, at + tokens]
    at = to
    const promptFrom = promptAt
    promptAt += promptTokens ?? 0
    const part = (name: string, start = from, end = to): Float32Array | undefined => {
      const list = lists.get(name)
      return list === undefined ? undefined : Float32Array.from(list.slice(start, end) as Float32Array)
    }
    const whole = (name: string, start = from, end = to) =>
      Uint32Array.from((lists.get(name) as Int32Array).subarray(start, end))
    const optional = {
      reference: part('reference'),
      trained: part('trained'),
      values: part('values', from + i, to + i + 1),
      entropy: part('entropy'),
    }
    return {
      ...rest,
      ...(promptTokens === undefined ? {} : { promptIds: whole('promptIds', promptFrom, promptAt) }),
      ids: whole('ids'),
      mask: Uint8Array.from(whole('mask')),
      logProbs: part('logProbs') ?? new Float32Array(tokens),
      ...withoutUndefined(optional),
    }
  })
  return { ...state, answers }
}
