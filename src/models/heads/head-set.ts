// Several heads over one body, as one module: what is trained together has one tree of parameters. Each head computes in a model of its own.
import { ConfigError } from '../../core/index.ts'
import type { Module } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import { Head } from './head.ts'

/** Heads by name; the parameters of each are below its name. */
export class HeadSet extends Head {
  readonly #heads: Readonly<Record<string, Head>>

  constructor(heads: Readonly<Record<string, Head>>) {
    super()
    this.#heads = heads
  }

  // Names of users may be those of fields of a module, so that heads are no fields.
  override *children(): Iterable<[string, Module]> {
    yield* Object.entries(this.#heads)
  }

  /** @throws ConfigError: it is not known which head is meant */
  forward(): Tensor {
    throw new ConfigError(
      `Expected a model with one head to compute logits, got ${Object.keys(this.#heads).join(', ')}. Use the model of one of them.`,
    )
  }
}
