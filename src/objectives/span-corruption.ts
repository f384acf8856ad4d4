// Span corruption (T5): spans of text are replaced by sentinels in the input, and the decoder predicts the spans.
// @source Raffel et al. 2020, arXiv:1910.10683, section 3.1.4
import { z } from 'zod'
import { ConfigError, DataError, type Random } from '../core/index.ts'
import { collatePadded } from '../data/index.ts'
import type { Model } from '../models/index.ts'
import { noGrad, Tensor } from '../tensor/index.ts'
import { vocabularyDivergence, withTeacher } from './distillation.ts'
import { accuracyOf, vocabularyHead, vocabularyLoss } from './language-loss.ts'
import { type Batch, defineObjective, type Objective } from './objective.ts'
import { expectLength } from './row-layout.ts'
import { inputAndTarget, toInt64 } from './sequences.ts'

// The arithmetic of span corruption: number and position of noise tokens and spans, and lengths of inputs and targets.
// Works on plain arrays.
// @source Raffel et al. 2020, arXiv:1910.10683, section 3.1.4, and the published code of T5

/** How much of a row becomes noise. */
interface NoiseConfig {
  /** Share of noise tokens. */
  noiseShare: number
  /** Mean length of a noise span, in tokens. */
  meanSpanLength: number
}

/** Rounds halves to even, as the published code does. */
const round = (x: number): number => {
  const below = Math.floor(x)
  if (x - below !== 0.5) return Math.round(x)
  return below % 2 === 0 ? below : below + 1
}

/** Number of noise tokens and noise spans in `length` tokens (at least 2): at least one noise token and one other. */
export const noiseCounts = (length: number, { noiseShare, meanSpanLength }: NoiseConfig) => {
  const tokens = Math.min(Math.max(round(length * noiseShare), 1), length - 1)
  const spans = Math.min(Math.max(round(tokens / meanSpanLength), 1), tokens, length - tokens)
  return { tokens, spans }
}

/** Lengths of corrupted input and target for a row of `length` tokens, with `closing` end tokens after each. */
export const corruptedLengths = (length: number, config: NoiseConfig, closing: number) => {
  const { tokens, spans } = noiseCounts(length, config)
  return { inputLength: length - tokens + spans + closing, targetLength: tokens + spans + closing }
}

/** Length of the longest row whose corrupted input has at most `inputLength` tokens, and of its target. */
export const rowLengthFor = (inputLength: number, config: NoiseConfig, closing: number) => {
  let length = Math.max(inputLength - closing, 2)
  while (corruptedLengths(length + 1, config, closing).inputLength <= inputLength) length++
  while (length > 2 && corruptedLengths(length, config, closing).inputLength > inputLength) length--
  const { targetLength } = corruptedLengths(length, config, closing)
  // With half of the tokens noise, the published code keeps targets no longer than inputs.
  if (config.noiseShare === 0.5 && targetLength > inputLength)
    return { rowLength: length - 1, targetLength: targetLength - 1 }
  return { rowLength: length, targetLength }
}

/** Lengths of a random split of `items` into `segments` parts of at least one, all splits equally likely. */
export const randomSegments = (items: number, segments: number, random: Random): Uint32Array => {
  const begins = new Uint8Array(items - 1).fill(1, 0, segments - 1)
  random.shuffle(begins)
  const lengths = new Uint32Array(segments)
  let segment = 0
  lengths[0] = 1
  for (let i = 0; i < begins.length; i++) {
    segment += begins[i]
    lengths[segment]++
  }
  return lengths
}

/** Corrupted input and target ids. */
interface Corrupted {
  inputs: Uint32Array
  targets: Uint32Array
}

/**
 * Replaces each noise span by its own sentinel in the inputs; the targets are the sentinels, each followed by its span.
 * Text spans of lengths `kept[i]` and noise spans of lengths `noise[i]` alternate, text first.
 */
export const corruptSpans = (
  ids: ArrayLike<number>,
  kept: ArrayLike<number>,
  noise: ArrayLike<number>,
  sentinels: readonly number[],
  eos?: number,
): Corrupted => {
  const spans = noise.length
  let noisy = 0
  for (let i = 0; i < spans; i++) noisy += noise[i]
  const closing = eos === undefined ? 0 : 1
  const inputs = new Uint32Array(ids.length - noisy + spans + closing)
  const targets = new Uint32Array(noisy + spans + closing)
  let from = 0
  let input = 0
  let target = 0
  for (let i = 0; i < spans; i++) {
    for (let end = from + kept[i]; from < end; from++) inputs[input++] = ids[from]
    inputs[input++] = sentinels[i]
    targets[target++] = sentinels[i]
    for (let end = from + noise[i]; from < end; from++) targets[target++] = ids[from]
  }
  // Text after the last noise span; random segments never leave any.
  for (; from < ids.length; from++) inputs[input++] = ids[from]
  if (eos !== undefined) {
    inputs[input] = eos
    targets[target] = eos
  }
  return { inputs, targets }
}

const schema = z.strictObject({
  noiseShare: z.number().gt(0).lt(1).default(0.15).describe('share of noise tokens, which are replaced by sentinels'),
  meanSpanLength: z.number().min(1).max(1000).default(3).describe('mean length of a noise span, in tokens'),
})

/** An example of span corruption. */
export interface SpanExample extends Corrupted {
  trained: number
  cut: number
}

interface SpanBatch extends Batch {
  /** int64 [B*U] */
  labels: Tensor
  trained: number
}

const term = 'span-corruption'

export const spanCorruption = defineObjective({
  type: 'span-corruption',
  source: 'arXiv:1910.10683',
  config: schema,
  head: 'seq2seq-lm',
  create(config, { vocabulary, maxLength }): Objective<SpanExample> {
    const { sentinels = [], eos, pad = 0 } = vocabulary
    const closing = eos === undefined ? 0 : 1
    expectLength(maxLength, 4, term)
    const { rowLength } = rowLengthFor(maxLength, config, closing)
    const { spans: mostSpans } = noiseCounts(rowLength, config)
    if (sentinels.length < mostSpans)
      throw new ConfigError(
        `Expected a vocabulary with ${mostSpans} sentinels (<extra_id_0> …) for rows of ${rowLength} tokens, got ${sentinels.length}. Add sentinels to the tokenizer, raise \`meanSpanLength\`, or lower \`maxLength\`.`,
      )
    return {
      rows: { length: rowLength, overlap: 0 },
      unpadded: false,
      distils: true,
      example(row, random) {
        const length = Math.min(row.ids.length, rowLength)
        const ids = row.ids.subarray(0, length)
        const cut = row.ids.length - length
        if (length < 2) {
          // Too short for both text and noise: nothing to train.
          const none = corruptSpans(ids, [], [], sentinels, eos)
          return { inputs: none.inputs, targets: Uint32Array.of(eos ?? pad), trained: 0, cut }
        }
        const { tokens, spans } = noiseCounts(length, config)
        const noise = randomSegments(tokens, spans, random)
        const kept = randomSegments(length - tokens, spans, random)
        const corrupted = corruptSpans(ids, kept, noise, sentinels, eos)
        return { ...corrupted, trained: corrupted.targets.length, cut }
      },
      tokens: ({ inputs, targets }) => inputs.length + targets.length,
      cut: ({ cut }) => cut,
      weights: ({ trained }) => ({ [term]: trained }),
      collate(examples, how): SpanBatch {
        if (examples.length === 0) throw new DataError('Expected at least one example for a batch, got none.')
        if (!how.padded)
          throw new ConfigError(
            'Expected padded batches for span corruption, which has no packed form, got packed ones. Turn packing off.',
          )
        const rows = (side: (example: SpanExample) => Uint32Array) => {
          const batch = collatePadded(
            examples.map((example) => ({ ids: side(example), starts: [0], part: 0 })),
            { padId: pad, multipleOf: how.multipleOf },
          )
          const shape = [batch.batchSize, batch.length]
          return { ...batch, shape, mask: Tensor.from(batch.attentionMask, { shape, device: how.device }) }
        }
        const encoder = rows(({ inputs }) => inputs)
        const decoder = rows(({ targets }) => targets)
        const shifted = new Int32Array(decoder.inputIds.length)
        const labels = new Int32Array(decoder.inputIds.length).fill(-100)
        examples.forEach(({ targets, trained }, row) => {
          const offset = row * decoder.length
          // The decoder starts with the padding token, as in T5; the loss sets that of another model.
          shifted.fill(pad, offset, offset + decoder.length)
          shifted.set(targets.subarray(0, -1), offset + 1)
          if (trained > 0) labels.set(targets, offset)
        })
        return {
          inputs: {
            inputIds: toInt64(encoder.inputIds, encoder.shape, how.device),
            attentionMask: encoder.mask,
            decoderInputIds: toInt64(shifted, decoder.shape, how.device),
            decoderAttentionMask: decoder.mask,
          },
          labels: toInt64(labels, [labels.length], how.device),
          trained: examples.reduce((sum, { trained }) => sum + trained, 0),
          tokens: examples.reduce((sum, { inputs, targets }) => sum + inputs.length + targets.length, 0),
        }
      },
      loss(model, batch, how = {}) {
        const { inputs, labels, trained: weight } = batch as SpanBatch
        const head = vocabularyHead(model, 'seq2seq-lm')
        const { decoderStartTokenId: start = pad } = model.facts
        if (start !== pad) noGrad(() => inputs.decoderInputIds?.narrow(1, 0, 1).fill_(start))
        const hiddenOf = (one: Model) => one.bodyForward(inputs).hidden.flatten(0, 1)
        const { sum, correct, prepared } = vocabularyLoss(head, hiddenOf(model), labels, how)
        const terms = withTeacher({ name: term, sum, weight, scale: 1 }, how.teacher, (teacher) =>
          vocabularyDivergence({ head, prepared, labels }, teacher, hiddenOf, 'seq2seq-lm'),
        )
        return { terms, metrics: accuracyOf(correct, weight) }
      },
      describe: ({ inputs, targets }, decode) => `${decode([...inputs])}\n⟦${decode([...targets])}⟧`,
      show: ({ inputs, targets, trained }) => inputAndTarget(inputs, trained > 0 ? targets : []),
    }
  },
})
