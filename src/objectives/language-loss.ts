// The loss of a head that scores the vocabulary: cross entropy summed over trained places, computed without the logits of the batch, and how many
// of them the model gets right. Knows no objective.
import { ConfigError } from '../core/index.ts'
import { type HeadType, LanguageHead, type Model } from '../models/index.ts'
import { linear, linearCrossEntropy, noGrad, scope, type Tensor, zeros } from '../tensor/index.ts'
import type { Metric } from './objective.ts'

/** The model's head, when it scores the vocabulary. @throws ConfigError otherwise. */
export const vocabularyHead = ({ head, headType }: Model, needed: HeadType): LanguageHead => {
  if (head instanceof LanguageHead) return head
  throw wrongHead(headType, needed)
}

export const wrongHead = (got: HeadType, needed: HeadType): ConfigError =>
  new ConfigError(`Expected a model with the head ${needed}, got ${got}. Build or load it with \`head: '${needed}'\`.`)

/**
 * Cross entropy in nats, float32, summed over the labels that are not -100. `hidden` [N,C], `labels` int64 [N].
 * `correct` is the number of labels that have the highest score, when asked for.
 */
export const vocabularyLoss = (
  head: LanguageHead,
  hidden: Tensor,
  labels: Tensor,
  options: { metrics?: boolean } = {},
): { sum: Tensor; correct?: Tensor; prepared: Tensor } => {
  const prepared = head.prepare(hidden)
  const { weight, bias = null } = head.lmHead
  const [sum] = linearCrossEntropy(prepared, weight, bias, labels)
  return { sum, prepared, ...(options.metrics ? { correct: countCorrect(prepared, weight, bias, labels) } : {}) }
}

/** The metric of an objective that has one accuracy. */
export const accuracyOf = (correct: Tensor | undefined, weight: number): Record<string, Metric> =>
  correct === undefined ? {} : { accuracy: { sum: correct, weight } }

/** Rows whose logits are held at once. */
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
