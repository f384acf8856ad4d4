// Rotary position embedding: tables of cosines and sines, with the scalings of published models, and their application.
import { ShapeError } from '../core/index.ts'
import { type Dtype, rotary, scope, Tensor } from '../tensor/index.ts'

/** Scaling of the frequencies for contexts longer than those of pretraining. */
export type RopeScaling =
  | { kind: 'default' }
  | { kind: 'linear'; factor: number }
  | { kind: 'dynamic'; factor: number; originalPositions: number }
  | { kind: 'llama3'; factor: number; lowFreqFactor: number; highFreqFactor: number; originalPositions: number }
  | {
      kind: 'yarn'
      factor: number
      originalPositions: number
      betaFast: number
      betaSlow: number
      attentionFactor?: number
      /** Weights of the logarithm of `factor` in the factor of cosines and sines, where both are given. */
      mscale?: number
      mscaleAllDim?: number
      /** Round the bounds of the ramp to whole frequencies (default: true). */
      truncate?: boolean
    }
  | {
      kind: 'longrope'
      /** Divisors of the frequencies up to `originalPositions` tokens, one per frequency, and beyond. */
      shortFactor: readonly number[]
      longFactor: readonly number[]
      originalPositions: number
      /** Maximum length relative to `originalPositions`. */
      factor: number
      attentionFactor?: number
    }

/** Settings of rotary position embedding. */
export interface RopeOptions {
  /** Even number of elements of a head that are rotated; the others pass unchanged. */
  rotaryDim: number
  /** Base of the frequencies. */
  theta: number
  scaling: RopeScaling
}

type Frequencies = (options: RopeOptions, length: number) => Float64Array

const plain: Frequencies = ({ rotaryDim, theta }) =>
  Float64Array.from({ length: rotaryDim / 2 }, (_, i) => theta ** ((-2 * i) / rotaryDim))

/** Frequencies by kind of scaling. */
const frequenciesOf: {
  [Kind in RopeScaling['kind']]: (
    options: RopeOptions,
    scaling: Extract<RopeScaling, { kind: Kind }>,
    length: number,
  ) => Float64Array
} = {
  default: (options, _, length) => plain(options, length),
  linear: (options, { factor }, length) => plain(options, length).map((frequency) => frequency / factor),
  /** Raises the base with the length. @source transformers modeling_rope_utils, dynamic NTK */
  dynamic: (options, { factor, originalPositions }, length) => {
    const longest = Math.max(length, originalPositions)
    const { rotaryDim, theta } = options
    const raised = theta * ((factor * longest) / originalPositions - (factor - 1)) ** (rotaryDim / (rotaryDim - 2))
    return plain({ ...options, theta: raised }, length)
  },
  /** Divides the frequencies of long wavelengths, keeps short ones, interpolates between. @source Llama 3.1 reference code */
  llama3: (options, { factor, lowFreqFactor, highFreqFactor, originalPositions }, length) =>
    plain(options, length).map((frequency) => {
      const wavelength = (2 * Math.PI) / frequency
      if (wavelength < originalPositions / highFreqFactor) return frequency
      if (wavelength > originalPositions / lowFreqFactor) return frequency / factor
      const smooth = (originalPositions / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor)
      return ((1 - smooth) * frequency) / factor + smooth * frequency
    }),
  /** @source arXiv:2309.00071 */
  yarn: (options, { factor, originalPositions, betaFast, betaSlow, truncate = true }, length) => {
    const { rotaryDim, theta } = options
    const dimOf = (rotations: number) =>
      (rotaryDim * Math.log(originalPositions / (rotations * 2 * Math.PI))) / (2 * Math.log(theta))
    const [fast, slow] = [dimOf(betaFast), dimOf(betaSlow)]
    const low = Math.max(truncate ? Math.floor(fast) : fast, 0)
    const high = Math.min(truncate ? Math.ceil(slow) : slow, rotaryDim - 1)
    const width = high === low ? 0.001 : high - low
    return plain(options, length).map((frequency, i) => {
      const ramp = Math.min(1, Math.max(0, (i - low) / width))
      return frequency * (1 - ramp) + (frequency / factor) * ramp
    })
  },
  /** @source arXiv:2402.13753 */
  longrope: (options, { shortFactor, longFactor, originalPositions }, length) => {
    const divisors = length > originalPositions ? longFactor : shortFactor
    return plain(options, length).map((frequency, i) => frequency / divisors[i])
  },
}

type ByKind<Result, Rest extends unknown[] = []> = {
  [Kind in RopeScaling['kind']]?: (scaling: Extract<RopeScaling, { kind: Kind }>, ...rest: Rest) => Result
}

/** By kind, where the frequencies change with the length of the input: lengths of one regime share them. */
const regimes: ByKind<number, [length: number]> = {
  dynamic: ({ originalPositions }, length) => Math.max(length, originalPositions),
  longrope: ({ originalPositions }, length) => Number(length > originalPositions),
}

const regimeOf = (scaling: RopeScaling, length: number): number =>
  (regimes[scaling.kind] as ((scaling: RopeScaling, length: number) => number) | undefined)?.(scaling, length) ?? 0

/** YaRN's temperature of attention as a factor of cosines and sines. @source transformers modeling_rope_utils, get_mscale */
const yarnMagnitude = (factor: number, mscale = 1): number => 0.1 * mscale * Math.log(factor) + 1

/** By kind, the factor of cosines and sines for contexts that are longer by a factor above 1. */
const magnitudes: ByKind<number> = {
  yarn: ({ factor, mscale, mscaleAllDim }) =>
    mscale !== undefined && mscaleAllDim !== undefined
      ? yarnMagnitude(factor, mscale) / yarnMagnitude(factor, mscaleAllDim)
      : yarnMagnitude(factor),
  longrope: ({ factor, originalPositions }) => Math.sqrt(1 + Math.log(factor) / Math.log(originalPositions)),
}

/** Factor of cosines and sines: 1, except with YaRN and LongRoPE. */
const magnitudeOf = (scaling: RopeScaling): number => {
  if (!(scaling.kind in magnitudes)) return 1
  const { attentionFactor, factor } = scaling as { attentionFactor?: number; factor: number }
  if (attentionFactor !== undefined) return attentionFactor
  return factor <= 1 ? 1 : (magnitudes[scaling.kind] as (scaling: RopeScaling) => number)(scaling)
}

/** Tables of cosines and sines, extended for longer inputs. */
export class RotaryTable {
  readonly options: RopeOptions
  #length = 0
  #regime = 0
  #device = 'cpu'
  #cos: Tensor | undefined
  #sin: Tensor | undefined

  constructor(options: RopeOptions) {
    this.options = options
  }

  /**
   * Frequencies [rotaryDim / 2] for inputs up to `length` tokens, and the factor of cosines and sines. They depend on the
   * length only where `lengthDependent`.
   */
  frequencies(length: number): { frequencies: Float32Array; magnitude: number; lengthDependent: boolean } {
    const { scaling } = this.options
    const derive = frequenciesOf[scaling.kind] as (o: RopeOptions, s: RopeScaling, length: number) => Float64Array
    return {
      // Published models compute angles in float32: the same rounding gives the same logits.
      frequencies: Float32Array.from(derive(this.options, scaling, length)),
      magnitude: magnitudeOf(scaling),
      lengthDependent: scaling.kind in regimes,
    }
  }

  /** Cosines and sines [length, rotaryDim / 2] for positions 0 … length-1, on the CPU. */
  tables(length: number, dtype: Dtype = 'float32'): { cos: Tensor; sin: Tensor } {
    const { cos, sin } = this.#tablesFor(length, dtype, 'cpu')
    return { cos: cos.narrow(0, 0, length), sin: sin.narrow(0, 0, length) }
  }

  /** Cosines and sines float32 [P, rotaryDim / 2] that have rows for position ids: those that are kept for later calls. */
  tablesAt(positions: Tensor): { cos: Tensor; sin: Tensor } {
    const room = knownRooms.get(positions)
    if (room === undefined) return this.#tablesFor(endOf(positions), 'float32', positions.device)
    const { kind } = this.options.scaling
    if (kind in regimes)
      throw new ShapeError(`Expected angles that do not depend on the length of the input, got rope scaling ${kind}.`)
    return this.#tablesFor(room, 'float32', positions.device)
  }

  #tablesFor(length: number, dtype: Dtype, device: string): { cos: Tensor; sin: Tensor } {
    const regime = regimeOf(this.options.scaling, length)
    const outdated = regime !== this.#regime || length > this.#length || device !== this.#device
    if (this.#cos === undefined || this.#sin === undefined || outdated) {
      const rows = regime === this.#regime ? Math.max(length, 2 * this.#length, 128) : length
      const half = this.options.rotaryDim / 2
      const { frequencies, magnitude } = this.frequencies(length)
      const cos = new Float32Array(rows * half)
      const sin = new Float32Array(rows * half)
      for (let t = 0; t < rows; t++)
        for (let i = 0; i < half; i++) {
          const angle = Math.fround(t * frequencies[i])
          cos[t * half + i] = Math.cos(angle) * magnitude
          sin[t * half + i] = Math.sin(angle) * magnitude
        }
      // The old tables stay whole where there is no memory for the new ones.
      const made = scope(() => [cos, sin].map((table) => Tensor.from(table, { shape: [rows, half], dtype, device })))
      for (const table of made) table.keep()
      if (this.#cos !== undefined) replacedTables++
      this.#cos?.free()
      this.#sin?.free()
      ;[this.#cos, this.#sin] = made
      this.#device = device
      this.#length = rows
      this.#regime = regime
    }
    return { cos: this.#cos, sin: this.#sin }
  }

  /** Angles at position ids int64 [1|B,T]: [T,R/2] when rows share them, else [B,T,R/2]. */
  at(positions: Tensor): { cos: Tensor; sin: Tensor } {
    const [rows, length] = positions.shape
    const { cos, sin } = this.tablesAt(positions)
    const flat = positions.view([-1])
    const pick = (table: Tensor) => {
      const picked = table.indexSelect(0, flat)
      return rows === 1 ? picked : picked.view([rows, length, table.shape[1]])
    }
    return { cos: pick(cos), sin: pick(sin) }
  }
}

/** The numbers after the largest of position ids that were made here, which need not be read again. */
const knownEnds = new WeakMap<Tensor, number>()

/** Numbers above all values that position ids will have whose tensor is written again and again. */
const knownRooms = new WeakMap<Tensor, number>()

let replacedTables = 0

/** Number of tables that were replaced by longer ones so far: what has recorded their memory must be recorded again. */
export const replacedRotaryTables = (): number => replacedTables

/**
 * Position ids of a decoding step whose operators are recorded once, for other values below `room` later.
 * @throws ShapeError in `tablesAt` for rope scaling by the length of the input
 */
export const reservePositions = (positions: Tensor, room: number): Tensor => {
  knownRooms.set(positions, room)
  return positions
}

/** Position ids whose largest value is known. */
export const positionsBelow = (positions: Tensor, end: number): Tensor => {
  knownEnds.set(positions, end)
  return positions
}

/** Position ids, int64 [1,T], for tables that then need not look for the largest. */
export const positionRow = (ids: BigInt64Array, device?: string): Tensor => {
  const positions = Tensor.from(ids, { shape: [1, ids.length], device })
  let end = 0
  for (const id of ids) end = Math.max(end, Number(id) + 1)
  knownEnds.set(positions, end)
  return positions
}

/** The number after the largest of position ids. */
const endOf = (positions: Tensor): number =>
  knownEnds.get(positions) ?? (positions.size === 0 ? 0 : positions.max().item() + 1)

/** Turns [B,T,H,D] by the angles of its positions: [T,R/2], or [B,T,R/2] where rows differ. */
export const applyRotary = (input: Tensor, angles: { cos: Tensor; sin: Tensor }): Tensor =>
  rotary(input, angles.cos, angles.sin)
