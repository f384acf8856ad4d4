// Typed access to the metadata of a GGUF file. Independent of particular fields.
import { CheckpointError } from '../core/index.ts'
import type { GgufFile } from './gguf.ts'

/** The fields under one prefix; errors name the full key. */
export class GgufFields {
  constructor(
    readonly file: GgufFile,
    readonly prefix: string,
  ) {}

  /** Full key of a field. */
  key(name: string): string {
    return this.prefix === '' ? name : `${this.prefix}.${name}`
  }

  /** The error for a field with a wrong value. */
  fault(what: string, key: string, got: unknown): CheckpointError {
    const text = typeof got === 'object' ? 'a list' : String(got)
    return new CheckpointError(
      `${this.file.path}: Expected ${what} for \`${key}\`, got ${text.slice(0, 80)}. Check the file, or convert the model again.`,
    )
  }

  /** A string field, if present. @throws CheckpointError for another type */
  string(name: string): string | undefined {
    const value = this.file.metadata.get(this.key(name))
    if (value !== undefined && typeof value !== 'string') throw this.fault('a string', this.key(name), value)
    return value
  }

  /** A number field, if present. @throws CheckpointError for another type */
  number(name: string): number | undefined {
    const value = this.file.metadata.get(this.key(name))
    if (value === undefined) return undefined
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.fault('a number', this.key(name), value)
    return value
  }

  /**
   * A positive number as the shortest decimal: the file has a float32, config.json a decimal.
   * @throws CheckpointError if it is missing or not positive
   */
  positive(name: string): number {
    const value = this.number(name)
    if (value === undefined || value <= 0) throw this.fault('a positive number', this.key(name), value)
    return shortest(value)
  }

  /** A boolean field, if present. @throws CheckpointError for another type */
  boolean(name: string): boolean | undefined {
    const value = this.file.metadata.get(this.key(name))
    if (value !== undefined && typeof value !== 'boolean') throw this.fault('true or false', this.key(name), value)
    return value
  }

  /**
   * A positive integer field, if present. A list, which llama.cpp writes for values per layer, must have equal values.
   */
  count(name: string): number | undefined {
    const key = this.key(name)
    const value = this.file.metadata.get(key)
    if (value === undefined) return undefined
    const list = typeof value === 'object' ? [...value] : [value]
    const [first] = list
    if (list.some((one) => one !== first)) throw this.fault('the same value in every layer', key, value)
    const count = typeof first === 'bigint' ? Number(first) : first
    if (typeof count !== 'number' || !Number.isInteger(count) || count < 1 || count > 2 ** 31)
      throw this.fault('a count', key, value)
    return count
  }

  /** A positive integer field. @throws CheckpointError if it is missing */
  need(name: string): number {
    const count = this.count(name)
    if (count === undefined)
      throw new CheckpointError(
        `${this.file.path}: Expected \`${this.key(name)}\` in the metadata, got none. Convert the model again.`,
      )
    return count
  }
}

/** The shortest decimal with the same float32 value. */
export const shortest = (value: number): number => {
  for (let digits = 1; digits < 10; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return short
  }
  return value
}

/**
 * A yes or no for each layer: a list, or a period whose first or last layer has no.
 * @param otherwise the period where the file says nothing
 */
export const layerFlags = (
  fields: GgufFields,
  name: string,
  layers: number,
  { every, fullFirst }: { every: number; fullFirst: boolean },
): boolean[] => {
  const value = fields.file.metadata.get(fields.key(name))
  if (typeof value === 'object') {
    const list = [...value].map(Boolean)
    if (list.length !== layers) throw fields.fault(`one value for each of ${layers} layers`, fields.key(name), value)
    return list
  }
  const period = fields.count(name) ?? every
  return Array.from({ length: layers }, (_, i) => (fullFirst ? i % period !== 0 : (i + 1) % period !== 0))
}
