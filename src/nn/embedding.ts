// Embedding: a table of vectors by id.
import { type Dtype, embedding, type Tensor } from '../tensor/index.ts'
import { type Initialization, Module } from './module.ts'
import { parameter } from './parameter.ts'

/** A table of vectors, looked up by id. */
export class Embedding extends Module {
  /** [entries, size] */
  weight: Tensor
  readonly #paddingIndex: number | undefined
  #outputDtype: Dtype | undefined

  /** @param options.paddingIndex a row that starts at zero and gets no gradient. */
  constructor(entries: number, size: number, options: { paddingIndex?: number } = {}) {
    super()
    this.weight = parameter([entries, size])
    this.#paddingIndex = options.paddingIndex
  }

  /** int64 [...] -> [..., size] */
  forward(ids: Tensor): Tensor {
    const rows = embedding(this.weight, ids, this.#paddingIndex === undefined ? {} : { paddingIdx: this.#paddingIndex })
    return this.#outputDtype === undefined ? rows : rows.to(this.#outputDtype)
  }

  /** Dtype of the output. */
  get dtype(): Dtype {
    return this.#outputDtype ?? this.weight.dtype
  }

  get device(): string {
    return this.weight.device
  }

  /** Converts the output to another dtype than that of the table. */
  setOutputDtype(dtype: Dtype): void {
    this.#outputDtype = dtype
  }

  protected override reset({ std, generator }: Initialization): void {
    this.weight.normal_(0, std, { generator })
    if (this.#paddingIndex !== undefined) this.weight.select(0, this.#paddingIndex).zero_()
  }
}
