// K nearest neighbours: the training rows are stored, and the nearest of them vote. Reproduces scikit-learn's results: candidates are
// ranked in float32 and re-ranked in float64. @source scikit-learn KNeighborsClassifier, brute
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { noGrad, noGradScope, scope, Tensor } from '../../tensor/index.ts'
import { defineLearner, expectTensor, type FittedLearner, type LearningProblem, rowWeights } from '../learner.ts'

const config = z.strictObject({
  neighbours: z.int().positive().default(5).describe('number of neighbours that vote'),
  metric: z.enum(['euclidean', 'cosine']).default('cosine').describe('distance between rows'),
  votes: z
    .enum(['uniform', 'distance'])
    .default('uniform')
    .describe('uniform, or distance: weight neighbours by the inverse of their distance'),
})
type Config = z.output<typeof config>

/** Elements of the distance table of a chunk of queries. */
const tableValues = 1 << 25
/** Extra candidates, since float32 may rank close ones in the wrong order. */
const spare = 16

export const nearestNeighbours = defineLearner<Config, 'nearest-neighbours'>({
  type: 'nearest-neighbours',
  source: 'scikit-learn KNeighborsClassifier',
  summary: 'vote of the nearest training examples, which are stored',
  config,
  kinds: ['class', 'labels', 'number'],
  async fit(dataset, settings) {
    const { features, answers } = dataset
    if (features.shape[0] < settings.neighbours)
      throw new ConfigError(
        `Expected at most ${features.shape[0]} for \`neighbours\`, the number of training rows, got ${settings.neighbours}. Lower it.`,
      )
    const tensors = new Map([
      ['rows', features.clone().keep()],
      ['answers', Tensor.from(answers).keep()],
    ])
    const weights = rowWeights(dataset)
    if (weights !== undefined) tensors.set('weights', Tensor.from(weights).keep())
    return neighbours(tensors, settings, dataset)
  },
  restore(tensors, settings, problem) {
    const { shape } = expectTensor(tensors, 'rows', [-1, -1])
    const each = problem.kind === 'labels' ? problem.outputs : 1
    expectTensor(tensors, 'answers', [shape[0] * each])
    if (tensors.has('weights')) expectTensor(tensors, 'weights', [shape[0] * each])
    return neighbours(tensors, settings, problem)
  },
})

const neighbours = (
  tensors: ReadonlyMap<string, Tensor>,
  settings: Config,
  problem: LearningProblem,
): FittedLearner => {
  const known = tensors.get('rows')!
  const [answers, weights] = ['answers', 'weights'].map((name) => tensors.get(name)?.toTypedArray() as Float64Array)
  const [count, width] = known.shape
  const values = known.toFloat32Array()
  const lengths = lengthsOf(values, width)
  const { outputs } = problem
  const many = Math.min(count, settings.neighbours + spare)
  // The part of the distance that depends on the stored row; the rest is the same for all of them.
  const side = noGrad(() => {
    const squares = Tensor.from(lengths.map((x) => x * x)).to('float32')
    return (
      settings.metric === 'cosine' ? Tensor.from(lengths.map((x) => (x === 0 ? 1 : 1 / x))).to('float32') : squares
    ).keep()
  })
  const nearest = (queries: Float32Array, rows: Tensor, out: Float32Array) => {
    const candidates = noGradScope(() => {
      const product = rows.matmul(known.t())
      const rank = settings.metric === 'cosine' ? product.mul(side).neg() : side.sub(product.mul(2))
      return rank.topk(many, 1, { largest: false, sorted: false })[1].toTypedArray() as BigInt64Array
    })
    for (let row = 0; row < queries.length / width; row++) {
      const own = queries.subarray(row * width, (row + 1) * width)
      const length = Math.sqrt(own.reduce((sum, x) => sum + x * x, 0))
      const found = Array.from(candidates.subarray(row * many, (row + 1) * many), (candidate) => {
        const at = Number(candidate)
        return {
          at,
          distance: exact(own, length, values.subarray(at * width, (at + 1) * width), lengths[at], settings),
        }
      })
      found.sort((a, b) => a.distance - b.distance || a.at - b.at)
      vote(found.slice(0, settings.neighbours), out.subarray(row * outputs, (row + 1) * outputs))
    }
  }
  const vote = (found: { at: number; distance: number }[], out: Float32Array) => {
    const same = settings.votes === 'distance' && found.some(({ distance }) => distance === 0)
    const shares = found.map(({ distance }) => {
      if (settings.votes === 'uniform') return 1
      if (same) return distance === 0 ? 1 : 0
      return 1 / distance
    })
    const kinds = {
      class() {
        const counts = new Float64Array(outputs)
        found.forEach(({ at }, i) => {
          counts[answers[at]] += shares[i] * (weights?.[at] ?? 1)
        })
        const all = counts.reduce((sum, x) => sum + x, 0)
        counts.forEach((x, i) => {
          out[i] = Math.log(x / all)
        })
      },
      labels() {
        for (let label = 0; label < outputs; label++) {
          const counts = [0, 0]
          found.forEach(({ at }, i) => {
            counts[answers[at * outputs + label]] += shares[i] * (weights?.[at * outputs + label] ?? 1)
          })
          out[label] = Math.log(counts[1]) - Math.log(counts[0])
        }
      },
      number() {
        const all = shares.reduce((sum, x) => sum + x, 0)
        out[0] = found.reduce((sum, { at }, i) => sum + shares[i] * answers[at], 0) / all
      },
    }
    kinds[problem.kind]()
  }
  return {
    tensors,
    parameterCount: 0,
    scores(features) {
      const rows = features.shape[0]
      const out = new Float32Array(rows * outputs)
      const chunk = Math.max(1, Math.floor(tableValues / count))
      for (let from = 0; from < rows; from += chunk) {
        const size = Math.min(chunk, rows - from)
        scope(() => {
          const part = features.narrow(0, from, size)
          nearest(part.toFloat32Array(), part, out.subarray(from * outputs, (from + size) * outputs))
        })
      }
      return Tensor.from(out, { shape: [rows, outputs] })
    },
  }
}

const lengthsOf = (values: Float32Array, width: number): Float64Array => {
  const lengths = new Float64Array(values.length / width)
  for (let row = 0; row < lengths.length; row++) {
    let sum = 0
    for (let i = row * width; i < (row + 1) * width; i++) sum += values[i] * values[i]
    lengths[row] = Math.sqrt(sum)
  }
  return lengths
}

const exact = (
  a: Float32Array,
  lengthOfA: number,
  b: Float32Array,
  lengthOfB: number,
  { metric }: Pick<Config, 'metric'>,
): number => {
  let sum = 0
  if (metric === 'euclidean') {
    for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2
    return Math.sqrt(sum)
  }
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i]
  return Math.max(0, 1 - sum / (lengthOfA * lengthOfB || 1))
}
