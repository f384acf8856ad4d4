// Attributes and methods of texts, lists and dicts, as Python has them. Methods that change a value are refused, as in the sandbox of
// transformers.
import {
  Callable,
  characters,
  checkLength,
  Float,
  isEqual,
  iterate,
  lengthOf,
  missing,
  type Named,
  Namespace,
  str,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
} from './values.ts'

type Method<Self> = (self: Self, given: unknown[], named: Named) => unknown

// White space of Python's `str.strip`, which differs a little from JavaScript's `trim`.
const white = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]'
const leading = new RegExp(`^${white}+`)
const trailing = new RegExp(`${white}+$`)
const between = new RegExp(`${white}+`)

/** `strip`, `lstrip` and `rstrip`: white space, or the given characters. */
export const strip = (text: string, sides: 'both' | 'left' | 'right', set?: unknown): string => {
  if (typeof set !== 'string') {
    const left = sides === 'right' ? text : text.replace(leading, '')
    return sides === 'left' ? left : left.replace(trailing, '')
  }
  const all = characters(text)
  let [from, to] = [0, all.length]
  if (sides !== 'right') while (from < to && set.includes(all[from])) from++
  if (sides !== 'left') while (to > from && set.includes(all[to - 1])) to--
  return all.slice(from, to).join('')
}

const textOf = (value: unknown, where: string): string => {
  if (value instanceof Undefined) value.use()
  if (typeof value === 'string') return value
  throw new TemplateError(`${where} must be str, not ${typeName(value)}`)
}

const split = (text: string, separator: unknown, most: unknown, fromRight: boolean): string[] => {
  const limit = typeof most === 'number' && most >= 0 ? most : Number.POSITIVE_INFINITY
  const parts =
    separator === undefined || separator === null
      ? strip(text, 'both').split(between)
      : text.split(textOf(separator, 'separator'))
  if (separator === '') throw new TemplateError('empty separator')
  if (separator === undefined || separator === null) {
    const trimmed = strip(text, fromRight ? 'right' : 'left')
    if (trimmed === '') return []
    if (parts.length - 1 <= limit) return parts
    return splitWhite(trimmed, limit, fromRight)
  }
  if (parts.length - 1 <= limit) return parts
  const at = fromRight ? parts.length - limit : limit
  const glue = separator as string
  return fromRight
    ? [parts.slice(0, at).join(glue), ...parts.slice(at)]
    : [...parts.slice(0, at), parts.slice(at).join(glue)]
}

const splitWhite = (text: string, limit: number, fromRight: boolean): string[] => {
  const parts: string[] = []
  let rest = text
  const pattern = fromRight ? new RegExp(`${white}+[^\\s]*$`) : between
  while (parts.length < limit) {
    const found = pattern.exec(rest)
    if (found === null) break
    if (fromRight) {
      parts.unshift(found[0].replace(leading, ''))
      rest = rest.slice(0, found.index)
    } else {
      parts.push(rest.slice(0, found.index))
      rest = rest.slice(found.index + found[0].length)
    }
  }
  return fromRight ? [rest, ...parts] : [...parts, rest]
}

const digraphs: readonly (readonly [RegExp, string])[] = [
  [/[\u01c4-\u01c6]/, '\u01c5'],
  [/[\u01c7-\u01c9]/, '\u01c8'],
  [/[\u01ca-\u01cc]/, '\u01cb'],
  [/[\u01f1-\u01f3]/, '\u01f2'],
]

/** A character at the start of a title: of several letters only the first is large, as in Ss. */
const titleCase = (one: string): string => {
  const digraph = digraphs.find(([set]) => set.test(one))
  if (digraph !== undefined) return digraph[1]
  const [first = '', ...rest] = characters(one.toUpperCase())
  return first + rest.join('').toLowerCase()
}

/** `str.casefold` by Unicode's full folding, which the way through capitals gives: \u00df becomes ss. Only a dotless i stays. */
const casefolded = (text: string): string =>
  characters(text)
    .map((one) => (one === '\u0131' ? one : one.toLowerCase().toUpperCase().toLowerCase()))
    .join('')

/** `str.title`: a capital at the start of each run of letters. */
const titled = (text: string) =>
  text.replace(/\p{L}+/gu, (word) => {
    const [first, ...rest] = characters(word)
    return titleCase(first) + rest.join('').toLowerCase()
  })

export const capitalized = (text: string): string => {
  const [first = '', ...rest] = characters(text)
  return titleCase(first) + rest.join('').toLowerCase()
}

const pad = (text: string, width: unknown, fill: unknown, side: 'left' | 'right' | 'center'): string => {
  const room = Math.max(0, Number(width) - lengthOf(text))
  checkLength(room)
  const filler = typeof fill === 'string' ? fill : ' '
  const before = side === 'left' ? room : side === 'right' ? 0 : (room >> 1) + (room & Number(width) & 1)
  return filler.repeat(before) + text + filler.repeat(room - before)
}

/** `str.replace` with at most `count` replacements. */
export const replaced = (text: string, old: unknown, other: unknown, count: unknown): string => {
  const [from, to] = [textOf(old, 'replace() argument 1'), textOf(other, 'replace() argument 2')]
  const most = typeof count === 'number' && count >= 0 ? count : Number.POSITIVE_INFINITY
  const parts = from === '' ? ['', ...characters(text), ''] : text.split(from)
  checkLength(text.length + parts.length * to.length)
  if (parts.length - 1 <= most) return parts.join(to)
  return parts.slice(0, most + 1).join(to) + from + parts.slice(most + 1).join(from)
}

const affix = (given: unknown, name: string, has: (one: string) => boolean): boolean =>
  Array.isArray(given) ? given.some((one) => has(textOf(one, name))) : has(textOf(given, `${name} first arg`))

const lineEnd = '\\r\\n|[\\n\\r\\v\\f\\x1c-\\x1e\\x85\\u2028\\u2029]'

/** `str.splitlines`, with the ends of the lines or without. */
export const splitLines = (text: string, keepsEnds = false): string[] => {
  const parts = text.split(new RegExp(`(${lineEnd})`))
  const lines: string[] = []
  for (let i = 0; i < parts.length; i += 2) lines.push(parts[i] + (keepsEnds ? (parts[i + 1] ?? '') : ''))
  // A line end at the end begins no further line.
  if (parts.at(-1) === '') lines.pop()
  return lines
}

const isAll = (pattern: RegExp): Method<string> => {
  return (text) => text !== '' && characters(text).every((one) => pattern.test(one))
}

const isCase = (upper: boolean): Method<string> => {
  return (text) => /\p{L}/u.test(text) && text === (upper ? text.toUpperCase() : text.toLowerCase())
}

/** `{}`, `{0}` and `{name}` of `str.format`, without format specifications. */
const formatted = (text: string, given: unknown[], named: Named): string => {
  let next = 0
  return text.replace(/\{\{|\}\}|\{([^{}]*)\}/g, (whole, key: string | undefined) => {
    if (key === undefined) return whole[0]
    if (key !== '' && !/^\w+$/.test(key)) throw new TemplateError(`unsupported format field '{${key}}'`)
    const value = key === '' ? given[next++] : /^\d+$/.test(key) ? given[Number(key)] : named.get(key)
    if (value === undefined) throw new TemplateError('Replacement index out of range for positional args tuple')
    return str(value)
  })
}

const found = (at: number): number => {
  if (at < 0) throw new TemplateError('substring not found')
  return at
}

/** The part of a text from one character to another, as methods of Python take it; undefined where it begins after its end. */
const windowOf = (text: string, [from, to]: readonly unknown[]): { part: string; at: number } | undefined => {
  if ((from ?? null) === null && (to ?? null) === null) return { part: text, at: 0 }
  const all = characters(text)
  const { length } = all
  const at = bounds(from, 0, length, 0, Number.POSITIVE_INFINITY)
  const end = bounds(to, length, length, 0, length)
  return at > end ? undefined : { part: all.slice(at, end).join(''), at }
}

/** The place of a text in another, in characters; -1 for none. */
const placeOf = (text: string, [given, ...window]: readonly unknown[], last: boolean): number => {
  const wanted = textOf(given, 'must')
  const inside = windowOf(text, window)
  if (inside === undefined) return -1
  const { part, at } = inside
  const place = last ? part.lastIndexOf(wanted) : part.indexOf(wanted)
  return place < 0 ? -1 : at + lengthOf(part.slice(0, place))
}

const countIn = (text: string, [given, ...window]: readonly unknown[]): number => {
  const wanted = textOf(given, 'must')
  const part = windowOf(text, window)?.part
  if (part === undefined) return 0
  return wanted === '' ? lengthOf(part) + 1 : part.split(wanted).length - 1
}

const partitioned = (text: string, separator: unknown, last: boolean): Tuple => {
  const by = textOf(separator, 'separator')
  if (by === '') throw new TemplateError('empty separator')
  const at = last ? text.lastIndexOf(by) : text.indexOf(by)
  if (at < 0) return last ? Tuple.of('', '', text) : Tuple.of(text, '', '')
  return Tuple.of(text.slice(0, at), by, text.slice(at + by.length))
}

const stringMethods: { readonly [name: string]: Method<string> } = {
  upper: (text) => text.toUpperCase(),
  lower: (text) => text.toLowerCase(),
  casefold: casefolded,
  swapcase: (text) =>
    characters(text)
      .map((one) => (one === one.toLowerCase() ? one.toUpperCase() : one.toLowerCase()))
      .join(''),
  title: (text) => titled(text),
  capitalize: (text) => capitalized(text),
  strip: (text, [set]) => strip(text, 'both', set),
  lstrip: (text, [set]) => strip(text, 'left', set),
  rstrip: (text, [set]) => strip(text, 'right', set),
  split: (text, [by, most], named) => split(text, by ?? named.get('sep'), most ?? named.get('maxsplit'), false),
  rsplit: (text, [by, most], named) => split(text, by ?? named.get('sep'), most ?? named.get('maxsplit'), true),
  splitlines: (text, [keep], named) => splitLines(text, (keep ?? named.get('keepends')) === true),
  startswith: (text, [start, ...window]) =>
    affix(start, 'startswith', (one) => windowOf(text, window)?.part.startsWith(one) === true),
  endswith: (text, [end, ...window]) =>
    affix(end, 'endswith', (one) => windowOf(text, window)?.part.endsWith(one) === true),
  removeprefix: (text, [start]) =>
    typeof start === 'string' && text.startsWith(start) ? text.slice(start.length) : text,
  removesuffix: (text, [end]) =>
    typeof end === 'string' && end !== '' && text.endsWith(end) ? text.slice(0, -end.length) : text,
  replace: (text, [old, other, count], named) => replaced(text, old, other, count ?? named.get('count')),
  find: (text, given) => placeOf(text, given, false),
  rfind: (text, given) => placeOf(text, given, true),
  index: (text, given) => found(placeOf(text, given, false)),
  rindex: (text, given) => found(placeOf(text, given, true)),
  count: countIn,
  join: (text, [list]) =>
    iterate(list)
      .map((one, i) => textOf(one, `sequence item ${i}: expected`))
      .join(text),
  format: (text, given, named) => formatted(text, given, named),
  partition: (text, [by]) => partitioned(text, by, false),
  rpartition: (text, [by]) => partitioned(text, by, true),
  zfill: (text, [width]) =>
    /^[-+]/.test(text) ? text[0] + pad(text.slice(1), Number(width) - 1, '0', 'left') : pad(text, width, '0', 'left'),
  ljust: (text, [width, fill]) => pad(text, width, fill, 'right'),
  rjust: (text, [width, fill]) => pad(text, width, fill, 'left'),
  center: (text, [width, fill]) => pad(text, width, fill, 'center'),
  isdigit: isAll(/\p{Nd}/u),
  isdecimal: isAll(/\p{Nd}/u),
  isnumeric: isAll(/\p{N}/u),
  isalpha: isAll(/\p{L}/u),
  isalnum: isAll(/[\p{L}\p{N}]/u),
  isspace: isAll(new RegExp(white)),
  isupper: isCase(true),
  islower: isCase(false),
}

const listMethods: { readonly [name: string]: Method<unknown[]> } = {
  index: (list, [value]) => {
    const at = list.findIndex((one) => isEqual(one, value))
    if (at < 0) throw new TemplateError(`${str(value)} is not in list`)
    return at
  },
  count: (list, [value]) => list.filter((one) => isEqual(one, value)).length,
  copy: (list) => [...list],
}

type Dict = Map<unknown, unknown>
const dictMethods: { readonly [name: string]: Method<Dict> } = {
  items: (dict) => [...dict].map(([key, value]) => Tuple.of(key, value)),
  keys: (dict) => [...dict.keys()],
  values: (dict) => [...dict.values()],
  get: (dict, [key, otherwise], named) => (dict.has(key) ? dict.get(key) : (otherwise ?? named.get('default') ?? null)),
  copy: (dict) => new Map(dict),
}

const changing: { readonly [type: string]: readonly string[] } = {
  list: ['append', 'clear', 'extend', 'insert', 'pop', 'remove', 'reverse', 'sort'],
  dict: ['clear', 'pop', 'popitem', 'setdefault', 'update'],
}

const bound = <Self>(methods: { readonly [name: string]: Method<Self> }, self: Self, name: string) =>
  Object.hasOwn(methods, name) ? new Callable(name, (given, named) => methods[name](self, given, named)) : undefined

const methodOf = (object: unknown, name: string): Callable | undefined => {
  if (typeof object === 'string') return bound(stringMethods, object, name)
  if (object instanceof Map) return bound(dictMethods, object as Dict, name)
  return Array.isArray(object) ? bound(listMethods, object, name) : undefined
}

/** `object.name`: an attribute, else an element. @throws TemplateError for one of something undefined */
export const attributeOf = (object: unknown, name: string): unknown => {
  if (object instanceof Undefined) object.use()
  if (object instanceof Namespace) return object.fields.has(name) ? object.fields.get(name) : missing(object, name)
  if (changing[typeName(object)]?.includes(name) || name.startsWith('__'))
    return new Undefined(`access to attribute '${name}' of '${typeName(object)}' object is unsafe.`)
  const method = methodOf(object, name)
  if (method !== undefined) return method
  return object instanceof Map && object.has(name) ? object.get(name) : missing(object, name)
}

/** `object[key]`: an element, else an attribute. @throws TemplateError for one of something undefined */
export const elementOf = (object: unknown, key: unknown): unknown => {
  if (object instanceof Undefined) object.use()
  if (object instanceof Map && object.has(key)) return object.get(key)
  if (typeof key === 'number' && (Array.isArray(object) || typeof object === 'string')) {
    const list = typeof object === 'string' ? characters(object) : object
    const value = list.at(key)
    return value === undefined && (key >= list.length || key < -list.length) ? missing(object, key) : value
  }
  if (object instanceof Namespace && typeof key === 'string') return attributeOf(object, key)
  return typeof key === 'string' ? attributeOf(object, key) : missing(object, key)
}

const bounds = (value: unknown, otherwise: number, length: number, least: number, most: number): number => {
  if (value === null || value === undefined) return otherwise
  if (typeof value !== 'number') throw new TemplateError('slice indices must be integers or None')
  return Math.min(most, Math.max(least, value < 0 ? value + length : value))
}

/** `object[from:to:step]` of a text or a list. */
export const sliceOf = (object: unknown, [from, to, by]: readonly unknown[]): unknown => {
  if (object instanceof Undefined) object.use()
  if (typeof object !== 'string' && !Array.isArray(object))
    throw new TemplateError(`'${typeName(object)}' object is not subscriptable`)
  const list: unknown[] = typeof object === 'string' ? characters(object) : object
  const step = by instanceof Float || by === null || by === undefined ? 1 : Number(by)
  if (step === 0) throw new TemplateError('slice step cannot be zero')
  const taken: unknown[] = []
  const { length } = list
  if (step > 0) {
    const end = bounds(to, length, length, 0, length)
    for (let i = bounds(from, 0, length, 0, length); i < end; i += step) taken.push(list[i])
  } else {
    const end = bounds(to, -1, length, -1, length - 1)
    for (let i = bounds(from, length - 1, length, -1, length - 1); i > end; i += step) taken.push(list[i])
  }
  if (typeof object === 'string') return taken.join('')
  return object instanceof Tuple ? Tuple.from(taken) : taken
}
