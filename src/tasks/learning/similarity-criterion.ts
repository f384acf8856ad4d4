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
  type Criterion,
  type Metric,
  mustPad,
  type PrepareContext,
  placeSequences,
  positionsIn,
  sequencesIn,
} from '../../objectives/index.ts'
import { Generator, noGrad, scope, Tensor } from '../../tensor/index.ts'
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

/** Settings of the criterion. */
export interface SimilarityCriterionOptions extends SimilaritySettings {
  padId: number
  loss: SimilarityLoss
}

/** Name of the loss term. */
export const similarityTerm = 'similarity'

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
    labels: [] as number[],
    texts,
  }
  let at = 0
  for (const example of examples) {
    const { length } = example.starts
    if (isKnown(example)) {
      rows.first.push(at)
      rows.second.push(at + 1)
      for (let i = 2; i < length; i++) rows.negatives.push(at + i)
      rows.labels.push(example.label ?? 1)
    }
    at += length
  }
  return rows
}

/** Consecutive parts of a list. */
const blocksOf = <Item>(items: readonly Item[], size: number): Item[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size))

/** The criterion of texts whose vectors are compared. */
export const createSimilarityCriterion = <Example extends ComparedExample>({
  padId,
  loss,
  scale,
}: SimilarityCriterionOptions): Criterion<Example> => {
  const collate: Criterion<Example>['collate'] = (examples, how): ComparedBatch => {
    const { inputs, tokens } = placeSequences(examples, padId, how)
    return { inputs, tokens, examples }
  }
  const vectorsOf = (model: Model, { inputs }: Batch): Tensor => model.forward(inputs).logits.to('float32')

  /** Vectors of examples, computed as the training step will compute them: with the same dropout, from the same weights. */
  const computeVectors = async (
    numbered: readonly { example: Example; number: number }[],
    { model, microTokens, padded, device, seed, step }: PrepareContext,
  ): Promise<Float32Array[]> => {
    const lengths = numbered.map(({ example }) => positionsIn(criterion, model)(example))
    const results: Float32Array[] = []
    const generator = reseed(new Generator(0), seed, step)
    const start = generator.state()
    for (const indices of planMicroBatches(lengths, microTokens, padded)) {
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
            const batch = collate(
              part.map(({ example }) => example),
              { padded, device },
            )
            const vectors = withDropout(masks, () => vectorsOf(model, batch))
            const split = splitVectors(vectors, batch)
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
  const shareLoss = (
    examples: readonly Example[],
    vectors: readonly Float32Array[],
    { device, evaluation = false }: PrepareContext,
  ): PreparedExample[] =>
    scope(() => {
      const rows = examples.flatMap(sequencesIn)
      const count = rows.reduce((sum, own) => sum + own, 0)
      const width = vectors[0].length / rows[0]
      const values = new Float32Array(count * width)
      let at = 0
      for (const own of vectors) {
        values.set(own, at)
        at += own.length
      }
      const leaf = Tensor.from(values, { shape: [count, width], device })
      leaf.requiresGrad = !evaluation
      const compared = rowsOf(examples)
      const known = compared.first.length
      if (known === 0)
        return examples.map(() => ({ loss: 0, right: 0, ...(evaluation ? {} : { gradient: values.fill(0) }) }))
      const { sum, right } = loss(leaf, compared, { scale })
      const value = sum.item() / known
      const share = right === undefined ? {} : { right: right.item() / known }
      if (!evaluation) sum.backward()
      const gradients = evaluation ? undefined : leaf.grad?.toFloat32Array()
      let from = 0
      return examples.map((example, i) => {
        const to = from + rows[i] * width
        const gradient = gradients && { gradient: gradients.slice(from, to) }
        from = to
        return isKnown(example) ? { loss: value, ...share, ...gradient } : { loss: 0, right: 0, ...gradient }
      })
    })

  const criterion: Criterion<Example> = {
    unpadded: true,
    comparesExamples: true,
    tokens: ({ ids }) => ids.length,
    weights: (example) => ({ [similarityTerm]: isKnown(example) ? 1 : 0 }),
    collate,
    async prepare(examples, context) {
      const { model, share, evaluation = false, microTokens } = context
      const padded = context.padded || mustPad(criterion, model)
      const lengths = examples.map(positionsIn(criterion, model))
      if (!evaluation && share === undefined && planMicroBatches(lengths, microTokens, padded).length === 1)
        return examples.map((example) => ({ ...example, prepared: { whole: examples.length } }))
      const numbered = examples.map((example, number) => ({ example, number }))
      const how = { ...context, padded }
      const width = model.facts.hiddenSize
      const { training } = model
      if (evaluation) model.eval()
      try {
        const vectors =
          share === undefined
            ? await computeVectors(numbered, how)
            : await share(numbered, {
                sizeOf: ({ example }) => example.ids.length,
                work: (own) => computeVectors(own, how),
                standIn: ({ example }) => new Float32Array(sequencesIn(example) * width),
              })
        const blocks = blocksOf(numbered, evaluation ? evaluatedTogether : numbered.length)
        return blocks.flatMap((block) => {
          const own = block.map(({ example }) => example)
          const shares = shareLoss(
            own,
            block.map(({ number }) => vectors[number]),
            how,
          )
          return own.map((example, i) => ({ ...example, prepared: shares[i] }))
        })
      } finally {
        if (training) model.train()
      }
    },
    loss(model, batch, { metrics } = {}) {
      const { examples } = batch as ComparedBatch
      expectHead(model, 'embedding')
      const known = examples.filter(isKnown).length
      const { sum, right } = lossOf(model, batch as ComparedBatch)
      const measured: Record<string, Metric> = {}
      if (metrics && right !== undefined) measured.accuracy = { sum: right, weight: known }
      return { terms: [{ name: similarityTerm, sum, weight: known, scale: 1 }], metrics: measured }
    },
    describe({ ids, starts, label }, decode) {
      const texts = starts.map((start, i) => decode(Array.from(ids.subarray(start, starts[i + 1] ?? ids.length))))
      return [...texts, ...(label === undefined ? [] : [`→ ${label}`])].join('\n')
    },
  }

  const lossOf = (model: Model, batch: ComparedBatch): { sum: Tensor; right?: Tensor | number } => {
    const { examples } = batch
    const prepared = examples.map((example) => example.prepared)
    const total = (field: 'loss' | 'right') => prepared.reduce((sum, one) => sum + (one?.[field] ?? 0), 0)
    const ranks = prepared.some((one) => one?.right !== undefined) ? { right: total('right') } : {}
    const constant = () =>
      Tensor.from(Float32Array.of(total('loss')))
        .to({ device: model.body.embedTokens.device })
        .squeeze()
    const [first] = prepared
    if (first?.loss !== undefined && first.gradient === undefined) return { sum: constant(), ...ranks }
    const vectors = vectorsOf(model, batch)
    if (first?.gradient === undefined) {
      if (first?.whole !== undefined && first.whole !== examples.length)
        throw new ConfigError(
          `Expected the ${first.whole} examples of a batch together, as their loss compares them, got ${examples.length} of them.`,
        )
      return loss(vectors, rowsOf(examples), { scale })
    }
    const gradients = Tensor.from(joined(prepared.map((one) => one!.gradient!)), { device: vectors.device })
    const moved = vectors.flatten().mul(gradients).sum()
    return { sum: moved.sub(moved.detach()).add(constant()), ...ranks }
  }
  return criterion
}

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
