// A layer that changes nothing, at a place where adapters may change something.
import type { Tensor } from '../tensor/index.ts'
import { Module } from './module.ts'

/** Gives its input. */
export class Identity extends Module {
  forward(input: Tensor): Tensor {
    return input
  }
}
