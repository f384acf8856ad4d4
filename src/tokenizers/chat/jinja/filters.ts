// The filters and tests of Jinja, and `tojson` as transformers defines it.

import { capitalized, elementOf, replaced, splitLines, strip } from './methods.ts'
import { arithmetic, floatFrom, integerFrom, percentFormat, rounded, truncated } from './numbers.ts'
import {
  Callable,
  characters,
  compare,
  contains,
  Float,
  isEqual,
  isInteger,
  isIterable,
  isNumber,
  isTrue,
  iterate,
  lengthOf,
  type Named,
  numberOf,
  str,
  TemplateError,
  Tuple,
  toJson,
  typeName,
  Undefined,
} from './values.ts'

type Filter = (value: unknown, given: unknown[], named: Named) => unknown
type Test = (value: unknown, given: unknown[]) => boolean

/** An argument by position or name, or its default. */
const option = (given: unknown[], named: Named, at: number, name: string, otherwise?: unknown): unknown =>
  at < given.length ? given[at] : named.has(name) ? named.get(name) : otherwise

/** A value under a key such as `function.name`. */
const under = (value: unknown, path: unknown): unknown => {
  if (typeof path === 'number') return elementOf(value, path)
  return str(path)
    .split('.')
    .reduce((one: unknown, part) => elementOf(one, /^\d+$/.test(part) ? Number(part) : part), value)
}

/** Texts are sorted and compared without case unless it matters. */
const folded = (value: unknown, caseSensitive: unknown): unknown =>
  typeof value === 'string' && !isTrue(caseSensitive) ? value.toLowerCase() : value

const keyed =
  (attribute: unknown, caseSensitive: unknown) =>
  (value: unknown): unknown =>
    folded(attribute === undefined || attribute === null ? value : under(value, attribute), caseSensitive)

const sorted: Filter = (value, given, named) => {
  const key = keyed(option(given, named, 2, 'attribute'), option(given, named, 1, 'case_sensitive', false))
  const list = [...iterate(value)].sort((a, b) => compare(key(a), key(b)))
  if (!isTrue(option(given, named, 0, 'reverse', false))) return list
  return [...iterate(value)].sort((a, b) => compare(key(b), key(a)))
}

const dictsorted: Filter = (value, given, named) => {
  const at = option(given, named, 1, 'by', 'key') === 'value' ? 1 : 0
  const sensitive = option(given, named, 0, 'case_sensitive', false)
  const sign = isTrue(option(given, named, 2, 'reverse', false)) ? -1 : 1
  const pairs = [...(value as Map<unknown, unknown>)].map(([key, one]) => Tuple.of(key, one))
  return pairs.sort((a, b) => sign * compare(folded(a[at], sensitive), folded(b[at], sensitive)))
}

const extreme =
  (sign: 1 | -1): Filter =>
  (value, given, named) => {
    const key = keyed(option(given, named, 1, 'attribute'), option(given, named, 0, 'case_sensitive', false))
    const list = iterate(value)
    if (list.length === 0) return new Undefined('No aggregated item, sequence was empty.')
    return list.reduce((best, one) => (sign * compare(key(one), key(best)) > 0 ? one : best))
  }

/** `select`, `reject`, `selectattr` and `rejectattr`. */
const choose =
  (wanted: boolean, byAttribute: boolean): Filter =>
  (value, given) => {
    const [attribute] = byAttribute ? given : []
    const [name, ...rest] = byAttribute ? given.slice(1) : given
    const test = name === undefined ? isTrue : (one: unknown) => runTest(str(name), one, rest)
    return iterate(value).filter((one) => test(byAttribute ? under(one, attribute) : one) === wanted)
  }

const mapped: Filter = (value, given, named) => {
  if (given.length === 0 && named.has('attribute')) {
    const otherwise = named.get('default')
    return iterate(value).map((one) => {
      const found = under(one, named.get('attribute'))
      return found instanceof Undefined && otherwise !== undefined ? otherwise : found
    })
  }
  const [name, ...rest] = given
  return iterate(value).map((one) => runFilter(str(name), one, rest, named))
}

const roundedTo: Filter = (value, given, named) => {
  const precision = Number(option(given, named, 0, 'precision', 0))
  const method = option(given, named, 1, 'method', 'common')
  if (method === 'common') return rounded(value, precision)
  if (method !== 'ceil' && method !== 'floor') throw new TemplateError('method must be common, ceil or floor')
  const scale = 10 ** precision
  const scaled = numberOf(arithmetic('*', value, new Float(scale)))
  return new Float((method === 'ceil' ? Math.ceil(scaled) : Math.floor(scaled)) / scale)
}

const toInteger: Filter = (value, given, named) => {
  const otherwise = option(given, named, 0, 'default', 0)
  if (isNumber(value)) return truncated(value)
  const text = typeof value === 'string' ? strip(value, 'both') : ''
  const whole = integerFrom(text, Number(option(given, named, 1, 'base', 10)))
  if (whole !== undefined) return whole
  const float = floatFrom(text)
  return float === undefined || !Number.isFinite(float) ? otherwise : truncated(new Float(float))
}

const toFloat: Filter = (value, given, named) => {
  if (isNumber(value)) return new Float(numberOf(value))
  const found = floatFrom(typeof value === 'string' ? strip(value, 'both') : '')
  return found === undefined ? option(given, named, 0, 'default', new Float(0)) : new Float(found)
}

const indented: Filter = (value, given, named) => {
  const width = option(given, named, 0, 'width', 4)
  const space = typeof width === 'string' ? width : ' '.repeat(Number(width))
  const onFirst = isTrue(option(given, named, 1, 'first', false))
  const onBlank = isTrue(option(given, named, 2, 'blank', false))
  // A text that ends with a line end has an empty line more, as in Jinja.
  const [first, ...rest] = splitLines(`${str(value)}\n`)
  return [onFirst ? space + first : first, ...rest.map((line) => (line !== '' || onBlank ? space + line : line))].join(
    '\n',
  )
}

const shortened: Filter = (value, given, named) => {
  const length = Number(option(given, named, 0, 'length', 255))
  const end = str(option(given, named, 2, 'end', '...'))
  const leeway = Number(option(given, named, 3, 'leeway', 5))
  if (length < lengthOf(end)) throw new TemplateError(`expected length >= ${lengthOf(end)}, got ${length}`)
  const all = characters(str(value))
  if (all.length <= length + leeway) return str(value)
  const cut = all.slice(0, length - lengthOf(end)).join('')
  if (isTrue(option(given, named, 1, 'killwords', false))) return cut + end
  return (cut.includes(' ') ? cut.slice(0, cut.lastIndexOf(' ')) : cut) + end
}

const joined: Filter = (value, given, named) => {
  const attribute = option(given, named, 1, 'attribute')
  const parts = iterate(value).map((one) => str(attribute === undefined ? one : under(one, attribute)))
  return parts.join(str(option(given, named, 0, 'd', '')))
}

const grouped: Filter = (value, given, named) => {
  const attribute = option(given, named, 0, 'attribute')
  const groups: [unknown, unknown[]][] = []
  for (const one of sorted(value, [], new Map([['attribute', attribute]])) as unknown[]) {
    const key = under(one, attribute)
    const last = groups.at(-1)
    if (last !== undefined && isEqual(last[0], key)) last[1].push(one)
    else groups.push([key, [one]])
  }
  return groups.map(([key, list]) => Tuple.of(key, list))
}

const batched: Filter = (value, given, named) => {
  const size = Number(option(given, named, 0, 'linecount', 1))
  const fill = option(given, named, 1, 'fill_with', null)
  const list = iterate(value)
  const rows: unknown[][] = []
  for (let i = 0; i < list.length; i += Math.max(1, size)) rows.push(list.slice(i, i + Math.max(1, size)))
  const last = rows.at(-1)
  if (fill !== null && last !== undefined) while (last.length < size) last.push(fill)
  return rows
}

const escaped = (value: unknown): string =>
  str(value).replace(/[&<>"']/g, (one) => `&${{ '&': 'amp', '<': 'lt', '>': 'gt', '"': '#34', "'": '#39' }[one]};`)

const asJson: Filter = (value, given, named) => {
  const indent = option(given, named, 1, 'indent', null)
  const separators = option(given, named, 2, 'separators', null)
  const spaces = typeof indent === 'string' ? indent : ' '.repeat(Number(indent ?? 0))
  return toJson(value, {
    ensureAscii: isTrue(option(given, named, 0, 'ensure_ascii', false)),
    indent: indent === null ? undefined : spaces,
    separators: Array.isArray(separators)
      ? [str(separators[0]), str(separators[1])]
      : [indent === null ? ', ' : ',', ': '],
    sortKeys: isTrue(option(given, named, 3, 'sort_keys', false)),
  })
}

const firstOf = (list: unknown[], what: string): unknown =>
  list.length > 0 ? list[0] : new Undefined(`No ${what} item, sequence was empty.`)

const unique: Filter = (value, given, named) => {
  const key = keyed(option(given, named, 1, 'attribute'), option(given, named, 0, 'case_sensitive', false))
  const seen: unknown[] = []
  return iterate(value).filter((one) => {
    const own = key(one)
    if (seen.some((before) => isEqual(before, own))) return false
    return seen.push(own) > 0
  })
}

const summed: Filter = (value, given, named) => {
  const attribute = option(given, named, 0, 'attribute')
  return iterate(value)
    .map((one) => (attribute === undefined ? one : under(one, attribute)))
    .reduce((sum: unknown, one) => arithmetic('+', sum, one), option(given, named, 1, 'start', 0))
}

const byDefault: Filter = (value, given, named) => {
  const empty = isTrue(option(given, named, 1, 'boolean', false)) && !isTrue(value)
  return value instanceof Undefined || empty ? option(given, named, 0, 'default_value', '') : value
}

const length: Filter = (value) => lengthOf(value)
const textFilter =
  (change: (text: string) => string): Filter =>
  (value) =>
    change(str(value))

const filters: { readonly [name: string]: Filter } = {
  abs: (value) => {
    if (!isNumber(value)) throw new TemplateError(`bad operand type for abs(): '${typeName(value)}'`)
    return numberOf(value) < 0 ? arithmetic('-', 0, value) : arithmetic('+', value, 0)
  },
  attr: (value, [name]) => elementOf(value, str(name)),
  batch: batched,
  capitalize: textFilter(capitalized),
  count: length,
  d: byDefault,
  default: byDefault,
  dictsort: dictsorted,
  e: escaped,
  escape: escaped,
  first: (value) => firstOf(iterate(value), 'first'),
  float: toFloat,
  forceescape: escaped,
  format: (value, given, named) => {
    if (given.length > 0 && named.size > 0)
      throw new TemplateError("can't handle positional and keyword arguments at the same time")
    return percentFormat(str(value), named.size > 0 ? new Map(named) : Tuple.from(given))
  },
  groupby: grouped,
  indent: indented,
  int: toInteger,
  items: (value) => {
    if (value instanceof Undefined) return []
    if (!(value instanceof Map)) throw new TemplateError('Can only get item pairs from a mapping.')
    return [...value].map(([key, one]) => Tuple.of(key, one))
  },
  join: joined,
  last: (value) => firstOf([...iterate(value)].reverse(), 'last'),
  length,
  list: (value) => [...iterate(value)],
  lower: textFilter((text) => text.toLowerCase()),
  map: mapped,
  max: extreme(1),
  min: extreme(-1),
  reject: choose(false, false),
  rejectattr: choose(false, true),
  replace: (value, [old, other, count]) => replaced(str(value), str(old), str(other), count),
  reverse: (value) =>
    typeof value === 'string' ? characters(value).reverse().join('') : [...iterate(value)].reverse(),
  round: roundedTo,
  safe: (value) => value,
  select: choose(true, false),
  selectattr: choose(true, true),
  sort: sorted,
  string: (value) => str(value),
  striptags: textFilter((text) => strip(text.replace(/<!--[\s\S]*?-->|<[^>]*>/g, ''), 'both').replace(/\s+/g, ' ')),
  sum: summed,
  title: textFilter((text) =>
    text.replace(/[^-\s({[<]+/g, (word) => {
      const [start, ...rest] = characters(word)
      return start.toUpperCase() + rest.join('').toLowerCase()
    }),
  ),
  tojson: asJson,
  trim: (value, given, named) => strip(str(value), 'both', option(given, named, 0, 'chars')),
  truncate: shortened,
  unique,
  upper: textFilter((text) => text.toUpperCase()),
  urlencode: (value) =>
    encodeURIComponent(str(value))
      .replaceAll('%2F', '/')
      .replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`),
  wordcount: (value) => str(value).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0,
}

const ordered =
  (fits: (order: number) => boolean, operator: string): Test =>
  (value, [other]) =>
    fits(compare(value, other, operator))

const equal: Test = (value, [other]) => isEqual(value, other)
const remains = (value: unknown, by: unknown, rest: number): boolean => isEqual(arithmetic('%', value, by), rest)

const tests: { readonly [name: string]: Test } = {
  boolean: (value) => typeof value === 'boolean',
  callable: (value) => value instanceof Callable,
  defined: (value) => !(value instanceof Undefined),
  divisibleby: (value, [by]) => remains(value, by, 0),
  eq: equal,
  equalto: equal,
  '==': equal,
  even: (value) => remains(value, 2, 0),
  false: (value) => value === false,
  filter: (value) => Object.hasOwn(filters, str(value)),
  float: (value) => value instanceof Float,
  ge: ordered((order) => order >= 0, '>='),
  gt: ordered((order) => order > 0, '>'),
  greaterthan: ordered((order) => order > 0, '>'),
  in: (value, [container]) => contains(container, value),
  integer: isInteger,
  iterable: (value) => isIterable(value),
  le: ordered((order) => order <= 0, '<='),
  lower: (value) => str(value) === str(value).toLowerCase() && /\p{L}/u.test(str(value)),
  lt: ordered((order) => order < 0, '<'),
  lessthan: ordered((order) => order < 0, '<'),
  mapping: (value) => value instanceof Map,
  ne: (value, [other]) => !isEqual(value, other),
  none: (value) => value === null,
  number: (value) => isNumber(value),
  odd: (value) => remains(value, 2, 1),
  sameas: (value, [other]) => value === other,
  sequence: (value) =>
    Array.isArray(value) || typeof value === 'string' || value instanceof Map || value instanceof Undefined,
  string: (value) => typeof value === 'string',
  test: (value) => Object.hasOwn(tests, str(value)),
  true: (value) => value === true,
  undefined: (value) => value instanceof Undefined,
  upper: (value) => str(value) === str(value).toUpperCase() && /\p{L}/u.test(str(value)),
}

/** Filters that take something undefined as it is. */
const tolerant = new Set([
  ...['default', 'd', 'list', 'first', 'last', 'length', 'count', 'items', 'join', 'map', 'string', 'sort', 'unique'],
  ...['select', 'reject', 'selectattr', 'rejectattr', 'safe', 'trim', 'upper', 'lower', 'title', 'capitalize'],
  ...['tojson', 'truncate', 'wordcount', 'escape', 'e', 'min', 'max', 'sum', 'batch', 'reverse', 'replace'],
])

export const runFilter = (name: string, value: unknown, given: unknown[], named: Named): unknown => {
  if (!Object.hasOwn(filters, name)) throw new TemplateError(`No filter named '${name}'.`)
  if (value instanceof Undefined && !tolerant.has(name)) value.use()
  return filters[name](value, given, named)
}

export const runTest = (name: string, value: unknown, given: unknown[]): boolean => {
  if (!Object.hasOwn(tests, name)) throw new TemplateError(`No test named '${name}'.`)
  return tests[name](value, given)
}
