// Dropout as a layer: active in training mode only, with the random numbers of the given generator.
import { dropout, type Generator, type Tensor } from '../tensor/index.ts'
import { Module } from './module.ts'

/** Sets elements to 0 with a probability, in training mode only. */
export class Dropout extends Module {
  readonly #p: number

  constructor(p: number) {
    super()
    this.#p = p
  }

  forward(input: Tensor, generator?: Generator): Tensor {
    return this.training && this.#p > 0 ? dropout(input, this.#p, { generator }) : input
  }
}
