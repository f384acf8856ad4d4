// ELECTRA's replaced token detection: a small generator fills masked tokens in, and the model says of every token whether it was
// replaced. The generator learns masked language modelling beside it and shares the embeddings.
// @source Clark et al. 2020, arXiv:2003.10555, and its published code (85 % masks, 15 % kept)
import { z } from 'zod'
import { ConfigError, parseConfig, type Random } from '../core/index.ts'
import { ReplacedTokenDetectionHead } from '../models/index.ts'
import { cat, linear, noGrad, scope, Tensor } from '../tensor/index.ts'
import { vocabularyHead, vocabularyLoss, wrongHead } from './language-loss.ts'
import {
  describeMasked,
  enclosedRows,
  hiddenOf,
  type MaskedBatch,
  type MaskedExample,
  predictedTokens,
} from './masked-lm.ts'
import { createMasker, maskingFields, sharesFault, sharesFit } from './masking.ts'
import { type AuxiliaryModel, defineObjective, type Metric, type Objective } from './objective.ts'
import { placeSequences } from './sequences.ts'

const schema = z
  .strictObject({
    ...maskingFields,
    replaceWithMask: maskingFields.replaceWithMask.default(0.85),
    replaceWithRandom: maskingFields.replaceWithRandom.default(0),
    documents: z
      .enum(['separate', 'joined'])
      .default('separate')
      .describe('separate: documents of a row do not see each other; joined: one sequence with separators'),
    detectionWeight: z.number().positive().default(50).describe('weight of the detection loss beside the generator’s'),
    temperature: z.number().positive().default(1).describe('of the generator’s samples'),
    generatorShare: z.number().gt(0).max(1).default(0.25).describe('width of the generator as a share of the model’s'),
    generatorLayers: z.number().gt(0).max(1).default(1).describe('layers of the generator as a share of the model’s'),
  })
  .refine(sharesFit, sharesFault)

type Config = z.output<typeof schema>

export interface DetectionExample extends MaskedExample {
  /** For each predicted token the draw in [0, 1) that picks the generator's sample. */
  draws: Float32Array
}

interface DetectionBatch extends MaskedBatch {
  /** float32 [M] */
  draws: Tensor
}

const generatorTerm = 'generator'
const detectionTerm = 'replaced-token-detection'

export const replacedTokenDetection = defineObjective({
  type: 'replaced-token-detection',
  source: 'arXiv:2003.10555',
  config: schema,
  head: 'replaced-token-detection',
  create(config, { vocabulary, maxLength }): Objective<DetectionExample> {
    const { documents, detectionWeight, temperature } = config
    const masker = createMasker(config, vocabulary)
    const { pad = 0, size } = vocabulary
    const { rows, lay } = enclosedRows(detectionTerm, documents, { vocabulary, maxLength })
    return {
      rows,
      unpadded: true,
      example(row, random) {
        const { ids, starts, documents: borders, cut } = lay(row)
        const masked = masker.mask(ids, borders, random)
        return { ids, starts, cut, ...masked, draws: drawsFor(masked.positions.length, random) }
      },
      tokens: ({ ids }) => ids.length,
      cut: ({ cut }) => cut,
      weights: ({ ids, positions }) => ({ [generatorTerm]: positions.length, [detectionTerm]: ids.length }),
      collate(examples, how): DetectionBatch {
        const { inputs, tokens, firsts } = placeSequences(examples, pad, how)
        const predicted = predictedTokens(examples, { firsts }, how.device)
        const draws = new Float32Array(predicted.trained)
        let at = 0
        for (const example of examples) {
          draws.set(example.draws, at)
          at += example.draws.length
        }
        return { inputs, tokens, ...predicted, draws: Tensor.from(draws, { device: how.device }) }
      },
      loss(model, batch, how = {}) {
        const { inputs, tokens, picked, labels, draws, trained } = batch as DetectionBatch
        if (how.auxiliary === undefined)
          throw new ConfigError(
            'Expected the generator for replaced token detection, got none. Pass it as `auxiliary`.',
          )
        const { head } = model
        if (!(head instanceof ReplacedTokenDetectionHead)) throw wrongHead(model.headType, detectionTerm)
        const { generator } = how
        const generatorHead = vocabularyHead(how.auxiliary, 'masked-lm')
        const filled = hiddenOf(how.auxiliary, { ...inputs, generator }, batch as DetectionBatch)
        const { sum, correct, prepared } = vocabularyLoss(generatorHead, filled, labels, how)
        const { corrupted, replaced } = noGrad(() =>
          scope(() => {
            const { weight, bias = null } = generatorHead.lmHead
            const sampled = sampleTokens(prepared, weight, bias, { draws, size, temperature })
            const { inputIds } = inputs
            const flat = inputIds.flatten()
            return {
              corrupted: flat.scatter(0, picked, sampled).view(inputIds.shape),
              // A sample that happens to be the right token counts as real.
              replaced: flat.ne(flat).scatter(0, picked, sampled.ne(labels)),
            }
          }),
        )
        const outputs = model.bodyForward({ ...inputs, inputIds: corrupted, generator })
        const logits = head.forward(outputs).flatten().to('float32')
        const real = inputs.attentionMask?.flatten().to('float32')
        const detection = logits.binaryCrossEntropyWithLogits(replaced.to('float32'), {
          weight: real,
          reduction: 'sum',
        })
        const right = () => {
          const agree = logits.gt(0).eq(replaced).to('float32')
          return (real === undefined ? agree : agree.mul(real)).sum()
        }
        const metrics: Record<string, Metric> = {}
        if (how.metrics) metrics.accuracy = { sum: noGrad(right), weight: tokens }
        if (correct !== undefined) metrics.generatorAccuracy = { sum: correct, weight: trained }
        return {
          terms: [
            { name: generatorTerm, sum, weight: trained, scale: 1 },
            { name: detectionTerm, sum: detection, weight: tokens, scale: detectionWeight },
          ],
          metrics,
        }
      },
      describe: describeMasked,
    }
  },
  auxiliary: generatorModel(),
})

function generatorModel(): AuxiliaryModel<Config> {
  return {
    plan({ generatorShare, generatorLayers }, { definition, config }) {
      const { hiddenSize, numLayers, embeddingSize } = config as Record<string, unknown>
      if (typeof embeddingSize !== 'number' || typeof hiddenSize !== 'number' || typeof numLayers !== 'number')
        throw new ConfigError(
          `Expected a model with \`embeddingSize\`, whose embeddings a narrower generator can share, got ${definition.type}. Use electra.`,
        )
      const width = Math.max(1, Math.round(hiddenSize * generatorShare))
      let heads = Math.max(1, Math.floor(width / 64))
      while (width % heads !== 0) heads--
      const planned = {
        ...config,
        hiddenSize: width,
        numLayers: Math.max(1, Math.round(numLayers * generatorLayers)),
        numHeads: heads,
        intermediateSize: 4 * width,
      }
      return { definition, head: 'masked-lm', config: parseConfig(definition.config, planned, 'generator') as object }
    },
    tie(main, auxiliary) {
      const own = auxiliary.body.parameters()
      const shared = new Map<Tensor, Tensor>()
      for (const [path, parameter] of main.body.parameters()) {
        const other = own.get(path)
        if (/^embed(Tokens|Positions|Types|dingNorm)\./.test(path) && other?.shape.join() === parameter.shape.join())
          shared.set(other, parameter)
      }
      // Through both parts, so that a head that shares the token embeddings goes on to.
      auxiliary.body.replaceParameters((_, parameter) => shared.get(parameter) ?? parameter)
      auxiliary.head.replaceParameters((_, parameter) => shared.get(parameter) ?? parameter)
    },
  }
}

const drawsFor = (count: number, random: Random): Float32Array => {
  const draws = new Float32Array(count)
  for (let i = 0; i < count; i++) draws[i] = random.float()
  return draws
}

/** Rows whose scores are held at once. */
const chunk = 256

/**
 * Draws one token a row from softmax(scores / temperature): int64 [M]. The draws come with the batch, so that the sample depends on
 * neither the batch's form nor the device.
 */
export const sampleTokens = (
  prepared: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  { draws, size, temperature }: { draws: Tensor; size: number; temperature: number },
): Tensor =>
  noGrad(() =>
    scope(() => {
      const rows = draws.size
      const tokens = Math.min(size, weight.shape[0])
      // An empty part, so that no rows give no samples.
      const parts: Tensor[] = [draws.narrow(0, 0, 0).to('int64')]
      for (let start = 0; start < rows; start += chunk) {
        const count = Math.min(chunk, rows - start)
        parts.push(
          scope(() => {
            const scores = linear(prepared.narrow(0, start, count), weight, bias)
              .narrow(1, 0, tokens)
              .to('float32')
            const steps = scores.div(temperature).softmax(-1).cumsum(1)
            const heights = draws
              .narrow(0, start, count)
              .unsqueeze(1)
              .mul(steps.narrow(1, tokens - 1, 1))
            return heights
              .searchsorted(steps, { right: true })
              .clamp({ max: tokens - 1 })
              .squeeze(1)
          }),
        )
      }
      return cat(parts, 0)
    }),
  )
