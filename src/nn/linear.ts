// A linear layer: `y = x Wᵀ + b`. Its matrix may be quantised: it is no parameter then, but the layer is used in the same way.
import { ConfigError } from '../core/index.ts'
import { type Dtype, keep, linear, lowRankLinear, noGrad, type Tensor } from '../tensor/index.ts'
import type { BlockMatrix } from './block-matrix.ts'
import { type Initialization, Module } from './module.ts'
import { parameter } from './parameter.ts'
import type { IntegerFormat } from './plain-blocks.ts'
import { type LowRankChange, type MatrixFormat, matrixFormats, QuantizedMatrix } from './quantized-matrix.ts'

/** Formats of a matrix that is not trained. */
export type Quantization = 'bfloat16' | MatrixFormat
/** All of these formats. */
export const quantizations: readonly Quantization[] = ['bfloat16', ...matrixFormats]

/** A change of a linear layer for some rows of a batch: W x + scale · B (A x). */
export interface LowRankRows {
  from: number
  count: number
  /** [R,inputs] */
  a: Tensor
  /** [outputs,R] */
  b: Tensor
  scale: number
}

/** A linear layer, whose matrix may be quantised. Its parameters are not set until `initialize` or `loadState`, see `Module`. */
export class Linear extends Module {
  /** [outputs, inputs]; dequantised at each access where the layer is quantised */
  weight: Tensor
  /** [outputs] */
  bias?: Tensor
  /**
   * Set where adapters change the layer: the changes for a batch of rows, if they are all of low rank. Not enumerable, as it
   * is no parameter.
   */
  declare lowRank?: (rows: number) => readonly LowRankRows[] | undefined
  /** The matrix with the changes of adapters, where there are any: for losses that do not use `forward`. */
  declare changedMatrix?: () => Tensor
  readonly #scale: number
  readonly #tied: boolean
  #quantized: QuantizedMatrix | BlockMatrix | undefined
  #quantization: Quantization | IntegerFormat | undefined
  #quantizedDtype: Dtype = 'float32'

  /**
   * @param options.initialScale factor of the initial standard deviation; GPT-2 scales layers that write to the residual stream
   * @param options.tied matrix of another layer, which initialises it
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

  /** Whether `forward` is `x Wᵀ + b` of the parameters: nothing such as an adapter changes it, and the matrix is not quantised. */
  get isPlain(): boolean {
    return this.#quantized === undefined && this.forward === Linear.prototype.forward
  }

  /**
   * `x Wᵀ` with the bias and a low-rank change, in one operator where that is faster: in bfloat16, but over blocks of a GGUF file.
   * Else undefined.
   */
  withLowRank(input: Tensor, change: LowRankChange): Tensor | undefined {
    const { a, b, scale } = change
    const bias = this.bias ?? null
    if ([input, a, b].some(({ dtype }) => dtype !== 'bfloat16')) return undefined
    if (this.#quantized !== undefined) return this.#quantized.multiplyWithLowRank(input, change, bias)
    return this.weight.dtype === 'bfloat16' ? lowRankLinear(input, this.weight, a, b, scale, bias) : undefined
  }

  /** [outputs, inputs] */
  get shape(): readonly [outputs: number, inputs: number] {
    const { shape } = this.#quantized ?? this.weight
    return [shape[0], shape[1]]
  }

  /** Dtype of inputs and outputs: where the matrix is quantised, float32 or what `to` was called with since. */
  get dtype(): Dtype {
    return this.#quantization === undefined ? this.weight.dtype : this.#quantizedDtype
  }

  get device(): string {
    return (this.#quantized?.codes ?? this.weight).device
  }

  /** Format of the matrix where it is quantised. */
  get quantization(): Quantization | IntegerFormat | undefined {
    return this.#quantization
  }

  /** The quantised matrix, where it is no parameter. */
  get quantizedMatrix(): QuantizedMatrix | BlockMatrix | undefined {
    return this.#quantized
  }

  override get quantizedCount(): number {
    return this.#quantized === undefined || this.#tied ? 0 : this.shape[0] * this.shape[1]
  }

  override get quantizedTensors(): readonly Tensor[] | undefined {
    const matrix = this.#quantized
    return matrix === undefined ? [] : matrix instanceof QuantizedMatrix ? matrix.tensors : undefined
  }

  /** Takes a matrix of blocks in place of the parameter, which has no memory. */
  useBlocks(matrix: BlockMatrix): void {
    this.#replaceWeight(matrix)
    this.#quantization = matrix.format
  }

  /**
   * Quantises the matrix. In bfloat16 it stays a parameter, otherwise not. It cannot be undone.
   * @throws ConfigError for a matrix that is quantised already
   */
  quantize(format: Quantization): void {
    if (this.#quantization !== undefined)
      throw new ConfigError(
        `Expected an unquantised matrix to quantise to ${format}, got one in ${this.#quantization}.`,
      )
    const { weight } = this
    if (format === 'bfloat16') this.weight = keep(noGrad(() => weight.detach().to('bfloat16')))
    else this.#replaceWeight(new QuantizedMatrix(weight, format))
    this.#quantization = format
    if (weight.dtype !== format) weight.free()
  }

  #replaceWeight(matrix: QuantizedMatrix | BlockMatrix): void {
    this.#quantized = matrix
    // Not enumerable, since enumerable tensor fields are parameters.
    Object.defineProperty(this, 'weight', { get: () => matrix.dequantize(), enumerable: false })
  }

  protected override placeQuantized({ dtype, device }: { dtype?: Dtype; device?: string }): void {
    if (device !== undefined) this.#quantized?.move(device)
    this.#quantizedDtype = dtype ?? this.#quantizedDtype
  }

  #multiply(input: Tensor, bias: Tensor | null): Tensor {
    return this.#quantized?.multiply(input, bias) ?? linear(input, this.weight, bias)
  }

  protected override reset({ std, generator }: Initialization): void {
    if (this.#quantization !== undefined)
      throw new ConfigError('Expected an unquantised matrix to initialise, got a quantised one.')
    if (!this.#tied) this.weight.normal_(0, std * this.#scale, { generator })
    this.bias?.zero_()
  }
}
