// A linear support vector machine with squared hinge loss, one class against the rest. Reproduces the weights of liblinear's primal
// solver, which regularises the intercept too. @source Fan et al. 2008, LIBLINEAR; scikit-learn LinearSVC
import { z } from 'zod'
import { Tensor } from '../../tensor/index.ts'
import { defineLearner, type FeatureDataset, rowWeights, scoreColumns } from '../learner.ts'
import { fitLinear, keptLinear, oneHotTargets, restoreLinear } from './linear-scores.ts'

const config = z.strictObject({
  C: z.number().positive().default(1).describe('inverse strength of the L2 regularisation, as in scikit-learn'),
  tolerance: z.number().positive().default(1e-5).describe('stop when no component of the gradient is larger'),
  maxIterations: z.int().positive().default(2000).describe('maximum iterations of L-BFGS'),
})

/** As in liblinear: with one class against the rest, the rest has weight 1. */
const weightsOf = (dataset: FeatureDataset, signs: Float64Array, columns: number): Float64Array | undefined => {
  const { kind, weights } = dataset
  if (weights === undefined || kind === 'labels' || columns === 1) return rowWeights(dataset)
  return signs.map((sign, i) => (sign > 0 ? weights[i % columns] : 1))
}

export const linearSvm = defineLearner<z.output<typeof config>, 'linear-svm'>({
  type: 'linear-svm',
  source: 'scikit-learn LinearSVC',
  summary: 'maximum-margin linear classifier; its scores are margins, not calibrated probabilities',
  isLinear: true,
  config,
  kinds: ['class', 'labels'],
  async fit(dataset, { C, tolerance, maxIterations }, hooks) {
    const columns = scoreColumns(dataset)
    const rows = dataset.features.shape[0]
    const signs = oneHotTargets(dataset, columns).map((yes) => 2 * yes - 1)
    const each = weightsOf(dataset, signs, columns)
    const shape = [rows, columns]
    const [targets, weights] = [Tensor.from(signs, { shape }).keep(), each && Tensor.from(each, { shape }).keep()]
    const totalWeight = each === undefined ? rows : each.reduce((sum, x) => sum + x, 0) / columns
    try {
      const found = await fitLinear(
        {
          dataset,
          outputs: columns,
          loss(scores) {
            const short = scores.mul(targets).neg().add(1).clamp({ min: 0 })
            const counted = weights === undefined ? short : short.mul(weights)
            return { loss: counted.mul(short).sum().item(), slope: counted.mul(targets).mul(-2) }
          },
          curvature: 2,
          totalWeight,
          strength: C,
          regularizeIntercept: true,
          tolerance,
          maxIterations,
        },
        hooks,
      )
      const all = [found.weight, found.bias].flatMap((part) => Array.from(part))
      const squares = all.reduce((sum, x) => sum + x * x, 0) / 2
      return keptLinear(found, dataset, (found.value - squares) / (C * totalWeight))
    } finally {
      targets.free()
      weights?.free()
    }
  },
  restore: (tensors, _, problem) => restoreLinear(tensors, problem),
})
