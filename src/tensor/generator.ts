// Seeded random number generators for operators that sample. Their state is saved and restored exactly.
import { ShapeError } from '../core/index.ts'
import { describeValue, withTypedErrors } from './error-messages.ts'
import { native } from './native.ts'

const toSeed = (seed: number | bigint): bigint => {
  if (typeof seed !== 'bigint' && !Number.isSafeInteger(seed))
    throw new ShapeError(`Expected a whole number for \`seed\`, got ${describeValue(seed)}.`)
  return BigInt.asUintN(64, BigInt(seed))
}

/** A random number generator on the CPU (Mersenne twister, as PyTorch's). A seed gives the same samples on every device. */
export class Generator {
  /** The addon's object. Internal. */
  readonly external: object

  /** @throws ShapeError for a seed that is not a whole number */
  constructor(seed: number | bigint = 0) {
    this.external = native.generator(toSeed(seed))
  }

  /** Restarts the generator from a seed. */
  seed(seed: number | bigint): this {
    native.seedGenerator(this.external, toSeed(seed))
    return this
  }

  /** The whole state as bytes; `setState` restores it exactly. @throws OutOfMemoryError */
  state(): Uint8Array {
    const handle = withTypedErrors('state', () => native.generatorState(this.external))
    const bytes = new Uint8Array(native.shape(handle)[0])
    native.copyInto(handle, bytes)
    native.freeMany(Float64Array.of(handle))
    return bytes
  }

  /** Restores a state from `state()`. @throws ShapeError for other bytes */
  setState(state: Uint8Array): this {
    if (!(state instanceof Uint8Array))
      throw new ShapeError(`Expected bytes from \`Generator.state()\`, got ${describeValue(state)}.`)
    const handle = withTypedErrors('setState', () => native.fromBytes(state, [state.length], 0))
    try {
      native.setGeneratorState(this.external, handle)
    } catch (error) {
      throw new ShapeError(
        `Expected bytes from \`Generator.state()\`, got ${state.length} other bytes (${(error as Error).message}).`,
      )
    } finally {
      native.freeMany(Float64Array.of(handle))
    }
    return this
  }
}

/** Seeds libtorch's default generators, which operators use without a `generator`. They belong to the process. */
export const seedDefaultGenerators = (seed: number | bigint): void => native.seedDefault(toSeed(seed))
