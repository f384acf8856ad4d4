// One embedding per row, without parameters: for bare bodies of transformers and sentence-transformers folders.
import type { Tensor } from '../../tensor/index.ts'
import type { BodyInputs, BodyOutputs } from '../model.ts'
import { Head, type HeadEntry, type HeadOptions } from './head.ts'
import { type Pooling, poolRows } from './sequence-classification.ts'

/** Vectors of norm 1, [B,C]. Rows of zeros stay as they are. */
export const unitRows = (vectors: Tensor): Tensor =>
  vectors.div(vectors.square().sum(-1, { keepdim: true }).sqrt().clamp({ min: 1e-12 }))

/** Pools the hidden states of a row to one embedding. */
export class EmbeddingHead extends Head {
  readonly #pooling: Pooling
  readonly #normalize: boolean

  constructor({ pooling = 'mean', normalize }: HeadOptions) {
    super()
    this.#pooling = pooling
    this.#normalize = normalize
  }

  /** Pooling, and whether the vectors have norm 1. */
  get settings(): { pooling: Pooling; normalize: boolean } {
    return { pooling: this.#pooling, normalize: this.#normalize }
  }

  override get readsFirstsOnly(): boolean {
    return this.#pooling === 'first'
  }

  /** -> [B,C], of norm 1 with `normalize`. */
  forward({ hidden, onlyRead }: BodyOutputs, inputs: BodyInputs): Tensor {
    const row = onlyRead ? hidden.squeeze(0) : poolRows(hidden, inputs, this.#pooling)
    return this.#normalize ? unitRows(row) : row
  }
}

/** Head of embeddings. @param hfClass class of the bare body, whose keys have no prefix */
export const embedding = (hfClass: string, more: Pick<HeadEntry, 'encoderOnly' | 'prepare'> = {}): HeadEntry => ({
  ...more,
  hfClass,
  bare: true,
  prefix: '',
  keys: [],
  build: (_, __, options) => new EmbeddingHead(options),
})
