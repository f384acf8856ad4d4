// Values of templates with Python's meaning: how they print, compare, and count as true. Strings, booleans, null (None), integers as
// numbers (as bigints where a number is not exact), lists as arrays and dicts as Maps are JavaScript's own; the other kinds are classes here.

/** An error of a template or of its data, in the words of Jinja or Python. */
export class TemplateError extends Error {}

/** A float; integers are plain numbers, or bigints from 2^53. */
export class Float {
  constructor(readonly value: number) {}
}

/** A tuple, which differs from a list by how it prints. */
export class Tuple extends Array<unknown> {
  static override get [Symbol.species]() {
    return Array
  }
}

/** A missing variable, attribute or element: prints as nothing; using it otherwise is an error. */
export class Undefined {
  constructor(readonly message: string) {}
  /** @throws TemplateError always */
  use(): never {
    throw new TemplateError(this.message)
  }
}

/** Attributes that a template may set. */
export class Namespace {
  readonly fields = new Map<string, unknown>()
}

/** Named arguments of a call. */
export type Named = ReadonlyMap<string, unknown>

/** A function, method or macro. */
export class Callable {
  constructor(
    readonly name: string,
    readonly call: (given: unknown[], named: Named) => unknown,
  ) {}
}

/** Limits the length of texts, which templates can double again and again. */
const MAX_TEXT = 16 * 1024 * 1024
export const checkLength = (length: number): void => {
  if (length > MAX_TEXT) throw new TemplateError(`a text has at most ${MAX_TEXT} characters`)
}

/** Data as template values: objects become Maps. */
export const toValue = (value: unknown): unknown => {
  // JSON writes whole numbers from 1e21 with an exponent, as floats; the digits of others are those that it writes.
  if (typeof value === 'number') {
    if (!Number.isInteger(value) || Math.abs(value) >= 1e21) return new Float(value)
    return Number.isSafeInteger(value) ? value : BigInt(String(value))
  }
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (value === undefined) return null
  if (Array.isArray(value)) return value.map(toValue)
  if (typeof value !== 'object' || value === null || value instanceof Callable) return value
  return new Map(Object.entries(value).flatMap(([key, one]) => (one === undefined ? [] : [[key, toValue(one)]])))
}

/** Python's name of the type. */
export const typeName = (value: unknown): string => {
  if (value === null) return 'NoneType'
  if (typeof value === 'string') return 'str'
  if (typeof value === 'boolean') return 'bool'
  if (isInteger(value)) return 'int'
  if (value instanceof Float) return 'float'
  if (value instanceof Tuple) return 'tuple'
  if (Array.isArray(value)) return 'list'
  if (value instanceof Map) return 'dict'
  if (value instanceof Namespace) return 'Namespace'
  return value instanceof Undefined ? 'Undefined' : 'function'
}

/** A missing attribute or element of a value. */
export const missing = (object: unknown, key: unknown): Undefined => {
  const name = object === null ? 'None' : `${typeName(object)} object`
  return new Undefined(
    typeof key === 'string' ? `'${name}' has no attribute ${repr(key)}` : `${name} has no element ${repr(key)}`,
  )
}

export const isInteger = (value: unknown): value is number | bigint =>
  typeof value === 'number' || typeof value === 'bigint'

export const isNumber = (value: unknown): value is number | bigint | Float | boolean =>
  isInteger(value) || value instanceof Float || typeof value === 'boolean'

/** The number of an int, float or bool; rounded for an int beyond 2^53. */
export const numberOf = (value: number | bigint | Float | boolean): number =>
  value instanceof Float ? value.value : Number(value)

/** An int exactly, another number as it is: JavaScript compares both kinds exactly. */
const comparable = (value: number | bigint | Float | boolean): number | bigint =>
  typeof value === 'bigint' ? value : numberOf(value)

export const isTrue = (value: unknown): boolean => {
  if (value instanceof Float) return value.value !== 0
  if (Array.isArray(value)) return value.length > 0
  if (value instanceof Map) return value.size > 0
  return !(value instanceof Undefined) && Boolean(value)
}

/** A float as Python writes it. */
const floatText = (value: number): string => {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
  if (Object.is(value, -0)) return '-0.0'
  const exponent = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)))
  const shortest = value.toExponential().split('e')
  const at = value === 0 ? 0 : Number(shortest[1])
  if (at < -4 || at >= 16) {
    const digits = String(Math.abs(at)).padStart(2, '0')
    return `${shortest[0]}e${at < 0 ? '-' : '+'}${digits}`
  }
  if (Number.isInteger(value)) return `${exponent < 21 ? BigInt(value) : value}.0`
  const text = String(value)
  return text.includes('e') ? value.toFixed(-at + shortest[0].replace(/[-.]/g, '').length - 1) : text
}

const escapes: { readonly [character: string]: string } = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' }
// Python escapes what Unicode has as other or as separators, but for the space.
const special = /[\\\p{C}]|(?! )\p{Z}/gu

const stringRepr = (text: string): string => {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'"
  const escaped = text.replace(special, (character) => {
    const code = character.codePointAt(0)!
    const shown = code < 0x100 ? `x${hex(code, 2)}` : code < 0x10000 ? `u${hex(code, 4)}` : `U${hex(code, 8)}`
    return escapes[character] ?? `\\${shown}`
  })
  return quote + (quote === "'" ? escaped.replaceAll("'", "\\'") : escaped) + quote
}

const hex = (code: number, width: number) => code.toString(16).padStart(width, '0')

/** Python's `repr`. */
export const repr = (value: unknown): string => {
  if (typeof value === 'string') return stringRepr(value)
  if (value instanceof Tuple) return `(${value.map(repr).join(', ')}${value.length === 1 ? ',' : ''})`
  if (Array.isArray(value)) return `[${value.map(repr).join(', ')}]`
  if (value instanceof Map) return `{${[...value].map(([key, one]) => `${repr(key)}: ${repr(one)}`).join(', ')}}`
  if (value instanceof Undefined) return 'Undefined'
  return str(value)
}

/** Python's `str`. */
export const str = (value: unknown): string => {
  if (typeof value === 'string') return value
  if (value === null) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (isInteger(value)) return String(value)
  if (value instanceof Float) return floatText(value.value)
  if (value instanceof Undefined) return ''
  if (Array.isArray(value) || value instanceof Map) return repr(value)
  if (value instanceof Callable) return `<function ${value.name}>`
  return value instanceof Namespace ? `<Namespace ${repr(value.fields)}>` : String(value)
}

export const isEqual = (a: unknown, b: unknown): boolean => {
  // biome-ignore lint/suspicious/noDoubleEquals: a bigint and a number are compared by value
  if (isNumber(a) && isNumber(b)) return comparable(a) == comparable(b)
  if (Array.isArray(a) && Array.isArray(b))
    return a instanceof Tuple === b instanceof Tuple && a.length === b.length && a.every((one, i) => isEqual(one, b[i]))
  if (a instanceof Map && b instanceof Map)
    return a.size === b.size && [...a].every(([key, one]) => b.has(key) && isEqual(one, b.get(key)))
  return a === b || (a instanceof Undefined && b instanceof Undefined)
}

const compareCodePoints = (a: string, b: string): number => {
  const [left, right] = [Array.from(a), Array.from(b)]
  for (let i = 0; i < Math.min(left.length, right.length); i++)
    if (left[i] !== right[i]) return left[i].codePointAt(0)! - right[i].codePointAt(0)!
  return left.length - right.length
}

/** Order of two values. @throws TemplateError for values that have none */
export const compare = (a: unknown, b: unknown, operator = '<'): number => {
  if (isNumber(a) && isNumber(b)) {
    const [left, right] = [comparable(a), comparable(b)]
    return left < right ? -1 : left > right ? 1 : left >= right ? 0 : Number.NaN
  }
  if (typeof a === 'string' && typeof b === 'string') return compareCodePoints(a, b)
  if (Array.isArray(a) && Array.isArray(b)) {
    const at = a.findIndex((one, i) => i >= b.length || !isEqual(one, b[i]))
    return at < 0 || at >= b.length ? a.length - b.length : compare(a[at], b[at], operator)
  }
  for (const one of [a, b]) if (one instanceof Undefined) one.use()
  throw new TemplateError(`'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`)
}

/** The code points of a text. */
export const characters = (text: string): string[] => Array.from(text)

/** The elements of a value. @throws TemplateError for a value without */
export const iterate = (value: unknown): unknown[] => {
  if (Array.isArray(value)) return value
  if (typeof value === 'string') return characters(value)
  if (value instanceof Map) return [...value.keys()]
  if (value instanceof Undefined) return []
  throw new TemplateError(`'${typeName(value)}' object is not iterable`)
}

export const isIterable = (value: unknown): boolean =>
  Array.isArray(value) || typeof value === 'string' || value instanceof Map || value instanceof Undefined

export const contains = (container: unknown, value: unknown): boolean => {
  if (typeof container === 'string') {
    if (value instanceof Undefined) value.use()
    if (typeof value !== 'string')
      throw new TemplateError(`'in <string>' requires string as left operand, not ${typeName(value)}`)
    return container.includes(value)
  }
  if (container instanceof Map) return container.has(value)
  if (!isIterable(container)) throw new TemplateError(`argument of type '${typeName(container)}' is not iterable`)
  return iterate(container).some((one) => isEqual(one, value))
}

export const lengthOf = (value: unknown): number => {
  if (value instanceof Undefined) return 0
  if (typeof value === 'string') return /[\ud800-\udfff]/.test(value) ? characters(value).length : value.length
  if (Array.isArray(value)) return value.length
  if (value instanceof Map) return value.size
  throw new TemplateError(`object of type '${typeName(value)}' has no len()`)
}

/** Options of `toJson`, with Python's names and defaults. */
export interface JsonOptions {
  ensureAscii: boolean
  indent: string | undefined
  separators: readonly [item: string, key: string]
  sortKeys: boolean
}

const jsonText = (text: string, ensureAscii: boolean): string => {
  const quoted = JSON.stringify(text)
  return ensureAscii ? quoted.replace(/[\u0080-\uffff]/g, (one) => `\\u${hex(one.charCodeAt(0), 4)}`) : quoted
}

const jsonKey = (key: unknown, ensureAscii: boolean): string =>
  jsonText(typeof key === 'string' ? key : key === null || typeof key === 'boolean' ? `${key}` : str(key), ensureAscii)

/** Python's `json.dumps`. */
export const toJson = (value: unknown, options: JsonOptions, depth = 0): string => {
  const { ensureAscii, indent, separators, sortKeys } = options
  if (typeof value === 'string') return jsonText(value, ensureAscii)
  if (value === null || typeof value === 'boolean') return `${value}`
  if (value instanceof Float)
    return Number.isFinite(value.value) ? str(value) : JSON.stringify(value.value) && String(value.value)
  if (isInteger(value)) return str(value)
  const line = indent === undefined ? '' : `\n${indent.repeat(depth + 1)}`
  const end = indent === undefined ? '' : `\n${indent.repeat(depth)}`
  const around = (open: string, parts: string[], close: string) =>
    parts.length === 0 ? open + close : open + line + parts.join(separators[0] + line) + end + close
  if (Array.isArray(value))
    return around(
      '[',
      value.map((one) => toJson(one, options, depth + 1)),
      ']',
    )
  if (value instanceof Map) {
    const entries: [unknown, unknown][] = [...value]
    if (sortKeys) entries.sort(([a], [b]) => compare(a, b))
    const parts = entries.map(
      ([key, one]) => jsonKey(key, ensureAscii) + separators[1] + toJson(one, options, depth + 1),
    )
    return around('{', parts, '}')
  }
  throw new TemplateError(`Object of type ${typeName(value)} is not JSON serializable`)
}
