// The adapters of one body, in memory at the same time.
//
// Invariant: `#active` is exactly what is in the model, in the order in which it was put there. Activating an adapter
// does two things: it inserts its layers before layers of the base (layer-adapter.ts) and swaps the parameters that it
// has its own copies of, or its merged matrices (parameter-places.ts). Both are undone in reverse order, so that after
// `activate([])` the base has the very tensors it had before. Whatever plans, copies or averages therefore runs on the
// bare base, through `#withBareBase`. While an adapter is active, its copies are the tensors in the model; when it is
// deactivated, they are read back into its entry, since the optimizer or a conversion may have replaced them. Adapters
// that train the base in place have no copies and cannot be undone. An adapter of a stack names those below it, which
// are activated with it; what asks for the active ones gets the uppermost.
import { ConfigError, didYouMean, parseConfig } from '../core/index.ts'
import { type Body, LanguageHead, type Model, quantizationOf } from '../models/index.ts'
import { type Module, type Quantization, quantizations, SparseMlp } from '../nn/index.ts'
import { Generator, keep, noGrad, type Tensor } from '../tensor/index.ts'
import {
  type AdapterDefinition,
  type AnyConfig,
  type AttachContext,
  type Attachment,
  type LowerAdapter,
  layerNumber,
} from './adapter.ts'
import { checkAverage, sumInto, type WeightedEntry } from './average.ts'
import { insertAdapter, type LayerAdapter, RoutedLayer, type RoutedSegment, removeAdapter } from './layer-adapter.ts'
import {
  currentTensor,
  mergedMatrices,
  type ParameterPlace,
  parameterPlaces,
  restoreParameter,
  type SwappedParameter,
  swapParameter,
} from './parameter-places.ts'

// biome-ignore lint/suspicious/noExplicitAny: entries of the registry differ in their config
export type AnyAdapter = AdapterDefinition<any>

/** One adapter of a bank. */
export interface BankEntry {
  name: string
  definition: AnyAdapter
  config: AnyConfig
  /** The model with the head of this adapter; its body is the bank's. */
  model: Model
  attachment: Attachment
  /** Random seed of its initial values. */
  seed: number
  /** How the base was quantised that it was trained on. */
  baseQuantization?: Quantization
  /** Its own values of parameters of the model, by path. */
  copies: Map<string, Tensor>
  /** Names of the frozen adapters that it stands on, lowest first: they are active whenever it is. */
  below: readonly string[]
  /** Its name within the stack that it was loaded with. Users have no name for it, and it is removed with the stack. */
  part?: string
  /** Makes another attachment like this one. */
  plan(context: AttachContext): Attachment
}

/** An adapter that is in the model, and what must be put back when it leaves. */
interface ActiveAdapter {
  entry: BankEntry
  merged: boolean
  /** Parameters swapped for the adapter's copies. */
  copied: SwappedParameter[]
  /** Parameters swapped for merged matrices. */
  mergedInto: SwappedParameter[]
}

/** Name under which a layer has the adapters of a mixed batch; no adapter can have it. */
const ROUTED = '(routed)'

/** Layers within experts, whose rows are in another order than those of the batch. */
const layersOfExperts = ({ body }: Model): ReadonlySet<Module> =>
  new Set(
    [...body.modules()].flatMap(([, module]) =>
      module instanceof SparseMlp ? [...module.modules()].slice(1).map(([, inner]) => inner) : [],
    ),
  )

// A body has one bank, however many models with different heads share the body.
const banks = new WeakMap<Body, AdapterBank>()

/** The bank of a model's body; models with other heads over the same body share it. */
export const adaptersOf = (model: Model): AdapterBank => {
  const known = banks.get(model.body)
  if (known !== undefined) return known
  const bank = new AdapterBank(model)
  banks.set(model.body, bank)
  return bank
}

const trainsHead = (model: Model, wanted: boolean | undefined): boolean =>
  wanted ?? !((model.head as Module) instanceof LanguageHead)

/** Paths of the head's parameters where an adapter has its own copies of them; none where the head stays as it is. */
const headCopies = ({ trainsHead: always }: AnyAdapter, config: AnyConfig, model: Model): string[] =>
  trainsHead(model, always ?? config.trainHead)
    ? [...parameterPlaces(model).keys()].filter((path) => path.startsWith('head.') && !path.includes('.adapters.'))
    : []

/** Options of `AdapterBank.add`. */
export interface AddOptions {
  name: string
  /** Random seed of the initial values. */
  seed: number
  /** Model with the head of the adapter (default: the bank's own). */
  model?: Model
  encode?: AttachContext['encode']
  original?: AttachContext['original']
  /** Replaces the plan of the definition, for an adapter that is read from files. */
  plan?: (context: AttachContext) => Attachment
  /** Compute gradients for it (default: true). */
  trainable?: boolean
  /** Parameters of the model that it has its own copies of (default: as in its config). */
  copied?: readonly string[]
  /** How the base was quantised that it was trained on (default: as the model is now). */
  baseQuantization?: Quantization
  /** Names of adapters of this bank to put it on, lowest first; they are frozen. */
  below?: readonly string[]
  /** Its name within the stack that it is a part of, if it is there for that alone. */
  part?: string
}

/** All adapters of one body: adds, activates, merges, averages and removes them by name. */
export class AdapterBank {
  readonly #base: Model
  readonly #entries = new Map<string, BankEntry>()
  #active: ActiveAdapter[] = []

  constructor(base: Model) {
    this.#base = base
  }

  /** Names of all adapters, without those that are only parts of a stack. */
  get names(): string[] {
    return [...this.#entries.values()].flatMap(({ name, part }) => (part === undefined ? [name] : []))
  }

  /** Names of the active adapters, in the order in which they are applied, without those that another of them stands on. */
  get active(): string[] {
    const implied = new Set(this.#active.flatMap(({ entry }) => entry.below))
    return this.#active.flatMap(({ entry: { name } }) => (implied.has(name) ? [] : [name]))
  }

  /** Whether there is an adapter of this name. */
  has(name: string): boolean {
    return this.#entries.has(name)
  }

  /** Names of the adapters whose layers are in the model while one is active: with those below it, unless it fuses them. */
  #activeWith(name: string): string[] {
    const { below, definition } = this.get(name)
    return definition.fuses ? [name] : [...new Set([...below.flatMap((one) => this.#activeWith(one)), name])]
  }

  /** Names of an adapter and of those that it stands on, lowest first. @throws ConfigError for an unknown name */
  stackOf(name: string): string[] {
    const { below } = this.get(name)
    return [...new Set([...below.flatMap((one) => this.stackOf(one)), name])]
  }

  /** @throws ConfigError for an unknown name, with the nearest one */
  get(name: string): BankEntry {
    const entry = this.#entries.get(name)
    if (entry !== undefined) return entry
    throw new ConfigError(
      `Expected the name of an adapter of this model (${this.names.join(', ') || 'it has none'}), got "${name}".${didYouMean(name, this.names)}`,
    )
  }

  /** A name that no adapter has: the given one, or one with a number. */
  unusedName(name: string): string {
    let own = name
    for (let i = 2; this.#entries.has(own); i++) own = `${name}-${i}`
    return own
  }

  /** Whether an adapter is active as part of the base's own matrices. */
  isMerged(name: string): boolean {
    return this.#active.some(({ entry, merged }) => entry.name === name && merged)
  }

  /**
   * Makes an adapter with initial values; it is not active yet.
   * @throws ConfigError for a name that is taken, or a method that does not fit the model
   */
  add(definition: AnyAdapter, given: object, options: AddOptions): BankEntry {
    const { name, model = this.#base } = options
    if (!/^[A-Za-z][\w-]*$/.test(name) || this.#entries.has(name))
      throw new ConfigError(
        `Expected a new name of letters, digits, _ and - for the adapter, got "${name}"${this.#entries.has(name) ? ', which is taken' : ''}.`,
      )
    const config = parseConfig(definition.config, given, `adapter ${definition.type}`) as BankEntry['config']
    const quantised = quantizationOf(model)
    if (definition.trainsMatrices && quantised !== undefined)
      throw new ConfigError(
        `\`${definition.type}\` trains matrices of the base and needs a base that is not quantised, got one in ${quantised}. Choose a method beside the base, such as lora.`,
      )
    if (definition.inPlace && this.#entries.size > 0)
      throw new ConfigError(
        `\`${definition.type}\` changes the base itself and needs a base without adapters, got ${this.names.join(', ')}. Remove them first.`,
      )
    const below = this.#settleBelow(options.below ?? [], { name, definition })
    model.makeContiguous()
    const plan = (given: AttachContext): Attachment => {
      const { encode = options.encode, original = options.original } = given
      const lower = below.map((one): LowerAdapter => {
        const { definition: method, attachment } = this.get(one)
        return { name: one, type: method.type, placements: attachment.placements }
      })
      const context = { ...given, encode, original, below: lower }
      return noGrad(() => options.plan?.(context) ?? definition.plan(model, config, context))
    }
    const { attachment, copies } = this.#withBareBase(() => {
      const attachment = plan({ generator: new Generator(options.seed) })
      // Copies begin with the values that those below give.
      this.activate(definition.fuses ? [] : below)
      try {
        const paths = options.copied ?? attachment.trained
        return {
          attachment,
          copies: this.#copiesFor(definition, config, model, paths, options.copied === undefined),
        }
      } finally {
        this.activate([])
      }
    })
    const { seed, part, baseQuantization = quantizations.find((format) => format === quantised) } = options
    const entry: BankEntry = {
      name,
      definition,
      config,
      model,
      attachment,
      seed,
      baseQuantization,
      copies,
      below,
      part,
      plan,
    }
    if (attachment.placements.length + copies.size === 0)
      throw new ConfigError(
        `Expected something to train for \`${definition.type}\` on ${model.definition.type} with a ${model.headType} head, got nothing. Choose another method or head.`,
      )
    this.#entries.set(name, entry)
    for (const one of below) this.setTrainable(one, false)
    this.setTrainable(name, options.trainable ?? true)
    return entry
  }

  /**
   * The names of all adapters that a new one stands on.
   * @throws ConfigError for an unknown name, or methods that cannot be combined
   */
  #settleBelow(below: readonly string[], { name, definition }: Pick<BankEntry, 'name' | 'definition'>): string[] {
    const names = [...new Set(below.flatMap((one) => this.stackOf(one)))]
    if (definition.fuses) {
      if (below.length < 2)
        throw new ConfigError(
          `\`${definition.type}\` combines trained adapters: name two or more in \`stack\`, got ${below.join() || 'none'}.`,
        )
      const upon = below.find((one) => this.stackOf(one).length > 1)
      if (upon !== undefined)
        throw new ConfigError(
          `\`${definition.type}\` needs adapters on the base itself, got ${upon}, which stands on others.`,
        )
    }
    const fused = names.find((one) => this.get(one).definition.fuses)
    if (fused !== undefined)
      throw new ConfigError(
        `A stack cannot stand on ${fused}, which combines adapters by ${this.get(fused).definition.type}. Put it on the base alone.`,
      )
    if (names.length === 0) return []
    const lone = [...names.map((one) => this.get(one)), { name, definition }].find(
      (one) => !(one.definition.stacks ?? true),
    )
    if (lone !== undefined)
      throw new ConfigError(
        `A stack needs methods that can be active together, got ${lone.definition.type} for ${lone.name}, which works alone. Leave it out, or train it with another method.`,
      )
    if (definition.inPlace)
      throw new ConfigError(
        `A stack needs an adapter on top, got ${definition.type}, which trains the base itself. Choose a method beside the base, such as lora.`,
      )
    return names
  }

  /**
   * Copies of the parameters at `paths`, and of the head where it is trained; the parameters themselves for an in-place
   * method.
   */
  #copiesFor(
    definition: AnyAdapter,
    config: AnyConfig,
    model: Model,
    paths: readonly string[],
    withHead: boolean,
  ): Map<string, Tensor> {
    const { inPlace } = definition
    const wanted = new Set([...paths, ...(withHead ? headCopies(definition, config, model) : [])])
    // Of a quantised base the token embedding and the output layer are in bfloat16, whatever it computes in.
    const copyOf = (tensor: Tensor) =>
      quantizationOf(model) === undefined
        ? tensor.detach().clone()
        : tensor.detach().to({ dtype: model.body.embedTokens.dtype, copy: true })
    return new Map(
      [...parameterPlaces(model)].flatMap(([path, { tensor }]) =>
        wanted.has(path) ? [[path, inPlace ? tensor : keep(noGrad(() => copyOf(tensor)))] as const] : [],
      ),
    )
  }

  /** Sets whether gradients are computed for an adapter's tensors. */
  setTrainable(name: string, trainable: boolean): void {
    for (const tensor of this.tensorsOf(name).values()) tensor.requiresGrad = trainable
  }

  /** An adapter's tensors by their paths in the model while it is active. */
  tensorsOf(name: string): Map<string, Tensor> {
    const { attachment, copies } = this.get(name)
    const tensors = new Map<string, Tensor>()
    const seen = new Set<Tensor>()
    for (const { path, adapter } of attachment.placements)
      for (const [leaf, tensor] of adapter.ownParameters())
        if (!seen.has(tensor)) {
          seen.add(tensor)
          tensors.set(`${path}.adapters.${name}.${leaf}`, tensor)
        }
    const at = this.#active.findIndex(({ entry }) => entry.name === name)
    for (const [path, copy] of copies) {
      const swapped = at < 0 ? undefined : this.#active[at].copied.find((one) => one.path === path)
      if (swapped === undefined) tensors.set(path, copy)
      else {
        // One above it may have put its own values there, and keeps these.
        const above = this.#active.slice(at + 1).flatMap(({ copied, mergedInto }) => [...copied, ...mergedInto])
        tensors.set(path, above.find((one) => one.path === path)?.original ?? currentTensor(swapped))
      }
    }
    return tensors
  }

  /**
   * Makes exactly these adapters active, one on top of the other; none for the bare base.
   * @param options.merged names of those that become part of the base's matrices (default: those that are merged now)
   * @returns the model with the head of the last one
   * @throws ConfigError for methods that cannot be combined or merged; the adapters active before stay active
   */
  activate(names: string | readonly string[] | undefined, options: { merged?: readonly string[] } = {}): Model {
    const given = typeof names === 'string' ? [names] : (names ?? [])
    if (new Set(given).size !== given.length)
      throw new ConfigError(`Expected each adapter once, got ${given.join(', ')}.`)
    const wanted = [...new Set(given.flatMap((name) => this.#activeWith(name)))].map((name) => this.get(name))
    const lone = wanted.find(({ definition }) => !(definition.stacks ?? true))
    if (lone !== undefined && wanted.length > 1)
      throw new ConfigError(
        `Expected adapters that can be active together, got ${wanted.map(({ name }) => name).join(', ')}: \`${lone.definition.type}\` works alone. Activate one of them.`,
      )
    // Those that a merged adapter stands on are part of the matrices, too.
    const merged = new Set(
      options.merged?.flatMap((name) => this.stackOf(name)) ??
        this.#active.filter((one) => one.merged).map(({ entry }) => entry.name),
    )
    const before = this.#active.map(({ entry, merged: was }) => ({ entry, merged: was }))
    this.#deactivateAll()
    try {
      for (const entry of wanted) this.#activate(entry, merged.has(entry.name))
    } catch (error) {
      this.#deactivateAll()
      for (const { entry, merged: was } of before) this.#activate(entry, was)
      throw error
    }
    return wanted.at(-1)?.model ?? this.#base
  }

  /**
   * Whether an adapter can be in one batch with others: it changes layers of tokens in order row by row, and swaps no parameter. The
   * head is computed for some tokens only.
   */
  canMix(name: string): boolean {
    const experts = layersOfExperts(this.#base)
    return this.#activeWith(name).every((one) => {
      const { attachment, copies } = this.get(one)
      return (
        copies.size === 0 &&
        attachment.placements.every(
          ({ path, adapter, host }) => adapter.rowWise && !experts.has(host) && !path.startsWith('head.'),
        )
      )
    })
  }

  /** Runs with one adapter, or none, in the model; afterwards the same ones are active as before. */
  using<Result>(name: string | null, body: (model: Model) => Result): Result {
    const wanted = name === null ? [] : [name]
    if (this.active.join() === wanted.join()) return body(name === null ? this.#base : this.get(name).model)
    return this.#withBareBase(() => {
      if (name === null) return body(this.#base)
      try {
        return body(this.activate(name, { merged: [] }))
      } finally {
        this.activate([])
      }
    })
  }

  /**
   * Runs with several adapters in the model that `canMix`, each for its part of a packed row; afterwards the same ones are
   * active as before.
   */
  routed<Result>(segments: readonly RoutedSegment[], body: (model: Model) => Result): Result {
    const names = [...new Set(segments.flatMap(({ name }) => (name === null ? [] : [name])))]
    if (names.length === 0) return this.using(null, body)
    return this.#withBareBase(() => {
      const byHost = new Map<Module, Map<string, LayerAdapter[]>>()
      for (const name of names)
        for (const part of this.#activeWith(name))
          for (const { host, adapter } of this.get(part).attachment.placements) {
            const layers = byHost.get(host) ?? new Map<string, LayerAdapter[]>()
            byHost.set(host, layers.set(name, [...(layers.get(name) ?? []), adapter]))
          }
      const route = { segments }
      for (const [host, layers] of byHost) insertAdapter(host, ROUTED, new RoutedLayer(route, layers))
      try {
        return body(this.#base)
      } finally {
        for (const host of byHost.keys()) removeAdapter(host, ROUTED)
      }
    })
  }

  /**
   * Removes an adapter; the base is as it was before, unless it was trained in place.
   * @throws ConfigError for one that another stands on
   */
  remove(name: string): void {
    const { below } = this.get(name)
    const above = this.#above(name)
    if (above.length > 0)
      throw new ConfigError(`\`remove\` needs an adapter that no other stands on: remove ${above.join(', ')} first.`)
    if (this.active.includes(name)) this.activate(this.active.filter((other) => other !== name))
    this.#entries.delete(name)
    for (const one of [...below].reverse())
      if (this.#entries.get(one)?.part !== undefined && this.#above(one).length === 0) this.remove(one)
  }

  /** Names of the adapters that stand on one. */
  #above(name: string): string[] {
    return [...this.#entries.values()].flatMap((entry) => (entry.below.includes(name) ? [entry.name] : []))
  }

  /**
   * Adds the weighted sum of adapters of one method; their mean without weights.
   * @throws ConfigError for different methods, heads or layers, ShapeError for different sizes
   */
  average(name: string, parts: readonly (string | { name: string; weight: number })[]): BankEntry {
    const listed = parts.map((part) => (typeof part === 'string' ? { name: part, weight: 1 / parts.length } : part))
    const sources = listed.map(
      ({ name: source, weight }): WeightedEntry => ({
        entry: this.get(source),
        weight,
        tensors: this.tensorsOf(source),
      }),
    )
    const first = checkAverage(sources)
    if (new Set(sources.map(({ entry }) => entry.below.join())).size > 1)
      throw new ConfigError(
        `Expected adapters that stand on the same ones for \`average\`, got ${sources.map(({ entry }) => this.stackOf(entry.name).join(' under ')).join('; ')}.`,
      )
    const { definition, model } = first
    const configs = sources.map(({ entry }) => entry.config)
    const entry = this.add(definition, definition.sumConfig?.(configs) ?? first.config, {
      name,
      seed: 0,
      model,
      trainable: false,
      below: first.below,
      copied: [...first.copies.keys()],
      ...(definition.sumConfig === undefined ? { plan: first.plan } : {}),
    })
    try {
      sumInto(entry, sources)
    } catch (error) {
      this.#entries.delete(name)
      throw error
    }
    return entry
  }

  /**
   * Takes an adapter out of the first layers of the model for good (AdapterDrop).
   * @throws ConfigError for a method that cannot lose them, a number that leaves none, or an adapter that another fuses
   */
  dropLayers(name: string, layers: number): void {
    const entry = this.get(name)
    const { definition, config, attachment } = entry
    if (definition.dropLayers === undefined)
      throw new ConfigError(`\`dropLayers\` needs a bottleneck adapter, got ${definition.type} for ${name}.`)
    const fusing = this.#above(name).find((one) => this.get(one).definition.fuses)
    if (fusing !== undefined)
      throw new ConfigError(`\`dropLayers\` needs an adapter that no other fuses: ${fusing} uses ${name}.`)
    const { plan } = entry
    const without = (whole: Attachment): Attachment => ({
      ...whole,
      placements: whole.placements.filter(({ path }) => layerNumber(path) < 0 || layerNumber(path) >= layers),
    })
    const left = without(attachment)
    if (!Number.isSafeInteger(layers) || layers < 1 || left.placements.every(({ path }) => layerNumber(path) < 0))
      throw new ConfigError(
        `Expected a whole number of layers to drop, 1 or more, that leaves an adapter in some, got ${layers}.`,
      )
    this.#withBareBase(() => {
      entry.attachment = left
      entry.config = definition.dropLayers?.(config, layers)
      entry.plan = (context) => without(plan(context))
    })
  }

  /**
   * Adds a copy of an adapter with its values, at the same places, without gradients.
   * @param options.model model with another head over the body, which the copy trains in place of its own
   * @throws ConfigError for an adapter in the layers of a head that is replaced
   */
  duplicate(from: string, name: string, options: { model?: Model } = {}): BankEntry {
    const { definition, config, seed, plan, copies, baseQuantization, below, ...old } = this.get(from)
    const { model = old.model } = options
    const inHead = old.attachment.placements.find(({ path }) => path.startsWith('head.'))
    if (options.model !== undefined && inHead !== undefined)
      throw new ConfigError(
        `An adapter for another head needs to be in the body alone, got ${definition.type} with ${inHead.path}. Train a new adapter on top of it with \`stack\`.`,
      )
    const entry = this.add(definition, config, {
      name,
      seed,
      below,
      model,
      trainable: false,
      plan,
      baseQuantization,
      copied:
        options.model === undefined
          ? [...copies.keys()]
          : [
              ...[...copies.keys()].filter((path) => !path.startsWith('head.')),
              ...headCopies(definition, config, model),
            ],
    })
    const own = this.tensorsOf(name)
    noGrad(() => {
      for (const [path, tensor] of this.tensorsOf(from))
        if (options.model === undefined || !path.startsWith('head.'))
          own.get(path.replace(`.adapters.${from}.`, `.adapters.${name}.`))?.copy_(tensor.detach())
    })
    return entry
  }

  #activate(entry: BankEntry, merged: boolean): void {
    const { definition, attachment, model, name } = entry
    // All that can fail comes before the first change of the model.
    const matrices = merged ? mergedMatrices(entry) : new Map<string, Tensor>()
    const places = parameterPlaces(model)
    const swap = ([path, tensor]: [string, Tensor]) => swapParameter(path, places.get(path) as ParameterPlace, tensor)
    const copies = definition.inPlace ? [] : [...entry.copies].filter(([path]) => !matrices.has(path))
    for (const path of [...copies.map(([path]) => path), ...matrices.keys()])
      if (!places.has(path)) throw new ConfigError(`Expected a parameter \`${path}\` in the model, found none.`)
    this.#active.push({ entry, merged, copied: copies.map(swap), mergedInto: [...matrices].map(swap) })
    if (merged) return
    for (const { host, adapter } of attachment.placements) insertAdapter(host, name, adapter)
  }

  #deactivateAll(): void {
    for (const { entry, copied, mergedInto } of this.#active.reverse()) {
      for (const { host } of entry.attachment.placements) removeAdapter(host, entry.name)
      for (const swapped of mergedInto.reverse()) restoreParameter(swapped, entry.model)
      for (const swapped of copied.reverse()) entry.copies.set(swapped.path, restoreParameter(swapped, entry.model))
    }
    this.#active = []
  }

  /** Runs with the bare base, then activates again what was active. */
  #withBareBase<Result>(body: () => Result): Result {
    const active = this.active
    if (active.length === 0) return body()
    const merged = this.#active.filter((one) => one.merged).map(({ entry }) => entry.name)
    this.activate([])
    try {
      return body()
    } finally {
      this.activate(active, { merged })
    }
  }
}
