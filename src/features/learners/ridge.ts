// Ridge regression: least squares with L2 regularisation, solved in closed form. Reproduces scikit-learn's weights.
// @source scikit-learn Ridge
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { noGradScope, Tensor } from '../../tensor/index.ts'
import { defineLearner } from '../learner.ts'
import { doublesOf, keptLinear, restoreLinear } from './linear-scores.ts'

const config = z.strictObject({
  alpha: z.number().nonnegative().default(1).describe('strength of the L2 regularisation, as in scikit-learn'),
})

export const ridge = defineLearner<z.output<typeof config>, 'ridge'>({
  type: 'ridge',
  source: 'scikit-learn Ridge',
  summary: 'linear regression with L2 regularisation',
  config,
  kinds: ['number'],
  async fit({ features, answers, ...problem }, { alpha }) {
    const width = features.shape[1]
    const { square, product, means, middle } = noGradScope(() => {
      const wide = features.to('float64')
      const targets = Tensor.from(answers)
      const [centre, middle] = [wide.mean(0), targets.mean().item()]
      const rows = wide.sub(centre)
      return {
        square: doublesOf(rows.t().matmul(rows)),
        product: doublesOf(rows.t().matmul(targets.sub(middle))),
        means: doublesOf(centre),
        middle,
      }
    })
    for (let i = 0; i < width; i++) square[i * width + i] += alpha
    const weight = solve(square, product)
    const bias = middle - weight.reduce((sum, x, i) => sum + x * means[i], 0)
    const fitted = keptLinear({ weight, bias: Float64Array.of(bias) }, { kind: 'number', outputs: problem.outputs })
    const predicted = fitted.scores(features)
    const loss = predicted.toFloat32Array().reduce((sum, x, i) => sum + (x - answers[i]) ** 2, 0) / answers.length
    predicted.free()
    return { ...fitted, loss }
  },
  restore: (tensors, _, problem) => restoreLinear(tensors, problem),
})

/** Solves A x = b for a symmetric positive definite A by Cholesky decomposition; overwrites A. */
const solve = (a: Float64Array, b: Float64Array): Float64Array => {
  const n = b.length
  const x = b.slice()
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i * n + j]
      for (let k = 0; k < j; k++) sum -= a[i * n + k] * a[j * n + k]
      if (i !== j) a[i * n + j] = sum / a[j * n + j]
      else if (sum > 0) a[i * n + i] = Math.sqrt(sum)
      else
        throw new ConfigError(
          'Expected linearly independent features for `alpha` 0, got dependent ones. Raise `alpha`.',
        )
    }
  }
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) x[i] -= a[i * n + k] * x[k]
    x[i] /= a[i * n + i]
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) x[i] -= a[k * n + i] * x[k]
    x[i] /= a[i * n + i]
  }
  return x
}
