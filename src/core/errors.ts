// Every error that Tunesmith throws on purpose. Messages follow one form:
// Expected <what> for `<where>`, got <value>. <What to do.>

/** Base of all errors that a user can cause; the CLI prints `message` alone, as one line. */
export class TunesmithError extends Error {
  override name = 'TunesmithError'
}

/** A wrong option or recipe. All faults found are reported at once. */
export class ConfigError extends TunesmithError {
  override name = 'ConfigError'
  readonly #faults: readonly string[]
  constructor(faults: readonly string[] | string) {
    const list = typeof faults === 'string' ? [faults] : faults
    super(list.length === 1 ? list[0] : `${list.length} faults:\n${list.map((fault) => `  - ${fault}`).join('\n')}`)
    this.#faults = list
  }

  /** Each fault by itself. A getter, because Node prints the fields of an uncaught error below its message, which has them all. */
  get faults(): readonly string[] {
    return this.#faults
  }
}

/** Tensor shapes, dtypes or devices that do not fit the operation; unknown names of them are a ConfigError. */
export class ShapeError extends TunesmithError {
  override name = 'ShapeError'
}

/** Bad input data; carries where it was found. */
export class DataError extends TunesmithError {
  override name = 'DataError'
  constructor(
    message: string,
    readonly file?: string,
    /** 1-based line, or undefined when the fault has no line. */
    readonly line?: number,
  ) {
    super(file === undefined ? message : `${file}${line === undefined ? '' : `:${line}`}: ${message}`)
  }
}

/** A checkpoint whose keys, shapes or bytes are not what the model needs. */
export class CheckpointError extends TunesmithError {
  override name = 'CheckpointError'
  constructor(
    message: string,
    readonly report: { missing?: string[]; unexpected?: string[]; mismatched?: string[] } = {},
  ) {
    super(message)
  }
}

/** An error raised inside libtorch or the addon, reworded to one line. */
export class NativeError extends TunesmithError {
  override name = 'NativeError'
}

/** The machine has not enough memory for one allocation. */
export class OutOfMemoryError extends NativeError {
  override name = 'OutOfMemoryError'
}

/** The machine lacks something that set-up needs (compiler, disk, network). */
export class SetupError extends TunesmithError {
  override name = 'SetupError'
}

/** Throws when one of our own assumptions is broken; never for user input. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`Broken invariant: ${message} This is a fault in Tunesmith; please report it.`)
}

/** An error of any kind as text for a log, with its stack. */
export const faultText = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error)
