// Replaced token detection (ELECTRA): a small generator fills in masked tokens, and the model classifies every token as
// original or replaced. The generator is trained together with it by masked language modelling and shares the
// embeddings.
// @source Clark et al. 2020, arXiv:2003.10555, and its published code (85 % masks, 15 % kept)
import { z } from 'zod'
import { ConfigError, parseConfig, type Random } from '../core/index.ts'
import { ReplacedTokenDetectionHead } from '../models/index.ts'
import { cat, linear, noGrad, noGradScope, scope, Tensor } from '../tensor/index.ts'
import { vocabularyHead, vocabularyLoss, wrongHead } from './language-loss.ts'
import {
  describeMasked,
  enclosedRows,
  hiddenOf,
  type MaskedBatch,
  type MaskedExample,
  predictedTokens,
  showMasked,
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
      .describe('separate: no attention between the documents of a row; joined: one sequence with separators'),
    detectionWeight: z
      .number()
      .positive()
      .default(50)
      .describe('weight of the detection loss relative to the generator loss'),
    temperature: z.number().positive().default(1).describe('sampling temperature of the generator'),
    generatorShare: z
      .number()
      .gt(0)
      .max(1)
      .default(0.25)
      .describe('width of the generator as a share of the width of the model'),
    generatorLayers: z
      .number()
      .gt(0)
      .max(1)
      .default(1)
      .describe('layers of the generator as a share of the layers of the model'),
  })
  .refine(sharesFit, sharesFault)

type Config = z.output<typeof schema>

/** An example of replaced token detection. */
export interface DetectionExample extends MaskedExample {
  /** For each predicted token a uniform random number in [0, 1), which selects the generator's sample. */
  uniforms: Float32Array
}

interface DetectionBatch extends MaskedBatch {
  /** float32 [M] */
  uniforms: Tensor
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
        return { ids, starts, cut, ...masked, uniforms: uniformsFor(masked.positions.length, random) }
      },
      tokens: ({ ids }) => ids.length,
      cut: ({ cut }) => cut,
      weights: ({ ids, positions }) => ({ [generatorTerm]: positions.length, [detectionTerm]: ids.length }),
      collate(examples, how): DetectionBatch {
        const { inputs, tokens, firsts } = placeSequences(examples, pad, how)
        const predicted = predictedTokens(examples, { firsts }, how.device)
        const uniforms = new Float32Array(predicted.trained)
        let at = 0
        for (const example of examples) {
          uniforms.set(example.uniforms, at)
          at += example.uniforms.length
        }
        return { inputs, tokens, ...predicted, uniforms: Tensor.from(uniforms, { device: how.device }) }
      },
      loss(model, batch, how = {}) {
        const { inputs, tokens, picked, labels, uniforms, trained } = batch as DetectionBatch
        if (how.auxiliary === undefined)
          throw new ConfigError('Replaced token detection needs its generator: pass it as `auxiliary`.')
        const { head } = model
        if (!(head instanceof ReplacedTokenDetectionHead)) throw wrongHead(model.headType, detectionTerm)
        const generatorHead = vocabularyHead(how.auxiliary, 'masked-lm')
        const filled = hiddenOf(how.auxiliary, inputs, batch as DetectionBatch)
        const { sum, correct, prepared } = vocabularyLoss(generatorHead, filled, labels, how)
        const { corrupted, replaced } = noGradScope(() => {
          const { weight, bias = null } = generatorHead.lmHead
          const sampled = sampleTokens(prepared, weight, bias, { uniforms, size, temperature })
          const { inputIds } = inputs
          const flat = inputIds.flatten()
          return {
            corrupted: flat.scatter(0, picked, sampled).view(inputIds.shape),
            // A sample equal to the original token counts as original.
            replaced: flat.ne(flat).scatter(0, picked, sampled.ne(labels)),
          }
        })
        const outputs = model.bodyForward({ ...inputs, inputIds: corrupted })
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
      show: showMasked,
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
          `Replaced token detection needs a model with \`embeddingSize\`, whose embeddings a narrower generator can share, got ${definition.type}. Use electra.`,
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
      // In body and head, so that a head with tied token embeddings stays tied.
      auxiliary.body.replaceParameters((_, parameter) => shared.get(parameter) ?? parameter)
      auxiliary.head.replaceParameters((_, parameter) => shared.get(parameter) ?? parameter)
    },
  }
}

const uniformsFor = (count: number, random: Random): Float32Array => {
  const uniforms = new Float32Array(count)
  for (let i = 0; i < count; i++) uniforms[i] = random.float()
  return uniforms
}

/** Rows whose logits are in memory at the same time. */
const chunk = 256

/**
 * Samples one token a row from softmax(logits / temperature): int64 [M]. The random numbers come with the batch, so
 * that the sample depends neither on padding or packing nor on the device.
 */
export const sampleTokens = (
  prepared: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  { uniforms, size, temperature }: { uniforms: Tensor; size: number; temperature: number },
): Tensor =>
  noGradScope(() => {
    const rows = uniforms.size
    const tokens = Math.min(size, weight.shape[0])
    // An empty part, so that a batch without rows gives an empty tensor.
    const parts: Tensor[] = [uniforms.narrow(0, 0, 0).to('int64')]
    for (let start = 0; start < rows; start += chunk) {
      const count = Math.min(chunk, rows - start)
      parts.push(
        scope(() => {
          const scores = linear(prepared.narrow(0, start, count), weight, bias)
            .narrow(1, 0, tokens)
            .to('float32')
          const steps = scores.div(temperature).softmax(-1).cumsum(1)
          const heights = uniforms
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
  })
