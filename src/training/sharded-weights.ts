// Weights of which each process holds a part (ZeRO-3): those of a layer are gathered before it runs, forward and when it is recomputed
// in the backward pass, and leave the memory after it. Independent of the loop, of optimizers and of who started the processes.
//
// The order in which collectives begin must be the same on every process: a process group pairs them by that order alone. So here it is
// a function of the plan of a micro-batch and of nothing else. The plan is the order in which layers run, forward and backward. The first
// micro-batch of a process shows it: it is of the same examples everywhere, gathers each layer when it is needed, and sends no gradient.
// Processes compare what they found. From then on position i of the plan begins, in this order: the gather of its layer unless it is
// there or on its way, the gather of the layer of position i + 1, and, after the last backward pass of a layer, the sums of its
// gradients. Rows, missing gradients, time and what has arrived change only how long a process waits. A process that runs fewer layers,
// as nothing in its rows is trained or they are not of every task, goes through the rest of the plan without them. One that runs another
// layer than planned fails before it begins anything. Global batches whose loss has other terms, such as those of other tasks or of a
// critic alone, have plans of their own.
import { ConfigError } from '../core/index.ts'
import type { ProcessGroup } from '../distributed/index.ts'
import type { LayerPass, LayerWeights, Model } from '../models/index.ts'
import type { Module } from '../nn/index.ts'
import { type GradientBucket, gradientBuckets, ShardLayout } from '../optim/index.ts'
import {
  type Dtype,
  dropMemory,
  dtypeFacts,
  freeTensors,
  full,
  keep,
  keepUntilFreed,
  noGrad,
  noGradScope,
  noteTensors,
  scope,
  setMemory,
  type Tensor,
  zeros,
} from '../tensor/index.ts'

/** How processes give each other their parts. */
export type Gatherer = Pick<
  ProcessGroup,
  'rank' | 'size' | 'bucketBytes' | 'overlaps' | 'beginCollect' | 'arrived' | 'arrivedNow'
>

/** Weights of one dtype that are trained, or that are not. */
interface WeightSet {
  parameters: ReadonlyMap<string, Tensor>
  layout: ShardLayout
  /** The part of this process, flat. */
  own: Tensor
}

/** A bucket of one of the sets. */
interface Block {
  set: WeightSet
  bucket: number
}

/** Weights that are gathered together: those of a layer, or all that belong to none. */
interface Unit {
  blocks: Block[]
  /** Its buckets among those of the trained weights. */
  trained: number[]
  /** How many uses of it have not ended. */
  users: number
  /** What is on its way. */
  begun: Tensor[] | undefined
  isGathered: boolean
}

/** A pass over the layer of a unit. */
interface PlannedPass {
  unit: Unit
  pass: LayerPass
  /** The forward pass of the micro-batch that it belongs to, by number; empty where there is one. */
  part: string
  /** Buckets of trained weights whose gradients are complete after it. */
  complete: readonly number[]
}

const bytesOf = ({ dtype }: Tensor): number => dtypeFacts(dtype).bytes

/** @throws ConfigError for a model with matrices in the blocks of a mapped file */
const expectDivisible = (model: Model): void => {
  const mapped = [...model.modules()].find(([, module]) => module.quantizedTensors === undefined)
  if (mapped !== undefined)
    throw new ConfigError(
      `Expected matrices in memory to divide for \`shard\` parameters, got blocks of a mapped file at \`${mapped[0]}\`, which processes of a machine share already. Set \`shard\` to gradients.`,
    )
}

/** Every parameter of a module and of those inside it, and the tensors of quantised matrices, by path. */
const tensorsOf = (module: Module): Map<string, Tensor> => {
  const found = module.parameters()
  for (const [path, one] of module.modules())
    for (const [i, tensor] of (one.quantizedTensors ?? []).entries()) found.set(`${path}.quantized.${i}`, tensor)
  return found
}

const isLayer = /(^|\.)layers\.\d+$/

/** The layers of models, in order, without those inside other layers. */
const layersOf = (models: readonly Model[]): Module[] => {
  const layers: Module[] = []
  const inside = new Set<Module>()
  for (const model of models)
    for (const [path, module] of model.modules()) {
      if (!isLayer.test(path) || inside.has(module)) continue
      layers.push(module)
      for (const [, part] of module.modules()) inside.add(part)
    }
  return layers
}

/** Every weight with its path, and the layer that it belongs to; undefined where it belongs to none, or to several. */
const placesOf = (
  models: readonly Model[],
  trained: ReadonlyMap<string, Tensor>,
): Map<Tensor, { path: string; layer: Module | undefined }> => {
  const places = new Map<Tensor, { path: string; layer: Module | undefined }>()
  for (const [path, tensor] of trained) places.set(tensor, { path, layer: undefined })
  for (const [i, model] of models.entries())
    for (const [path, tensor] of tensorsOf(model))
      if (!places.has(tensor)) places.set(tensor, { path: i === 0 ? path : `auxiliary.${path}`, layer: undefined })
  const outside = new Set<Tensor>()
  for (const layer of layersOf(models))
    for (const tensor of tensorsOf(layer).values()) {
      const place = places.get(tensor)
      if (place === undefined) continue
      if (place.layer !== undefined) outside.add(tensor)
      place.layer = layer
    }
  for (const tensor of outside) Object.assign(places.get(tensor) ?? {}, { layer: undefined })
  return places
}

/** The weights of models, of which this process holds a part. All processes call the same methods in the same order. */
export class ShardedWeights implements LayerWeights {
  /** Called when the gradients of some buckets of the trained weights are complete. */
  onGradients: ((buckets: readonly number[]) => void) | undefined
  readonly #group: Gatherer
  readonly #type: string
  readonly #units: readonly Unit[]
  readonly #root: Unit
  readonly #unitOf = new Map<object, Unit>()
  readonly #sets: readonly WeightSet[]
  readonly #trained: WeightSet | undefined
  /** One element of each dtype, which stands for all elements of a weight that is not in memory. */
  readonly #elements = new Map<Dtype, Tensor>()
  #opened = 1
  /** The layers of each model. */
  readonly #unitsOfModels: readonly (readonly Unit[])[]
  /** The passes of a micro-batch by the terms of the loss, once the first one has shown them, and those of the first one so far. */
  readonly #plans = new Map<string, readonly PlannedPass[]>()
  #terms = ''
  readonly #seen: PlannedPass[] = []
  /** The next position in the plan. */
  #at = 0
  /** Bytes that this process has received to gather weights. */
  #received = 0

  /**
   * Takes the part of this process. The weights stay whole until `close`.
   * @param trained every trained weight by path
   * @throws ConfigError for matrices in the blocks of a mapped file
   */
  constructor(group: Gatherer, models: readonly Model[], trained: ReadonlyMap<string, Tensor>) {
    this.#group = group
    this.#type = models[0].definition.type
    for (const model of models) {
      expectDivisible(model)
      // Weights of a file are checked while they are whole.
      model.ready()
    }
    const places = placesOf(models, trained)
    const layers = layersOf(models)
    const units = new Map<Module | undefined, Unit>()
    const wanted = new Set(trained.values())
    // Those of the last layers are complete first, and those outside of layers last.
    for (const layer of [...layers.reverse(), undefined])
      units.set(layer, { blocks: [], trained: [], users: 1, begun: undefined, isGathered: true })
    const sets = new Map<string, WeightSet>()
    for (const [tensor] of places) {
      const key = wanted.has(tensor) ? 'trained' : tensor.dtype
      if (sets.has(key)) continue
      sets.set(
        key,
        this.#divide(places, units, (other) => (wanted.has(other) ? 'trained' : other.dtype) === key),
      )
    }
    this.#sets = [...sets.values()]
    this.#trained = sets.get('trained')
    for (const [layer, unit] of units) {
      if (layer !== undefined) this.#unitOf.set(layer, unit)
      unit.trained = unit.blocks.flatMap(({ set, bucket }) => (set === this.#trained ? [bucket] : []))
    }
    this.#units = [...units.values()]
    this.#unitsOfModels = models.map((model) => layersOf([model]).map((layer) => units.get(layer) as Unit))
    this.#root = units.get(undefined) as Unit
    this.take()
  }

  /** The weights of a set, in buckets of one unit each. */
  #divide(
    places: ReturnType<typeof placesOf>,
    units: ReadonlyMap<Module | undefined, Unit>,
    isIn: (tensor: Tensor) => boolean,
  ): WeightSet {
    const all = [...places].filter(([tensor]) => isIn(tensor))
    const parameters = new Map(all.map(([tensor, { path }]) => [path, tensor]))
    const buckets: GradientBucket[] = []
    const owners: Unit[] = []
    for (const [layer, unit] of units) {
      const own = all.flatMap(([tensor, place]) => (place.layer === layer ? [[place.path, tensor] as const] : []))
      for (const bucket of gradientBuckets(new Map(own), this.#group.bucketBytes, 1)) {
        buckets.push(bucket)
        owners.push(unit)
      }
    }
    const layout = new ShardLayout(buckets, this.#group.size)
    const { dtype } = all[0][0]
    const own = keep(zeros([layout.partSize], { dtype }))
    const set = { parameters, layout, own }
    for (const [bucket, unit] of owners.entries()) unit.blocks.push({ set, bucket })
    return set
  }

  /** The trained weights of this process, for its optimizer. */
  get trainedPart(): { layout: ShardLayout; weights: Tensor } | undefined {
    return this.#trained && { layout: this.#trained.layout, weights: this.#trained.own }
  }

  /** Bytes of the parts of this process. */
  get bytes(): number {
    return this.#sets.reduce((sum, { own }) => sum + own.size * bytesOf(own), 0)
  }

  /** Bytes that this process has received to gather weights. */
  get receivedBytes(): number {
    return this.#received
  }

  /** Takes the part of this process from weights that are in memory and have changed. */
  take(): void {
    noGrad(() => {
      for (const { parameters, layout, own } of this.#sets)
        for (const { path, from, size, at } of layout.piecesOf(this.#group.rank))
          scope(() => {
            const whole = (parameters.get(path) as Tensor).detach().contiguous().view([-1])
            own.narrow(0, at, size).copy_(whole.narrow(0, from, size))
          })
      for (const { own } of this.#sets) noteTensors('weights', [own])
    })
  }

  /** Gathers all weights, for work on whole models. As often as it is called, `close` must be. */
  async open(): Promise<void> {
    if (this.#opened++ > 0) return
    for (const unit of this.#units) await this.#gather(unit)
  }

  /** Takes the weights out of memory again. */
  close(): void {
    if (--this.#opened > 0) return
    for (const unit of this.#units) this.#leave(unit)
  }

  /** Runs work on whole weights. */
  async whole<Result>(work: () => Promise<Result> | Result): Promise<Result> {
    await this.open()
    try {
      return await work()
    } finally {
      this.close()
    }
  }

  /** Runs work with the trained weights whole, such as those of an adapter on a large base. */
  async wholeTrained<Result>(work: () => Promise<Result> | Result): Promise<Result> {
    if (this.#trained === undefined || this.#opened > 0) return work()
    const { layout, parameters } = this.#trained
    const paths: string[] = []
    for (const [bucket, { parts }] of layout.buckets.entries()) {
      const begun = this.#beginBlock({ set: this.#trained, bucket })
      freeTensors([await this.#group.arrived(begun)])
      this.#place(this.#trained, bucket, begun)
      paths.push(...parts.map(({ path }) => path))
    }
    try {
      return await work()
    } finally {
      for (const path of paths) this.#empty(parameters.get(path) as Tensor)
    }
  }

  /**
   * Gathers the weights of one unit after the other, for work that reads each once. Memory that it keeps a view of stays.
   * @param work gets the weights that are whole now, and the bytes of all up to the middle of them as a share of all bytes
   */
  async eachUnit(work: (tensors: ReadonlySet<Tensor>, share: number) => void): Promise<void> {
    const bytesOfUnit = ({ blocks }: Unit) =>
      blocks.reduce((sum, { set, bucket }) => sum + set.layout.buckets[bucket].size * bytesOf(set.own), 0)
    const total = this.#units.reduce((sum, unit) => sum + bytesOfUnit(unit), 0)
    let before = 0
    for (const unit of this.#units) {
      await this.#gather(unit)
      const bytes = bytesOfUnit(unit)
      const parameters = unit.blocks.flatMap(({ set, bucket }) =>
        set.layout.buckets[bucket].parts.map(({ path }) => set.parameters.get(path) as Tensor),
      )
      work(new Set(parameters), (before + bytes / 2) / total)
      before += bytes
      this.#leave(unit)
    }
  }

  /** Gathers the weights that belong to no layer, for the micro-batches of a step. */
  beginStep(): void {
    this.#enter(this.#root)
  }

  endStep(): void {
    this.#leave(this.#root)
  }

  get #plan(): readonly PlannedPass[] | undefined {
    return this.#plans.get(this.#terms)
  }

  /** From now on micro-batches are of a global batch whose loss has these terms. */
  choosePlan(terms: readonly string[]): void {
    this.#terms = [...terms].sort().join('\n')
  }

  /** Whether the next micro-batch is the first one, which shows the plan. */
  get isFirst(): boolean {
    return this.#plan === undefined
  }

  /** The plan as text: numbers of units, F for a forward and B for a backward pass. Every process must have the same. */
  get plan(): string {
    const numbers = new Map(this.#units.map((unit, i) => [unit, i]))
    return (this.#plan ?? []).map(({ unit, pass }) => `${numbers.get(unit)}${pass === 'forward' ? 'F' : 'B'}`).join(' ')
  }

  beginMicroBatch(): void {
    this.#at = 0
    this.#seen.length = 0
  }

  /** @throws ConfigError for an architecture that does not run its layers so that they can be recomputed */
  endMicroBatch(): void {
    const plan = this.#plan
    if (plan === undefined) this.#learn()
    else this.#skipTo(plan.length, plan)
  }

  /** Goes through the plan up to a position without computing anything. */
  #skipTo(end: number, plan: readonly PlannedPass[]): void {
    while (this.#at < end) this.#through(plan[this.#at++], plan[this.#at], () => {})
  }

  /** Makes the plan of the passes that the first micro-batch has run. */
  #learn(): void {
    const used = new Set(this.#seen.map(({ unit }) => unit))
    // A model that has no part in these terms of the loss, such as a policy while its critic alone is trained, runs no layer at all.
    const isPartial = (units: readonly Unit[]) =>
      units.some((unit) => used.has(unit)) && !units.every((unit) => used.has(unit))
    if (used.size === 0 || this.#unitsOfModels.some(isPartial))
      throw new ConfigError(
        `Expected an architecture whose layers can be recomputed for \`shard\` parameters, got ${this.#type}. Set \`shard\` to gradients.`,
      )
    const last = new Map(this.#seen.flatMap(({ unit, pass }, i) => (pass === 'backward' ? [[unit, i] as const] : [])))
    const plan = this.#seen.map((seen, i) => ({
      ...seen,
      complete: last.get(seen.unit) === i ? seen.unit.trained : [],
    }))
    this.#plans.set(this.#terms, plan)
  }

  trains(layer: object): boolean {
    return (this.#unitOf.get(layer)?.trained.length ?? 0) > 0
  }

  during<Result>(layer: object, pass: LayerPass, body: () => Result): Result {
    return this.#during(layer, { pass, part: '' }, body)
  }

  part(number: number, within = ''): LayerWeights {
    const part = `${within}${number}.`
    return {
      trains: (layer) => this.trains(layer),
      during: (layer, pass, body) => this.#during(layer, { pass, part }, body),
      part: (inner) => this.part(inner, part),
    }
  }

  /** @throws ConfigError for another pass than the plan has here */
  #during<Result>(layer: object, { pass, part }: Pick<PlannedPass, 'pass' | 'part'>, body: () => Result): Result {
    const unit = this.#unitOf.get(layer)
    if (unit === undefined) return body()
    const plan = this.#plan
    if (plan === undefined) {
      const seen = { unit, pass, part, complete: [] }
      this.#seen.push(seen)
      return this.#through(seen, undefined, body)
    }
    // Other processes may have rows of parts that this one has none of.
    let at = this.#at
    while (at < plan.length && plan[at].part !== part) at++
    if (plan[at]?.unit !== unit || plan[at].pass !== pass)
      throw new ConfigError(
        `Expected the layers of ${this.#type} in the same order in every micro-batch for \`shard\` parameters, got another one at pass ${at + 1} of ${plan.length}. Set \`shard\` to gradients.`,
      )
    this.#skipTo(at, plan)
    return this.#through(plan[at], plan[++this.#at], body)
  }

  /** One position of the plan: begins what the others begin there, whatever `body` computes. */
  #through<Result>({ unit, complete }: PlannedPass, next: PlannedPass | undefined, body: () => Result): Result {
    this.#enter(unit)
    if (next !== undefined && next.unit !== unit && this.#group.overlaps) this.#begin(next.unit)
    try {
      const result = body()
      if (complete.length > 0) this.onGradients?.(complete)
      return result
    } finally {
      // The last layer of the forward pass is the first one of the backward pass.
      this.#leave(unit, next?.unit === unit)
    }
  }

  #enter(unit: Unit): void {
    unit.users++
    if (unit.isGathered) return
    this.#begin(unit)
    for (const tensor of unit.begun ?? []) freeTensors([this.#group.arrivedNow(tensor)])
    this.#finish(unit)
  }

  /** The same where the error of a lost process can be awaited. */
  async #gather(unit: Unit): Promise<void> {
    unit.users++
    if (unit.isGathered) return
    this.#begin(unit)
    for (const tensor of unit.begun ?? []) freeTensors([await this.#group.arrived(tensor)])
    this.#finish(unit)
  }

  #leave(unit: Unit, stays = false): void {
    if (--unit.users > 0 || stays || !unit.isGathered) return
    this.#drop(unit)
  }

  /** Begins to gather a unit, unless it is there or on its way. */
  #begin(unit: Unit): void {
    if (unit.isGathered || unit.begun !== undefined) return
    unit.begun = unit.blocks.map((block) => this.#beginBlock(block))
  }

  #beginBlock({ set: { layout, own }, bucket }: Block): Tensor {
    const { size } = this.#group
    const share = layout.paddedSize(layout.buckets[bucket].size) / size
    this.#received += share * (size - 1) * bytesOf(own)
    return noGradScope(() => {
      const begun = this.#group.beginCollect(own.narrow(0, layout.partStart(bucket), share))
      keepUntilFreed([begun])
      noteTensors('gathered weights', [begun])
      return begun
    })
  }

  /** Puts what has arrived behind the weights. */
  #finish(unit: Unit): void {
    for (const [i, tensor] of (unit.begun ?? []).entries())
      this.#place(unit.blocks[i].set, unit.blocks[i].bucket, tensor)
    unit.begun = undefined
    unit.isGathered = true
  }

  #place({ layout, parameters }: WeightSet, bucket: number, arrived: Tensor): void {
    for (const { path, at, size } of layout.buckets[bucket].parts) {
      const parameter = parameters.get(path) as Tensor
      scope(() => setMemory(parameter, arrived.narrow(0, at, size).view(parameter.shape)))
    }
    arrived.free()
  }

  #drop(unit: Unit): void {
    unit.isGathered = false
    for (const { set, bucket } of unit.blocks)
      for (const { path } of set.layout.buckets[bucket].parts) this.#empty(set.parameters.get(path) as Tensor)
  }

  #empty(parameter: Tensor): void {
    dropMemory(parameter, this.#elementOf(parameter))
  }

  /** NaN, so that a weight which is used without being there is noticed; codes have scales, which are. */
  #elementOf({ dtype }: Tensor): Tensor {
    const known = this.#elements.get(dtype)
    if (known !== undefined) return known
    const element = keep(full([], dtypeFacts(dtype).floating ? Number.NaN : 0, { dtype }))
    this.#elements.set(dtype, element)
    return element
  }
}
