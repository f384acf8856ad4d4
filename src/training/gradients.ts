// The loss and the gradients of one global batch, whatever parts it goes through the model in. Knows no objective by name.
import { setImmediate } from 'node:timers/promises'
import { createRandom, DataError } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { type Criterion, mustPad, positionsIn } from '../objectives/index.ts'
import { clearGrads, freeTensors, type Generator, keepUntilFreed, noGrad, scope, Tensor } from '../tensor/index.ts'
import { planMicroBatches } from './micro-batches.ts'

/** What is trained: one model, or two that share an objective. */
export interface TrainableModel<Example = unknown> {
  model: Model
  auxiliary?: Model
  objective: Criterion<Example>
  /** Every trained parameter once, by path. */
  parameters: ReadonlyMap<string, Tensor>
}

export interface GradientOptions {
  microTokens: number
  padded: boolean
  /** Layers that are computed again in the backward pass. */
  recompute: number
  /** Of dropout in this step. */
  generator: Generator
  device?: string
}

export interface BatchGradients {
  loss: number
  terms: Record<string, number>
  gradients: Map<string, Tensor>
  /** Parts that the batch went through in. */
  parts: number
  /** Frees the gradients. Nothing else does. */
  release(): void
}

/** The draws of one step depend on the seed and its number alone. */
export const reseed = (generator: Generator, seed: number, step: number): Generator =>
  generator.seed(createRandom(`${seed}/step/${step}`).integer(2 ** 53 - 1))

/** The weights of a batch's terms, before anything is computed. @throws DataError when there is nothing to learn */
export const totalWeights = <Example>(objective: Criterion<Example>, examples: readonly Example[]) => {
  const totals: Record<string, number> = {}
  for (const example of examples)
    for (const [name, weight] of Object.entries(objective.weights(example))) totals[name] = (totals[name] ?? 0) + weight
  if (!Object.values(totals).some((weight) => weight > 0))
    throw new DataError(
      `Expected something to learn in a batch of ${examples.length} examples, got no trained token. Check the data and what the objective trains.`,
    )
  return totals
}

/** Gradients over `examples`; each term of the loss is divided once, by its weight over all of them. */
export const computeGradients = async <Example>(
  { model, auxiliary, objective, parameters }: TrainableModel<Example>,
  examples: readonly Example[],
  options: GradientOptions,
): Promise<BatchGradients> => {
  const totals = totalWeights(objective, examples)
  const padded = options.padded || mustPad(objective, model)
  const lengths = examples.map(positionsIn(objective, model))
  const parts = planMicroBatches(lengths, options.microTokens, padded)
  const all = [...parameters.values()]
  clearGrads(all)
  const sums = new GradientSums(parameters, parts.length > 1)
  const terms: Record<string, number> = {}
  let loss = 0
  try {
    for (const part of parts) {
      // Signals and timers get their turn between parts.
      await setImmediate()
      scope(() => {
        const batch = objective.collate(
          part.map((i) => examples[i]),
          { padded, device: options.device },
        )
        batch.inputs.recompute = options.recompute
        let total: Tensor | undefined
        for (const term of objective.loss(model, batch, { generator: options.generator, auxiliary }).terms) {
          const weight = totals[term.name]
          if (!(weight > 0)) continue
          const share = term.sum.mul(term.scale / weight)
          terms[term.name] = (terms[term.name] ?? 0) + term.sum.item() / weight
          loss += share.item()
          total = total === undefined ? share : total.add(share)
        }
        total?.backward()
      })
      sums.add()
    }
  } catch (error) {
    sums.release()
    throw error
  }
  return { loss, terms, gradients: sums.gradients(), parts: parts.length, release: () => sums.release() }
}

/**
 * Autograd adds float32 gradients itself. Those of bfloat16 parameters are added up in float32, or each part would be rounded
 * into what came before.
 */
class GradientSums {
  readonly #parameters: ReadonlyMap<string, Tensor>
  readonly #sums = new Map<string, Tensor>()
  readonly #wide: boolean

  constructor(parameters: ReadonlyMap<string, Tensor>, several: boolean) {
    this.#parameters = parameters
    this.#wide = several && [...parameters.values()].some(({ dtype }) => dtype !== 'float32')
  }

  add(): void {
    if (!this.#wide) return
    noGrad(() =>
      scope(() => {
        for (const [path, parameter] of this.#parameters) {
          const { grad } = parameter
          if (grad === undefined) continue
          const sum = this.#sums.get(path)
          if (sum === undefined) this.#hold(path, grad.to({ dtype: 'float32', copy: true }))
          else sum.add_(grad)
        }
      }),
    )
    clearGrads([...this.#parameters.values()])
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

/** Every parameter of a model and its second one, once each. */
export const trainedParameters = (model: Model, auxiliary?: Model): Map<string, Tensor> => {
  const parameters = new Map([...model.parameters()].filter(([, parameter]) => parameter.requiresGrad))
  const known = new Set(model.parameters().values())
  for (const [path, parameter] of auxiliary?.parameters() ?? [])
    if (parameter instanceof Tensor && parameter.requiresGrad && !known.has(parameter))
      parameters.set(`auxiliary.${path}`, parameter)
  return parameters
}
