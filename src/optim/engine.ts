// The part that all optimizers share: float32 masters, state, parameter groups, checks of the gradients, saving and loading.
// Independent of update rules.
import type { z } from 'zod'
import { CheckpointError, ConfigError, ShapeError } from '../core/index.ts'
import { bytesOf, type Dtype, gradNorm, keep, noGradScope, stack, Tensor, zeros, zerosLike } from '../tensor/index.ts'
import { swapWeights, type WeightAverage } from './average.ts'
import type {
  GroupConfig,
  Optimizer,
  OptimizerDefinition,
  OptimizerState,
  ParameterFacts,
  ParameterGroup,
  ParameterUpdate,
  SingleUpdates,
  SlotShape,
  StepOptions,
  StepResult,
} from './optimizer.ts'
import { type GroupOptions, parameterFacts, parameterGroups } from './parameter-groups.ts'

/** A parameter with its state. */
interface Entry {
  facts: ParameterFacts
  group: ParameterGroup
  parameter: Tensor
  /** The parameter itself, or its float32 master. */
  weight: Tensor
  slots: Record<string, Tensor>
  /** Number of updates so far. */
  count: number
}

const trainable: readonly Dtype[] = ['float32', 'bfloat16', 'float16']
const sameShape = (a: readonly number[], b: readonly number[]) => a.length === b.length && a.every((n, i) => n === b[i])

/** Shape and dtype of a tensor of state. */
const slotFacts = (slot: SlotShape): { shape: readonly number[]; dtype: 'float32' | 'uint8' } =>
  'dtype' in slot ? slot : { shape: slot, dtype: 'float32' }

const makeEntry = (facts: ParameterFacts, parameter: Tensor, group: ParameterGroup, shapes: Slots): Entry =>
  noGradScope(() => {
    const master = parameter.dtype !== 'float32'
    const weight = master ? keep(parameter.detach().to('float32')) : parameter
    const slots: Record<string, Tensor> = {}
    // Zeros in the weight's own memory layout, so that a fused loop can run over both.
    for (const [name, slot] of Object.entries(shapes)) {
      const { shape, dtype } = slotFacts(slot)
      slots[name] = keep(
        dtype === 'float32' && sameShape(shape, parameter.shape)
          ? zerosLike(weight.detach())
          : zeros(shape, { device: parameter.device, dtype }),
      )
    }
    return { facts, group, parameter, weight, slots, count: 0 }
  })
type Slots = Record<string, SlotShape>

const checkParameters = (parameters: ReadonlyMap<string, Tensor>): void => {
  // A model or a list of tensors, as PyTorch takes them.
  if (!(parameters instanceof Object && 'size' in parameters && 'entries' in parameters))
    throw new ConfigError('`createOptimizer` needs a Map of parameters by path: pass `model.parameters()`.')
  if (parameters.size === 0)
    throw new ConfigError('`createOptimizer` needs parameters that are trained: check which ones are frozen.')
  const seen = new Map<Tensor, string>()
  for (const [path, parameter] of parameters) {
    if (!trainable.includes(parameter.dtype))
      throw new ShapeError(
        `Expected float32, bfloat16 or float16 for \`${path}\`, got ${parameter.dtype}. Convert the model, or leave the parameter out.`,
      )
    const first = seen.get(parameter)
    if (first !== undefined)
      throw new ConfigError(
        `Expected each parameter once for \`createOptimizer\`, got one as \`${first}\` and \`${path}\`.`,
      )
    seen.set(parameter, path)
  }
}

/** Runs an update rule over parameters, which stay the model's own: a model converted to another dtype needs a new optimizer. */
export class RunningOptimizer<Schema extends z.ZodType> implements Optimizer {
  readonly groups: readonly ParameterGroup[]
  readonly #definition: OptimizerDefinition<Schema>
  readonly #config: z.output<Schema>
  readonly #entries = new Map<string, Entry>()
  #step = 0
  /** Weights to evaluate, where the rule has others than it trains. */
  readonly average: WeightAverage | undefined

  constructor(
    definition: OptimizerDefinition<Schema>,
    config: z.output<Schema> & GroupConfig,
    parameters: ReadonlyMap<string, Tensor>,
    options: GroupOptions = {},
  ) {
    checkParameters(parameters)
    this.#definition = definition
    this.#config = config
    this.groups = options.groups ?? parameterGroups(config, parameters, options)
    const groupOf = new Map(this.groups.flatMap((group) => group.paths.map((path) => [path, group] as const)))
    for (const [path, facts] of parameterFacts(parameters, options))
      this.#entries.set(
        path,
        makeEntry(facts, parameters.get(path)!, groupOf.get(path)!, definition.slots(config, facts)),
      )
    this.average = this.#evaluatedWeights()
  }

  #evaluatedWeights(): WeightAverage | undefined {
    const evaluated = this.#definition.evaluated?.bind(this.#definition)
    if (evaluated === undefined) return undefined
    const entries = [...this.#entries.values()]
    return {
      ...swapWeights(entries, (i) => evaluated(this.#config, entries[i])),
      // What it needs is in the state of the optimizer.
      update() {},
      state: () => ({ tensors: new Map(), updates: 0 }),
      loadState() {},
    }
  }

  get type(): string {
    return this.#definition.type
  }

  get weights(): ReadonlyMap<string, Tensor> {
    return new Map([...this.#entries].map(([path, { weight }]) => [path, weight]))
  }

  get stateBytes(): number {
    let bytes = 0
    for (const { parameter, weight, slots } of this.#entries.values()) {
      if (weight !== parameter) bytes += bytesOf(weight)
      for (const slot of Object.values(slots)) bytes += bytesOf(slot)
    }
    return bytes
  }

  step(gradients: ReadonlyMap<string, Tensor>, options: StepOptions): StepResult {
    expectStep(gradients, options)
    checkOptions(options)
    const updates = [...gradients].map(([path, gradient]) => this.#prepare(path, gradient, options.learningRate))
    // Of a sharded optimizer, another part may have all gradients of a step.
    if (updates.length === 0 && options.gradientNorm === undefined)
      throw new ShapeError('`step` needs at least one gradient: check that the loss depends on the parameters.')
    return noGradScope(() => {
      const { gradientNorm, factor } = measureGradients([...gradients.values()], options)
      if (Number.isNaN(factor)) return { applied: false, gradientNorm }
      this.#definition.update(this.#config, updates, factor)
      for (const { path } of updates) this.#entries.get(path)!.count++
      this.#step++
      return { applied: true, gradientNorm }
    })
  }

  begin({ learningRate, scale }: { learningRate: number; scale: number }): SingleUpdates {
    checkOptions({ learningRate })
    return {
      update: (path, gradient) => {
        const update = this.#prepare(path, gradient, learningRate)
        noGradScope(() => this.#definition.update(this.#config, [update], scale))
        this.#entries.get(path)!.count++
      },
      end: () => {
        this.#step++
      },
    }
  }

  #prepare(path: string, gradient: Tensor, learningRate: number): ParameterUpdate {
    const entry = this.#entries.get(path)
    if (entry === undefined)
      throw new ShapeError(`Expected gradients of the optimizer's parameters for \`step\`, got one of \`${path}\`.`)
    const { facts, group, parameter, weight, slots, count } = entry
    if (!sameShape(gradient.shape, facts.shape) || !trainable.includes(gradient.dtype))
      throw new ShapeError(
        `Expected float32, bfloat16 or float16 [${facts.shape.join(', ')}] for the gradient of \`${path}\`, got ${gradient.dtype} [${gradient.shape.join(', ')}].`,
      )
    return {
      ...facts,
      weight,
      copy: weight === parameter ? undefined : parameter,
      gradient,
      slots,
      learningRate: learningRate * group.learningRateScale,
      weightDecay: group.weightDecay,
      count: count + 1,
    }
  }

  state(): OptimizerState {
    const tensors = new Map<string, Tensor>()
    for (const [path, entry] of this.#entries) {
      for (const [name, tensor] of statesOf(entry)) tensors.set(`${path}/${name}`, tensor)
      // A parameter that had no gradient in some steps has its own count.
      if (entry.count !== this.#step)
        tensors.set(`${path}/${countName}`, Tensor.from(BigInt64Array.of(BigInt(entry.count)), { shape: [] }))
    }
    return { tensors, step: this.#step }
  }

  loadState({ tensors, step }: { tensors: ReadonlyMap<string, Tensor>; step: number }): void {
    const report = { missing: [] as string[], unexpected: [] as string[], mismatched: [] as string[] }
    if (!(Number.isSafeInteger(step) && step >= 0))
      throw new CheckpointError(`Expected a whole number of steps for the state of ${this.type}, got ${step}.`)
    const known = new Set<string>()
    const counts = new Map<Entry, number>()
    for (const [path, entry] of this.#entries) {
      for (const [name, own] of statesOf(entry)) {
        const key = `${path}/${name}`
        known.add(key)
        const given = tensors.get(key)
        if (given === undefined) report.missing.push(key)
        else if (given.dtype !== own.dtype || !sameShape(given.shape, own.shape))
          report.mismatched.push(
            `${key}: expected ${own.dtype} [${own.shape.join(', ')}], got ${given.dtype} [${given.shape.join(', ')}]`,
          )
      }
      const key = `${path}/${countName}`
      known.add(key)
      const given = tensors.get(key)
      const count = given === undefined ? step : given.dtype === 'int64' && given.size === 1 ? given.item() : -1
      if (!(count >= 0 && count <= step)) report.mismatched.push(`${key}: expected an int64 from 0 to ${step}`)
      counts.set(entry, count)
    }
    for (const key of tensors.keys()) if (!known.has(key)) report.unexpected.push(key)
    if (Object.values(report).some((faults) => faults.length > 0))
      throw new CheckpointError(describe(this.type, report), report)
    noGradScope(() => {
      for (const [path, entry] of this.#entries) {
        for (const [name, own] of statesOf(entry)) own.copy_(tensors.get(`${path}/${name}`)!)
        if (entry.weight !== entry.parameter) entry.parameter.copy_(entry.weight)
        entry.count = counts.get(entry)!
      }
    })
    this.#step = step
  }
}

const masterName = 'master'

/** Shape and dtype of every tensor of the state of a parameter, by name. */
export const stateFacts = <Schema extends z.ZodType>(
  definition: OptimizerDefinition<Schema>,
  config: z.output<Schema>,
  { facts, dtype }: { facts: ParameterFacts; dtype: Dtype },
): Record<string, { shape: readonly number[]; dtype: Dtype }> => ({
  ...(dtype === 'float32' ? {} : { [masterName]: { shape: facts.shape, dtype: 'float32' } }),
  ...Object.fromEntries(Object.entries(definition.slots(config, facts)).map(([name, slot]) => [name, slotFacts(slot)])),
})

/** Name of the own count of updates of a parameter that had no gradient in some steps. */
export const countName = 'updates'

const statesOf = ({ parameter, weight, slots }: Entry): [string, Tensor][] => [
  ...(weight === parameter ? [] : ([[masterName, weight]] as [string, Tensor][])),
  ...Object.entries(slots),
]

/** JavaScript may call `step()`, as PyTorch has it, or `step({ learningRate })`. */
const expectStep = (gradients: unknown, options: unknown): void => {
  const hasGradients = gradients instanceof Object && Symbol.iterator in gradients && 'size' in gradients
  if (!hasGradients || !(options instanceof Object))
    throw new ConfigError(
      '`step` needs a Map of gradients by path, and options: call `step(gradients, { learningRate: 1e-4 })`. After `backward`, the gradient of each parameter is its `grad`.',
    )
}

const checkOptions = ({ learningRate, maxGradientNorm, gradientNorm }: StepOptions): void => {
  if (!(Number.isFinite(learningRate) && learningRate >= 0))
    throw new ConfigError(`Expected a finite number of at least 0 for \`learningRate\`, got ${learningRate}.`)
  if (maxGradientNorm !== undefined && !(maxGradientNorm > 0))
    throw new ConfigError(
      `Expected more than 0 for \`maxGradientNorm\`, got ${maxGradientNorm}. Leave it out to disable clipping.`,
    )
  if (gradientNorm !== undefined && gradientNorm < 0)
    throw new ConfigError(`Expected at least 0 for \`gradientNorm\`, got ${gradientNorm}.`)
}

const describe = (type: string, report: Record<string, readonly string[]>): string => {
  const parts = Object.entries(report)
    .filter(([, keys]) => keys.length > 0)
    .map(([kind, keys]) => `${keys.length} ${kind} (${keys.slice(0, 5).join('; ')}${keys.length > 5 ? '; …' : ''})`)
  return `Expected the state of ${type} over the same parameters, got ${parts.join(', ')}. Check that optimizer and model match the checkpoint.`
}

/** The norm after scaling, and the factor of every gradient, NaN where one is not finite. Synchronises with the device once. */
const measureGradients = (
  gradients: readonly Tensor[],
  options: StepOptions,
): { gradientNorm: number; factor: number } => {
  const { gradientScale = 1, maxGradientNorm, gradientNorm: known } = options
  let [norm, scale] = [known, gradientScale]
  if (typeof scale !== 'number') {
    if (scale.size !== 1)
      throw new ShapeError(`Expected a scalar for \`gradientScale\`, got shape [${scale.shape.join(', ')}].`)
    const single = scale.detach().to('float32').reshape([])
    if (norm === undefined) [norm, scale] = stack([gradNorm(gradients), single]).toFloat32Array()
    else scale = single.item()
  }
  norm ??= gradNorm(gradients).item()
  const scaled = norm * Math.abs(scale)
  if (!Number.isFinite(scaled) || !Number.isFinite(scale)) return { gradientNorm: scaled, factor: Number.NaN }
  // As torch's clip_grad_norm_: the factor never exceeds 1.
  const clip = maxGradientNorm === undefined ? 1 : Math.min(1, maxGradientNorm / (scaled + 1e-6))
  return { gradientNorm: scaled, factor: scale * clip }
}
