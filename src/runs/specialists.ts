// One base, many specialists: adapters and heads of any number over one body in memory, asked by name. What is held is the base once and
// of each specialist its own small parts. Knows no task and no variant.
import { readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { adaptersOf, isAdapterFolder, openAdapter } from '../adapters/index.ts'
import { describeOpening, loadTokenizer, type OpenOptions, openModel, resolveModel } from '../checkpoint/index.ts'
import { CheckpointError, ConfigError, DataError, didYouMean } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import {
  type PredictionResult,
  predictTask,
  type TaskDefinition,
  type TaskPrediction,
  type TaskType,
  taskConfig,
  taskLength,
  tasks,
} from '../tasks/index.ts'
import { dtypeFacts, type Tensor } from '../tensor/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import { RUN_FILE, readRecipe } from './execute.ts'
import { type FinetuneRecipe, taskOf } from './finetune-recipe.ts'
import { exists } from './run-folder.ts'
import { readTask, type SpecialistTask } from './specialist-files.ts'

/** A specialist's files, and its task where they do not say it, as those of others do not. */
export interface SpecialistChoice {
  /** A run, the folder of an adapter, or a Hub id. */
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
export interface Question {
  id?: string
  /** Whom it is for; everybody who can take its fields, unless given. */
  specialist?: string
  [field: string]: unknown
}

export interface Answer extends TaskPrediction {
  specialist: string
}

interface Specialist {
  name: string
  task: TaskDefinition
  config: object
  model: Model
  tokenizer: Tokenizer
  maxLength: number
}

const bytesOf = (tensors: Iterable<Tensor>): number =>
  [...tensors].reduce((sum, { size, dtype }) => sum + size * dtypeFacts(dtype).bytes, 0)

/** What a specialist was taught: as its files say it, or as the run does that made it; undefined for a model of pretraining. */
export const taughtTask = async (folder: string, path: string): Promise<SpecialistTask | undefined> => {
  const written = await readTask(path)
  if (written?.maxLength !== undefined || !(await exists(join(folder, RUN_FILE)))) return written
  const recipe = (await readRecipe(folder)) as Partial<FinetuneRecipe>
  if (recipe.task === undefined) return written
  const { maxLength } = recipe
  const length = maxLength === undefined ? {} : { maxLength }
  if (written !== undefined) return { ...written, ...length }
  const { task, config } = taskOf(recipe as FinetuneRecipe)
  return { task: task.type, settings: config as SpecialistTask['settings'], ...length }
}

/**
 * The adapter's own head stands in its model for good. A head that was drawn at random only to be replaced would be held for nothing;
 * a base's own head stays, since others use it.
 */
const settleHead = (model: Model, base: Model, copies: ReadonlyMap<string, Tensor>): void => {
  if (model === base) return
  const shared = new Set(base.parameters().values())
  const parameters = model.parameters()
  for (const [path, copy] of copies) {
    const drawn = parameters.get(path)
    if (!path.startsWith('head.') || drawn === undefined || drawn === copy || shared.has(drawn)) continue
    for (const [, module] of model.head.modules())
      for (const [name, value] of Object.entries(module))
        if (value === drawn) (module as unknown as Record<string, unknown>)[name] = copy
    drawn.free()
  }
}

export class Specialists {
  readonly #base: Model
  readonly #folder: string
  readonly #tokenizer: Tokenizer
  readonly #all = new Map<string, Specialist>()
  readonly #note: (line: string) => void
  /** One is active at a time: who asks waits for those before. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(base: Model, folder: string, tokenizer: Tokenizer, note: (line: string) => void) {
    this.#base = base
    this.#folder = folder
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
    return this.#get(name).model.headOptions.labels
  }

  /**
   * Loads one more.
   * @throws CheckpointError for files that do not fit the base; ConfigError for a model of its own, or one whose task nobody says
   */
  add(name: string, choice: string | SpecialistChoice): Promise<void> {
    return this.#inTurn(() => this.#add(name, typeof choice === 'string' ? { folder: choice } : choice))
  }

  async #add(name: string, { folder, ...given }: SpecialistChoice): Promise<void> {
    const path = await resolveModel(folder)
    if (!(await isAdapterFolder(path)))
      throw new ConfigError(
        `Expected the folder of an adapter for the specialist ${name}, got ${folder}, a model of its own. Train a variant that leaves the base as it is, such as lora.`,
      )
    const taught = given.task === undefined ? await taughtTask(folder, path) : undefined
    const type = given.task ?? taught?.task
    if (type === undefined || !Object.hasOwn(tasks, type))
      throw new ConfigError(
        `Expected the task of the specialist ${name}, one of ${Object.keys(tasks).join(', ')}, got ${type ?? 'none in its files'}. Say it beside the folder.`,
      )
    const task = tasks[type as TaskType] as unknown as TaskDefinition
    const config = taskConfig(task, { ...taught?.settings, ...given.settings })
    await this.#noteOtherBase(name, path)
    const bank = adaptersOf(this.#base)
    const { model, applied } = await openAdapter(path, { base: this.#base, name })
    bank.use(undefined)
    try {
      if (![task.head].flat().includes(model.headType))
        throw new ConfigError(
          `Expected a head of ${[task.head].flat().join(' or ')} for the task ${type} of the specialist ${name}, got ${model.headType}.`,
        )
      settleHead(model, this.#base, bank.get(name).copies)
      const own = await exists(join(path, 'tokenizer.json'))
      const tokenizer = own ? await loadTokenizer(path) : this.#tokenizer
      const known = type === taught?.task ? taught.maxLength : undefined
      const maxLength = known ?? taskLength(model, tokenizer, task) - applied.virtualTokens
      this.#all.set(name, { name, task, config, model: model.eval(), tokenizer, maxLength })
    } catch (error) {
      bank.remove(name)
      throw error
    }
  }

  /** Forgets one, and frees what it alone held. */
  remove(name: string): Promise<void> {
    return this.#inTurn(async () => {
      const { model } = this.#get(name)
      const bank = adaptersOf(this.#base)
      const own = bank.tensorsOf(name)
      bank.remove(name)
      this.#all.delete(name)
      const kept = new Set(this.#base.parameters().values())
      const held = new Set([...own.values(), ...(model === this.#base ? [] : model.head.parameters().values())])
      for (const tensor of held) if (!kept.has(tensor)) tensor.free()
    })
  }

  /** What one specialist says of each, in their order. @throws ConfigError that says which field is missing */
  ask(name: string, asked: readonly Question[], options: AskOptions = {}): Promise<PredictionResult> {
    return this.#inTurn(() => this.#ask(this.#get(name), asked, options))
  }

  async #ask(specialist: Specialist, asked: readonly Question[], options: AskOptions): Promise<PredictionResult> {
    const { name, task, config, tokenizer, maxLength } = specialist
    const records = asked.map(({ id, specialist: _, ...fields }, i) => task.ask(fields, id ?? String(i), config))
    const bank = adaptersOf(this.#base)
    return predictTask(bank.use(name), tokenizer, task, records, config, { maxLength, ...options })
  }

  /**
   * What each question's specialist says, or all that can take its fields, in the order of the questions. Questions to one specialist go
   * through it together.
   * @throws DataError with the number of a question that nobody can take
   */
  askAll(questions: readonly Question[], options: AskOptions = {}): Promise<Answer[]> {
    return this.#inTurn(async () => {
      const bySpecialist = new Map<string, { question: Question; at: number }[]>()
      questions.forEach((question, i) => {
        const takers = this.#takers(question, i)
        takers.forEach((name) => {
          const list = bySpecialist.get(name) ?? []
          list.push({ question: { ...question, id: question.id ?? String(i) }, at: i })
          bySpecialist.set(name, list)
        })
      })
      const answers: Answer[][] = questions.map(() => [])
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

  #takers(question: Question, i: number): string[] {
    const { specialist, id: _, ...fields } = question
    const faultOf = (name: string): string | undefined => {
      const { task, config } = this.#get(name)
      try {
        task.ask(fields, '0', config)
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
    const bank = adaptersOf(this.#base)
    const active = bank.active
    bank.use(undefined)
    try {
      const base = this.#base.parameters()
      const shared = new Set(base.values())
      const partsOf = ({ name, model }: Specialist) => {
        const own = new Set([...bank.tensorsOf(name).values(), ...model.parameters().values()])
        return bytesOf([...own].filter((tensor) => !shared.has(tensor)))
      }
      return {
        base: bytesOf(base.values()),
        specialists: Object.fromEntries([...this.#all.values()].map((one) => [one.name, partsOf(one)])),
      }
    } finally {
      bank.use(active)
    }
  }

  /** Frees all of it. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      adaptersOf(this.#base).use(undefined)
      const bank = adaptersOf(this.#base)
      const held = new Set<Tensor>(this.#base.parameters().values())
      for (const { name, model } of this.#all.values())
        for (const tensor of [...bank.tensorsOf(name).values(), ...model.parameters().values()]) held.add(tensor)
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

  /** An adapter means something on its own base only; shapes alone do not tell. */
  async #noteOtherBase(name: string, path: string): Promise<void> {
    const file = join(path, 'adapter_config.json')
    let named: unknown
    try {
      named = (JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>).base_model_name_or_path
    } catch (error) {
      throw new CheckpointError(`${file}: Expected JSON, got ${(error as Error).message}.`)
    }
    if (typeof named !== 'string') return
    const real = (folder: string) => realpath(folder).catch(() => folder)
    if ((await real(named)) !== (await real(this.#folder)))
      this.#note(
        `${name} was trained on ${named}; it is asked on ${this.#folder}. Its answers mean nothing on another base.`,
      )
  }
}

/**
 * Opens a base with its specialists, by name.
 * @throws CheckpointError for files that do not fit the base
 */
export const openSpecialists = async (
  base: string,
  choices: Readonly<Record<string, string | SpecialistChoice>>,
  { onNote = () => {}, ...options }: OpenOptions & { onNote?(line: string): void } = {},
): Promise<Specialists> => {
  const opened = await openModel(base, options)
  for (const line of describeOpening(opened.report)) onNote(line)
  const model = opened.model.eval()
  model.requireGrad(false)
  const tokenizer = await loadTokenizer(base, { revision: options.revision })
  const specialists = new Specialists(model, opened.folder ?? base, tokenizer, onNote)
  for (const [name, choice] of Object.entries(choices)) await specialists.add(name, choice)
  return specialists
}
