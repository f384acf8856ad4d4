// All adapters of one body, in memory at once: which are active, and the parameters that stand in the model for them. Knows no
// method and reads no files.
import { ConfigError, didYouMean, parseConfig } from '../core/index.ts'
import { type Body, frozenIn, LanguageHead, type Model } from '../models/index.ts'
import { Linear, type Module } from '../nn/index.ts'
import { Generator, keep, noGrad, type Tensor } from '../tensor/index.ts'
import type { AdapterDefinition, AnyConfig, AttachContext, Attachment } from './adapter.ts'
import { type Draws, insertAdapter, LayerAdapter, removeAdapter, weightedSum } from './layer-adapter.ts'
import { TIED_PATH, tiedLayer } from './tied-head.ts'

// biome-ignore lint/suspicious/noExplicitAny: entries of the registry differ in their config
export type AnyAdapter = AdapterDefinition<any>

/** One adapter as the bank holds it. */
export interface BankEntry {
  name: string
  definition: AnyAdapter
  config: AnyConfig
  /** The model whose head goes with it; its body is the bank's. */
  model: Model
  attachment: Attachment
  /** Its own values of parameters of the model, by path. */
  copies: Map<string, Tensor>
  /** What made the attachment makes another like it. */
  plan(context: AttachContext): Attachment
}

interface Field {
  module: Record<string, unknown>
  name: string
}

interface Replaced {
  path: string
  fields: Field[]
  original: Tensor
  own: boolean
  /** What stood there is the body's table, whatever that is by then. */
  tied: boolean
}

interface InsertedParameters {
  entry: BankEntry
  merged: boolean
  /** What stood in the model before, to be put back. */
  replaced: Replaced[]
}

/** Notes the stream of each batch for the adapters' dropout, which layers do not hand on. */
class DrawsKeeper extends LayerAdapter<Body, Body['forward']> {
  readonly #draws: Draws

  constructor(draws: Draws) {
    super()
    this.#draws = draws
  }

  wrap(_: Body, next: Body['forward']): Body['forward'] {
    return (inputs) => {
      this.#draws.generator = inputs.generator
      return next(inputs)
    }
  }
}

const keeperName = ' draws'
const banks = new WeakMap<Body, AdapterBank>()

/** The adapters of a model's body; models with other heads over the same body share them. */
export const adaptersOf = (model: Model): AdapterBank => {
  const known = banks.get(model.body)
  if (known !== undefined) return known
  const made = new AdapterBank(model)
  banks.set(model.body, made)
  return made
}

const fieldsWith = (model: Model, tensor: Tensor): Field[] =>
  [...model.modules()].flatMap(([, module]) =>
    Object.entries(module).flatMap(([name, value]) =>
      value === tensor ? [{ module: module as unknown as Record<string, unknown>, name }] : [],
    ),
  )

/** The model's parameters, and the output matrix that is the table of embeddings, as if it were one. */
const placesOf = (model: Model): Map<string, { tensor: Tensor; fields(): Field[]; tied: boolean }> => {
  const places = new Map(
    [...model.parameters()].map(([path, tensor]) => [
      path,
      { tensor, fields: () => fieldsWith(model, tensor), tied: false },
    ]),
  )
  const layer = tiedLayer(model)
  if (layer === undefined) return places
  const module = layer as unknown as Record<string, unknown>
  return places.set(TIED_PATH, { tensor: layer.weight, fields: () => [{ module, name: 'weight' }], tied: true })
}

/** Paths of all that an adapter has something at. */
const pathsOf = ({ attachment, copies }: BankEntry): Set<string> =>
  new Set([...attachment.placements.map(({ path }) => path), ...copies.keys()])

const trainsHead = (model: Model, asked: boolean | undefined): boolean =>
  asked ?? !((model.head as Module) instanceof LanguageHead)

export class AdapterBank {
  readonly #base: Model
  readonly #entries = new Map<string, BankEntry>()
  readonly #draws: Draws = {}
  readonly #keeper = new DrawsKeeper(this.#draws)
  #standing: InsertedParameters[] = []

  constructor(base: Model) {
    this.#base = base
  }

  get names(): string[] {
    return [...this.#entries.keys()]
  }

  /** Names of the active ones, in the order they are applied in. */
  get active(): string[] {
    return this.#standing.map(({ entry }) => entry.name)
  }

  get(name: string): BankEntry {
    const entry = this.#entries.get(name)
    if (entry !== undefined) return entry
    throw new ConfigError(
      `Expected the name of an adapter of this model (${this.names.join(', ') || 'it has none'}), got "${name}".${didYouMean(name, this.names)}`,
    )
  }

  isMerged(name: string): boolean {
    return this.#standing.some(({ entry, merged }) => entry.name === name && merged)
  }

  /** Makes an adapter with fresh values; it is not active yet. */
  add(
    definition: AnyAdapter,
    given: object,
    options: {
      name: string
      seed: number
      model?: Model
      encode?: AttachContext['encode']
      plan?: (how: AttachContext) => Attachment
      trained?: boolean
      /** Parameters of the model that it has values of; as its config says unless given. */
      copied?: readonly string[]
    },
  ): BankEntry {
    const { name, model = this.#base } = options
    if (!/^[A-Za-z][\w-]*$/.test(name) || this.#entries.has(name))
      throw new ConfigError(
        `Expected a new name of letters, digits, _ and - for the adapter, got "${name}"${this.#entries.has(name) ? ', which is taken' : ''}.`,
      )
    const config = parseConfig(definition.config, given, `adapter ${definition.type}`) as BankEntry['config']
    const held = frozenIn(model)
    if (definition.trainsMatrices && held !== undefined)
      throw new ConfigError(
        `Expected plain weights for \`${definition.type}\`, which trains matrices of the base, got a base frozen in ${held}. Choose a variant beside the base, such as lora.`,
      )
    model.inRows()
    // A method sees the base as it is, whatever is active.
    const plan = ({ encode = options.encode, ...context }: AttachContext): Attachment =>
      noGrad(() => options.plan?.({ ...context, encode }) ?? definition.plan(model, config, { ...context, encode }))
    const attachment = this.#without(() => plan({ generator: new Generator(options.seed), draws: this.#draws }))
    if (definition.inPlace && this.#entries.size > 0)
      throw new ConfigError(
        `Expected a base without adapters for \`${definition.type}\`, which changes the base itself, got ${this.names.join(', ')}.`,
      )
    const copies = this.#without(() => {
      const places = placesOf(model)
      const head = trainsHead(model, definition.trainsHead ?? config.trainHead)
        ? [...places.keys()].filter((path) => path.startsWith('head.'))
        : []
      const paths = new Set(options.copied ?? [...attachment.trained, ...head])
      // What is frozen in bfloat16 is trained in float32, in which such a model computes.
      const trainedCopy = (tensor: Tensor) =>
        held === undefined ? tensor.detach().clone() : tensor.detach().to({ dtype: 'float32', copy: true })
      return new Map(
        [...places].flatMap(([path, { tensor }]) => {
          if (!paths.has(path)) return []
          return [[path, definition.inPlace ? tensor : keep(noGrad(() => trainedCopy(tensor)))] as const]
        }),
      )
    })
    const entry = { name, definition, config, model, attachment, copies, plan }
    if (attachment.placements.length + copies.size === 0)
      throw new ConfigError(
        `Expected something to train for \`${definition.type}\` on ${model.definition.type} with a ${model.headType} head, got nothing.`,
      )
    this.#entries.set(name, entry)
    this.setTrained(name, options.trained ?? true)
    return entry
  }

  /** Whether backward gives gradients for its parameters. */
  setTrained(name: string, trained: boolean): void {
    for (const tensor of this.tensorsOf(name).values()) tensor.requiresGrad = trained
  }

  /** Its tensors by their paths in the model while it is active. */
  tensorsOf(name: string): Map<string, Tensor> {
    const { attachment, copies } = this.get(name)
    const tensors = new Map<string, Tensor>()
    const seen = new Set<Tensor>()
    for (const { path, adapter } of attachment.placements)
      for (const [leaf, tensor] of adapter.parameters())
        if (!seen.has(tensor)) {
          seen.add(tensor)
          tensors.set(`${path}.adapters.${name}.${leaf}`, tensor)
        }
    const standing = this.#standing.find(({ entry }) => entry.name === name)
    for (const [path, copy] of copies) {
      const place = standing?.replaced.find((one) => one.own && one.path === path)?.fields[0]
      tensors.set(path, (place?.module[place.name] as Tensor | undefined) ?? copy)
    }
    return tensors
  }

  /**
   * Makes exactly these active, one upon the other; none for the base itself. Returns the model that goes with the last one.
   * @throws ConfigError where a method cannot be combined
   */
  use(names: string | readonly string[] | undefined, options: { merged?: readonly string[] } = {}): Model {
    const wanted = (typeof names === 'string' ? [names] : (names ?? [])).map((name) => this.get(name))
    const lone = wanted.find(({ definition }) => !(definition.stacks ?? true))
    if (lone !== undefined && wanted.length > 1)
      throw new ConfigError(
        `Expected adapters that can be active together, got ${wanted.map(({ name }) => name).join(', ')}: \`${lone.definition.type}\` works alone.`,
      )
    if (new Set(wanted).size !== wanted.length)
      throw new ConfigError(`Expected each adapter once, got ${wanted.map(({ name }) => name).join(', ')}.`)
    const merged = new Set(options.merged ?? this.#standing.filter((one) => one.merged).map(({ entry }) => entry.name))
    const before = this.#standing.map(({ entry, merged: was }) => ({ entry, merged: was }))
    this.#leaveAll()
    try {
      for (const entry of wanted) this.#enter(entry, merged.has(entry.name))
    } catch (error) {
      this.#leaveAll()
      for (const { entry, merged: was } of before) this.#enter(entry, was)
      throw error
    }
    return wanted.at(-1)?.model ?? this.#base
  }

  /** Forgets an adapter; the base is as it was, but for what was trained in place. */
  remove(name: string): void {
    this.get(name)
    if (this.active.includes(name)) this.use(this.active.filter((other) => other !== name))
    this.#entries.delete(name)
  }

  /**
   * A new adapter that is the weighted sum of others of one kind; their mean unless weights are given.
   * @throws ConfigError for adapters of several kinds, heads or layers, ShapeError for several sizes
   */
  average(name: string, parts: readonly (string | { name: string; weight: number })[]): BankEntry {
    const listed = parts.map((part) => (typeof part === 'string' ? { name: part, weight: 1 / parts.length } : part))
    const sources = listed.map(({ name: source, weight }) => ({ entry: this.get(source), weight }))
    const [first] = sources
    if (first === undefined) throw new ConfigError('Expected at least one adapter for `average`, got none.')
    const { definition, model } = first.entry
    if (sources.some(({ entry }) => entry.definition !== definition || entry.model !== model))
      throw new ConfigError(
        `Expected adapters of one kind with one head for \`average\`, got ${sources.map(({ entry }) => `${entry.name} (${entry.definition.type})`).join(', ')}.`,
      )
    const configs = sources.map(({ entry }) => entry.config)
    if (definition.summed === undefined && new Set(configs.map((config) => JSON.stringify(config))).size > 1)
      throw new ConfigError(`Expected one config for \`average\` of ${definition.type}, got several.`)
    const tensors = sources.map(({ entry, weight }) => ({ values: this.tensorsOf(entry.name), weight }))
    const entry = this.add(definition, definition.summed?.(configs) ?? configs[0], {
      name,
      seed: 0,
      model,
      trained: false,
      copied: [...first.entry.copies.keys()],
      ...(definition.summed === undefined ? { plan: first.entry.plan } : {}),
    })
    try {
      const made = pathsOf(entry)
      for (const { entry: source } of sources) {
        const own = pathsOf(source)
        const apart = [...made, ...own].find((path) => !made.has(path) || !own.has(path))
        if (apart !== undefined)
          throw new ConfigError(
            `Expected adapters of the same layers for \`average\`, but ${source.name} has ${own.has(apart) ? 'one' : 'none'} at ${apart}.`,
          )
      }
      noGrad(() => {
        for (const placement of entry.attachment.placements)
          placement.adapter.setToSum(
            sources.map(({ entry: { attachment }, weight }) => {
              const { adapter } = attachment.placements.find(({ path }) => path === placement.path)!
              return { adapter, weight }
            }),
          )
        for (const [path, copy] of entry.copies) copy.copy_(weightedSum(tensors, path))
      })
    } catch (error) {
      this.#entries.delete(name)
      throw error
    }
    return entry
  }

  #enter(entry: BankEntry, merged: boolean): void {
    const { definition, attachment, model, name } = entry
    const standing: InsertedParameters = { entry, merged, replaced: [] }
    const values = new Map<string, { tensor: Tensor; own: boolean }>(
      definition.inPlace ? [] : [...entry.copies].map(([path, tensor]) => [path, { tensor, own: true }]),
    )
    if (merged)
      for (const { path, host, adapter } of attachment.placements) {
        if (host instanceof Linear && host.held !== undefined)
          throw new ConfigError(
            `Expected plain weights for \`merge\`, got a base frozen in ${host.held}. Open the base anew as it is and put the adapter on it.`,
          )
        const made = noGrad(() => adapter.merged(host))
        if (made === undefined)
          throw new ConfigError(
            `Expected an adapter that can become part of the base for \`merge\`, got ${entry.definition.type}. Keep it beside the base.`,
          )
        for (const [field, tensor] of Object.entries(made))
          values.set(`${path}.${field}`, { tensor: keep(tensor), own: false })
      }
    const places = placesOf(model)
    for (const [path, { tensor, own }] of values) {
      const place = places.get(path)
      if (place === undefined) throw new ConfigError(`Expected a parameter \`${path}\` in the model, found none.`)
      const fields = place.fields()
      for (const { module, name: field } of fields) module[field] = tensor
      standing.replaced.push({ path, fields, original: place.tensor, own, tied: place.tied })
    }
    if (!merged) {
      // Those that stand already may have no layers of their own, as bitfit has none.
      if (attachment.placements.length > 0) insertAdapter(model.body, keeperName, this.#keeper)
      for (const { host, adapter } of attachment.placements) insertAdapter(host, name, adapter)
    }
    this.#standing.push(standing)
  }

  #leaveAll(): void {
    for (const { entry, replaced } of this.#standing.reverse()) {
      for (const { host } of entry.attachment.placements) removeAdapter(host, entry.name)
      const { embedTokens } = entry.model.body
      for (const { path, fields, original, own, tied } of replaced.reverse()) {
        // Whoever trains or converts may have put another tensor there.
        const now = fields[0].module[fields[0].name] as Tensor
        if (own) entry.copies.set(path, now)
        const restored = () =>
          original.dtype === now.dtype ? original : keep(noGrad(() => original.detach().to(now.dtype)))
        const value = tied ? embedTokens.weight : restored()
        for (const { module, name } of fields) module[name] = value
      }
    }
    removeAdapter(this.#base.body, keeperName)
    this.#standing = []
  }

  /** Runs with the bare base, then puts back what was active. */
  #without<Result>(body: () => Result): Result {
    const active = this.active
    if (active.length === 0) return body()
    const merged = this.#standing.filter((one) => one.merged).map(({ entry }) => entry.name)
    this.use([])
    try {
      return body()
    } finally {
      this.use(active, { merged })
    }
  }
}
