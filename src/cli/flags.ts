// Command-line flags derived from a zod schema, and the texts of flags turned back into the values the schema wants.
// Knows nothing of commander and checks nothing: the schema itself has the last word.
import { z } from 'zod'
import { invariant, unwrap } from '../core/index.ts'

export interface Flag {
  /** Where the value goes in the options object. */
  path: readonly string[]
  /** Without its dashes: `vocab-size`, `model.hidden-size`. */
  name: string
  description: string
  /** The bare schemas that may take the value: several when branches of a union share a key. */
  schemas: z.ZodType[]
  /** Undefined when the schema has none. */
  defaultValue: unknown
  required: boolean
}

/** The flags of an options schema, one for each leaf. */
export function flagsOf(schema: z.ZodObject): Flag[] {
  const flags = new Map<string, Flag>()
  collect(schema, [], true, flags)
  return [...flags.values()]
}

function collect(schema: z.ZodType, path: readonly string[], required: boolean, flags: Map<string, Flag>): void {
  const mustBeGiven = required && !schema.safeParse(undefined).success
  const bare = unwrap(schema)
  if (bare instanceof z.ZodObject) {
    for (const [key, field] of Object.entries(bare.shape)) {
      collect(field as z.ZodType, [...path, key], path.length === 0 || mustBeGiven, flags)
    }
    return
  }
  const branches = branchesOf(bare)
  const objects = branches.filter((branch) => branch instanceof z.ZodObject)
  // A key of one branch alone is not required, whichever branch it is.
  for (const object of objects) {
    const shared = (key: string) => objects.every((other) => other instanceof z.ZodObject && key in other.shape)
    for (const [key, field] of Object.entries(object.shape)) {
      collect(field as z.ZodType, [...path, key], mustBeGiven && shared(key), flags)
    }
  }
  const leaves = branches.filter((branch) => !(branch instanceof z.ZodObject))
  if (leaves.length === 0) return
  const name = path.map(kebab).join('.')
  const known = flags.get(name)
  if (known !== undefined) {
    known.schemas.push(...leaves)
    return
  }
  invariant(!/(^|\.)no-/.test(name), `The option \`${path.join('.')}\` may not start with "no": \`--no-\` negates.`)
  flags.set(name, {
    path,
    name,
    description: descriptionOf(schema) ?? '',
    schemas: leaves,
    defaultValue: defaultOf(schema),
    required: mustBeGiven,
  })
}

function branchesOf(bare: z.ZodType): z.ZodType[] {
  if (bare instanceof z.ZodUnion) return bare.options.flatMap((option) => branchesOf(unwrap(option as z.ZodType)))
  if (bare instanceof z.ZodIntersection) {
    return [bare.def.left, bare.def.right].flatMap((side) => branchesOf(unwrap(side as z.ZodType)))
  }
  return [bare]
}

export function kebab(key: string): string {
  return key.replace(/([a-z0-9])([A-Z])/g, '$1-$2').toLowerCase()
}

function descriptionOf(schema: z.ZodType): string | undefined {
  for (let layer: z.ZodType | undefined = schema; layer !== undefined; layer = inner(layer)) {
    if (layer.description !== undefined) return layer.description
  }
  return undefined
}

function defaultOf(schema: z.ZodType): unknown {
  for (let layer: z.ZodType | undefined = schema; layer !== undefined; layer = inner(layer)) {
    if (layer instanceof z.ZodDefault || layer instanceof z.ZodPrefault) return layer.def.defaultValue
  }
  return undefined
}

function inner(schema: z.ZodType): z.ZodType | undefined {
  const def = schema.def as { innerType?: z.ZodType; in?: z.ZodType }
  return def.innerType ?? def.in
}

export function isList(flag: Flag): boolean {
  return flag.schemas.some((schema) => schema instanceof z.ZodArray || schema instanceof z.ZodTuple || isMap(schema))
}

function isMap(schema: z.ZodType): schema is z.ZodRecord {
  return schema instanceof z.ZodRecord
}

/** `switch` takes no value, `optional` may take one, `value` must. */
export function arity(flag: Flag): 'switch' | 'optional' | 'value' {
  const switches = flag.schemas.filter((schema) => schema instanceof z.ZodBoolean)
  if (switches.length === 0) return 'value'
  return switches.length === flag.schemas.length ? 'switch' : 'optional'
}

/** The values a flag is limited to, or an empty list. */
export function choicesOf(flag: Flag): string[] {
  const choices = flag.schemas.flatMap((schema) => {
    const bare = schema instanceof z.ZodArray ? unwrap(schema.element as z.ZodType) : schema
    if (bare instanceof z.ZodEnum) return bare.options.map(String)
    if (bare instanceof z.ZodLiteral) return [...bare.values].map(String)
    return [undefined]
  })
  return choices.includes(undefined) ? [] : [...new Set(choices as string[])]
}

/** What stands for the value in `--help`: `<n>`, `<a|b>`, `<text>`. */
export function placeholder(flag: Flag): string {
  for (const schema of flag.schemas) {
    const named = schema.meta()?.placeholder
    if (typeof named === 'string') return named
  }
  if (flag.schemas.some(isMap)) return 'key=value'
  const choices = choicesOf(flag)
  if (choices.length > 0 && choices.join('|').length <= 40) return choices.join('|')
  const numeric = flag.schemas.some((schema) => {
    const bare = schema instanceof z.ZodArray ? unwrap(schema.element as z.ZodType) : schema
    return bare instanceof z.ZodNumber || bare instanceof z.ZodBigInt
  })
  return numeric ? 'n' : 'text'
}

/** The value that the texts given for a flag stand for. A text that fits no schema stays text, for the schema to refuse. */
export function coerceTexts(texts: readonly string[], flag: Flag): unknown {
  for (const schema of flag.schemas) {
    if (schema instanceof z.ZodArray) return coerceArray(texts, schema)
    if (schema instanceof z.ZodTuple) {
      const parts = texts.flatMap((text) => text.split(','))
      return parts.map((part, i) =>
        coerceText(part, [(schema.def.items[i] ?? schema.def.rest ?? z.string()) as z.ZodType]),
      )
    }
    if (isMap(schema)) return coerceMap(texts, schema)
  }
  return coerceText(texts[texts.length - 1], flag.schemas)
}

function coerceArray(texts: readonly string[], schema: z.ZodArray): unknown[] {
  const element = schema.element as z.ZodType
  const bare = branchesOf(unwrap(element))
  const isText = bare.some((branch) => branch instanceof z.ZodString)
  const commas = schema.meta()?.commas ?? true
  const parts = texts.flatMap((text) => {
    if (text === '' && texts.length === 1) return []
    if (commas === false || looksLikeJson(text)) return [text]
    // Text is only split where every piece is plainly a name, so that sentences and paths with commas stay whole.
    return !isText || /^[\w.*-]+(,[\w.*-]+)+$/.test(text) ? text.split(',') : [text]
  })
  return parts.map((part) => coerceText(part, bare))
}

function coerceMap(texts: readonly string[], schema: z.ZodRecord): unknown {
  const entries: [string, unknown][] = []
  for (const text of texts) {
    const at = text.indexOf('=')
    if (at < 1) return text
    entries.push([text.slice(0, at), coerceText(text.slice(at + 1), branchesOf(unwrap(schema.valueType as z.ZodType)))])
  }
  return Object.fromEntries(entries)
}

function coerceText(text: string, schemas: readonly z.ZodType[]): unknown {
  const bares = schemas.flatMap((schema) => branchesOf(unwrap(schema)))
  for (const bare of bares) {
    if (bare instanceof z.ZodLiteral || bare instanceof z.ZodEnum) {
      const values = bare instanceof z.ZodLiteral ? [...bare.values] : bare.options
      const match = values.find((value) => String(value) === text)
      if (match !== undefined) return match
    } else if (bare instanceof z.ZodBoolean) {
      if (text === 'true') return true
      if (text === 'false') return false
    } else if (bare instanceof z.ZodNumber) {
      if (/^[+-]?(\d[\d_]*)?(\.\d+)?(\d\.)?(e[+-]?\d+)?$/i.test(text) && /\d/.test(text))
        return Number(text.replaceAll('_', ''))
    } else if (bare instanceof z.ZodBigInt) {
      if (/^-?\d+$/.test(text)) return BigInt(text)
    } else if (bare instanceof z.ZodNull) {
      if (text === 'null') return null
    } else if (!(bare instanceof z.ZodString) && looksLikeJson(text)) {
      try {
        return JSON.parse(text)
      } catch {
        return text
      }
    }
  }
  return text
}

function looksLikeJson(text: string): boolean {
  return /^\s*[[{]/.test(text)
}

/** Puts `value` at `path` inside `target`, making the objects between. */
export function setAt(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let place = target
  for (const key of path.slice(0, -1)) {
    const next = place[key]
    place = (isPlainObject(next) ? next : (place[key] = {})) as Record<string, unknown>
  }
  place[path[path.length - 1]] = value
}

/** `over` laid on `under`: objects merge key by key, everything else is replaced. */
export function mergeOver(under: unknown, over: unknown): unknown {
  if (!isPlainObject(under) || !isPlainObject(over)) return over
  const merged: Record<string, unknown> = { ...under }
  for (const [key, value] of Object.entries(over)) {
    merged[key] = Object.hasOwn(under, key) ? mergeOver(under[key], value) : value
  }
  return merged
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}
