// Seeded random streams for operators that draw: one object, one stream, its state saved and restored to the bit.
import { ShapeError } from '../core/index.ts'
import { native } from './native.ts'
import { describe } from './wording.ts'

const toSeed = (seed: number | bigint): bigint => {
  if (typeof seed !== 'bigint' && !Number.isSafeInteger(seed))
    throw new ShapeError(`Expected a whole number for \`seed\`, got ${describe(seed)}.`)
  return BigInt.asUintN(64, BigInt(seed))
}

/** A CPU random stream (Mersenne twister, as libtorch's own). The same seed gives the same draws. */
export class Generator {
  readonly external: object

  constructor(seed: number | bigint = 0) {
    this.external = native.generator(toSeed(seed))
  }

  seed(seed: number | bigint): this {
    native.seedGenerator(this.external, toSeed(seed))
    return this
  }

  /** The whole state as bytes; `setState` puts it back exactly. */
  state(): Uint8Array {
    const handle = native.generatorState(this.external)
    const bytes = new Uint8Array(native.shape(handle)[0])
    native.copyInto(handle, bytes)
    native.freeMany(Float64Array.of(handle))
    return bytes
  }

  setState(state: Uint8Array): this {
    if (!(state instanceof Uint8Array))
      throw new ShapeError(`Expected a state made by \`Generator.state()\`, got ${describe(state)}.`)
    const handle = native.fromBytes(state, [state.length], 0)
    try {
      native.setGeneratorState(this.external, handle)
    } catch (error) {
      throw new ShapeError(
        `Expected a state made by \`Generator.state()\`, got ${state.length} other bytes (${(error as Error).message}).`,
      )
    } finally {
      native.freeMany(Float64Array.of(handle))
    }
    return this
  }
}

/** Seeds the process-wide default streams, which operators use when no generator is passed. */
export const seedDefaultGenerators = (seed: number | bigint): void => native.seedDefault(toSeed(seed))
