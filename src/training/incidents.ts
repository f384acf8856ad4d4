// Diagnosis of failed steps: which examples and layers are not finite, and whether a loss is a spike. The loop decides what follows.
import { noGradScope, type Tensor } from '../tensor/index.ts'
import { type BatchGradients, computeGradients, type GradientOptions, type TrainableModel } from './gradients.ts'

/** The report of a step that is not finite. */
export interface NonFiniteReport {
  /** Loss of the batch as text, since it may be NaN or infinite. */
  loss: string
  /** Parameters whose gradients have values that are not finite, with their number. */
  parameters: { path: string; values: number }[]
  /** Parameters that are not finite themselves. */
  weights: string[]
  /** Positions in the data of the examples whose own loss or gradients are not finite. */
  examples: number[]
  /** File and line of each of these examples, or its document, where the data knows them. */
  places: string[]
}

/** Number of values that are not finite. */
export const badValues = (tensor: Tensor): number => noGradScope(() => tensor.size - tensor.isfinite().sum().item())

/**
 * Computes the examples of a failed step one by one to find those that make it fail.
 * @param positions of the examples in the data
 */
export const diagnose = async <Example>(
  trainable: TrainableModel<Example>,
  examples: readonly Example[],
  positions: readonly number[],
  result: Pick<BatchGradients, 'loss' | 'gradients'>,
  options: GradientOptions,
): Promise<NonFiniteReport> => {
  const report: NonFiniteReport = { loss: String(result.loss), parameters: [], weights: [], examples: [], places: [] }
  for (const [path, gradient] of result.gradients) {
    const values = badValues(gradient)
    if (values > 0) report.parameters.push({ path, values })
  }
  for (const [path, parameter] of trainable.parameters) if (badValues(parameter) > 0) report.weights.push(path)
  // With damaged weights every example fails.
  if (report.weights.length > 0) return report
  for (const [i, example] of examples.entries()) {
    const weights = Object.values(trainable.objective.weights(example))
    if (!weights.some((weight) => weight > 0)) continue
    const alone = await computeGradients(trainable, [example], { ...options, numbers: [options.numbers?.[i] ?? i] })
    if (!Number.isFinite(alone.loss) || [...alone.gradients.values()].some((gradient) => badValues(gradient) > 0))
      report.examples.push(positions[i])
    alone.release()
  }
  return report
}

export const describeNonFinite = ({ loss, parameters, weights, examples, places }: NonFiniteReport): string => {
  const list = (names: readonly (string | number)[]) =>
    `${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`
  if (weights.length > 0) return `Weights are not finite: ${list(weights)}. Restore an earlier checkpoint.`
  const whole = Number.isFinite(Number(loss)) ? 'The norm of all gradients' : 'The loss'
  const layers = parameters.length === 0 ? whole : `Gradients of ${list(parameters.map(({ path }) => path))}`
  const rows =
    examples.length === 0
      ? ', though no single example is'
      : `, because of the examples at ${list(examples)}${places.length === 0 ? '' : ` (${list(places)})`}`
  return `${layers} ${parameters.length === 0 ? 'is' : 'are'} not finite${rows}.`
}

/** Detects a loss far above those before it. */
export class SpikeWatch {
  /** The recent losses, which a checkpoint stores. */
  readonly window: number[]
  static readonly size = 64

  constructor(window: readonly number[] = []) {
    this.window = [...window]
  }

  /** The standard deviations by which a loss is above the recent mean if it is a spike, else undefined. */
  check(loss: number): number | undefined {
    const { length } = this.window
    if (length < SpikeWatch.size / 2) return undefined
    const mean = this.window.reduce((sum, value) => sum + value, 0) / length
    const spread = Math.sqrt(this.window.reduce((sum, value) => sum + (value - mean) ** 2, 0) / length)
    const height = (loss - mean) / Math.max(spread, 0.01 * Math.abs(mean), 1e-6)
    return height > 6 ? height : undefined
  }

  add(loss: number): void {
    this.window.push(loss)
    if (this.window.length > SpikeWatch.size) this.window.shift()
  }
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
const short = (value: number) => String(Number(value.toPrecision(4)))

/** Detects a loss that rises far above the one that training began with, however slowly, so that no single step is a spike. */
export class RiseWatch {
  #start: number | undefined
  #recent: number[] = []
  #risen = false
  static readonly size = 8

  /** Takes the loss of a step. @returns a sentence, the first time that the mean of the last steps is far above the first loss */
  add(loss: number): string | undefined {
    if (!Number.isFinite(loss)) return undefined
    this.#start ??= loss
    this.#recent.push(loss)
    if (this.#recent.length > RiseWatch.size) this.#recent.shift()
    const far = this.#recent.length === RiseWatch.size && this.#isFar()
    if (!far || this.#risen) return undefined
    this.#risen = true
    return this.#describe()
  }

  /** What a finished run says of its last steps. */
  warnings(): string[] {
    return this.#recent.length > 1 && this.#isFar() ? [this.#describe()] : []
  }

  /** Batches of few examples differ much, so a loss counts as risen only when it has more than doubled, and by a nat or more. */
  #isFar(): boolean {
    const start = this.#start ?? Number.NaN
    return mean(this.#recent) > start + Math.abs(start) + 1
  }

  #describe(): string {
    const { length } = this.#recent
    return `Loss rose far above its start: ${short(this.#start ?? Number.NaN)} at the first step, ${short(mean(this.#recent))} on average in the last ${length}. Lower \`learningRate\`.`
  }
}
