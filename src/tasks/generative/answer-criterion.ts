// The criterion of generative tasks: cross entropy of the answer tokens only. Their hidden states are selected before the output layer,
// so that the logits of a whole batch are never in memory. Two layouts: one sequence for a decoder, a pair for an encoder-decoder.
import { ConfigError, DataError } from '../../core/index.ts'
import { collatePadded } from '../../data/index.ts'
import type { HeadType, Model } from '../../models/index.ts'
import {
  accuracyOf,
  type Batch,
  type CollateOptions,
  type Criterion,
  inputAndTarget,
  placeSequences,
  placesOf,
  type ShownTokens,
  toInt64,
  vocabularyDivergence,
  vocabularyHead,
  vocabularyLoss,
  withTeacher,
} from '../../objectives/index.ts'
import { noGrad, scope, Tensor } from '../../tensor/index.ts'
import type { AnswerLoss, TaskExample } from '../task.ts'

/** A sequence with some target tokens. */
export interface AnswerExample extends TaskExample {
  /** Ascending positions of `ids` whose next token is a target. */
  positions: Uint32Array
  /** The next tokens at those positions. */
  targets: Uint32Array
  /** The weight of each target in the loss (default: 1). */
  weights?: Float32Array
}

/** A pair for an encoder-decoder: `ids` is the encoder's input, `targets` the decoder's output. */
export interface Seq2seqExample extends TaskExample {
  targets: Uint32Array
}

interface AnswerBatch extends Batch {
  /** int64 [N]: indices of the target positions in the batch's flattened hidden states. */
  places: Tensor
  /** int64 [N] */
  labels: Tensor
  /** float32 [N]: the weight of each label, where one is not 1. */
  weights?: Tensor
  weight: number
  /** Target tokens of each example. */
  counts: readonly number[]
}

/** A criterion that also gives losses by example. */
export interface AnswerCriterion<Example> extends Criterion<Example> {
  /** The loss of each example, without an autograd graph. */
  losses(model: Model, batch: Batch): AnswerLoss[]
}

const term = 'answers'

const createCriterion = <Example extends Targets>(options: {
  head: HeadType
  unpadded: boolean
  labelSmoothing: number
  tokens(example: Example): number
  collate(examples: readonly Example[], options: CollateOptions): AnswerBatch
  describe: Criterion<Example>['describe']
  show(example: Example): ShownTokens[]
}): AnswerCriterion<Example> => {
  const hiddenOf = (model: Model, { inputs, places }: AnswerBatch) =>
    model.bodyForward(inputs).hidden.flatten(0, 1).indexSelect(0, places)
  return {
    unpadded: options.unpadded,
    distils: true,
    tokens: options.tokens,
    describe: options.describe,
    show: options.show,
    weights: (example) => ({ [term]: weightOf(example) }),
    trainedTokens: ({ targets }) => targets.length,
    collate: options.collate,
    loss(model, batch, lossOptions = {}) {
      const { labels, weights, weight } = batch as AnswerBatch
      const head = vocabularyHead(model, options.head)
      const hidden = hiddenOf(model, batch as AnswerBatch)
      const { sum, correct, prepared } = vocabularyLoss(head, hidden, labels, {
        ...lossOptions,
        weights,
        labelSmoothing: options.labelSmoothing,
      })
      const terms = withTeacher({ name: term, sum, weight, scale: 1 }, lossOptions.teacher, (teacher) =>
        vocabularyDivergence(
          { head, prepared, labels, weights },
          teacher,
          (one) => hiddenOf(one, batch as AnswerBatch),
          options.head,
        ),
      )
      return { terms, metrics: accuracyOf(correct, labels.size) }
    },
    losses: (model, batch) =>
      noGrad(() =>
        scope(() => {
          const { labels, counts } = batch as AnswerBatch
          const head = vocabularyHead(model, options.head)
          const hidden = hiddenOf(model, batch as AnswerBatch)
          let first = 0
          return counts.map((tokens): AnswerLoss => {
            if (tokens === 0) return { nats: 0, tokens }
            const own = vocabularyLoss(head, hidden.narrow(0, first, tokens), labels.narrow(0, first, tokens))
            first += tokens
            return { nats: own.sum.item(), tokens }
          })
        }),
      ),
  }
}

interface Targets {
  targets: Uint32Array
  weights?: Float32Array
}

const weightOf = ({ targets, weights }: Targets): number =>
  weights?.reduce((sum, weight) => sum + weight, 0) ?? targets.length

const countsOf = (examples: readonly Targets[]) => examples.map(({ targets }) => targets.length)

/** The weights of a batch: their sum, and a tensor if one is not 1. */
const weightsOf = (
  examples: readonly Targets[],
  device: string | undefined,
): Pick<AnswerBatch, 'weights' | 'weight'> => {
  const weight = examples.reduce((sum, example) => sum + weightOf(example), 0)
  if (examples.every(({ weights }) => weights === undefined)) return { weight }
  const all = examples.flatMap(({ targets, weights }) =>
    Array.from(weights ?? new Float32Array(targets.length).fill(1)),
  )
  return { weight, weights: Tensor.from(Float32Array.from(all), { shape: [all.length], device }) }
}

const labelsOf = (examples: readonly Targets[], device: string | undefined): Tensor => {
  const labels = new Int32Array(examples.reduce((sum, { targets }) => sum + targets.length, 0))
  let at = 0
  for (const { targets } of examples) {
    labels.set(targets, at)
    at += targets.length
  }
  return toInt64(labels, [labels.length], device)
}

/** For a decoder with question and answer in one sequence. @param padId any token id: the attention mask marks padding */
export const createAnswerCriterion = (padId: number, labelSmoothing = 0): AnswerCriterion<AnswerExample> =>
  createCriterion<AnswerExample>({
    labelSmoothing,
    head: 'causal-lm',
    unpadded: true,
    tokens: ({ ids }) => ids.length,
    collate(examples, options) {
      const { inputs, tokens, firsts } = placeSequences(examples, padId, options)
      const places = placesOf(examples, firsts, (i) => examples[i].positions)
      return {
        inputs,
        tokens,
        places: toInt64(places, [places.length], options.device),
        labels: labelsOf(examples, options.device),
        counts: countsOf(examples),
        ...weightsOf(examples, options.device),
      }
    },
    describe({ ids, positions, targets }, decode) {
      const parts: string[] = []
      let shown = 0
      let at = 0
      while (at < positions.length) {
        let end = at + 1
        while (end < positions.length && positions[end] === positions[end - 1] + 1) end++
        parts.push(decode(Array.from(ids.subarray(shown, positions[at] + 1))))
        parts.push(`⟦${decode(Array.from(targets.subarray(at, end)))}⟧`)
        shown = positions[end - 1] + 2
        at = end
      }
      if (shown < ids.length) parts.push(decode(Array.from(ids.subarray(shown))))
      return parts.join('')
    },
    show({ ids, positions, targets }) {
      const shown = Array.from(ids)
      // The last target may be after the last input.
      if (positions.at(-1) === ids.length - 1) shown.push(targets[targets.length - 1])
      return [{ ids: shown, losses: new Map(Array.from(positions, (position, i) => [position + 1, i])) }]
    },
  })

export const createSeq2seqCriterion = (
  padId: number,
  startId: number,
  labelSmoothing = 0,
): AnswerCriterion<Seq2seqExample> =>
  createCriterion<Seq2seqExample>({
    labelSmoothing,
    head: 'seq2seq-lm',
    unpadded: false,
    tokens: ({ ids, targets }) => ids.length + targets.length,
    collate(examples, options) {
      if (examples.length === 0) throw new DataError('Expected at least one example for a batch, got none.')
      if (!options.padded)
        throw new ConfigError(
          'Expected padded batches for an encoder-decoder, which cannot be packed. Set `batch.padded` true.',
        )
      const { device, multipleOf } = options
      const rows = (side: (example: Seq2seqExample) => Uint32Array) => {
        const batch = collatePadded(
          examples.map((example) => ({ ids: side(example), starts: [0], part: 0 })),
          { padId, multipleOf },
        )
        const shape = [batch.batchSize, batch.length]
        return { ...batch, shape, mask: Tensor.from(batch.attentionMask, { shape, dtype: 'uint8', device }) }
      }
      const encoder = rows(({ ids }) => ids)
      const decoder = rows(({ targets }) => targets)
      // Decoder inputs are the targets shifted right by one.
      const shifted = new Int32Array(decoder.inputIds.length).fill(padId)
      const places = new Int32Array(examples.reduce((sum, { targets }) => sum + targets.length, 0))
      let at = 0
      examples.forEach(({ targets }, row) => {
        const offset = row * decoder.length
        shifted[offset] = startId
        shifted.set(targets.subarray(0, -1), offset + 1)
        for (let i = 0; i < targets.length; i++) places[at++] = offset + i
      })
      return {
        inputs: {
          inputIds: toInt64(encoder.inputIds, encoder.shape, device),
          attentionMask: encoder.mask,
          decoderInputIds: toInt64(shifted, decoder.shape, device),
          decoderAttentionMask: decoder.mask,
        },
        tokens: examples.reduce((sum, { ids, targets }) => sum + ids.length + targets.length, 0),
        places: toInt64(places, [places.length], device),
        labels: labelsOf(examples, device),
        counts: countsOf(examples),
        ...weightsOf(examples, device),
      }
    },
    describe: ({ ids, targets }, decode) => `${decode(Array.from(ids))}\n⟦${decode(Array.from(targets))}⟧`,
    show: ({ ids, targets }) => inputAndTarget(ids, targets),
  })
