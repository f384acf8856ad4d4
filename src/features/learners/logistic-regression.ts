// Logistic regression: softmax of classes, or a sigmoid for each label, with the squares of the weights held small. Gives scikit-learn's
// weights. @source scikit-learn, user guide, 1.1.11
import { z } from 'zod'
import { Tensor } from '../../tensor/index.ts'
import { defineLearner, rowWeights, scoreColumns } from '../learner.ts'
import { fitLinear, keptLinear, openLinear, rightAnswers, type Slopes } from './linear-scores.ts'

const config = z.strictObject({
  C: z.number().positive().default(1).describe('how much the data counts beside small weights, as in scikit-learn'),
  tolerance: z.number().positive().default(1e-5).describe('ends when no slope of the mean loss is larger'),
  maxIterations: z.int().positive().default(1000).describe('rounds at most'),
})

type Loss = (scores: Tensor) => Slopes

/** Each score alone against its yes or no; targets and weights float64 [N,K]. */
const sigmoidLoss =
  (targets: Tensor, weights: Tensor | undefined): Loss =>
  (scores) => {
    const each = scores.softplus({ threshold: 60 }).sub(targets.mul(scores))
    const slope = scores.sigmoid().sub(targets)
    const weighted = (x: Tensor) => (weights === undefined ? x : x.mul(weights))
    return { loss: weighted(each).sum().item(), slope: weighted(slope) }
  }

/** Of several classes, one; targets float64 [N,K] with a one in each row, weights float64 [N,1]. */
const softmaxLoss =
  (targets: Tensor, weights: Tensor | undefined): Loss =>
  (scores) => {
    const each = scores.logsumexp(1, { keepdim: true }).sub(scores.mul(targets).sum(1, { keepdim: true }))
    const slope = scores.softmax(1).sub(targets)
    const weighted = (x: Tensor) => (weights === undefined ? x : x.mul(weights))
    return { loss: weighted(each).sum().item(), slope: weighted(slope) }
  }

export const logisticRegression = defineLearner<z.output<typeof config>>({
  type: 'logistic-regression',
  source: 'scikit-learn LogisticRegression',
  summary: 'a weight for each feature and class; probabilities that mean something',
  config,
  kinds: ['class', 'labels'],
  async fit(lesson, { C, tolerance, maxIterations }, hooks) {
    const columns = scoreColumns(lesson)
    const rows = lesson.features.shape[0]
    const targets = Tensor.from(rightAnswers(lesson, columns), { shape: [rows, columns] }).keep()
    const each = rowWeights(lesson)
    const weights = each && Tensor.from(each, { shape: [rows, each.length / rows] }).keep()
    const soft = lesson.kind === 'class' && columns > 1
    const share = soft ? 1 / columns : 0.5
    const totalWeight = (each?.reduce((sum, x) => sum + x, 0) ?? rows) / (each === undefined ? 1 : each.length / rows)
    try {
      const found = await fitLinear(
        {
          lesson,
          outputs: columns,
          loss: (soft ? softmaxLoss : sigmoidLoss)(targets, weights),
          curvature: share * (1 - share),
          totalWeight,
          strength: C,
          shrinkConstant: false,
          tolerance,
          maxIterations,
        },
        hooks,
      )
      const squares = found.weight.reduce((sum, x) => sum + x * x, 0) / 2
      return keptLinear(found, lesson, (found.value - squares) / (C * totalWeight))
    } finally {
      targets.free()
      weights?.free()
    }
  },
  open: (tensors, _, problem) => openLinear(tensors, problem),
})
