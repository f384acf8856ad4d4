// Loss of a language modelling head: cross entropy summed over the labels, computed without storing the logits of the
// batch, and the number of correct predictions. Independent of objectives.
import { ConfigError } from '../core/index.ts'
import { type HeadType, LanguageHead, type Model } from '../models/index.ts'
import { linear, linearCrossEntropy, noGrad, scope, type Tensor, tokenLogProbs, zeros } from '../tensor/index.ts'
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
 * @param options `weights`: float32 [N], a factor for the cross entropy of each label
 * @returns `correct`, with `metrics`, is the number of labels with the highest logit
 */
export const vocabularyLoss = (
  head: LanguageHead,
  hidden: Tensor,
  labels: Tensor,
  options: Pick<LossOptions, 'metrics' | 'onLabelLosses'> & { weights?: Tensor } = {},
): { sum: Tensor; correct?: Tensor; prepared: Tensor } => {
  const prepared = head.prepare(hidden)
  const { matrix: weight, bias = null } = head.outputLayer
  const sum =
    options.weights === undefined
      ? linearCrossEntropy(prepared, weight, bias, labels)[0]
      : tokenLogProbs(prepared, weight, bias, labels)[0].mul(options.weights).sum().neg()
  if (options.onLabelLosses !== undefined)
    noGrad(() => {
      const [logProbs] = tokenLogProbs(prepared, weight, bias, labels.clamp({ min: 0 }))
      options.onLabelLosses?.(logProbs.neg().mul(labels.ge(0)))
    })
  return { sum, prepared, ...(options.metrics ? { correct: countCorrect(prepared, weight, bias, labels) } : {}) }
}

/** The accuracy metric of an objective with one prediction task. */
export const accuracyOf = (correct: Tensor | undefined, weight: number): Record<string, Metric> =>
  correct === undefined ? {} : { accuracy: { sum: correct, weight } }

/** Rows whose logits are in memory at the same time. */
const chunk = 256

const countCorrect = (prepared: Tensor, weight: Tensor, bias: Tensor | null, labels: Tensor): Tensor =>
  noGrad(() =>
    scope(() => {
      const rows = labels.size
      const correct = zeros([], { dtype: 'int64', device: labels.device })
      for (let start = 0; start < rows; start += chunk)
        scope(() => {
          const size = Math.min(chunk, rows - start)
          const best = linear(prepared.narrow(0, start, size), weight, bias).argmax(-1)
          correct.add_(best.eq(labels.narrow(0, start, size)).sum())
        })
      return correct
    }),
  )
