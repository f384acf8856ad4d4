// Reads the JSON fields of tokenizer files, with errors that name the field. Unknown fields are ignored, as in the Rust
// crate, because the format keeps growing.
import { DataError, show } from '../core/index.ts'

/** A parsed JSON object. */
export type JsonObject = Record<string, unknown>

/** Throws the DataError of an invalid field: "Expected … for `where`, got …". */
export function throwInvalid(what: string, where: string, got: unknown, advice = 'Check the tokenizer file.'): never {
  throw new DataError(`Expected ${what} for \`${where}\`, got ${brief(got)}. ${advice}`)
}

const brief = (value: unknown): string => {
  const text = show(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

/** Whether a JSON value is an object (not null, not a list). */
export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Typed access to the fields of one JSON object; every method throws DataError for a value of the wrong type. */
export class Fields {
  readonly value: JsonObject

  constructor(
    value: unknown,
    readonly where: string,
  ) {
    if (!isObject(value)) throwInvalid('an object', where, value)
    this.value = value
  }

  has(key: string): boolean {
    return this.get(key) !== undefined
  }

  string(key: string, fallback?: string): string {
    const value = this.get(key, fallback)
    return typeof value === 'string' ? this.#wellFormed(key, value) : throwInvalid('a string', this.at(key), value)
  }

  optionalString(key: string): string | undefined {
    return this.get(key) === undefined ? undefined : this.string(key)
  }

  /** A string of exactly one character (code point). */
  character(key: string): string {
    const value = this.string(key)
    if ([...value].length !== 1) throwInvalid('one character', this.at(key), value)
    return value
  }

  boolean(key: string, fallback?: boolean): boolean {
    const value = this.get(key, fallback)
    return typeof value === 'boolean' ? value : throwInvalid('true or false', this.at(key), value)
  }

  integer(key: string, fallback?: number): number {
    return integer(this.get(key, fallback), this.at(key))
  }

  oneOf<Option extends string>(key: string, options: readonly Option[], fallback?: Option): Option {
    const value = this.get(key, fallback)
    return (
      options.find((option) => option === value) ?? throwInvalid(`one of ${options.join(', ')}`, this.at(key), value)
    )
  }

  list(key: string): unknown[] {
    const value = this.get(key)
    return Array.isArray(value) ? value : throwInvalid('a list', this.at(key), value)
  }

  object(key: string): JsonObject {
    const value = this.get(key)
    return isObject(value) ? value : throwInvalid('an object', this.at(key), value)
  }

  at(key: string): string {
    return this.where === '' ? key : `${this.where}.${key}`
  }

  /** The field's value; null counts as absent. */
  get(key: string, fallback?: unknown): unknown {
    const value = Object.hasOwn(this.value, key) ? this.value[key] : undefined
    return value ?? fallback
  }

  #wellFormed(key: string, value: string): string {
    return /\p{Cs}/u.test(value) ? throwInvalid('a string without lone surrogates', this.at(key), value) : value
  }
}

/** Checks an id or a count: an integer from 0 to 2^31 - 1. Throws DataError. */
export const integer = (value: unknown, where: string): number => {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 0x7fffffff)
    throwInvalid('an integer from 0 to 2147483647', where, value)
  return value
}
