// Command-line flags derived from a zod schema, and the texts of flags turned back into the values that the schema expects.
// Nothing is checked here: the schema does that.
import { z } from 'zod'
import { descriptionOf, invariant, schemaLayers, unwrap } from '../core/index.ts'

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
  /** The branches of a union that share the key have different defaults. */
  defaultVaries: boolean
  required: boolean
  /** A text with commas stays whole in a list of texts. */
  keepsCommas?: boolean
  /** An empty text is an element of a list, where it would else be an empty list. */
  keepsEmpty?: boolean
  /** The flag that chooses a branch of a union, with the branches that have this flag; left out if all have it. */
  of?: { choice: string; types: string[] }
}

/** The flags of an options schema, one for each leaf. */
export const flagsOf = (schema: z.ZodObject): Flag[] => {
  const flags = new Map<string, Flag>()
  collect(schema, [], true, flags)
  return [...flags.values()]
}

const collect = (
  schema: z.ZodType,
  path: readonly string[],
  required: boolean,
  flags: Map<string, Flag>,
  of?: Flag['of'],
): void => {
  // Keys of files alone, such as the kind of a recipe.
  if (schema.meta()?.flag === false) return
  const unchecked = uncheckedParts.get(schema)
  if (unchecked !== undefined) {
    collect(unchecked, path, required, flags, of)
    return
  }
  const mustBeGiven = required && !schema.safeParse(undefined).success
  const bare = unwrap(schema)
  if (bare instanceof z.ZodObject) {
    for (const [key, field] of Object.entries(bare.shape)) {
      collect(field as z.ZodType, [...path, key], path.length === 0 || mustBeGiven, flags, of)
    }
    return
  }
  const branches = branchesOf(bare)
  const objects = branches.filter((branch) => branch instanceof z.ZodObject)
  const kinds = bare instanceof z.ZodDiscriminatedUnion ? bare.def.discriminator : undefined
  const chosen = defaultOf(schema)
  if (kinds !== undefined && isPlainObject(chosen)) setKind(flags, [...path, kinds], objects, chosen[kinds])
  else if (kinds !== undefined) setKind(flags, [...path, kinds], objects, undefined, mustBeGiven)
  // A key of one branch alone is not required, whichever branch it is.
  for (const object of objects) {
    const shared = (key: string) => objects.every((other) => other instanceof z.ZodObject && key in other.shape)
    for (const [key, field] of Object.entries(object.shape)) {
      if (key === kinds) continue
      const types = kinds === undefined ? [] : kindsOf(object, kinds)
      const own = shared(key) || types.length === 0 ? of : { choice: [...path, kinds!].map(kebab).join('.'), types }
      collect(field as z.ZodType, [...path, key], mustBeGiven && shared(key), flags, own)
    }
  }
  const leaves = branches.filter((branch) => !(branch instanceof z.ZodObject))
  if (leaves.length === 0) return
  // A key that would read as a negation declares another name for its flag.
  // What a field says of its flag may be on any layer: a default wraps the schema that has it, or is wrapped by it.
  const metas = schemaLayers(schema).map((layer) => layer.meta() ?? {})
  const called = metas.map(({ flag }) => flag).find((name) => name !== undefined)
  const name = [
    ...path.slice(0, -1).map(kebab),
    typeof called === 'string' ? called : kebab(path[path.length - 1]),
  ].join('.')
  const known = flags.get(name)
  if (known !== undefined) {
    if (known.of !== undefined && of?.choice === known.of.choice)
      known.of = { ...of, types: [...new Set([...known.of.types, ...of.types])] }
    known.schemas.push(...leaves)
    known.defaultVaries ||= JSON.stringify(defaultOf(schema)) !== JSON.stringify(known.defaultValue)
    return
  }
  invariant(
    !/(^|\.)no-/.test(name),
    `The option \`${path.join('.')}\` may not start with "no": \`--no-\` negates. Give its schema the meta \`flag\`.`,
  )
  flags.set(name, {
    path,
    name,
    description: descriptionOf(schema) ?? '',
    schemas: leaves,
    defaultValue: defaultOf(schema),
    defaultVaries: false,
    required: mustBeGiven,
    ...(metas.some(({ commas }) => commas === false) ? { keepsCommas: true } : {}),
    ...(metas.some((meta) => meta.keepsEmpty === true) ? { keepsEmpty: true } : {}),
    ...(of === undefined ? {} : { of }),
  })
}

/** The values of the key that chooses a branch. */
const kindsOf = (object: z.ZodObject, key: string): string[] => {
  const kind = unwrap(object.shape[key] as z.ZodType)
  return kind instanceof z.ZodLiteral ? [...kind.values].map(String) : []
}

/** The flag that chooses a branch of a union, described by what it chooses and not by one of the branches. */
const setKind = (
  flags: Map<string, Flag>,
  path: readonly string[],
  objects: readonly z.ZodObject[],
  defaultValue: unknown,
  required = false,
): void => {
  const key = path[path.length - 1]
  const name = path.map(kebab).join('.')
  flags.set(name, {
    path,
    name,
    description: `which ${path.length > 1 ? path[path.length - 2] : key}`,
    schemas: objects.map((object) => unwrap(object.shape[key] as z.ZodType)),
    defaultValue,
    defaultVaries: false,
    required,
  })
}

const branchesOf = (bare: z.ZodType): z.ZodType[] => {
  if (bare instanceof z.ZodUnion) return bare.options.flatMap((option) => branchesOf(unwrap(option as z.ZodType)))
  if (bare instanceof z.ZodIntersection) {
    return [bare.def.left, bare.def.right].flatMap((side) => branchesOf(unwrap(side as z.ZodType)))
  }
  return [bare]
}

export const kebab = (key: string): string => key.replace(/([a-z0-9])([A-Z])/g, '$1-$2').toLowerCase()

const defaultOf = (schema: z.ZodType): unknown => {
  for (const layer of schemaLayers(schema))
    if (layer instanceof z.ZodDefault || layer instanceof z.ZodPrefault) return layer.def.defaultValue
  return undefined
}

export const isList = (flag: Flag): boolean =>
  flag.schemas.some((schema) => schema instanceof z.ZodArray || schema instanceof z.ZodTuple || isMap(schema))

const isMap = (schema: z.ZodType): schema is z.ZodRecord => schema instanceof z.ZodRecord

/** `--model.config.hidden-size 256` as the flag of the map takes it: `--model.config hiddenSize=256`. */
export const spellMapFlags = (argv: readonly string[], flags: readonly Flag[]): string[] => {
  const maps = flags.filter((flag) => flag.schemas.some(isMap)).map(({ name }) => name)
  const spelt: string[] = []
  for (let i = 0; i < argv.length; i++) {
    const [word, given] = splitOnce(argv[i], '=')
    const map = maps.find((name) => word.startsWith(`--${name}.`))
    if (argv[i] === '--' || map === undefined) {
      if (argv[i] === '--') return [...spelt, ...argv.slice(i)]
      spelt.push(argv[i])
      continue
    }
    const key = word.slice(map.length + 3).replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
    const next = argv[i + 1]
    // A word that begins with a dash is the next flag, unless it is a number; a key alone is a switch.
    const takesNext = given === undefined && next !== undefined && !/^-(?![\d.])/.test(next)
    spelt.push(`--${map}`, `${key}=${given ?? (takesNext ? next : 'true')}`)
    if (takesNext) i++
  }
  return spelt
}

const splitOnce = (text: string, separator: string): [string, string | undefined] => {
  const at = text.indexOf(separator)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)]
}

/**
 * A part that was given without the key that tells its kinds apart is of the default kind:
 * `--optimizer.beta2 0.95` without `--optimizer.type`.
 */
export const withDefaultKinds = (schema: z.ZodType, value: unknown): unknown => {
  const bare = unwrap(schema)
  if (!(bare instanceof z.ZodObject) || !isPlainObject(value)) return value
  const filled: Record<string, unknown> = { ...value }
  for (const [key, field] of Object.entries(bare.shape) as [string, z.ZodType][]) {
    const given = value[key]
    if (!isPlainObject(given)) continue
    const inside = unwrap(field)
    const byDefault = defaultOf(field)
    if (inside instanceof z.ZodDiscriminatedUnion && isPlainObject(byDefault)) {
      const { discriminator } = inside.def
      if (!Object.hasOwn(given, discriminator)) filled[key] = { [discriminator]: byDefault[discriminator], ...given }
    } else filled[key] = withDefaultKinds(field, given)
  }
  return filled
}

/** `switch` takes no value, `optional` may take one, `value` must. */
export const arity = (flag: Flag): 'switch' | 'optional' | 'value' => {
  const switches = flag.schemas.filter((schema) => schema instanceof z.ZodBoolean)
  if (switches.length === 0) return 'value'
  return switches.length === flag.schemas.length ? 'switch' : 'optional'
}

/** The values a flag is limited to, or an empty list. */
export const choicesOf = (flag: Flag): string[] => {
  const choices = flag.schemas.flatMap((schema) => {
    const bare = schema instanceof z.ZodArray ? unwrap(schema.element as z.ZodType) : schema
    if (bare instanceof z.ZodEnum) return bare.options.map(String)
    if (bare instanceof z.ZodLiteral) return [...bare.values].map(String)
    return [undefined]
  })
  return choices.includes(undefined) ? [] : [...new Set(choices as string[])]
}

/** The placeholder of the value in `--help`: `<n>`, `<a|b>`, `<text>`. */
export const placeholder = (flag: Flag): string => {
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

/** The value of the texts given for a flag. A text that fits no schema stays text, for the schema to refuse. */
export const coerceTexts = (texts: readonly string[], flag: Flag): unknown => {
  const takesOne = flag.schemas.some((schema) => schema instanceof z.ZodString)
  for (const schema of flag.schemas) {
    if (schema instanceof z.ZodArray) {
      const list = coerceArray(texts, schema, flag)
      // Where one text will do as well as a list, one that was given stays one.
      return list.length === 1 && takesOne && typeof list[0] === 'string' ? list[0] : list
    }
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

const coerceArray = (texts: readonly string[], schema: z.ZodArray, { keepsCommas, keepsEmpty }: Flag): unknown[] => {
  const element = schema.element as z.ZodType
  const bare = branchesOf(unwrap(element))
  const isText = bare.some((branch) => branch instanceof z.ZodString)
  const parts = texts.flatMap((text) => {
    if (text === '' && texts.length === 1 && !keepsEmpty) return []
    if (keepsCommas || looksLikeJson(text)) return [text]
    // Text is only split where every piece is plainly a name, so that sentences and paths with commas stay whole.
    return !isText || /^[\w.*-]+(,[\w.*-]+)+$/.test(text) ? text.split(',') : [text]
  })
  return parts.map((part) => coerceText(part, bare))
}

const coerceMap = (texts: readonly string[], schema: z.ZodRecord): unknown => {
  const entries: [string, unknown][] = []
  for (const text of texts) {
    const at = text.indexOf('=')
    if (at < 1) return text
    entries.push([text.slice(0, at), coerceText(text.slice(at + 1), branchesOf(unwrap(schema.valueType as z.ZodType)))])
  }
  return Object.fromEntries(entries)
}

const coerceText = (text: string, schemas: readonly z.ZodType[]): unknown => {
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
    } else if (bare instanceof z.ZodUnknown || bare instanceof z.ZodAny) {
      return plainValue(text)
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

/** The value that JSON or YAML would read, where no schema decides. */
export const plainValue = (text: string): unknown => {
  if (!/^(true|false|null|-?\d.*|-?\.\d.*|[[{].*)$/.test(text)) return text
  try {
    return JSON.parse(text.replace(/^(-?)\./, '$10.'))
  } catch {
    return text
  }
}

const looksLikeJson = (text: string): boolean => /^\s*[[{]/.test(text)

/** Puts `value` at `path` inside `target`, making the objects between. */
export const setAt = (target: Record<string, unknown>, path: readonly string[], value: unknown): void => {
  let place = target
  for (const key of path.slice(0, -1)) {
    const next = place[key]
    place = (isPlainObject(next) ? next : (place[key] = {})) as Record<string, unknown>
  }
  place[path[path.length - 1]] = value
}

/** `over` laid on `under`: objects merge key by key, everything else is replaced. */
export const mergeOver = (under: unknown, over: unknown): unknown => {
  if (!isPlainObject(under) || !isPlainObject(over)) return over
  const merged: Record<string, unknown> = { ...under }
  for (const [key, value] of Object.entries(over)) {
    merged[key] = Object.hasOwn(under, key) ? mergeOver(under[key], value) : value
  }
  return merged
}

const isPlainObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

/** Placeholders of nested objects, and the schemas that their flags come from. */
const uncheckedParts = new WeakMap<z.ZodType, z.ZodType>()

/**
 * The fields of a schema, optional and without defaults, for options that override others; the help names the default. Nested objects
 * are passed on unchecked and unfilled, and checked after merging.
 */
export const withoutDefaults = (schema: z.ZodObject, otherwise: string): Record<string, z.ZodType> => {
  const shape = Object.entries(schema.shape as Record<string, z.ZodType>).map(([key, field]) => {
    const description = descriptionOf(field) ?? ''
    const bare =
      field instanceof z.ZodDefault || field instanceof z.ZodPrefault ? (field.def.innerType as z.ZodType) : field
    const byDefault = defaultOf(field)
    const note = byDefault === undefined ? '' : ` (${otherwise}, else ${JSON.stringify(byDefault)})`
    if (!branchesOf(unwrap(bare)).some((branch) => branch instanceof z.ZodObject))
      return [key, bare.optional().describe(`${description}${note}`)]
    const part = z.unknown().optional()
    uncheckedParts.set(part, bare.optional())
    return [key, part]
  })
  return Object.fromEntries(shape)
}

/** An object schema with more fields, which the type of its values does not list. */
export const withFields = <Shape extends z.ZodRawShape>(
  own: z.ZodObject<Shape>,
  more: Record<string, z.ZodType>,
): z.ZodObject<Shape, z.core.$loose> => own.extend(more) as z.ZodObject<Shape, z.core.$loose>
