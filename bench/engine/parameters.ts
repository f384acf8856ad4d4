// The parameters of a bench model: fp32 masters, optimizer state, and the working copies that forward and backward see.
// Independent of architecture.
import {
  adamw_,
  clearGrads,
  type Dtype,
  empty,
  gradNorm,
  keep,
  noGrad,
  type Tensor,
  tensor,
  zerosLike,
} from '../../src/tensor/index.ts'

export class Parameters {
  readonly working = new Map<string, Tensor>()
  readonly #masters: Tensor[] = []
  readonly #copies: Tensor[] = []
  readonly #first: Tensor[] = []
  readonly #second: Tensor[] = []
  #step = 0

  /** @param dtype of matrices in forward and backward; vectors (norms, biases) stay fp32. */
  constructor(
    readonly dtype: Dtype,
    private readonly initial: (name: string, shape: readonly number[]) => Tensor,
  ) {}

  add(name: string, shape: readonly number[]): Tensor {
    const master = keep(this.initial(name, shape))
    const copied = this.dtype !== 'float32' && shape.length > 1
    const working = copied ? keep(master.to(this.dtype)) : master
    working.requiresGrad = true
    this.#masters.push(master)
    this.#copies.push(copied ? working : keep(empty([0], { dtype: this.dtype })))
    this.#first.push(keep(zerosLike(master).detach()))
    this.#second.push(keep(zerosLike(master).detach()))
    this.working.set(name, working)
    return working
  }

  get count(): number {
    return this.#masters.reduce((sum, master) => sum + master.size, 0)
  }

  /** One AdamW step on gradients of a summed loss over `weight` terms, clipped to norm 1. */
  step(
    weight: number,
    options: { learningRate: number; weightDecay: number; betas: readonly [number, number] },
  ): number {
    const leaves = [...this.working.values()]
    const grads = leaves.map((leaf) => leaf.grad as Tensor)
    const norm = gradNorm(grads).item() / weight
    const scale = tensor(Math.min(1, 1 / (norm + 1e-6)) / weight)
    const { learningRate, weightDecay, betas } = options
    noGrad(() =>
      adamw_(this.#masters, {
        expAvgs: this.#first,
        expAvgSqs: this.#second,
        workingCopies: this.#copies,
        grads,
        learningRates: leaves.map(() => learningRate),
        weightDecays: leaves.map(() => weightDecay),
        beta1: betas[0],
        beta2: betas[1],
        eps: 1e-8,
        step: ++this.#step,
        gradScale: scale,
      }),
    )
    clearGrads(leaves)
    return norm
  }
}
