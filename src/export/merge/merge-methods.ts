// How the tensors of several models become one: linear, SLERP, task arithmetic, TIES and DARE. Independent of models: each method gets
// the tensors of one parameter.
import { createRandom } from '../../core/index.ts'
import { cat, Generator, noGrad, scope, type Tensor } from '../../tensor/index.ts'

/** One parameter of all models. */
export interface MergedParameter {
  /** Its path, which random numbers depend on. */
  name: string
  /** Of each model, float32. */
  tensors: readonly Tensor[]
  /** Of the base, for methods on differences from it. */
  base?: Tensor
}

/** Settings of a merge, with defaults filled in. */
export interface MergeSettings {
  /** Weight of each model. */
  weights: readonly number[]
  /** Share of each difference from the base that is kept. */
  density: number
  /** Factor of the merged difference. */
  scale: number
  /** Random seed of the elements that DARE drops. */
  seed: number | string
}

/** A way to merge models. */
export interface MergeMethod {
  type: string
  /** Publication of the method. */
  source: string
  /** One line for the help. */
  description: string
  /** Whether the models are seen as differences from a base. */
  needsBase: boolean
  /** The only number of models that it takes, if it takes no other. */
  models?: number
  /** Settings beside the weights that change its result. */
  uses: readonly ('density' | 'scale' | 'seed')[]
  merge(parameter: MergedParameter, settings: MergeSettings): Tensor
}

const weightedSum = (tensors: readonly Tensor[], weights: readonly number[]): Tensor =>
  tensors.slice(1).reduce((sum, tensor, i) => sum.add(tensor.mul(weights[i + 1])), tensors[0].mul(weights[0]))

const total = (weights: readonly number[]): number => weights.reduce((sum, weight) => sum + weight, 0)

const linear: MergeMethod = {
  type: 'linear',
  source: 'arXiv:2203.05482',
  description: 'weighted mean of the weights (model soup)',
  needsBase: false,
  uses: [],
  merge: ({ tensors }, { weights }) => weightedSum(tensors, weights).div(total(weights)),
}

/** Vectors whose cosine is above this are nearly parallel: the arc has no numerically safe angle. */
const nearlyParallel = 0.9995

const slerp: MergeMethod = {
  type: 'slerp',
  source: 'doi:10.1145/325334.325242',
  description: 'two models on the arc between their weights; the second weight is the position',
  needsBase: false,
  models: 2,
  uses: [],
  merge: ({ tensors: [first, second] }, { weights }) => {
    const position = weights[1] / total(weights)
    const mixed = (a: number, b: number) => first.mul(a).add(second.mul(b))
    const norms = first.norm().item() * second.norm().item()
    const cosine = norms === 0 ? 1 : first.mul(second).sum().item() / norms
    if (Math.abs(cosine) > nearlyParallel) return mixed(1 - position, position)
    const angle = Math.acos(cosine)
    return mixed(Math.sin((1 - position) * angle) / Math.sin(angle), Math.sin(position * angle) / Math.sin(angle))
  },
}

/** A merge of differences from the base. */
const onDifferences =
  (combine: (differences: Tensor[], parameter: MergedParameter, settings: MergeSettings) => Tensor) =>
  (parameter: MergedParameter, settings: MergeSettings): Tensor => {
    const { tensors, base } = parameter
    if (base === undefined) throw new Error('a merge of differences without a base')
    const differences = tensors.map((tensor) => tensor.sub(base))
    return base.add(combine(differences, parameter, settings).mul(settings.scale))
  }

/** Keeps the share of the elements with the largest magnitude. */
const trim = (difference: Tensor, density: number): Tensor => {
  const kept = Math.floor(density * difference.size)
  if (kept >= difference.size) return difference
  if (kept === 0) return difference.mul(0)
  return scope(() => {
    const flat = difference.contiguous().view([difference.size])
    const [, places] = flat.abs().topk(kept)
    const mask = flat.mul(0).scatter_(0, places, 1)
    return flat.mul(mask).view(difference.shape)
  })
}

/** Elements of a tensor that are combined at a time. */
const pieceSize = 2 ** 22

/** Combines tensors of one shape element by element, some rows at a time: an embedding takes as much memory as a small matrix. */
const inPieces = (tensors: readonly Tensor[], combine: (rows: readonly Tensor[]) => Tensor): Tensor => {
  const [{ shape, size }] = tensors
  if (size <= pieceSize) return scope(() => combine(tensors))
  const count = Math.max(1, Math.floor((pieceSize * shape[0]) / size))
  const pieces: Tensor[] = []
  for (let from = 0; from < shape[0]; from += count) {
    const rows = Math.min(count, shape[0] - from)
    pieces.push(scope(() => combine(tensors.map((tensor) => tensor.narrow(0, from, rows)))))
  }
  return cat(pieces, 0)
}

/** The weighted mean of the elements whose sign is that of the weighted sum. @source arXiv:2306.01708, section 4 */
const agreeingRows = (differences: readonly Tensor[], weights: readonly number[]): Tensor => {
  const weighted = differences.map((difference, i) => difference.mul(weights[i]))
  const elected = weighted
    .slice(1)
    .reduce((sum, one) => sum.add(one), weighted[0])
    .sign()
  const masks = weighted.map((one) => one.sign().eq(elected).to('float32').mul(one.ne(0).to('float32')))
  const sum = masks.slice(1).reduce((all, mask, i) => all.add(weighted[i + 1].mul(mask)), weighted[0].mul(masks[0]))
  const share = masks.slice(1).reduce((all, mask, i) => all.add(mask.mul(weights[i + 1])), masks[0].mul(weights[0]))
  const counted = share.ne(0)
  return sum.div(share.where(counted, 1)).mul(counted.to('float32'))
}

const agreeing = (differences: readonly Tensor[], weights: readonly number[]): Tensor =>
  inPieces(differences, (rows) => agreeingRows(rows, weights))

/** Drops elements at random, and scales the others so that the mean stays. @source arXiv:2311.03099 */
const drop = (differences: readonly Tensor[], { name }: MergedParameter, { density, seed }: MergeSettings): Tensor[] =>
  differences.map((difference, model) => {
    if (density === 1) return difference
    const generator = new Generator(createRandom(`merge/${seed}/${model}/${name}`).integer(2 ** 31))
    return scope(() => {
      const kept = difference.mul(0).uniform_(0, 1, { generator }).lt(density).to('float32')
      return difference.mul(kept).div(density)
    })
  })

const taskArithmetic: MergeMethod = {
  type: 'task-arithmetic',
  source: 'arXiv:2212.04089',
  description: 'the base plus the weighted sum of the differences from it',
  needsBase: true,
  uses: ['scale'],
  merge: onDifferences((differences, _, { weights }) => weightedSum(differences, weights)),
}

const ties: MergeMethod = {
  type: 'ties',
  source: 'arXiv:2306.01708',
  description: 'the largest differences only, and of each element those with the majority sign',
  needsBase: true,
  uses: ['density', 'scale'],
  merge: onDifferences((differences, _, { weights, density }) =>
    agreeing(
      differences.map((difference) => trim(difference, density)),
      weights,
    ),
  ),
}

const dare: MergeMethod = {
  type: 'dare',
  source: 'arXiv:2311.03099',
  description: 'differences with elements dropped at random, the others scaled up, then summed',
  needsBase: true,
  uses: ['density', 'scale', 'seed'],
  merge: onDifferences((differences, parameter, settings) =>
    weightedSum(drop(differences, parameter, settings), settings.weights),
  ),
}

const dareTies: MergeMethod = {
  type: 'dare-ties',
  source: 'arXiv:2311.03099, arXiv:2306.01708',
  description: 'as dare, and of each element those with the majority sign',
  needsBase: true,
  uses: ['density', 'scale', 'seed'],
  merge: onDifferences((differences, parameter, settings) =>
    agreeing(drop(differences, parameter, settings), settings.weights),
  ),
}

/** All methods. */
export const mergeMethods: readonly MergeMethod[] = [linear, slerp, taskArithmetic, ties, dare, dareTies]

/** Merges one parameter, without gradients. */
export const mergeParameter = (method: MergeMethod, parameter: MergedParameter, settings: MergeSettings): Tensor =>
  noGrad(() => method.merge(parameter, settings))
