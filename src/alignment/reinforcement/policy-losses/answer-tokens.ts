// Sums and means of token values by answer. Independent of losses.
import { type Tensor, widened, widestDtype, zeros } from '../../../tensor/index.ts'

/** Which answer each of the N trained tokens of a micro-batch belongs to. */
export class AnswerTokens {
  readonly #index: Tensor
  readonly #counts: Tensor
  readonly #answers: number

  /**
   * @param index int64 [N], the answer of each token
   * @param counts tokens of each answer
   */
  constructor(index: Tensor, counts: Tensor) {
    this.#index = index
    this.#counts = counts
    this.#answers = counts.shape[0]
  }

  /** [N] -> [N]: for each token the sum over its answer. Summed in float64 where the device has it, so that the order does not matter. */
  sum(values: Tensor): Tensor {
    return this.#sums(values).to('float32').indexSelect(0, this.#index)
  }

  /** [N] -> [N]: for each token the mean over its answer. */
  mean(values: Tensor): Tensor {
    return this.#sums(values)
      .div(this.#counts.clamp({ min: 1 }))
      .to('float32')
      .indexSelect(0, this.#index)
  }

  #sums(values: Tensor): Tensor {
    return zeros([this.#answers], { dtype: widestDtype(values.device), device: values.device }).indexAdd(
      0,
      this.#index,
      widened(values),
    )
  }
}
