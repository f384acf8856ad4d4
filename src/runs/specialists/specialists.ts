// Many specialists on one base in memory, queried by name: the base is stored once, and of each specialist only its own small parts.
// Independent of task and variant.

import { join } from 'node:path'
import { adaptersOf } from '../../adapters/index.ts'
import {
  describeModelLoad,
  expectTokenizerOf,
  type LoadModelOptions,
  loadModelWithReport,
  loadTokenizer,
  resolveModel,
} from '../../checkpoint/index.ts'
import { ConfigError, DataError, didYouMean, exists } from '../../core/index.ts'
import { freeWeights, type Model } from '../../models/index.ts'
import {
  findTask,
  type PredictionResult,
  predictTask,
  type TaskDefinition,
  type TaskPrediction,
  type TaskType,
  taskConfig,
  taskMaxLength,
  tasks,
} from '../../tasks/index.ts'
import { freeTensors, totalBytes } from '../../tensor/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { runFiles } from '../../tracking/index.ts'
import { type FinetuneRecipe, taskOf } from '../finetune/recipe.ts'
import { readTask, type SpecialistTask } from '../finetune/specialist-files.ts'
import { readRunRecipe } from '../kinds.ts'
import { type AttachedSpecialist, type SharedBase, specialistKindOf } from './attach.ts'

/** A specialist's files, and its task if they do not name it, as those of other programs do not. */
export interface SpecialistChoice {
  /** A run, the folder of an adapter or of a feature model, or a Hub id. */
  folder: string
  task?: TaskType
  settings?: Record<string, unknown>
}

/** Options of a query. */
export interface QueryOptions {
  /** Tokens per batch, padding included. */
  batchTokens?: number
  signal?: AbortSignal | undefined
}

/** A query: the fields of the task, such as `text`, or `question` and `context`, with `id` and `specialist`. */
export interface SpecialistQuery {
  id?: string
  /** Name of the specialist (default: every specialist that takes the fields). */
  specialist?: string
  [field: string]: unknown
}

/** The answer of one specialist. */
export interface SpecialistAnswer extends TaskPrediction {
  specialist: string
}

/** The answer to a query that no specialist can take. */
export interface QueryError {
  id: string
  error: string
}

interface Specialist {
  name: string
  task: TaskDefinition
  config: object
  attached: AttachedSpecialist
  tokenizer: Tokenizer
  maxLength: number
}

/** The task that a model was fine-tuned on, from its files or from its run; undefined for a pretrained model. */
export const fineTunedTask = async (folder: string, path: string): Promise<SpecialistTask | undefined> => {
  const written = await readTask(path)
  if (written?.maxLength !== undefined || !(await exists(join(folder, runFiles.recipe)))) return written
  const recipe = (await readRunRecipe(folder)) as Partial<FinetuneRecipe>
  if (recipe.task === undefined) return written
  const { maxLength } = recipe
  const length = maxLength === undefined ? {} : { maxLength }
  if (written !== undefined) return { ...written, ...length }
  const { task, config } = taskOf(recipe as FinetuneRecipe)
  return { task: task.type, settings: config as SpecialistTask['settings'], ...length }
}

/** A base with its specialists. Queries run one after another. */
export class Specialists {
  readonly #base: SharedBase
  readonly #tokenizer: Tokenizer
  readonly #all = new Map<string, Specialist>()
  readonly #note: (line: string) => void
  /** One specialist is active at a time, so a query waits for those before it. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(base: Model, folder: string, tokenizer: Tokenizer, note: (line: string) => void) {
    this.#base = { model: base, folder }
    this.#tokenizer = tokenizer
    this.#note = note
  }

  /** Names of the specialists. */
  get names(): string[] {
    return [...this.#all.keys()]
  }

  /** The task of a specialist. */
  taskOf(name: string): string {
    return this.#get(name).task.type
  }

  /** The labels of a specialist's head; empty for a head without labels. */
  labelsOf(name: string): readonly string[] {
    return this.#get(name).attached.model.headOptions.labels
  }

  /**
   * Adds a specialist.
   * @throws CheckpointError for files that do not fit the base; ConfigError for a model with a base of its own, or without a task
   */
  add(name: string, choice: string | SpecialistChoice): Promise<void> {
    return this.#inTurn(() => this.#add(name, typeof choice === 'string' ? { folder: choice } : choice))
  }

  async #add(name: string, { folder, ...given }: SpecialistChoice): Promise<void> {
    if (this.#all.has(name))
      throw new ConfigError(
        `Expected an unused name for a specialist, got "${name}". Remove that one, or choose another name.`,
      )
    const path = await resolveModel(folder)
    const kind = await specialistKindOf(path)
    if (kind === undefined)
      throw new ConfigError(
        `Expected a specialist that leaves its base unchanged for ${name}, got ${folder}, a whole model. Fine-tune with another variant, such as lora or feature-based.`,
      )
    const saved = given.task === undefined ? await fineTunedTask(folder, path) : undefined
    const type = given.task ?? saved?.task
    if (type === undefined || !Object.hasOwn(tasks, type))
      throw new ConfigError(
        `Expected the task of the specialist ${name}, one of ${Object.keys(tasks).join(', ')}, got ${type ?? 'none in its files'}. Name it beside the folder.`,
      )
    const task = findTask(type)
    const config = taskConfig(task, { ...saved?.settings, ...given.settings })
    const attached = await kind.open(path, this.#base, name, this.#note)
    const { model, virtualTokens } = attached
    try {
      if (![task.head].flat().includes(model.headType))
        throw new ConfigError(
          `Expected a head of ${[task.head].flat().join(' or ')} for the task ${type} of the specialist ${name}, got ${model.headType}.`,
        )
      const own = await exists(join(path, 'tokenizer.json'))
      const tokenizer = own ? await loadTokenizer(path) : this.#tokenizer
      const known = type === saved?.task ? saved.maxLength : undefined
      const maxLength = known ?? model.headOptions.maxTokens ?? taskMaxLength(model, tokenizer, task) - virtualTokens
      model.eval()
      this.#all.set(name, { name, task, config, attached, tokenizer, maxLength })
    } catch (error) {
      for (const tensor of attached.detach()) tensor.free()
      throw error
    }
  }

  /** Removes a specialist and frees the tensors that it alone uses. */
  remove(name: string): Promise<void> {
    return this.#inTurn(async () => {
      const { attached } = this.#get(name)
      this.#all.delete(name)
      for (const tensor of attached.detach()) tensor.free()
    })
  }

  /** Predictions of one specialist, in the order of the queries. @throws ConfigError that names a missing field */
  query(name: string, queries: readonly SpecialistQuery[], options: QueryOptions = {}): Promise<PredictionResult> {
    return this.#inTurn(() => this.#query(this.#get(name), queries, options))
  }

  async #query(
    specialist: Specialist,
    queries: readonly SpecialistQuery[],
    options: QueryOptions,
  ): Promise<PredictionResult> {
    const { attached, task, config, tokenizer, maxLength } = specialist
    const records = queries.map(({ id, specialist: _, ...fields }, i) =>
      task.recordFromInput(fields, id ?? String(i), config),
    )
    return predictTask(attached.activate(), tokenizer, task, records, config, { maxLength, ...options })
  }

  /**
   * Answers of each query's specialist, or of all that take its fields, in the order of the queries. Queries to one specialist run in one
   * batch.
   * @throws DataError with the number of a query that no specialist can take
   */
  async queryAll(queries: readonly SpecialistQuery[], options: QueryOptions = {}): Promise<SpecialistAnswer[]> {
    const answers = await this.tryAll(queries, options, (message, i) => {
      const { specialist = 'all specialists' } = queries[i]
      throw new DataError(`Query ${i + 1} to ${specialist}: ${message}`)
    })
    return answers as SpecialistAnswer[]
  }

  /** As `queryAll`, but a query that no specialist can take gets an answer with its error. */
  tryAll(
    queries: readonly SpecialistQuery[],
    options: QueryOptions = {},
    onError?: (message: string, i: number) => void,
  ): Promise<(SpecialistAnswer | QueryError)[]> {
    return this.#inTurn(async () => {
      const bySpecialist = new Map<string, { query: SpecialistQuery; at: number }[]>()
      const answers: (SpecialistAnswer | QueryError)[][] = queries.map(() => [])
      queries.forEach((query, i) => {
        const id = query.id ?? String(i)
        const found = this.#specialistsFor(query)
        if ('error' in found) {
          onError?.(found.error, i)
          answers[i].push({ id, error: found.error })
        } else
          for (const name of found.names)
            bySpecialist.set(name, [...(bySpecialist.get(name) ?? []), { query: { ...query, id }, at: i }])
      })
      for (const [name, list] of bySpecialist) {
        const own = list.map(({ query }) => query)
        const { predictions } = await this.#query(this.#get(name), own, options)
        predictions.forEach(({ id, ...prediction }, i) => {
          answers[list[i].at].push({ id, specialist: name, ...prediction })
        })
      }
      return answers.flat()
    })
  }

  /** Names of the specialists that take a query, or why none does. */
  #specialistsFor({ specialist, id: _, ...fields }: SpecialistQuery): { names: string[] } | { error: string } {
    const errorOf = (name: string): string | undefined => {
      try {
        const { task, config } = this.#get(name)
        task.recordFromInput(fields, '0', config)
        return undefined
      } catch (error) {
        if (error instanceof ConfigError) return error.message
        throw error
      }
    }
    const candidates = specialist === undefined ? this.names : [specialist]
    const errors = candidates.map(errorOf)
    const names = candidates.filter((_, i) => errors[i] === undefined)
    return names.length > 0 ? { names } : { error: errors[0] ?? 'There is no specialist.' }
  }

  /** Bytes of the base, and those that each specialist adds. */
  memory(): { base: number; specialists: Record<string, number> } {
    const bank = adaptersOf(this.#base.model)
    const active = bank.active
    bank.activate(undefined)
    try {
      const base = this.#base.model.parameters()
      const shared = new Set(base.values())
      const partsOf = ({ attached }: Specialist) => {
        const own = new Set(attached.tensors())
        return totalBytes([...own].filter((tensor) => !shared.has(tensor)))
      }
      return {
        base: totalBytes(base.values()),
        specialists: Object.fromEntries([...this.#all.values()].map((one) => [one.name, partsOf(one)])),
      }
    } finally {
      bank.activate(active)
    }
  }

  /** Frees base and specialists. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      const { model } = this.#base
      adaptersOf(model).activate(undefined)
      for (const { attached } of this.#all.values()) freeTensors(attached.tensors())
      freeWeights(model)
      this.#all.clear()
    })
  }

  #get(name: string): Specialist {
    const found = this.#all.get(name)
    if (found !== undefined) return found
    throw new ConfigError(
      `Expected the name of a specialist (${this.names.join(', ') || 'there is none'}), got "${name}".${didYouMean(name, this.names)}`,
    )
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const mine = this.#turn.then(work, work)
    this.#turn = mine.catch(() => {})
    return mine
  }
}

/**
 * Opens a base with specialists by name.
 * @throws CheckpointError for files that do not fit the base
 */
export const openSpecialists = async (
  base: string,
  choices: Readonly<Record<string, string | SpecialistChoice>>,
  { onNote = () => {}, ...options }: LoadModelOptions & { onNote?(line: string): void } = {},
): Promise<Specialists> => {
  const opened = await loadModelWithReport(base, options)
  for (const line of describeModelLoad(opened.report)) onNote(line)
  const model = opened.model.eval()
  model.requireGrad(false)
  const tokenizer = await loadTokenizer(base, { revision: options.revision })
  await expectTokenizerOf(opened.folder, tokenizer, model.facts.vocabSize)
  const specialists = new Specialists(model, opened.folder ?? base, tokenizer, onNote)
  for (const [name, choice] of Object.entries(choices)) await specialists.add(name, choice)
  return specialists
}
