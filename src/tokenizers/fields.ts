// Reads the fields of a tokenizer file's JSON and names the place of what is wrong. Unknown fields are passed over:
// the format grows, and the Rust reader passes over them too. It knows no component.
import { DataError, show } from '../core/index.ts'

export type JsonObject = Record<string, unknown>

/** Throws the error that all readers of tokenizer files throw. */
export function refuse(what: string, where: string, got: unknown, advice = 'Check the tokenizer file.'): never {
  throw new DataError(`Expected ${what} for \`${where}\`, got ${brief(got)}. ${advice}`)
}

const brief = (value: unknown): string => {
  const text = show(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The fields of one JSON object. */
export class Fields {
  readonly value: JsonObject

  constructor(
    value: unknown,
    readonly where: string,
  ) {
    if (!isObject(value)) refuse('an object', where, value)
    this.value = value
  }

  has(key: string): boolean {
    return this.get(key) !== undefined
  }

  string(key: string, fallback?: string): string {
    const value = this.get(key, fallback)
    return typeof value === 'string' ? this.#sound(key, value) : refuse('a string', this.at(key), value)
  }

  optionalString(key: string): string | undefined {
    return this.get(key) === undefined ? undefined : this.string(key)
  }

  /** A string of exactly one character (code point). */
  character(key: string): string {
    const value = this.string(key)
    if ([...value].length !== 1) refuse('one character', this.at(key), value)
    return value
  }

  boolean(key: string, fallback?: boolean): boolean {
    const value = this.get(key, fallback)
    return typeof value === 'boolean' ? value : refuse('true or false', this.at(key), value)
  }

  integer(key: string, fallback?: number): number {
    return integer(this.get(key, fallback), this.at(key))
  }

  oneOf<Option extends string>(key: string, options: readonly Option[], fallback?: Option): Option {
    const value = this.get(key, fallback)
    return options.find((option) => option === value) ?? refuse(`one of ${options.join(', ')}`, this.at(key), value)
  }

  list(key: string): unknown[] {
    const value = this.get(key)
    return Array.isArray(value) ? value : refuse('a list', this.at(key), value)
  }

  object(key: string): JsonObject {
    const value = this.get(key)
    return isObject(value) ? value : refuse('an object', this.at(key), value)
  }

  at(key: string): string {
    return this.where === '' ? key : `${this.where}.${key}`
  }

  /** The field's value; null counts as absent. */
  get(key: string, fallback?: unknown): unknown {
    const value = Object.hasOwn(this.value, key) ? this.value[key] : undefined
    return value ?? fallback
  }

  #sound(key: string, value: string): string {
    return /\p{Cs}/u.test(value) ? refuse('a string without lone surrogates', this.at(key), value) : value
  }
}

/** An id or a count: a whole number from 0 to 2^31 - 1. */
export const integer = (value: unknown, where: string): number => {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 0x7fffffff)
    refuse('a whole number from 0 to 2147483647', where, value)
  return value
}

/** How deep sequences of components may nest; deeper files are refused instead of overflowing the stack. */
export const MAX_DEPTH = 16
