// The low-rank change of one linear layer, with a trained magnitude for DoRA.
import { ConfigError } from '../../core/index.ts'
import { dropElements, type Linear, type LowRankRows } from '../../nn/index.ts'
import { cat, empty, type Generator, isBatchInvariant, keep, linear, noGrad, type Tensor } from '../../tensor/index.ts'
import { LayerAdapter } from '../layer-adapter.ts'

/** Size and scaling of a LoRA. */
export interface LoraShape {
  rank: number
  alpha: number
  /** Divide alpha by the square root of the rank instead of the rank. @source arXiv:2312.03732 */
  rsLora: boolean
  /** Train the norm of each row separately. @source arXiv:2402.09353 */
  dora: boolean
  dropout: number
}

/** Factor of the change. */
export const scaleOf = ({ alpha, rank, rsLora }: LoraShape): number => alpha / (rsLora ? Math.sqrt(rank) : rank)

type Way = (input: Tensor) => Tensor

/** W x + scale · B A x. @source arXiv:2106.09685 */
export class LoraLayer extends LayerAdapter<Linear, Way> {
  /** [R,inputs]; shared by layers that are fused in files */
  a: Tensor
  /** [outputs,R] */
  b: Tensor
  /** Norm of each row of the changed matrix, [outputs] */
  magnitude?: Tensor
  /** Size and scaling. */
  readonly shape: Readonly<LoraShape>
  /** Initial values that are factors of the frozen matrix or of its error. */
  #start: { a: Tensor; b: Tensor; subtracts: boolean } | undefined
  #rowSquares: { of: unknown; squares: Tensor } | undefined

  constructor(host: Linear, shape: LoraShape, shared?: Tensor) {
    super()
    const { dtype, device } = host
    const [outputs, inputs] = host.shape
    this.shape = shape
    this.a = shared ?? keep(empty([shape.rank, inputs], { dtype, device }))
    this.b = keep(empty([outputs, shape.rank], { dtype, device }).zero_())
    // The norms of the original matrix, since B is zero.
    if (shape.dora) this.magnitude = keep(noGrad(() => this.#squares(host).sqrt().to(dtype)))
  }

  override get rowWise(): boolean {
    return true
  }

  get #dropsOut(): boolean {
    return this.training && this.shape.dropout > 0
  }

  /** A prompt that several answers share has one mask, where each answer alone would have its own. */
  override get sharesKeys(): boolean {
    return !this.#dropsOut
  }

  /** Initialises A as PyTorch does for a linear layer. B is zero, so that the layer starts unchanged. */
  initializeA(generator: Generator): void {
    const bound = this.a.shape[1] ** -0.5
    this.a.uniform_(-bound, bound, { generator })
  }

  /**
   * Begins with factors of the frozen matrix. With `subtracts` the layer computes W x + scale · (B A - B0 A0) x, and so
   * starts unchanged; otherwise they make up for an error of the matrix.
   */
  startFrom(a: Tensor, b: Tensor, subtracts: boolean): void {
    this.a.copy_(a)
    this.b.copy_(b)
    this.#start = { a: keep(this.a.detach().clone()), b: keep(this.b.detach().clone()), subtracts }
  }

  /**
   * The change of the original matrix as plain LoRA: with initial factors of twice the rank, [A; A0] and [B, -B0].
   * @source peft/tuners/lora/model.py, subtract_mutated_init
   */
  get plain(): { a: Tensor; b: Tensor; shape: Readonly<LoraShape> } {
    const { a, b } = this
    const shape = this.shape
    const start = this.#startLike(a)
    if (start === undefined) return { a, b, shape }
    const [rank, alpha] = [2 * shape.rank, shape.alpha * (shape.rsLora ? Math.SQRT2 : 2)]
    return { a: cat([a, start.a], 0), b: cat([b, start.b.neg()], 1), shape: { ...shape, rank, alpha } }
  }

  /** The initial factors on the device and in the dtype of the trained ones. */
  #startLike({ dtype, device }: Tensor): { a: Tensor; b: Tensor; subtracts: boolean } | undefined {
    const start = this.#start
    return start && { ...start, a: start.a.to({ dtype, device }), b: start.b.to({ dtype, device }) }
  }

  /** Factor of the change. */
  get scale(): number {
    return scaleOf(this.shape)
  }

  override lowRank(rows: number): readonly LowRankRows[] | undefined {
    if (this.magnitude !== undefined || this.#dropsOut) return undefined
    // Kernels add one product, and the initial factors are another.
    if (this.#start?.subtracts === true) return undefined
    return [{ from: 0, count: rows, a: this.a, b: this.b, scale: this.scale }]
  }

  wrap(host: Linear, next: Way, lowest = false): Way {
    return (input) => {
      const dropped = this.#dropsOut
      const fused = lowest ? this.#fused(host, input) : undefined
      if (fused !== undefined) return fused
      const own = next(input)
      const seen = dropped ? dropElements(input, this.shape.dropout) : input
      const narrow = linear(seen, this.a) // [...,R]
      if (this.magnitude === undefined) return this.#withoutStart(this.#added(own, narrow), input)
      const change = linear(narrow.mul(this.scale), this.b)
      const factor = this.magnitude.div(this.#norms(host).detach()) // [outputs]
      if (lowest && !dropped) {
        // `own` is W x plus a bias, which the factor must leave alone: W x need not be computed again.
        const scaled = own.add(change).mul(factor)
        return host.bias === undefined ? scaled : scaled.sub(host.bias.mul(factor.sub(1)))
      }
      const plain = host.product(seen)
      return own.add(plain.mul(factor.sub(1))).add(change.mul(factor))
    }
  }

  /** The layer with its change in one operator, if it is a plain change and the layer has such an operator. */
  #fused(host: Linear, input: Tensor): Tensor | undefined {
    const { a, b, scale } = this
    const isPlain = this.magnitude === undefined && !this.#dropsOut && this.#start?.subtracts !== true
    return isPlain ? host.withLowRank(input, { a, b, scale }) : undefined
  }

  /** own + scale · narrow Bᵀ, without a separate tensor for the change if the dtypes allow it. */
  #added(own: Tensor, narrow: Tensor): Tensor {
    if (isBatchInvariant() || [own, narrow, this.b].some(({ dtype }) => dtype !== 'float32'))
      return own.add(linear(narrow.mul(this.scale), this.b))
    const [outputs, rank] = this.b.shape
    return own
      .reshape([-1, outputs])
      .addmm(narrow.reshape([-1, rank]), this.b.t(), { alpha: this.scale })
      .view(own.shape)
  }

  /** Subtracts what the initial factors add. */
  #withoutStart(changed: Tensor, input: Tensor): Tensor {
    const start = this.#startLike(this.a)
    if (start?.subtracts !== true) return changed
    return changed.sub(linear(linear(input, start.a).mul(this.scale), start.b))
  }

  override merged(host: Linear): Record<string, Tensor> {
    const { weight } = host
    const { dtype } = weight
    const { a, b } = this.plain
    const changed = weight.to('float32').add(b.to('float32').matmul(a.to('float32')).mul(this.scale))
    const { magnitude } = this
    if (magnitude === undefined) return { weight: changed.to(dtype) }
    const factor = magnitude.to('float32').div(this.#norms(host).to('float32'))
    return { weight: changed.mul(factor.unsqueeze(1)).to(dtype) }
  }

  override outputMatrix(weight: Tensor): Tensor {
    const { a, b } = this.plain
    const changed = weight.add(b.matmul(a).mul(this.scale).to(weight.dtype))
    if (this.magnitude === undefined) return changed
    const norms = noGrad(() => changed.to('float32').square().sum(1).sqrt())
    return changed.mul(this.magnitude.div(norms.to(this.magnitude.dtype)).unsqueeze(1))
  }

  /** The exact weighted sum of the changes: the matrices side by side, with the sum of the ranks. */
  override setToSum(parts: readonly { adapter: LayerAdapter; weight: number }[]): void {
    const layers = parts.map(({ adapter, weight }) => ({ layer: adapter as LoraLayer, weight }))
    if (layers.some(({ layer }) => layer.magnitude !== undefined))
      throw new ConfigError(
        '`average` needs LoRA without DoRA, since the norms of rows do not add up: average the merged models instead.',
      )
    this.a.copy_(
      cat(
        layers.map(({ layer }) => layer.plain.a),
        0,
      ),
    )
    this.b.copy_(
      cat(
        layers.map(({ layer, weight }) => layer.plain.b.mul((weight * layer.scale) / this.scale)),
        1,
      ),
    )
  }

  /** Norms of the rows of W + s B A, computed without that matrix: |w|² + 2s (W Aᵀ)·B + s² (B A Aᵀ)·B. */
  #norms(host: Linear): Tensor {
    return noGrad(() => {
      const [a, b] = [this.a.to('float32'), this.b.to('float32')]
      const cross = host
        .product(this.a)
        .to('float32')
        .t()
        .mul(b)
        .sum(1)
        .mul(2 * this.scale)
      const own = b
        .matmul(a.matmul(a.t()))
        .mul(b)
        .sum(1)
        .mul(this.scale ** 2)
      return this.#squares(host).add(cross).add(own).clamp({ min: 0 }).sqrt().to(host.dtype)
    })
  }

  /** Squared norm of each row of the frozen matrix, computed once. */
  #squares(host: Linear): Tensor {
    const of = host.quantizedMatrix ?? host.weight
    if (this.#rowSquares?.of !== of)
      this.#rowSquares = { of, squares: keep(host.weight.detach().to('float32').square().sum(1)) }
    return this.#rowSquares.squares
  }
}
