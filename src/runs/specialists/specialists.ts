// One base, many specialists: any number of them over one body in memory, asked by name. What is held is the base once and of each
// specialist its own small parts. Knows no task and no variant.

import { join } from 'node:path'
import { adaptersOf } from '../../adapters/index.ts'
import {
  describeModelLoad,
  type LoadModelOptions,
  loadModelWithReport,
  loadTokenizer,
  resolveModel,
} from '../../checkpoint/index.ts'
import { ConfigError, DataError, didYouMean, exists } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import {
  type PredictionResult,
  predictTask,
  type TaskDefinition,
  type TaskPrediction,
  type TaskType,
  taskConfig,
  taskMaxLength,
  tasks,
} from '../../tasks/index.ts'
import { dtypeFacts, type Tensor } from '../../tensor/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { runFiles } from '../../tracking/index.ts'
import { type FinetuneRecipe, taskOf } from '../finetune/recipe.ts'
import { readTask, type SpecialistTask } from '../finetune/specialist-files.ts'
import { readRunRecipe } from '../run-recipe.ts'
import { type AttachedSpecialist, type SharedBase, specialistWays } from './attach.ts'

/** A specialist's files, and its task where they do not say it, as those of others do not. */
export interface SpecialistChoice {
  /** A run, the folder of an adapter or of what was learnt from features, or a Hub id. */
  folder: string
  task?: TaskType
  settings?: Record<string, unknown>
}

export interface AskOptions {
  /** Tokens in a batch, padding included. */
  batchTokens?: number
  signal?: AbortSignal
}

/** What is asked: the task's own fields, such as `text`, or `question` and `context`; `id` and `specialist` beside them. */
export interface SpecialistQuery {
  id?: string
  /** Whom it is for; everybody who can take its fields, unless given. */
  specialist?: string
  [field: string]: unknown
}

export interface SpecialistAnswer extends TaskPrediction {
  specialist: string
}

interface Specialist {
  name: string
  task: TaskDefinition
  config: object
  standing: AttachedSpecialist
  tokenizer: Tokenizer
  maxLength: number
}

const bytesOf = (tensors: Iterable<Tensor>): number =>
  [...tensors].reduce((sum, { size, dtype }) => sum + size * dtypeFacts(dtype).bytes, 0)

/** What a specialist was taught: as its files say it, or as the run does that made it; undefined for a model of pretraining. */
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

export class Specialists {
  readonly #base: SharedBase
  readonly #tokenizer: Tokenizer
  readonly #all = new Map<string, Specialist>()
  readonly #note: (line: string) => void
  /** One is active at a time: who asks waits for those before. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(base: Model, folder: string, tokenizer: Tokenizer, note: (line: string) => void) {
    this.#base = { model: base, folder }
    this.#tokenizer = tokenizer
    this.#note = note
  }

  get names(): string[] {
    return [...this.#all.keys()]
  }

  /** The task that a specialist was taught. */
  taskOf(name: string): string {
    return this.#get(name).task.type
  }

  /** The labels of a specialist's head, where it has some. */
  labelsOf(name: string): readonly string[] {
    return this.#get(name).standing.model.headOptions.labels
  }

  /**
   * Loads one more.
   * @throws CheckpointError for files that do not fit the base; ConfigError for a model of its own, or one whose task nobody says
   */
  add(name: string, choice: string | SpecialistChoice): Promise<void> {
    return this.#inTurn(() => this.#add(name, typeof choice === 'string' ? { folder: choice } : choice))
  }

  async #add(name: string, { folder, ...given }: SpecialistChoice): Promise<void> {
    if (this.#all.has(name))
      throw new ConfigError(
        `Expected a name that no specialist has yet, got "${name}". Remove that one, or choose another.`,
      )
    const path = await resolveModel(folder)
    const held = await Promise.all(specialistWays.map((way) => way.holds(path)))
    const way = specialistWays[held.indexOf(true)]
    if (way === undefined)
      throw new ConfigError(
        `Expected a specialist that stands on its base for ${name}, got ${folder}, a model of its own. Train a variant that leaves the base as it is, such as lora or feature-based.`,
      )
    const taught = given.task === undefined ? await fineTunedTask(folder, path) : undefined
    const type = given.task ?? taught?.task
    if (type === undefined || !Object.hasOwn(tasks, type))
      throw new ConfigError(
        `Expected the task of the specialist ${name}, one of ${Object.keys(tasks).join(', ')}, got ${type ?? 'none in its files'}. Say it beside the folder.`,
      )
    const task = tasks[type as TaskType] as unknown as TaskDefinition
    const config = taskConfig(task, { ...taught?.settings, ...given.settings })
    const standing = await way.open(path, this.#base, name, this.#note)
    const { model, virtualTokens } = standing
    try {
      if (![task.head].flat().includes(model.headType))
        throw new ConfigError(
          `Expected a head of ${[task.head].flat().join(' or ')} for the task ${type} of the specialist ${name}, got ${model.headType}.`,
        )
      const own = await exists(join(path, 'tokenizer.json'))
      const tokenizer = own ? await loadTokenizer(path) : this.#tokenizer
      const known = type === taught?.task ? taught.maxLength : undefined
      const maxLength = known ?? model.headOptions.maxTokens ?? taskMaxLength(model, tokenizer, task) - virtualTokens
      model.eval()
      this.#all.set(name, { name, task, config, standing, tokenizer, maxLength })
    } catch (error) {
      for (const tensor of standing.leave()) tensor.free()
      throw error
    }
  }

  /** Forgets one, and frees what it alone held. */
  remove(name: string): Promise<void> {
    return this.#inTurn(async () => {
      const { standing } = this.#get(name)
      this.#all.delete(name)
      for (const tensor of standing.leave()) tensor.free()
    })
  }

  /** What one specialist says of each, in their order. @throws ConfigError that says which field is missing */
  ask(name: string, asked: readonly SpecialistQuery[], options: AskOptions = {}): Promise<PredictionResult> {
    return this.#inTurn(() => this.#ask(this.#get(name), asked, options))
  }

  async #ask(
    specialist: Specialist,
    asked: readonly SpecialistQuery[],
    options: AskOptions,
  ): Promise<PredictionResult> {
    const { standing, task, config, tokenizer, maxLength } = specialist
    const records = asked.map(({ id, specialist: _, ...fields }, i) =>
      task.recordFromInput(fields, id ?? String(i), config),
    )
    return predictTask(standing.enter(), tokenizer, task, records, config, { maxLength, ...options })
  }

  /**
   * What each question's specialist says, or all that can take its fields, in the order of the questions. Questions to one specialist go
   * through it together.
   * @throws DataError with the number of a question that nobody can take
   */
  askAll(questions: readonly SpecialistQuery[], options: AskOptions = {}): Promise<SpecialistAnswer[]> {
    return this.#inTurn(async () => {
      const bySpecialist = new Map<string, { question: SpecialistQuery; at: number }[]>()
      questions.forEach((question, i) => {
        const takers = this.#takers(question, i)
        takers.forEach((name) => {
          const list = bySpecialist.get(name) ?? []
          list.push({ question: { ...question, id: question.id ?? String(i) }, at: i })
          bySpecialist.set(name, list)
        })
      })
      const answers: SpecialistAnswer[][] = questions.map(() => [])
      for (const [name, list] of bySpecialist) {
        const own = list.map(({ question }) => question)
        const { predictions } = await this.#ask(this.#get(name), own, options)
        predictions.forEach(({ id, ...said }, i) => {
          answers[list[i].at].push({ id, specialist: name, ...said })
        })
      }
      return answers.flat()
    })
  }

  #takers(question: SpecialistQuery, i: number): string[] {
    const { specialist, id: _, ...fields } = question
    const faultOf = (name: string): string | undefined => {
      const { task, config } = this.#get(name)
      try {
        task.recordFromInput(fields, '0', config)
        return undefined
      } catch (error) {
        if (error instanceof ConfigError) return error.message
        throw error
      }
    }
    const names = specialist === undefined ? this.names : [specialist]
    const faults = names.map(faultOf)
    const takers = names.filter((_, k) => faults[k] === undefined)
    if (takers.length > 0) return takers
    throw new DataError(`Question ${i + 1} of ${specialist ?? 'everybody'}: ${faults[0] ?? 'there is no specialist.'}`)
  }

  /** Bytes of the base, and of what each specialist adds to it. */
  memory(): { base: number; specialists: Record<string, number> } {
    const bank = adaptersOf(this.#base.model)
    const active = bank.active
    bank.activate(undefined)
    try {
      const base = this.#base.model.parameters()
      const shared = new Set(base.values())
      const partsOf = ({ standing }: Specialist) => {
        const own = new Set(standing.tensors())
        return bytesOf([...own].filter((tensor) => !shared.has(tensor)))
      }
      return {
        base: bytesOf(base.values()),
        specialists: Object.fromEntries([...this.#all.values()].map((one) => [one.name, partsOf(one)])),
      }
    } finally {
      bank.activate(active)
    }
  }

  /** Frees all of it. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      const { model } = this.#base
      adaptersOf(model).activate(undefined)
      const held = new Set<Tensor>(model.parameters().values())
      for (const { standing } of this.#all.values()) for (const tensor of standing.tensors()) held.add(tensor)
      this.#all.clear()
      for (const tensor of held) tensor.free()
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
 * Opens a base with its specialists, by name.
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
  const specialists = new Specialists(model, opened.folder ?? base, tokenizer, onNote)
  for (const [name, choice] of Object.entries(choices)) await specialists.add(name, choice)
  return specialists
}
