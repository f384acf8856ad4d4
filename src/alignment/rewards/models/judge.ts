// Models that score answers: loaded from any files, or an adapter put on the policy's base so that the base is in memory once. They read texts
// with their own tokenizer; token ids of the policy mean nothing to them.
import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { adaptersOf, isAdapterFolder, loadAdapter } from '../../../adapters/index.ts'
import { describeModelLoad, loadModelWithReport, loadTokenizer, resolveModel } from '../../../checkpoint/index.ts'
import { ConfigError, DataError, exists, parseJson } from '../../../core/index.ts'
import type { Body, HeadType, Model } from '../../../models/index.ts'
import { type PromptText, type Turn, turnsOf } from '../../../tasks/index.ts'
import type { Tokenizer } from '../../../tokenizers/index.ts'
import { modelFiles } from '../../../tracking/index.ts'
import { isOnBase, putOnBase, withAdapters } from '../../reference.ts'
import type { RewardContext, RewardSample } from '../reward.ts'

export const judgeFields = {
  model: z
    .string()
    .min(1)
    .describe('model that scores: a folder, the folder of a run, an adapter, a feature-based specialist or a Hub id'),
  maxLength: z
    .int()
    .positive()
    .optional()
    .describe("maximum tokens per answer with its prompt (default: as in fine-tuning, else the model's limit)"),
  batchTokens: z.int().positive().default(4096).describe('tokens per batch, padding included'),
  precision: z
    .enum(['float32', 'bfloat16'])
    .optional()
    .describe("dtype of the scoring model's weights (default: as stored)"),
}

export interface Judge {
  readonly model: Model
  readonly tokenizer: Tokenizer
  /** The task that it was fine-tuned on, with its settings; undefined for models of other programs. */
  readonly task: JudgeTask | undefined
  /** A hash of the names, sizes and times of its files. */
  readonly identity: string
  /** Gives the model to `work`, with its adapter active. Works on one base run one after another. */
  use<Result>(work: (model: Model) => Promise<Result>): Promise<Result>
  /** Removes an adapter from the policy's base. */
  close(): void
}

const taskSchema = z.looseObject({
  task: z.string(),
  settings: z.record(z.string(), z.unknown()),
  maxLength: z.int().positive().optional(),
})

type JudgeTask = z.output<typeof taskSchema>

/** The task in the files of a model that Tunesmith fine-tuned. @throws DataError for a damaged file */
const readTask = async (folder: string): Promise<JudgeTask | undefined> => {
  const path = join(folder, modelFiles.task)
  if (!(await exists(path))) return undefined
  const parsed = taskSchema.safeParse(parseJson(await readFile(path, 'utf8'), { path }))
  if (parsed.success) return parsed.data
  throw new DataError(
    'Expected a task with its settings, got something else. The file is damaged: fine-tune again.',
    path,
  )
}

/** A hash of the names, sizes and times of the files in these folders: cheap, and other after each change. */
const hashFiles = async (paths: readonly string[]): Promise<string> => {
  const hash = createHash('sha256')
  for (const path of paths) {
    const isFolder = (await stat(path)).isDirectory()
    const folder = isFolder ? path : dirname(path)
    const names = isFolder ? (await readdir(path)).sort() : [basename(path)]
    for (const name of names) {
      const file = await stat(join(folder, name)).catch(() => undefined)
      if (file?.isFile()) hash.update(`${name} ${file.size} ${file.mtimeMs}\n`)
    }
  }
  return hash.digest('hex')
}

/** A body has one set of active adapters, so its users wait for each other. */
const turns = new WeakMap<Body, Promise<unknown>>()

const inTurn = <Result>(body: Body, work: () => Promise<Result>): Promise<Result> => {
  const before = turns.get(body) ?? Promise.resolve()
  const result = before.then(work)
  turns.set(
    body,
    result.catch(() => {}),
  )
  return result
}

const expectHead = (model: Model, heads: readonly HeadType[], where: string): void => {
  if (heads.includes(model.headType)) return
  throw new ConfigError(
    `Expected a model with the head ${heads.join(' or ')} for \`model\` of the reward \`${where}\`, got ${model.headType}. Fine-tune one with the task ${where === 'classifier' ? 'sequence-classification' : 'reward'}.`,
  )
}

/**
 * Loads a model that scores.
 * @param where type of the reward, for errors
 * @throws ConfigError for a model without one of the heads, CheckpointError for files that cannot be loaded
 */
export const loadJudge = async (
  { model: choice, precision }: { model: string; precision?: 'float32' | 'bfloat16' },
  heads: readonly HeadType[],
  where: string,
  { base, device, onNote, openFolder }: RewardContext,
): Promise<Judge> => {
  const path = await resolveModel(choice)
  const isFolder = (await stat(path)).isDirectory()
  const task = isFolder ? await readTask(path) : undefined
  const ownTokenizer = isFolder && (await exists(join(path, 'tokenizer.json')))
  const found = async (model: Model, folders: readonly string[], tokenizer: string) => {
    expectHead(model, heads, where)
    return { model, task, identity: await hashFiles(folders), tokenizer: await loadTokenizer(tokenizer) }
  }
  const alone = async (model: Model, folders: readonly string[], tokenizer: string): Promise<Judge> => ({
    ...(await found(model, folders, tokenizer)),
    use: (work) => inTurn(model.body, () => work(model)),
    close: () => {},
  })
  if (isFolder && (await isAdapterFolder(path))) {
    if (base !== undefined && (await isOnBase(path, base))) {
      const { model, name } = await putOnBase(path, base.model, where)
      return {
        ...(await found(model, [path, base.folder], ownTokenizer ? path : base.folder)),
        use: (work) => inTurn(base.model.body, () => withAdapters(base.model, [name], work)),
        close: () => adaptersOf(base.model).remove(name),
      }
    }
    const { model, baseFolder = path } = await loadAdapter(path, { device, dtype: precision })
    return alone(model, [path, baseFolder], ownTokenizer ? path : baseFolder)
  }
  const special = isFolder ? await openFolder?.(path, { device }) : undefined
  if (special !== undefined) {
    if (precision !== undefined)
      throw new ConfigError(
        `Expected no \`precision\` for the reward \`${where}\` with a feature-based model, whose learner was fitted on features of one precision, got ${precision}. Remove it.`,
      )
    const { model, baseFolder } = special
    return alone(model, [path, baseFolder], ownTokenizer ? path : baseFolder)
  }
  const loaded = await loadModelWithReport(choice, { device, dtype: precision, head: heads })
  if (loaded.report.newHead.length > 0)
    throw new ConfigError(
      `Expected a model with weights of its head for \`model\` of the reward \`${where}\`, got ${choice} without: its head is new and gives random numbers. Fine-tune it first.`,
    )
  for (const line of describeModelLoad(loaded.report)) onNote?.(line)
  return alone(loaded.model, [path], choice)
}

/** The prompt and the answer of a sample. The prompt of an episode has all turns before the model's last one. */
export const promptAndAnswer = ({
  prompt,
  completion,
  episode,
}: RewardSample): { prompt: PromptText; answer: PromptText } => {
  const last = episode?.messages.findLastIndex(({ role }) => role === 'assistant') ?? -1
  const answer: readonly Turn[] = turnsOf(completion, 'assistant')
  if (episode !== undefined && last >= 0)
    return { prompt: [...turnsOf(prompt, 'user'), ...episode.messages.slice(0, last)], answer }
  return typeof prompt === 'string' ? { prompt, answer: completion } : { prompt, answer }
}

export const plainText = (text: PromptText): string =>
  typeof text === 'string' ? text : text.map(({ content }) => content).join('\n')
