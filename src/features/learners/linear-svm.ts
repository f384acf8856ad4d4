// A linear support vector machine with squared hinge loss, one class against the rest. Gives the weights of liblinear's primal solver, whose
// constant counts among the weights that are held small. @source Fan et al. 2008, LIBLINEAR; scikit-learn LinearSVC
import { z } from 'zod'
import { Tensor } from '../../tensor/index.ts'
import { defineLearner, type FeatureDataset, rowWeights, scoreColumns } from '../learner.ts'
import { fitLinear, keptLinear, openLinear, rightAnswers } from './linear-scores.ts'

const config = z.strictObject({
  C: z.number().positive().default(1).describe('how much the data counts beside small weights, as in scikit-learn'),
  tolerance: z.number().positive().default(1e-5).describe('ends when no slope of the mean loss is larger'),
  maxIterations: z.int().positive().default(2000).describe('rounds at most'),
})

/** As liblinear has it: of one class against the rest, the rest counts 1. */
const weightsOf = (lesson: FeatureDataset, signs: Float64Array, columns: number): Float64Array | undefined => {
  const { kind, weights } = lesson
  if (weights === undefined || kind === 'labels' || columns === 1) return rowWeights(lesson)
  return signs.map((sign, i) => (sign > 0 ? weights[i % columns] : 1))
}

export const linearSvm = defineLearner<z.output<typeof config>>({
  type: 'linear-svm',
  source: 'scikit-learn LinearSVC',
  summary:
    'a plane between each class and the rest, as far from both as may be; its scores are distances, not probabilities',
  config,
  kinds: ['class', 'labels'],
  async fit(lesson, { C, tolerance, maxIterations }, hooks) {
    const columns = scoreColumns(lesson)
    const rows = lesson.features.shape[0]
    const signs = rightAnswers(lesson, columns).map((yes) => 2 * yes - 1)
    const each = weightsOf(lesson, signs, columns)
    const shape = [rows, columns]
    const [targets, weights] = [Tensor.from(signs, { shape }).keep(), each && Tensor.from(each, { shape }).keep()]
    const totalWeight = each === undefined ? rows : each.reduce((sum, x) => sum + x, 0) / columns
    try {
      const found = await fitLinear(
        {
          lesson,
          outputs: columns,
          loss(scores) {
            const short = scores.mul(targets).neg().add(1).clamp({ min: 0 })
            const counted = weights === undefined ? short : short.mul(weights)
            return { loss: counted.mul(short).sum().item(), slope: counted.mul(targets).mul(-2) }
          },
          curvature: 2,
          totalWeight,
          strength: C,
          shrinkConstant: true,
          tolerance,
          maxIterations,
        },
        hooks,
      )
      const all = [found.weight, found.bias].flatMap((part) => Array.from(part))
      const squares = all.reduce((sum, x) => sum + x * x, 0) / 2
      return keptLinear(found, lesson, (found.value - squares) / (C * totalWeight))
    } finally {
      targets.free()
      weights?.free()
    }
  },
  open: (tensors, _, problem) => openLinear(tensors, problem),
})
