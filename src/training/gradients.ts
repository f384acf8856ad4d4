// Loss and gradients of one global batch, independent of how it is split into micro-batches, and of the objective.
import { setImmediate } from 'node:timers/promises'
import type { EmbeddingAdversary, MethodTraining } from '../adapters/index.ts'
import { DataError } from '../core/index.ts'
import { planMicroBatches } from '../data/index.ts'
import { type LayerWeights, type Model, withLayerWeights } from '../models/index.ts'
import { DropoutMasks, withDropout } from '../nn/index.ts'
import {
  type Criterion,
  joinMetrics,
  type LossTerm,
  type Metric,
  mustPad,
  positionsIn,
  sequencesIn,
} from '../objectives/index.ts'
import {
  clearGrads,
  freeTensors,
  type Generator,
  keepUntilFreed,
  noGradScope,
  notePhase,
  noteTensors,
  scope,
  Tensor,
} from '../tensor/index.ts'
import type { Mixout } from './mixout.ts'
import { routerWeights, trainingLoss } from './router-loss.ts'

/** The model that is trained, or two models that share an objective. */
export interface TrainableModel<Example = unknown> {
  model: Model
  auxiliary?: Model
  objective: Criterion<Example>
  /** Every trained parameter, by path. */
  parameters: ReadonlyMap<string, Tensor>
  /** What the fine-tuning method does beside its parameters. */
  method?: MethodTraining
  /** Computes each batch a second time, with embeddings moved against the model. */
  adversary?: EmbeddingAdversary
  /** Mixes trained matrices with those of the base in each step. */
  mixout?: Mixout
}

/** How a batch is computed. */
export interface GradientOptions {
  microTokens: number
  padded: boolean
  /** Layers whose activations are recomputed in the backward pass. */
  recompute: number
  /** Random numbers of dropout in this step. */
  generator: Generator
  /** Numbers of the examples in the global batch, which tell their dropout masks apart (default: in their order). */
  numbers?: readonly number[]
  device?: string
  /** Factor of the loss in backward passes, by which gradients are divided in float32 (default: none). */
  lossScale?: number | undefined
}

/** Gradients of one global batch. */
export interface BatchGradients {
  loss: number
  terms: Record<string, number>
  /** What the criterion measured beside its loss. */
  metrics: Record<string, number>
  /** The same as sums and their weights. */
  measured: Record<string, Metric<number>>
  gradients: Map<string, Tensor>
  microBatches: number
  /** Frees the gradients, which the caller must do. */
  release(): void
}

/** The gradients that a process has computed so far. */
export interface GradientSource {
  /** The gradient of a parameter, which is valid until it is dropped; undefined without one. */
  take(path: string): Tensor | undefined
  /** Frees gradients. */
  drop(paths: readonly string[]): void
}

/** Takes gradients out of backward passes, to exchange them with other processes. */
export interface GradientSink {
  beginPass(source: GradientSource): void
  /** Called before the forward pass of a micro-batch. */
  openMicroBatch(isLast: boolean): void
  /** Called before its backward pass. */
  noteLoss?(loss: number): void
  /** Called after its backward pass. */
  closeMicroBatch(): Promise<void>
  /** @param own number of micro-batches of this process; `rounds` is the most that a process has */
  endPass(rounds: number, own: number): Promise<void>
}

/** Means of what was measured. */
export const metricsOf = (measured: BatchGradients['measured']): Record<string, number> =>
  Object.fromEntries(
    Object.entries(measured).flatMap(([name, { sum, weight }]) => (weight > 0 ? [[name, sum / weight]] : [])),
  )

/** The total weight of each loss term of a batch. @throws DataError for a batch without trained tokens */
export const totalWeights = <Example>(objective: Criterion<Example>, examples: readonly Example[]) => {
  const totals: Record<string, number> = {}
  for (const example of examples)
    for (const [name, weight] of Object.entries(objective.weights(example))) totals[name] = (totals[name] ?? 0) + weight
  if (!Object.values(totals).some((weight) => weight > 0))
    throw new DataError(
      `A batch of ${examples.length} examples has no trained token: check the data and the settings of the objective.`,
    )
  return totals
}

const tokensOf = <Example>(objective: Criterion<Example>, examples: readonly Example[]): number =>
  examples.reduce((sum, example) => sum + objective.tokens(example), 0)

/** The same with the weights of what model and method add to the loss in training. */
export const trainingWeights = <Example>(
  { objective, model, method }: Pick<TrainableModel<Example>, 'objective' | 'model' | 'method'>,
  examples: readonly Example[],
): Record<string, number> => ({
  ...totalWeights(objective, examples),
  ...routerWeights(model, objective, examples),
  ...(method?.penalty && { [method.penalty.name]: tokensOf(objective, examples) }),
})

/** The penalty of a method for a part of the batch: its share by tokens, so that all parts together have it once. */
const penaltyOf = <Example>(
  { objective, method }: Pick<TrainableModel<Example>, 'objective' | 'method'>,
  examples: readonly Example[],
): LossTerm[] => {
  if (method?.penalty === undefined) return []
  const { name, scale, loss } = method.penalty
  const weight = tokensOf(objective, examples)
  return [{ name, sum: loss().mul(weight), weight, scale }]
}

/** Some rows of a global batch, whose gradients other processes have a part of. */
export interface SharedBatch<Example = unknown> {
  /** Weights of the global batch. */
  totals: Record<string, number>
  sink: GradientSink
  /** The most micro-batches that a process has, from the number of this one's. */
  rounds(own: number): Promise<number>
  /** Weights of layers that processes bring each other. */
  weights?: LayerWeights | undefined
  /**
   * Examples that a process computes without effect while others compute more micro-batches than it has: all of them must bring each
   * other the weights of layers equally often.
   */
  idle?: readonly Example[] | undefined
  /** Whether the idle examples come first, without effect, so that every process sees the order of the layers. */
  showsPasses?: boolean
}

/** Rows of a micro-batch with their numbers in the global batch, and whether they add to loss and gradients. */
interface PlannedRows<Example> {
  rows: Example[]
  numbers: number[]
  counts: boolean
}

/** Adds what a process computes without effect: as others compute more, and first of all, to show the order of the layers. */
const addIdle = <Example>(planned: PlannedRows<Example>[], rounds: number, shared?: SharedBatch<Example>): void => {
  if (shared?.idle === undefined) return
  const idle = { rows: [...shared.idle], numbers: [...shared.idle.keys()], counts: false }
  while (planned.length < rounds) planned.push(idle)
  if (shared.showsPasses === true) planned.unshift(idle)
}

/**
 * Gradients of the loss over `examples`; each term is divided once, by its weight over all of them.
 * @param shared weights of the global batch, where `examples` are some of its rows, and what takes the gradients then
 */
export const computeGradients = async <Example>(
  { model, auxiliary, objective, parameters, method, adversary }: TrainableModel<Example>,
  examples: readonly Example[],
  options: GradientOptions,
  shared?: SharedBatch<Example>,
): Promise<BatchGradients> => {
  const weights = shared?.totals ?? trainingWeights({ objective, model, method }, examples)
  const padded = options.padded || mustPad(objective, model)
  const lengths = examples.map(positionsIn(objective, model))
  const microBatches = planMicroBatches(lengths, options.microTokens, padded)
  clearGrads([...parameters.values()])
  const { generator, numbers, lossScale } = options
  // Every micro-batch starts from it, as dropout masks differ by example and place of use, not by micro-batch.
  let start: Uint8Array | undefined
  // Sums over processes are of float32 too.
  const sums = new GradientSums(parameters, microBatches.length > 1 || shared !== undefined, lossScale)
  const terms: Record<string, number> = {}
  const measured: BatchGradients['measured'] = {}
  let loss = 0
  try {
    const rounds = (await shared?.rounds(microBatches.length)) ?? microBatches.length
    const planned = microBatches.map((indices) => ({
      rows: indices.map((index) => examples[index]),
      numbers: indices.map((index) => numbers?.[index] ?? index),
      counts: true,
    }))
    addIdle(planned, rounds, shared)
    shared?.sink.beginPass(sums)
    for (const [i, { rows, numbers, counts }] of planned.entries()) {
      // Signals and timers run between micro-batches.
      await setImmediate()
      notePhase('forward')
      shared?.sink.openMicroBatch(i === planned.length - 1)
      start ??= generator.state()
      const compute = (adversarial: boolean) => {
        const batch = objective.collate(rows, { padded, device: options.device })
        batch.inputs.recompute = options.recompute
        let total: Tensor | undefined
        const result = trainingLoss(model, objective)(model, batch, { auxiliary })
        for (const [name, metric] of adversarial || !counts ? [] : Object.entries(result.metrics)) {
          const sum = typeof metric.sum === 'number' ? metric.sum : metric.sum.item()
          measured[name] = joinMetrics(measured[name], { ...metric, sum })
        }
        const penalties = adversarial ? [] : penaltyOf({ objective, method }, rows)
        for (const term of [...result.terms, ...penalties]) {
          const weight = weights[term.name]
          if (!(weight > 0)) continue
          const share = term.sum.mul(counts ? term.scale / weight : 0)
          if (counts) {
            const added = share.item()
            // The loss with moved embeddings is one term, whatever terms it has.
            const [name, value] = adversarial ? ['adversarial', added] : [term.name, term.sum.item() / weight]
            terms[name] = (terms[name] ?? 0) + value
            loss += added
          }
          total = total === undefined ? share : total.add(share)
        }
        if (counts) shared?.sink.noteLoss?.(loss)
        notePhase('backward')
        if (lossScale === undefined) total?.backward()
        else total?.mul(lossScale).backward()
      }
      const from = start
      // Both passes of a batch have the same masks, so that the embeddings alone differ.
      const pass = (adversarial: boolean) => {
        generator.setState(from)
        const masks = new DropoutMasks(
          generator,
          rows.map((row, at) => ({ number: numbers[at], sequences: sequencesIn(row) })),
        )
        try {
          scope(() => withLayerWeights(shared?.weights, () => withDropout(masks, () => compute(adversarial))))
        } finally {
          masks.free()
        }
      }
      if (adversary === undefined) pass(false)
      else adversary.attack(pass)
      if (shared?.showsPasses === true && i === 0) clearGrads([...parameters.values()])
      else sums.add()
      await shared?.sink.closeMicroBatch()
    }
    await shared?.sink.endPass(rounds, planned.length)
  } catch (error) {
    sums.release()
    throw error
  }
  // Of a shared batch they are with the sink.
  const gradients = shared === undefined ? sums.gradients() : new Map<string, Tensor>()
  noteTensors('gradients', gradients.values())
  return {
    loss,
    terms,
    metrics: metricsOf(measured),
    measured,
    gradients,
    microBatches: microBatches.length,
    release: () => sums.release(),
  }
}

/**
 * Sums the gradients of micro-batches. Autograd does so for float32; those of bfloat16 parameters are summed in float32 here, as each sum
 * would be rounded otherwise. Those of a scaled loss are divided by its scale before they are summed, in float32 too.
 */
class GradientSums implements GradientSource {
  readonly #parameters: ReadonlyMap<string, Tensor>
  readonly #sums = new Map<string, Tensor>()
  readonly #wide: boolean
  readonly #lossScale: number | undefined

  constructor(parameters: ReadonlyMap<string, Tensor>, several: boolean, lossScale?: number) {
    this.#parameters = parameters
    this.#lossScale = lossScale
    const isNarrow = several && [...parameters.values()].some(({ dtype }) => dtype !== 'float32')
    this.#wide = isNarrow || lossScale !== undefined
  }

  /** A gradient of the loss itself, in float32 where the loss was scaled. */
  #unscaled(gradient: Tensor): Tensor {
    if (this.#lossScale === undefined) return gradient
    return gradient.to({ dtype: 'float32', copy: true }).mul_(1 / this.#lossScale)
  }

  add(): void {
    if (!this.#wide) return
    noGradScope(() => {
      for (const [path, parameter] of this.#parameters) {
        const { grad } = parameter
        if (grad === undefined) continue
        const sum = this.#sums.get(path)
        const own = this.#unscaled(grad)
        if (sum !== undefined) sum.add_(own)
        else this.#hold(path, own === grad ? grad.to({ dtype: 'float32', copy: true }) : own)
      }
    })
    clearGrads([...this.#parameters.values()])
  }

  take(path: string): Tensor | undefined {
    const sum = this.#sums.get(path)
    const grad = this.#parameters.get(path)?.grad
    if (grad === undefined) return sum
    const own = this.#unscaled(grad)
    return sum === undefined ? own : sum.add_(own)
  }

  drop(paths: readonly string[]): void {
    for (const path of paths) {
      this.#sums.get(path)?.free()
      this.#sums.delete(path)
    }
    clearGrads(paths.flatMap((path) => this.#parameters.get(path) ?? []))
  }

  gradients(): Map<string, Tensor> {
    if (!this.#wide)
      scope(() => {
        for (const [path, { grad }] of this.#parameters) if (grad !== undefined) this.#hold(path, grad)
      })
    return this.#sums
  }

  #hold(path: string, gradient: Tensor): void {
    keepUntilFreed([gradient])
    this.#sums.set(path, gradient)
  }

  release(): void {
    freeTensors(this.#sums.values())
    this.#sums.clear()
    clearGrads([...this.#parameters.values()])
  }
}

/** Every trained parameter of a model and of its auxiliary model; shared ones are there once. */
export const trainedParameters = (model: Model, auxiliary?: Model): Map<string, Tensor> => {
  const parameters = new Map([...model.parameters()].filter(([, parameter]) => parameter.requiresGrad))
  const known = new Set(model.parameters().values())
  for (const [path, parameter] of auxiliary?.parameters() ?? [])
    if (parameter instanceof Tensor && parameter.requiresGrad && !known.has(parameter))
      parameters.set(`auxiliary.${path}`, parameter)
  return parameters
}
