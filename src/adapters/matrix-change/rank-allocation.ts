// AdaLoRA's division of a budget of ranks among matrices: which components stay, by their importance over the steps.
import { eye, noGrad, noGradScope, ones, type Tensor, zerosLike } from '../../tensor/index.ts'
import type { AfterUpdate } from '../adapter.ts'
import type { Tensors } from './layer.ts'

/** When ranks are allocated, in steps. */
export interface RankSchedule {
  /** Steps with all ranks. */
  warmup: number
  /** Steps at the end, in which ranks stay as they are. */
  final: number
  total: number
}

export interface AllocationSettings {
  targetRank: number
  initialRank: number
  interval: number
  sensitivityDecay: number
  uncertaintyDecay: number
}

/** Which components of each matrix are kept, by the name of its module: 1 or 0, float32 [R]. */
export type RankMasks = ReadonlyMap<string, Tensor>

/** Masks that keep every component. */
export const fullMasks = (names: readonly string[], rank: number): RankMasks =>
  new Map(names.map((name) => [name, ones([rank]).keep()]))

/** Whether each component is kept. */
export const keptIn = (mask: Tensor): boolean[] => Array.from(mask.toFloat32Array(), (value) => value !== 0)

/**
 * Number of components of all matrices after a step, from 1; undefined where nothing is allocated at that step.
 * @source peft/tuners/adalora/layer.py, RankAllocator.budget_schedule
 */
export const budgetAt = (
  step: number,
  { warmup, final, total }: RankSchedule,
  { initial, target, interval }: { initial: number; target: number; interval: number },
): number | undefined => {
  if (step <= warmup || step > total - final) return undefined
  const left = 1 - (step - warmup) / (total - final - warmup)
  const isDue = step % interval === 0 || step === total - final
  return isDue ? Math.trunc((initial - target) * left ** 3 + target) : undefined
}

/** The tensors of a matrix, with the paths of its parameters by their names. */
export interface AllocatedMatrix {
  name: string
  mask: Tensor
  paths: Readonly<Record<'left' | 'singular' | 'right', string>>
}

interface Importance {
  /** Running mean of |weight · gradient|. */
  sensitivity: Tensor
  /** Running mean of its distance from that mean. */
  uncertainty: Tensor
}

/** Allocates ranks after each update. Its state is tensors alone, so that a resumed run gives the same ranks. */
export class RankAllocation {
  readonly #matrices: readonly AllocatedMatrix[]
  readonly #schedule: RankSchedule
  readonly #settings: AllocationSettings
  readonly #importance = new Map<string, Importance>()

  constructor(
    matrices: readonly AllocatedMatrix[],
    parameters: ReadonlyMap<string, Tensor>,
    schedule: RankSchedule,
    settings: AllocationSettings,
  ) {
    this.#matrices = matrices
    this.#schedule = schedule
    this.#settings = settings
    noGrad(() => {
      for (const { paths } of matrices)
        for (const path of Object.values(paths)) {
          const like = (parameters.get(path) as Tensor).detach().to('float32')
          this.#importance.set(path, { sensitivity: zerosLike(like).keep(), uncertainty: zerosLike(like).keep() })
        }
    })
  }

  /** Importance and masks, by path. */
  tensors(): Map<string, Tensor> {
    return new Map([
      ...[...this.#importance].flatMap(([path, { sensitivity, uncertainty }]): [string, Tensor][] => [
        [`${path}/sensitivity`, sensitivity],
        [`${path}/uncertainty`, uncertainty],
      ]),
      ...this.#matrices.map(({ name, mask }): [string, Tensor] => [`${name}/kept`, mask]),
    ])
  }

  /** Measures importance, and sets the singular values of components that are not kept to zero. */
  update({ step, gradients, scale, weights, parameters }: AfterUpdate): void {
    const { total, final } = this.#schedule
    noGradScope(() => {
      if (step < total - final) this.#measure(gradients, weights, scale)
      const { initialRank, targetRank, interval } = this.#settings
      const count = this.#matrices.length
      const sizes = { initial: initialRank * count, target: targetRank * count, interval }
      const budget = budgetAt(step, this.#schedule, sizes)
      if (budget !== undefined) this.#allocate(budget)
      // After the last allocation the optimizer must not bring components back.
      if (budget === undefined && step <= total - final) return
      for (const { paths, mask } of this.#matrices) {
        const [weight, parameter] = [weights.get(paths.singular), parameters.get(paths.singular)]
        for (const tensor of new Set([weight, parameter]))
          tensor?.detach().mul_(mask.to({ dtype: tensor.dtype, device: tensor.device }).unsqueeze(1))
      }
    })
  }

  /** @source peft/tuners/adalora/layer.py, RankAllocator.update_ipt */
  #measure(gradients: ReadonlyMap<string, Tensor>, weights: ReadonlyMap<string, Tensor>, scale: number): void {
    const { sensitivityDecay, uncertaintyDecay } = this.#settings
    for (const [path, { sensitivity, uncertainty }] of this.#importance) {
      const gradient = gradients.get(path)?.to('float32').mul(scale)
      const weight = (weights.get(path) as Tensor).detach()
      const now = gradient === undefined ? zerosLike(weight) : weight.mul(gradient).abs()
      sensitivity.mul_(sensitivityDecay).add_(now, { alpha: 1 - sensitivityDecay })
      uncertainty.mul_(uncertaintyDecay).add_(now.sub(sensitivity).abs(), { alpha: 1 - uncertaintyDecay })
    }
  }

  /** Keeps so many components of all matrices. @source peft/tuners/adalora/layer.py, RankAllocator.mask_to_budget */
  #allocate(budget: number): void {
    const scores = this.#matrices.map(({ paths }) => {
      const [left, singular, right] = [paths.left, paths.singular, paths.right].map((path) => {
        const { sensitivity, uncertainty } = this.#importance.get(path) as Importance
        return sensitivity.mul(uncertainty)
      })
      return singular
        .view([-1])
        .add(right.mean(1).add(left.mean(0)))
        .toFloat32Array()
    })
    const sorted = scores.flatMap((values) => [...values]).sort((a, b) => a - b)
    const dropped = sorted.length - budget
    const threshold = dropped > 0 ? sorted[dropped - 1] : Number.NEGATIVE_INFINITY
    for (const [i, { mask }] of this.#matrices.entries())
      for (const [j, score] of scores[i].entries()) mask.narrow(0, j, 1).fill_(score > threshold ? 1 : 0)
  }
}

/** How far factors are from orthonormal ones: mean of |PᵀP - I| over both of each matrix. @source arXiv:2303.10512, eq. 4 */
export const orthogonality = (matrices: readonly Tensors[]): Tensor => {
  const distances = matrices.flatMap(({ left, right }) =>
    [right.matmul(right.t()), left.t().matmul(left)].map((gram) => distanceFromIdentity(gram)),
  )
  return distances.reduce((sum, one) => sum.add(one)).div(distances.length)
}

const distanceFromIdentity = (gram: Tensor): Tensor => {
  const wide = gram.to('float32')
  const identity = eye(gram.shape[0], gram.shape[0], { device: gram.device })
  return wide.sub(identity).norm()
}
