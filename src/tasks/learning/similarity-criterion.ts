// The criterion of vectors that are compared with each other. The loss depends on the whole batch: where a batch is split into
// micro-batches or divided among processes, the vectors of all its texts come first, without gradients, and each part then takes its own
// gradients from the loss over all of them. So no split changes the loss.
// @source Gao et al. 2021, arXiv:2101.06983 (gradient caching)
import { setImmediate } from 'node:timers/promises'
import { ConfigError } from '../../core/index.ts'
import { planMicroBatches } from '../../data/index.ts'
import type { Model } from '../../models/index.ts'
import { DropoutMasks, reseed, withDropout } from '../../nn/index.ts'
import {
  type Batch,
  type CollateOptions,
  type Criterion,
  type LossOptions,
  type Metric,
  mustPad,
  type PrepareContext,
  placeSequences,
  positionsIn,
  sequencesIn,
} from '../../objectives/index.ts'
import { Generator, noGrad, scope, Tensor, upload } from '../../tensor/index.ts'
import type { TaskExample } from '../task.ts'
import { expectHead } from './row-criterion.ts'
import type { ComparedRows, SimilarityLoss, SimilaritySettings } from './similarity-losses.ts'

/** The texts of a record: the first, the second, and any number of negatives, each a sequence of its own. */
export interface ComparedExample extends TaskExample {
  /** How alike the first two texts are; NaN where it is not known. Undefined where they belong together. */
  label?: number
  prepared?: PreparedExample
}

/** What an example has of the loss of its whole batch. */
interface PreparedExample {
  /** Examples of the batch, where they are all in one micro-batch. */
  whole?: number
  /** Share in the sum of the loss. */
  loss?: number
  /** Share in the right ones. */
  right?: number
  /** Gradient of the sum of the loss by the vectors of the example, one after the other; undefined in evaluations. */
  gradient?: Float32Array
}

interface ComparedBatch extends Batch {
  examples: readonly ComparedExample[]
}

export interface SimilarityCriterionOptions extends SimilaritySettings {
  padId: number
  loss: SimilarityLoss
}

const similarityTerm = 'similarity'

/** Records that are compared with each other in evaluations, where there are no batches. */
const evaluatedTogether = 64

const isKnown = ({ label }: ComparedExample): boolean => !Number.isNaN(label)

/** Rows of the examples, and which of their texts are equal. */
const rowsOf = (examples: readonly ComparedExample[]): ComparedRows => {
  const numbers = new Map<string, number>()
  const texts = examples.flatMap(({ ids, starts }) =>
    starts.map((start, i) => {
      const text = ids.subarray(start, starts[i + 1] ?? ids.length).join()
      const number = numbers.get(text) ?? numbers.size
      numbers.set(text, number)
      return number
    }),
  )
  const rows = {
    first: [] as number[],
    second: [] as number[],
    negatives: [] as number[],
    owners: [] as number[],
    labels: [] as number[],
    texts,
  }
  let at = 0
  for (const example of examples) {
    const { length } = example.starts
    if (isKnown(example)) {
      rows.first.push(at)
      rows.second.push(at + 1)
      for (let i = 2; i < length; i++) {
        rows.negatives.push(at + i)
        rows.owners.push(rows.first.length - 1)
      }
      rows.labels.push(example.label ?? 1)
    }
    at += length
  }
  return rows
}

const blocksOf = <Item>(items: readonly Item[], size: number): Item[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))

/** An example with its number in the batch, which decides its dropout. */
interface Numbered<Example> {
  example: Example
  number: number
}

export const createSimilarityCriterion = <Example extends ComparedExample>(
  options: SimilarityCriterionOptions,
): Criterion<Example> => new SimilarityCriterion(options)

class SimilarityCriterion<Example extends ComparedExample> implements Criterion<Example> {
  readonly unpadded = true
  readonly comparesExamples = true
  readonly #options: SimilarityCriterionOptions

  constructor(options: SimilarityCriterionOptions) {
    this.#options = options
  }

  tokens({ ids }: Example): number {
    return ids.length
  }

  weights(example: Example): Record<string, number> {
    return { [similarityTerm]: isKnown(example) ? 1 : 0 }
  }

  /** Every token is part of a vector that is compared. */
  trainedTokens(example: Example): number {
    return isKnown(example) ? example.ids.length : 0
  }

  collate(examples: readonly Example[], how: CollateOptions): ComparedBatch {
    const { inputs, tokens } = placeSequences(examples, this.#options.padId, how)
    return { inputs, tokens, examples }
  }

  async prepare(examples: readonly Example[], context: PrepareContext): Promise<readonly Example[]> {
    const { model, share, evaluation = false, microTokens } = context
    const how = { ...context, padded: context.padded || mustPad(this, model) }
    const lengths = examples.map(positionsIn(this, model))
    if (!evaluation && share === undefined && planMicroBatches(lengths, microTokens, how.padded).length === 1)
      return examples.map((example) => ({ ...example, prepared: { whole: examples.length } }))
    const numbered = examples.map((example, number) => ({ example, number }))
    const { training } = model
    if (evaluation) model.eval()
    try {
      const vectors =
        share === undefined
          ? await this.#computeVectors(numbered, how)
          : await share(numbered, {
              sizeOf: ({ example }) => example.ids.length,
              work: (own) => this.#computeVectors(own, how),
              standIn: ({ example }) => new Float32Array(sequencesIn(example) * model.facts.hiddenSize),
            })
      return blocksOf(numbered, evaluation ? evaluatedTogether : numbered.length).flatMap((block) => {
        const own = block.map(({ number }) => vectors[number])
        const shares = this.#shareLoss(
          block.map(({ example }) => example),
          own,
          how,
        )
        return block.map(({ example }, i) => ({ ...example, prepared: shares[i] }))
      })
    } finally {
      if (training) model.train()
    }
  }

  loss(model: Model, batch: Batch, { metrics }: LossOptions = {}): ReturnType<Criterion['loss']> {
    expectHead(model, 'embedding')
    const compared = batch as ComparedBatch
    const known = compared.examples.filter(isKnown).length
    const { sum, right } = this.#lossOf(model, compared)
    const measured: Record<string, Metric> = {}
    if (metrics && right !== undefined) measured.accuracy = { sum: right, weight: known }
    return { terms: [{ name: similarityTerm, sum, weight: known, scale: 1 }], metrics: measured }
  }

  describe({ ids, starts, label }: Example, decode: (ids: readonly number[]) => string): string {
    const texts = starts.map((start, i) => decode(Array.from(ids.subarray(start, starts[i + 1] ?? ids.length))))
    return [...texts, ...(label === undefined ? [] : [`→ ${label}`])].join('\n')
  }

  /** Vectors of examples, computed as the training step will compute them: with the same dropout, from the same weights. */
  async #computeVectors(
    numbered: readonly Numbered<Example>[],
    { model, microTokens, padded, device, seed, step }: PrepareContext,
  ): Promise<Float32Array[]> {
    const lengths = numbered.map(({ example }) => positionsIn(this, model)(example))
    const results: Float32Array[] = []
    const generator = reseed(new Generator(0), seed, step)
    const start = generator.state()
    for (const indices of planMicroBatches(lengths, microTokens, padded)) {
      // Signals and timers run between micro-batches.
      await setImmediate()
      const part = indices.map((i) => numbered[i])
      generator.setState(start)
      const masks = new DropoutMasks(
        generator,
        part.map(({ example, number }) => ({ number, sequences: sequencesIn(example) })),
      )
      try {
        noGrad(() =>
          scope(() => {
            const batch = this.collate(
              part.map(({ example }) => example),
              { padded, device },
            )
            const split = splitVectors(
              withDropout(masks, () => vectorsOf(model, batch)),
              batch,
            )
            for (const [k, i] of indices.entries()) results[i] = split[k].slice()
          }),
        )
      } finally {
        masks.free()
      }
    }
    return results
  }

  /** The loss of examples that are compared with each other, and what each has of it. */
  #shareLoss(
    examples: readonly Example[],
    vectors: readonly Float32Array[],
    { device, evaluation = false }: PrepareContext,
  ): PreparedExample[] {
    const { loss, ...settings } = this.#options
    const compared = rowsOf(examples)
    const known = compared.first.length
    const none = (i: number): PreparedExample => ({
      loss: 0,
      right: 0,
      ...(evaluation ? {} : { gradient: new Float32Array(vectors[i].length) }),
    })
    if (known === 0) return examples.map((_, i) => none(i))
    return scope(() => {
      const width = vectors[0].length / sequencesIn(examples[0])
      const leaf = Tensor.from(joined(vectors), { device }).view([-1, width])
      leaf.requiresGrad = !evaluation
      const { sum, right } = loss(leaf, compared, settings)
      const share = { loss: sum.item() / known, ...(right && { right: right.item() / known }) }
      if (!evaluation) sum.backward()
      const gradients = evaluation ? undefined : leaf.grad?.toFloat32Array()
      let at = 0
      return examples.map((example, i) => {
        const gradient = gradients && { gradient: gradients.slice(at, (at += vectors[i].length)) }
        return isKnown(example) ? { ...share, ...gradient } : { ...none(i), ...gradient }
      })
    })
  }

  #lossOf(model: Model, batch: ComparedBatch): { sum: Tensor; right?: Tensor | number } {
    const { loss, ...settings } = this.#options
    const { examples } = batch
    const prepared = examples.map((example) => example.prepared)
    const [first] = prepared
    if (first?.loss === undefined) {
      if (first?.whole !== undefined && first.whole !== examples.length)
        throw new ConfigError(
          `Expected the ${first.whole} examples of a batch together, as their loss compares them, got ${examples.length} of them.`,
        )
      return loss(vectorsOf(model, batch), rowsOf(examples), settings)
    }
    const total = (field: 'loss' | 'right') => prepared.reduce((sum, one) => sum + (one?.[field] ?? 0), 0)
    const { device } = model.body.embedTokens
    const value = upload(Tensor.from(Float32Array.of(total('loss'))), device).squeeze()
    const ranks = prepared.some((one) => one?.right !== undefined) ? { right: total('right') } : {}
    // In evaluations nothing else is left to compute.
    if (first.gradient === undefined) return { sum: value, ...ranks }
    const vectors = vectorsOf(model, batch).flatten()
    const gradients = Tensor.from(joined(prepared.map((one) => one!.gradient!)), { device })
    const moved = vectors.mul(gradients).sum()
    return { sum: moved.sub(moved.detach()).add(value), ...ranks }
  }
}

const vectorsOf = (model: Model, { inputs }: Batch): Tensor => model.forward(inputs).logits.to('float32')

const joined = (parts: readonly Float32Array[]): Float32Array => {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** [rows,C] -> the vectors of each example, one after the other. */
export const splitVectors = (vectors: Tensor, batch: Batch): Float32Array[] => {
  const values = vectors.toFloat32Array()
  const width = vectors.shape[1]
  let at = 0
  return (batch as ComparedBatch).examples.map((example) => values.subarray(at, (at += sequencesIn(example) * width)))
}
