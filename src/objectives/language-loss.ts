// Loss of a language modelling head: cross entropy summed over the labels, computed without storing the logits of the
// batch, and the number of correct predictions. Independent of objectives.
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import { type HeadType, LanguageHead, type Model } from '../models/index.ts'
import {
  cat,
  checkpoint,
  linear,
  linearCrossEntropy,
  noGrad,
  noGradScope,
  scope,
  softCap,
  type Tensor,
  tokenLogProbs,
  zeros,
} from '../tensor/index.ts'
import type { LossOptions, Metric } from './objective.ts'

/** The model's language modelling head. @throws ConfigError for another head */
export const vocabularyHead = ({ head, headType }: Model, needed: HeadType): LanguageHead => {
  if (head instanceof LanguageHead) return head
  throw wrongHead(headType, needed)
}

/** The error for a model whose head does not fit an objective. */
export const wrongHead = (got: HeadType, needed: HeadType): ConfigError =>
  new ConfigError(`Expected a model with the head ${needed}, got ${got}. Build or load it with \`head: '${needed}'\`.`)

/**
 * Cross entropy in nats, float32, summed over the labels that are not -100.
 * @param hidden [N,C]
 * @param labels int64 [N]
 * @param options `weights`: float32 [N], a factor for the cross entropy of each label; `labelSmoothing`: probability spread
 * over the vocabulary in training
 * @returns `correct`, with `metrics`, is the number of labels with the highest logit
 */
export const vocabularyLoss = (
  head: LanguageHead,
  hidden: Tensor,
  labels: Tensor,
  options: Pick<LossOptions, 'metrics' | 'onLabelLosses'> & { weights?: Tensor; labelSmoothing?: number } = {},
): { sum: Tensor; correct?: Tensor; prepared: Tensor } => {
  const prepared = head.prepare(hidden)
  const { matrix: weight, bias = null, softcap } = head.outputLayer
  // Evaluations measure the plain loss, so that perplexities can be compared.
  const labelSmoothing = head.training ? (options.labelSmoothing ?? 0) : 0
  const sum =
    options.weights === undefined
      ? linearCrossEntropy(prepared, weight, bias, labels, { labelSmoothing, softcap })[0]
      : smoothed({ prepared, weight, bias, softcap }, labels, labelSmoothing).mul(options.weights).sum()
  if (options.onLabelLosses !== undefined)
    noGrad(() => {
      const [logProbs] = tokenLogProbs(prepared, weight, bias, labels.clamp({ min: 0 }), { softcap })
      options.onLabelLosses?.(logProbs.neg().mul(labels.ge(0)))
    })
  return { sum, prepared, ...(options.metrics ? { correct: countCorrect(prepared, weight, bias, labels) } : {}) }
}

/** Output layer of a head, with the hidden states that it reads. */
interface PreparedLayer {
  /** [N,C] */
  prepared: Tensor
  weight: Tensor
  bias: Tensor | null
  softcap?: number
}

/** The smoothed cross entropy of each label, float32 [N]; no label is -100. */
const smoothed = (layer: PreparedLayer, labels: Tensor, share: number): Tensor => {
  const { prepared, weight, bias, softcap } = layer
  const [logProbs] = tokenLogProbs(prepared, weight, bias, labels, { softcap })
  if (share === 0) return logProbs.neg()
  // The mean over the vocabulary of -log p is the logarithm of the sum less the mean logit.
  const wide = prepared.to('float32')
  const products = wide.mul(weight.indexSelect(0, labels).to('float32')).sum(-1)
  const own = bias === null ? products : products.add(bias.indexSelect(0, labels))
  if (softcap !== undefined) return logProbs.neg().add(softCap(own, softcap).sub(meanLogits(layer, softcap)).mul(share))
  const means = wide.matmul(weight.to('float32').mean(0))
  return logProbs.neg().add(own.sub(bias === null ? means : means.add(bias.mean())).mul(share))
}

/** The mean logit of each row, float32 [N], of logits that exist in chunks, and again in backward. */
const meanLogits = ({ prepared, weight, bias }: PreparedLayer, softcap: number): Tensor => {
  const parts: Tensor[] = []
  for (let start = 0; start < prepared.shape[0]; start += logitRows)
    parts.push(
      checkpoint(
        (rows) => softCap(linear(rows, weight, bias).to('float32'), softcap).mean(-1),
        [prepared.narrow(0, start, Math.min(logitRows, prepared.shape[0] - start))],
      ),
    )
  return cat(parts, 0)
}

/** A setting: label smoothing of a language model. */
export const labelSmoothingField = z
  .number()
  .min(0)
  .lt(1)
  .default(0)
  .describe('label smoothing: probability mass spread over the vocabulary in training; 0.1 is usual')

/** The accuracy metric of an objective with one prediction task. */
export const accuracyOf = (correct: Tensor | undefined, weight: number): Record<string, Metric> =>
  correct === undefined ? {} : { accuracy: { sum: correct, weight } }

/** Rows whose logits are in memory at the same time. */
export const logitRows = 256

const countCorrect = (prepared: Tensor, weight: Tensor, bias: Tensor | null, labels: Tensor): Tensor =>
  noGradScope(() => {
    const rows = labels.size
    const correct = zeros([], { dtype: 'int64', device: labels.device })
    for (let start = 0; start < rows; start += logitRows)
      scope(() => {
        const size = Math.min(logitRows, rows - start)
        const best = linear(prepared.narrow(0, start, size), weight, bias).argmax(-1)
        correct.add_(best.eq(labels.narrow(0, start, size)).sum())
      })
    return correct
  })
