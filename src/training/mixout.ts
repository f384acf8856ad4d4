// Mixout: in each step, random elements of trained matrices are those of the base again, and the others are scaled so that their
// mean is the trained one. Independent of the loop and of models. @source arXiv:1909.11299
import { createRandom } from '../core/index.ts'
import { empty, freeTensors, Generator, keep, noGrad, noGradScope, type Tensor } from '../tensor/index.ts'

/** Mixes trained matrices with those of the base for the gradients of a step. */
export class Mixout {
  readonly #share: number
  readonly #seed: number
  readonly #parameters: ReadonlyMap<string, Tensor>
  readonly #base: ReadonlyMap<string, Tensor>
  readonly #generator = new Generator(0)
  /** The trained values and which elements are trained in this step, while it is computed. */
  readonly #held = new Map<string, { trained: Tensor; kept: Tensor }>()

  /** @param parameters the matrices, which have the values of the base now */
  constructor(parameters: ReadonlyMap<string, Tensor>, { share, seed }: { share: number; seed: number }) {
    this.#share = share
    this.#seed = seed
    this.#parameters = parameters
    this.#base = noGrad(() => new Map([...parameters].map(([path, value]) => [path, keep(value.detach().clone())])))
  }

  /** Puts mixed values into the matrices. The elements depend on the seed and the step alone. */
  begin(step: number): void {
    noGradScope(() => {
      for (const [path, parameter] of this.#parameters) {
        this.#generator.seed(createRandom(`${this.#seed}/mixout/${step}/${path}`).integer(2 ** 53 - 1))
        const value = parameter.detach()
        const random = empty(value.shape).uniform_(0, 1, { generator: this.#generator })
        const kept = keep(random.ge(this.#share).to({ dtype: value.dtype, device: value.device }))
        this.#held.set(path, { trained: keep(value.clone()), kept })
        const base = this.#base.get(path) as Tensor
        const mixed = base.add(value.sub(base).mul(kept)) // base where not kept
        value.copy_(mixed.sub(base.mul(this.#share)).mul(1 / (1 - this.#share)))
      }
    })
  }

  /** Puts the trained values back. @param gradients become those of the trained values */
  end(gradients?: ReadonlyMap<string, Tensor>): void {
    noGradScope(() => {
      for (const [path, { trained, kept }] of this.#held) {
        this.#parameters.get(path)?.detach().copy_(trained)
        gradients
          ?.get(path)
          ?.detach()
          .mul_(kept)
          .mul_(1 / (1 - this.#share))
      }
    })
    freeTensors([...this.#held.values()].flatMap(({ trained, kept }) => [trained, kept]))
    this.#held.clear()
  }
}
