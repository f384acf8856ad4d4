// Logistic regression: softmax over classes, or a sigmoid per label, with L2 regularisation. Reproduces scikit-learn's weights.
// @source scikit-learn, user guide, 1.1.11
import { z } from 'zod'
import { Tensor } from '../../tensor/index.ts'
import { defineLearner, rowWeights, scoreColumns } from '../learner.ts'
import { fitLinear, keptLinear, oneHotTargets, restoreLinear, type Slopes } from './linear-scores.ts'

const config = z.strictObject({
  C: z.number().positive().default(1).describe('inverse strength of the L2 regularisation, as in scikit-learn'),
  tolerance: z.number().positive().default(1e-5).describe('stop when no component of the gradient is larger'),
  maxIterations: z.int().positive().default(1000).describe('maximum iterations of L-BFGS'),
})

type Loss = (scores: Tensor) => Slopes

/** Binary cross entropy of each score; targets and weights float64 [N,K]. */
const sigmoidLoss =
  (targets: Tensor, weights: Tensor | undefined): Loss =>
  (scores) => {
    const each = scores.softplus({ threshold: 60 }).sub(targets.mul(scores))
    const slope = scores.sigmoid().sub(targets)
    const weighted = (x: Tensor) => (weights === undefined ? x : x.mul(weights))
    return { loss: weighted(each).sum().item(), slope: weighted(slope) }
  }

/** Softmax cross entropy; targets float64 [N,K] one-hot, weights float64 [N,1]. */
const softmaxLoss =
  (targets: Tensor, weights: Tensor | undefined): Loss =>
  (scores) => {
    const each = scores.logsumexp(1, { keepdim: true }).sub(scores.mul(targets).sum(1, { keepdim: true }))
    const slope = scores.softmax(1).sub(targets)
    const weighted = (x: Tensor) => (weights === undefined ? x : x.mul(weights))
    return { loss: weighted(each).sum().item(), slope: weighted(slope) }
  }

export const logisticRegression = defineLearner<z.output<typeof config>, 'logistic-regression'>({
  type: 'logistic-regression',
  source: 'scikit-learn LogisticRegression',
  summary: 'linear classifier with calibrated probabilities',
  isLinear: true,
  config,
  kinds: ['class', 'labels'],
  async fit(dataset, { C, tolerance, maxIterations }, hooks) {
    const columns = scoreColumns(dataset)
    const rows = dataset.features.shape[0]
    const targets = Tensor.from(oneHotTargets(dataset, columns), { shape: [rows, columns] }).keep()
    const each = rowWeights(dataset)
    const weights = each && Tensor.from(each, { shape: [rows, each.length / rows] }).keep()
    const soft = dataset.kind === 'class' && columns > 1
    const share = soft ? 1 / columns : 0.5
    const totalWeight = (each?.reduce((sum, x) => sum + x, 0) ?? rows) / (each === undefined ? 1 : each.length / rows)
    try {
      const found = await fitLinear(
        {
          dataset,
          outputs: columns,
          loss: (soft ? softmaxLoss : sigmoidLoss)(targets, weights),
          curvature: share * (1 - share),
          totalWeight,
          strength: C,
          regularizeIntercept: false,
          tolerance,
          maxIterations,
        },
        hooks,
      )
      const squares = found.weight.reduce((sum, x) => sum + x * x, 0) / 2
      return keptLinear(found, dataset, (found.value - squares) / (C * totalWeight))
    } finally {
      targets.free()
      weights?.free()
    }
  },
  restore: (tensors, _, problem) => restoreLinear(tensors, problem),
})
