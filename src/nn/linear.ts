// A linear layer: `y = x Wᵀ + b`. Its matrix may be frozen in fewer bits: no parameter then, but the same layer for all who use it.
import { ConfigError } from '../core/index.ts'
import { type Dtype, keep, linear, noGrad, type Tensor } from '../tensor/index.ts'
import { FrozenMatrix, type Packing, packingNames } from './frozen-matrix.ts'
import { type Initialization, Module } from './module.ts'
import { parameter } from './parameter.ts'

/** How a matrix that is not trained may be held. */
export type Holding = 'bfloat16' | Packing
export const holdings: readonly Holding[] = ['bfloat16', ...packingNames]

export class Linear extends Module {
  /** [outputs, inputs]; of a frozen layer a float32 copy, made at each reading */
  weight: Tensor
  /** [outputs] */
  bias?: Tensor
  readonly #scale: number
  readonly #tied: boolean
  #frozen: FrozenMatrix | undefined
  #held: Holding | undefined

  /**
   * @param options.initialScale multiplies the standard deviation: GPT-2 scales what writes to the residual stream
   * @param options.tied another layer's matrix, used here too and initialised there
   */
  constructor(inputs: number, outputs: number, options: { bias?: boolean; initialScale?: number; tied?: Tensor } = {}) {
    super()
    this.weight = options.tied ?? parameter([outputs, inputs])
    this.#tied = options.tied !== undefined
    if (options.bias ?? true) this.bias = parameter([outputs])
    this.#scale = options.initialScale ?? 1
  }

  /** [..., inputs] -> [..., outputs] */
  forward(input: Tensor): Tensor {
    return this.#multiply(input, this.bias ?? null)
  }

  /** `x Wᵀ`, without the bias and without adapters. */
  product(input: Tensor): Tensor {
    return this.#multiply(input, null)
  }

  /** [outputs, inputs] */
  get shape(): readonly [outputs: number, inputs: number] {
    const { shape } = this.#frozen ?? this.weight
    return [shape[0], shape[1]]
  }

  /** What its inputs and outputs are, which is not how the matrix is held where that is frozen. */
  get dtype(): Dtype {
    return this.#held === undefined ? this.weight.dtype : 'float32'
  }

  get device(): string {
    return (this.#frozen?.codes ?? this.weight).device
  }

  /** How the matrix is held, where it is frozen. */
  get held(): Holding | undefined {
    return this.#held
  }

  /** The matrix, where it is no parameter. */
  get frozen(): FrozenMatrix | undefined {
    return this.#frozen
  }

  override get heldCount(): number {
    return this.#frozen === undefined ? 0 : this.shape[0] * this.shape[1]
  }

  /**
   * Holds the matrix in fewer bits from now on, for float32 inputs: bfloat16 stays a parameter, anything else is none. Nothing brings
   * back what is lost. @throws ConfigError for a matrix that is frozen already or not on the CPU
   */
  freeze(held: Holding): void {
    if (this.#held !== undefined || this.device !== 'cpu')
      throw new ConfigError(
        `Expected a plain matrix on the CPU to freeze in ${held}, got one ${this.#held === undefined ? `on ${this.device}` : `in ${this.#held}`}.`,
      )
    const { weight } = this
    if (held === 'bfloat16') this.weight = keep(noGrad(() => weight.detach().to('bfloat16')))
    else {
      const frozen = new FrozenMatrix(weight, held)
      this.#frozen = frozen
      // Not enumerable: fields that are parameters are found by enumeration.
      Object.defineProperty(this, 'weight', { get: () => frozen.unpacked(), enumerable: false })
    }
    this.#held = held
    if (weight.dtype !== held) weight.free()
  }

  #multiply(input: Tensor, bias: Tensor | null): Tensor {
    return this.#frozen?.multiply(input, bias) ?? linear(input, this.weight, bias)
  }

  protected override reset({ std, generator }: Initialization): void {
    if (this.#held !== undefined) throw new ConfigError('Expected a plain matrix to draw anew, got a frozen one.')
    if (!this.#tied) this.weight.normal_(0, std * this.#scale, { generator })
    this.bias?.zero_()
  }
}
