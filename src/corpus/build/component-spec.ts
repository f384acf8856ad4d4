// The short form of a source, filter or deduplicator on the command line: a name, options, and for sources a path.
// Parses `language:allow=en,allow=de` into { type, options } by the component's schema.

import { z } from 'zod'
import { ConfigError, didYouMean, unwrap } from '../../core/index.ts'

/** A component as the user names it. */
export interface ComponentSpec {
  type: string
  /** Options as given: not checked, without defaults. */
  options: Record<string, unknown>
}

export interface FilterSpec extends ComponentSpec {
  /** Kinds of source that the filter applies to (default: all). */
  kinds?: string[]
}

export interface SourceSpec extends ComponentSpec {
  path: string
}

/** A component in a recipe: the command line's form, or an object. */
export const componentSpecSchema = z.union([z.string(), z.looseObject({ type: z.string() })])
export const sourceSpecSchema = z.union([z.string(), z.looseObject({ type: z.string(), path: z.string() })])

/** `NAME` or `NAME:option=value,option=value`. */
export const parseComponentSpec = (value: z.infer<typeof componentSpecSchema>, where: string): ComponentSpec => {
  if (typeof value !== 'string') {
    const { type, ...options } = value
    return { type, options }
  }
  const colon = value.indexOf(':')
  if (colon < 0) return { type: value, options: {} }
  return { type: value.slice(0, colon), options: parsePairs(value.slice(colon + 1), where) }
}

/** As `parseComponentSpec`, with `NAME@kind+kind` for a filter that applies to some kinds of source only. */
export const parseFilterSpec = (value: z.infer<typeof componentSpecSchema>, where: string): FilterSpec => {
  const { type, options } = parseComponentSpec(value, where)
  const at = type.indexOf('@')
  if (at < 0) return { type, options }
  return { type: type.slice(0, at), kinds: type.slice(at + 1).split('+'), options }
}

/** `KIND:PATH` or `KIND,option=value:PATH`; the path may contain colons and commas. */
export const parseSourceSpec = (value: z.infer<typeof sourceSpecSchema>, where: string): SourceSpec => {
  if (typeof value !== 'string') {
    const { type, path, ...options } = value
    return { type, path, options }
  }
  const colon = value.indexOf(':')
  if (colon <= 0 || colon === value.length - 1) {
    throw new ConfigError(
      `Expected KIND:PATH for \`${where}\`, got \`${value}\`. Write for example jsonl:data/articles.jsonl.gz.`,
    )
  }
  const head = value.slice(0, colon)
  const comma = head.indexOf(',')
  return {
    type: comma < 0 ? head : head.slice(0, comma),
    options: comma < 0 ? {} : parsePairs(head.slice(comma + 1), where),
    path: value.slice(colon + 1),
  }
}

/** `option=value,option=value`; a repeated option is a list. */
export const parsePairs = (text: string, where: string): Record<string, unknown> => {
  const options: Record<string, unknown> = {}
  for (const pair of text.split(',')) {
    const equals = pair.indexOf('=')
    if (equals <= 0) {
      throw new ConfigError(`Expected option=value for \`${where}\`, got \`${pair}\`. Separate options by commas.`)
    }
    const key = pair.slice(0, equals)
    const value = pair.slice(equals + 1)
    const earlier = options[key]
    if (earlier === undefined) options[key] = value
    else options[key] = Array.isArray(earlier) ? [...earlier, value] : [earlier, value]
  }
  return options
}

/** Converts strings of the command line to the types of the schema's fields: numbers, booleans, lists. */
export const coerceOptions = (schema: z.ZodType, options: Record<string, unknown>): Record<string, unknown> => {
  const shape = schema instanceof z.ZodObject ? (schema.shape as Record<string, z.ZodType>) : {}
  return Object.fromEntries(
    Object.entries(options).map(([key, value]) => {
      const field = shape[key] && unwrap(shape[key])
      if (field instanceof z.ZodArray) {
        const items = Array.isArray(value) ? value : value === '' ? [] : [value]
        const element = unwrap(field.element as z.ZodType)
        return [key, items.map((item) => coerceScalar(element, item))]
      }
      return [key, coerceScalar(field, value)]
    }),
  )
}

const coerceScalar = (field: z.ZodType | undefined, value: unknown): unknown => {
  if (typeof value !== 'string' || field instanceof z.ZodString || field instanceof z.ZodEnum) return value
  if (value === 'true') return true
  if (value === 'false') return false
  if (/^-?\d+(\.\d+)?([eE][-+]?\d+)?$/.test(value)) return Number(value)
  return value
}

/** The entry of `registry` named `type`. @throws ConfigError that lists the names when there is none */
export const lookUp = <Entry>(registry: Readonly<Record<string, Entry>>, type: string, where: string): Entry => {
  if (!Object.hasOwn(registry, type)) {
    const names = Object.keys(registry).sort()
    throw new ConfigError(
      `Expected one of ${names.join(', ')} for \`${where}\`, got \`${type}\`.${didYouMean(type, names)}`,
    )
  }
  return registry[type]!
}
