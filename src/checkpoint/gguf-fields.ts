// Metadata of a GGUF file, read one field at a time with the checks that every use needs. Knows no field.
import { CheckpointError } from '../core/index.ts'
import type { GgufFile } from './gguf.ts'

/** The fields under one prefix; messages name the whole key. */
export class GgufFields {
  constructor(
    readonly file: GgufFile,
    readonly prefix: string,
  ) {}

  key(name: string): string {
    return this.prefix === '' ? name : `${this.prefix}.${name}`
  }

  fault(what: string, key: string, got: unknown): CheckpointError {
    const text = typeof got === 'object' ? 'a list' : String(got)
    return new CheckpointError(
      `${this.file.path}: Expected ${what} for \`${key}\`, got ${text.slice(0, 80)}. Check the file, or convert the model again.`,
    )
  }

  string(name: string): string | undefined {
    const value = this.file.metadata.get(this.key(name))
    if (value !== undefined && typeof value !== 'string') throw this.fault('a string', this.key(name), value)
    return value
  }

  number(name: string): number | undefined {
    const value = this.file.metadata.get(this.key(name))
    if (value === undefined) return undefined
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.fault('a number', this.key(name), value)
    return value
  }

  boolean(name: string): boolean | undefined {
    const value = this.file.metadata.get(this.key(name))
    if (value !== undefined && typeof value !== 'boolean') throw this.fault('true or false', this.key(name), value)
    return value
  }

  /** A count; llama.cpp writes a list where layers differ, which is read when they do not. */
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

  need(name: string): number {
    const count = this.count(name)
    if (count === undefined)
      throw new CheckpointError(`${this.file.path}: Expected \`${this.key(name)}\` in the metadata, got none.`)
    return count
  }
}

/** The shortest decimal that names the same float32. */
export const shortest = (value: number): number => {
  for (let digits = 1; digits < 10; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return short
  }
  return value
}
