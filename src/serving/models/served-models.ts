// The models that requests name: a base, specialists that share it in memory, and whole models beside it. One is loaded,
// replaced or removed while others answer: a request keeps the version that it began with.
import { basename, resolve } from 'node:path'
import { adaptersOf } from '../../adapters/index.ts'
import { loadTokenizer, type ModelTokenizer, resolveModel, type WeightForm } from '../../checkpoint/index.ts'
import { ConfigError, didYouMean, exists } from '../../core/index.ts'
import type { GenerationOptions, SpeculationOptions } from '../../generation/index.ts'
import {
  generationDefaults,
  hasTokenizer,
  type InferenceModel,
  type LoadHooks,
  loadToOpen,
  type OpenedSpeculation,
  openSpeculation,
  type SpeculationSettings,
  TextModel,
} from '../../inference/index.ts'
import { contextLength, type Model } from '../../models/index.ts'
import {
  type AttachedSpecialist,
  findRunModel,
  parseRunReference,
  type SpecialistKind,
  specialistKindOf,
} from '../../runs/index.ts'
import { fitTemplate } from '../../tokenizers/index.ts'
import { ApiError } from '../http/errors.ts'
import { LiveRun } from '../live/live-run.ts'
import { Engine, type EngineOptions } from './engine.ts'

/** Which models are served. */
export interface ModelSettings {
  /**
   * The base: a folder, a run, a model of a run (`run:FOLDER@STEP`), an adapter, a .gguf file or a Hub id; or `run:FOLDER@live`, the
   * weights of a run in training, in whose memory there can be no specialists.
   */
  model: string
  /** Task of a model of several, as `multitask` makes it. */
  task?: string
  revision?: string
  device?: string
  dtype?: 'float32' | 'bfloat16'
  /** Form of the base's quantised matrices; see `open`. */
  weights?: WeightForm
  /** Name of the base in requests (default: its folder's name, or the Hub id). */
  name?: string
  /**
   * Specialists by name: runs, models of runs (`run:FOLDER@STEP`, `run:FOLDER` for the newest, or `run:FOLDER@live` for weights in
   * training), adapters, feature-based specialists, or whole models in memory of their own.
   */
  specialists?: Readonly<Record<string, string>>
  /** Chat template for models without one: a preset's name or Jinja source. */
  template?: string
  /** Maximum tokens of a prompt with its completion (default: the context length of the model). */
  context?: number
  /** Speculative decoding; a draft model proposes for the base and its adapters (default: none). */
  speculation?: SpeculationSettings
}

/** Tokens of a prompt with its completion, for models whose files name no limit. */
const defaultContext = 8192

/** A version of a model that requests name. */
export interface ServedModel {
  readonly name: string
  /** What it was loaded from. */
  readonly source: string
  /** Seconds since 1970. */
  readonly created: number
  /** Name of the base in whose memory it is. */
  readonly parent: string | undefined
  readonly engine: Engine
  /** Its adapter in the engine; null for none, and undefined for whatever is active. */
  readonly adapter: string | null | undefined
  /** Its methods, which need `activate` first. */
  readonly text: TextModel
  readonly tokenizer: ModelTokenizer
  /** Chat template, fitted to the tokenizer. */
  readonly template: string | undefined
  readonly context: number
  /** Generation settings of its files. */
  readonly defaults: GenerationOptions
  /** Puts its adapter on the base. */
  activate(): void
}

/** Files of a specialist, as they were named and as they were found. */
interface SpecialistFiles {
  folder: string
  path: string
}

interface Entry {
  served: ServedModel
  /** Requests that use it. */
  users: number
  /** No new request gets it. */
  retired: boolean
  free(): void
}

const isName = (name: string): boolean => /^[A-Za-z0-9][\w.:-]{0,127}$/.test(name) && !name.includes('..')

/** @throws ConfigError for a name that no request could have, or that is a path */
const checkName = (name: string, where: string): string => {
  if (isName(name)) return name
  throw new ConfigError(
    `Expected a name of letters, digits, _, -, . and : for \`${where}\`, got ${JSON.stringify(name.slice(0, 80))}. Choose another name.`,
  )
}

/** The folder that a reference to a model of a run names; other names stay as they are. */
const folderOf = async (model: string): Promise<string> =>
  parseRunReference(model) === undefined ? model : (await findRunModel(model)).path

/** Folder names may have other characters than names of models. */
const baseNameOf = async ({ model, name }: ModelSettings): Promise<string> => {
  if (name !== undefined) return checkName(name, 'name')
  const folder = parseRunReference(model)?.folder ?? model
  if (folder === model && !(await exists(model))) return model
  return basename(resolve(folder)).replace(/[^\w.-]+/g, '-')
}

const contextOf = (model: Model, requested: number | undefined): number => {
  const { maxPositions } = model.facts
  if (requested !== undefined && maxPositions !== undefined && requested > maxPositions)
    throw new ConfigError(
      `Expected at most ${maxPositions} for \`context\`, the number of positions of the model, got ${requested}.`,
    )
  return requested ?? contextLength(model) ?? defaultContext
}

/** @throws ConfigError for settings of weights in memory, where another process has them */
const expectNoSettings = ({ model, task, revision, speculation = {} }: ModelSettings): void => {
  const { promptLookup, draftModel } = speculation
  const given = Object.entries({ task, revision, speculation: promptLookup === true || draftModel || undefined })
  const useless = given.find(([, value]) => value !== undefined)?.[0]
  if (useless !== undefined)
    throw new ConfigError(
      `\`${useless}\` has no effect on ${model}, which another process computes. Remove it, or choose a checkpoint of the run.`,
    )
}

/** All models of a server. */
export class ServedModels {
  readonly #settings: ModelSettings
  readonly #engineOptions: EngineOptions
  readonly #hooks: LoadHooks
  readonly #entries = new Map<string, Entry>()
  readonly #engines = new Set<Engine>()
  /** Runs whose weights in training are served, by name. */
  readonly #live = new Map<string, LiveRun>()
  #base: Entry | undefined
  #speculation: OpenedSpeculation | undefined
  #loads = 0
  /** Specialists that are being loaded into the memory of the base. */
  #attaching = 0
  #closed = false
  /** Its one model answers to every name. */
  #hasOneModel = false

  private constructor(settings: ModelSettings, engineOptions: EngineOptions, hooks: LoadHooks) {
    this.#settings = settings
    this.#engineOptions = engineOptions
    this.#hooks = hooks
  }

  /**
   * Loads the base and the specialists.
   * @throws CheckpointError for files that cannot be loaded or do not fit the base, ConfigError for names that are taken
   */
  static async open(
    settings: ModelSettings,
    engineOptions: EngineOptions,
    hooks: LoadHooks = {},
  ): Promise<ServedModels> {
    const models = new ServedModels(settings, engineOptions, hooks)
    try {
      const name = await baseNameOf(settings)
      if (LiveRun.isNamedBy(settings.model)) {
        expectNoSettings(settings)
        await models.#follow(name, settings.model)
      } else {
        models.#base = await models.#loadBase(name)
        models.#entries.set(name, models.#base)
      }
      for (const [specialist, folder] of Object.entries(settings.specialists ?? {})) {
        models.#expectFree(checkName(specialist, 'specialist'))
        if (LiveRun.isNamedBy(folder)) await models.#follow(specialist, folder)
        else await models.load(specialist, folder)
      }
    } catch (error) {
      models.close()
      throw error
    }
    return models
  }

  /** Serves one model that is in memory already. */
  static async around(
    loaded: InferenceModel,
    settings: ModelSettings & { name: string },
    engineOptions: EngineOptions,
  ): Promise<ServedModels> {
    const models = new ServedModels(settings, engineOptions, {})
    models.#base = await models.#serveWhole(settings.name, settings.model, loaded)
    models.#entries.set(settings.name, models.#base)
    models.#hasOneModel = true
    return models
  }

  /** The base; undefined where the model is that of a run in training. */
  get base(): ServedModel | undefined {
    return this.#base?.served
  }

  /** Names of all models, those in memory and those in training. */
  get names(): string[] {
    const [inMemory, inTraining] = [[...this.#entries.keys()], [...this.#live.keys()]]
    return this.#base === undefined ? [...inTraining, ...inMemory] : [...inMemory, ...inTraining]
  }

  /** The run in training that a name means. */
  live(name: string): LiveRun | undefined {
    return this.#live.get(name)
  }

  /** All models in memory, the base first. */
  get list(): ServedModel[] {
    return [...this.#entries.values()].map(({ served }) => served)
  }

  /** Every base in memory. */
  get engines(): Engine[] {
    return [...this.#engines]
  }

  /** @throws ApiError for an unknown name, with the nearest one */
  get(name: string): ServedModel {
    const { served } = this.#entry(name)
    return served.name === name ? served : { ...served, name }
  }

  /** A model for one request. Call `release` when the request has ended. @throws ApiError for an unknown name */
  acquire(name: string): { model: ServedModel; release(): void } {
    const entry = this.#entry(name)
    entry.users++
    let released = false
    return {
      model: this.get(name),
      release: () => {
        if (released) return
        released = true
        entry.users--
        this.#freeUnused(entry)
      },
    }
  }

  /**
   * Loads a specialist. One of the same name is replaced for new requests; those that run keep the old one.
   * @throws CheckpointError for files that do not fit the base, ApiError if the models are closed meanwhile
   */
  async load(name: string, model: string): Promise<ServedModel> {
    this.#expectFree(checkName(name, 'specialist'))
    const folder = await folderOf(model)
    const path = await resolveModel(folder, { onProgress: this.#hooks.onDownload })
    return this.#put(name, await this.#loadSpecialist(name, folder, path))
  }

  /**
   * Puts other weights in the place of the base, such as those of a newer checkpoint: new requests get them, and those that run keep the
   * old ones.
   * @throws ConfigError while specialists share the memory of the base, CheckpointError for files that cannot be loaded
   */
  async replaceBase(folder: string): Promise<ServedModel> {
    const { name } = this.#inMemory('A newer checkpoint')
    this.#expectBaseAlone()
    const entry = await this.#loadWhole(name, folder, {
      speculation: this.#speculation?.options,
      task: this.#settings.task,
    })
    try {
      this.#expectBaseAlone()
    } catch (error) {
      this.#retire(entry)
      throw error
    }
    const served = this.#put(name, entry)
    this.#base = entry
    return served
  }

  /** Gives a name to new weights, and retires those that had it. */
  #put(name: string, entry: Entry): ServedModel {
    if (this.#closed) {
      this.#retire(entry)
      throw new ApiError(503, `The server stopped while ${name} was loaded.`, { code: 'server_stopping' })
    }
    const before = this.#entries.get(name)
    this.#entries.set(name, entry)
    if (before !== undefined) this.#retire(before)
    return entry.served
  }

  /** @throws ConfigError for the name of the base, and of a run in training */
  #expectFree(name: string): void {
    if (name === this.#base?.served.name)
      throw new ConfigError(`Expected another name than that of the base for \`specialist\`, got "${name}".`)
    if (this.#live.has(name))
      throw new ConfigError(`Expected another name than that of a run in training for \`specialist\`, got "${name}".`)
  }

  /** Passes requests for a name on to a run in training. */
  async #follow(name: string, reference: string): Promise<void> {
    this.#live.set(name, await LiveRun.open(name, reference))
  }

  /** The base. @param what needs it @throws ConfigError where its weights are in another process */
  #inMemory(what: string): ServedModel {
    if (this.#base !== undefined) return this.#base.served
    throw new ConfigError(
      `${what} needs a base in memory, and not that of a run in training: choose another \`model\`.`,
    )
  }

  #expectBaseAlone(): void {
    const { name } = this.#inMemory('A newer checkpoint')
    if (this.#attaching === 0 && !this.list.some(({ parent }) => parent === name)) return
    throw new ConfigError(
      `The base ${name} cannot be replaced while specialists share its memory, since they were trained on its weights.`,
    )
  }

  /** Removes a specialist: no new request can name it. @throws ApiError for an unknown name, ConfigError for the base */
  remove(name: string): void {
    if (this.#live.has(name)) throw new ConfigError(`\`${name}\` is a run in training, and no adapter to remove.`)
    const entry = this.#entry(name)
    if (entry === this.#base) throw new ConfigError(`\`${name}\` is the base, which cannot be removed.`)
    this.#entries.delete(name)
    this.#retire(entry)
  }

  /** Frees all models. */
  close(): void {
    this.#closed = true
    for (const engine of this.#engines) engine.close()
    this.#engines.clear()
    this.#entries.clear()
    this.#speculation?.close()
    this.#speculation = undefined
  }

  async #loadSpecialist(name: string, folder: string, path: string): Promise<Entry> {
    const kind = await specialistKindOf(path)
    if (kind === undefined) {
      const { promptLookup, draftTokens } = this.#settings.speculation ?? {}
      // A draft model has the vocabulary of the base.
      return this.#loadWhole(name, folder, promptLookup ? { speculation: { maxDraftTokens: draftTokens } } : {})
    }
    this.#attaching++
    try {
      return await this.#loadAttached(name, { folder, path }, kind)
    } finally {
      this.#attaching--
    }
  }

  async #loadAttached(name: string, files: SpecialistFiles, kind: SpecialistKind): Promise<Entry> {
    const { engine } = this.#inMemory(`The adapter ${name}`)
    const { model } = engine.loaded
    // A name of its own for each version: nothing that one version computed is used for another.
    const adapter = `${name.replace(/[^\w-]/g, '-').replace(/^(?![A-Za-z])/, 'm')}-${++this.#loads}`
    const shared = { model, folder: engine.loaded.folder ?? '' }
    const attached = await engine.inTurn(() =>
      kind.open(files.path, shared, adapter, (line) => this.#hooks.onNote?.(line)),
    )
    const free = () => {
      for (const tensor of attached.detach()) tensor.free()
    }
    try {
      engine.prepareWeights()
      return { served: await this.#attach(name, files, attached, adapter), users: 0, retired: false, free }
    } catch (error) {
      await engine.inTurn(async () => free())
      throw error
    }
  }

  async #attach(
    name: string,
    { folder, path }: SpecialistFiles,
    attached: AttachedSpecialist,
    given: string,
  ): Promise<ServedModel> {
    const { engine, name: parent } = this.#inMemory(`The adapter ${name}`)
    const { tokenizer: shared, report } = engine.loaded
    const tokenizer = (await hasTokenizer(path)) ? await loadTokenizer(path) : shared
    const { model } = attached
    const adapter = adaptersOf(engine.loaded.model).names.includes(given) ? given : null
    return this.#describe(name, engine, adapter, new TextModel({ model, tokenizer, folder: path, report }), {
      parent,
      source: folder,
      template: tokenizer.chatTemplate ?? shared.chatTemplate,
      defaultsFolder: engine.loaded.folder,
      activate: () => void attached.activate(),
    })
  }

  async #loadBase(name: string): Promise<Entry> {
    const { model, task, revision, device, dtype, weights, speculation = {} } = this.#settings
    const source = await folderOf(model)
    const loaded = await loadToOpen(source, { task, revision, device, dtype, weights, ...this.#hooks })
    this.#speculation = await openSpeculation(loaded, speculation, { device, dtype, ...this.#hooks })
    return this.#serveWhole(name, source, loaded, this.#speculation?.options)
  }

  /** @param task as in `ModelSettings`, for the base */
  async #loadWhole(
    name: string,
    source: string,
    { speculation, task }: { speculation?: SpeculationOptions; task?: string },
  ): Promise<Entry> {
    const { device, dtype } = this.#settings
    const loaded = await loadToOpen(source, { task, device, dtype, ...this.#hooks })
    return this.#serveWhole(name, source, loaded, speculation)
  }

  async #serveWhole(
    name: string,
    source: string,
    loaded: InferenceModel,
    speculation?: SpeculationOptions,
  ): Promise<Entry> {
    const engine = new Engine(loaded, { ...this.#engineOptions, speculation })
    this.#engines.add(engine)
    engine.warmUp()
    const bank = adaptersOf(loaded.model)
    const free = () => {
      this.#engines.delete(engine)
      engine.close()
    }
    try {
      const served = await this.#describe(name, engine, engine.ownAdapter, new TextModel(loaded), {
        parent: undefined,
        source,
        template: loaded.tokenizer.chatTemplate,
        defaultsFolder: loaded.folder,
        activate: () => {
          if (engine.ownAdapter !== undefined) bank.activate(engine.ownAdapter ?? [])
        },
      })
      return { served, users: 0, retired: false, free }
    } catch (error) {
      await engine.inTurn(async () => free())
      throw error
    }
  }

  async #describe(
    name: string,
    engine: Engine,
    adapter: string | null | undefined,
    text: TextModel,
    more: { parent?: string; source: string; template?: string; defaultsFolder?: string; activate(): void },
  ): Promise<ServedModel> {
    const { model, tokenizer } = text
    const template = more.template ?? this.#settings.template
    return {
      name,
      created: Math.floor(Date.now() / 1000),
      source: more.source,
      parent: more.parent,
      engine,
      adapter,
      text,
      tokenizer,
      template: template === undefined ? undefined : fitTemplate(tokenizer, template),
      context: contextOf(model, this.#settings.context),
      defaults: await generationDefaults({ folder: more.defaultsFolder, model }),
      activate: more.activate,
    }
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name) ?? (this.#hasOneModel && isName(name) ? this.#base : undefined)
    if (entry !== undefined) return entry
    const { names } = this
    throw new ApiError(
      404,
      `The model ${JSON.stringify(name.slice(0, 80))} does not exist: choose one of ${names.join(', ')}.${didYouMean(name, names)}`,
      { param: 'model', code: 'model_not_found' },
    )
  }

  #retire(entry: Entry): void {
    entry.retired = true
    this.#freeUnused(entry)
  }

  #freeUnused(entry: Entry): void {
    if (!entry.retired || entry.users > 0) return
    const { engine } = entry.served
    // Work in the queue may have the adapter on the base now.
    void engine.inTurn(async () => entry.free())
  }
}
