// Embedding: a table of vectors by id.
import { type Dtype, embedding, type Tensor } from '../tensor/index.ts'
import type { BlockMatrix } from './block-matrix.ts'
import { type Initialization, Module } from './module.ts'
import { parameter } from './parameter.ts'

/** A table of vectors, looked up by id. Its parameters are not set until `initialize` or `loadState`, see `Module`. */
export class Embedding extends Module {
  /** [entries, size]; dequantised at each access where the table is a matrix of blocks */
  weight: Tensor
  /** A row that gets no gradient. */
  readonly paddingIndex: number | undefined
  #outputDtype: Dtype | undefined
  #blocks: BlockMatrix | undefined

  /** @param options.paddingIndex a row that starts at zero and gets no gradient. */
  constructor(entries: number, size: number, options: { paddingIndex?: number } = {}) {
    super()
    this.weight = parameter([entries, size])
    this.paddingIndex = options.paddingIndex
  }

  /** int64 [...] -> [..., size] */
  forward(ids: Tensor): Tensor {
    const padding = this.paddingIndex === undefined ? {} : { paddingIdx: this.paddingIndex }
    const rows = this.#blocks?.rows(ids) ?? embedding(this.weight, ids, padding)
    return this.#outputDtype === undefined ? rows : rows.to(this.#outputDtype)
  }

  /** Dtype of the output. */
  get dtype(): Dtype {
    return this.#outputDtype ?? (this.#blocks === undefined ? this.weight.dtype : 'float32')
  }

  get device(): string {
    return (this.#blocks?.codes ?? this.weight).device
  }

  /** [entries, size] */
  get shape(): readonly [entries: number, size: number] {
    const { shape } = this.#blocks ?? this.weight
    return [shape[0], shape[1]]
  }

  /** The matrix of blocks, where the table is one. */
  get blocks(): BlockMatrix | undefined {
    return this.#blocks
  }

  override get quantizedCount(): number {
    return this.#blocks === undefined ? 0 : this.shape[0] * this.shape[1]
  }

  override get quantizedTensors(): readonly Tensor[] | undefined {
    return this.#blocks === undefined ? [] : undefined
  }

  /** Takes a matrix of blocks in place of the parameter, which has no memory. */
  useBlocks(matrix: BlockMatrix): void {
    this.#blocks = matrix
    // Not enumerable, since enumerable tensor fields are parameters.
    Object.defineProperty(this, 'weight', { get: () => matrix.dequantize(), enumerable: false })
  }

  /** Converts the output to another dtype than that of the table, from now on to the one that `to` is called with. */
  setOutputDtype(dtype: Dtype): void {
    this.#outputDtype = dtype
  }

  protected override placeQuantized({ dtype, device }: { dtype?: Dtype; device?: string }): void {
    if (device !== undefined) this.#blocks?.move(device)
    if (dtype !== undefined && this.dtype !== dtype) this.#outputDtype = dtype
  }

  protected override reset({ std, generator }: Initialization): void {
    this.weight.normal_(0, std, { generator })
    if (this.paddingIndex !== undefined) this.weight.select(0, this.paddingIndex).zero_()
  }
}
