// Checks an unknown value against a zod schema: a typed config, or one ConfigError that lists every fault.
import { z } from 'zod'
import { ConfigError } from './errors.ts'
import { didYouMean } from './suggest.ts'

/**
 * Checks `value` against `schema`, fills in its defaults and returns the typed result; throws a ConfigError that lists
 * every fault at once. `where` names the config in messages, for instance `recipe.yaml` or `optimizer`, or turns the path
 * of a fault into its name.
 */
export const parseConfig = <Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  where: Where,
): z.output<Schema> => {
  const result = schema.safeParse(value, { reportInput: true })
  if (result.success) return result.data
  throw new ConfigError([...new Set(describeIssues(result.error.issues, schema, where).map(({ message }) => message))])
}

/** A fault of a config, and the key that has it. */
export interface ConfigFault {
  path: readonly PropertyKey[]
  message: string
}

/** Every fault of a value by the key that has it, for forms; empty for a value that fits. `where` as for `parseConfig`. */
export const configFaults = (schema: z.ZodType, value: unknown, where: Where): ConfigFault[] => {
  const result = schema.safeParse(value, { reportInput: true })
  return result.success ? [] : describeIssues(result.error.issues, schema, where)
}

type Issue = z.core.$ZodIssue
type Where = string | ((path: readonly PropertyKey[]) => string)

const describeIssues = (issues: readonly Issue[], schema: z.ZodType, where: Where): ConfigFault[] =>
  withStrictestLimits(issues).flatMap((issue) => describeIssue(issue, schema, where))

/** The limit of an issue, such that the larger one is the stricter; undefined for issues without one. */
const strictnessOf = (issue: Issue): number | undefined => {
  if (issue.code === 'too_small') return Number(issue.minimum)
  return issue.code === 'too_big' ? -Number(issue.maximum) : undefined
}

const pathKey = ({ path }: Issue): string => path.map(String).join('\0')

/** One value may break several limits, such as that of safe integers and the option's own: only the strictest is reported. */
const withStrictestLimits = (issues: readonly Issue[]): Issue[] =>
  issues.filter((issue) => {
    const strictness = strictnessOf(issue)
    if (strictness === undefined) return true
    const path = pathKey(issue)
    return !issues.some(
      (other) => other.code === issue.code && pathKey(other) === path && strictnessOf(other)! > strictness,
    )
  })

const describeIssue = (issue: Issue, schema: z.ZodType, where: Where): ConfigFault[] => {
  const { path } = issue
  const place = placeOf(where, path)
  const meaning = issue.input === undefined ? descriptionAt(schema, path) : undefined
  const fault = (message: string): ConfigFault[] => [
    // What is missing is often not known by its name.
    { path, message: meaning === undefined ? message : message.replace(/\.$/, ` (${meaning}).`) },
  ]
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = knownKeys(schema, issue.path, issue.input)
      return issue.keys.map((key) => {
        const expected = known.length > 0 ? `one of ${list(known)}` : 'no such key'
        const message = `Expected ${expected} for \`${place}\`, got the unknown key \`${key}\`.${didYouMean(key, known) || ' Remove it.'}`
        return { path: [...path, key], message }
      })
    }
    case 'invalid_value': {
      const values = issue.values.map(String)
      const hint = typeof issue.input === 'string' ? didYouMean(issue.input, values) : ''
      return fault(
        `Expected ${values.length === 1 ? `\`${values[0]}\`` : `one of ${list(values)}`} for \`${place}\`, got ${show(issue.input)}.${hint}`,
      )
    }
    case 'invalid_union': {
      if (issue.errors.length === 0) return fault(discriminatorFault(issue, schema, place))
      const shapes = issue.errors.map((branch) =>
        branch.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })),
      )
      const deepest = shapes.reduce((best, branch) => (depthOf(branch) > depthOf(best) ? branch : best))
      if (depthOf(deepest) > issue.path.length) return describeIssues(deepest, schema, where)
      const wants = [...new Set(shapes.flat().map((inner) => expectation(inner, place)))]
      return fault(`Expected ${wants.join(' or ')} for \`${place}\`, got ${show(issue.input)}.`)
    }
    case 'custom':
      return fault(
        /^Expected /.test(issue.message)
          ? issue.message
          : `Expected a valid \`${place}\`, got ${show(issue.input)}. ${issue.message}`,
      )
    default:
      return fault(`Expected ${expectation(issue, place)} for \`${place}\`, got ${show(issue.input)}.`)
  }
}

const expectation = (issue: Issue, place: string): string => {
  switch (issue.code) {
    case 'invalid_type':
      // A flag takes several values; nobody writes a list there.
      if (issue.expected === 'array' && place.startsWith('--')) return 'one value or several'
      return withArticle(issue.expected === 'int' ? 'integer' : issue.expected)
    case 'too_small':
    case 'too_big': {
      const limit = Number(issue.code === 'too_small' ? issue.minimum : issue.maximum)
      const strict = issue.inclusive === false
      const words = issue.code === 'too_small' ? (strict ? 'more than' : 'at least') : strict ? 'less than' : 'at most'
      const kinds: Record<string, string> = { string: ' characters', array: ' elements', set: ' elements' }
      return `${kinds[issue.origin] === undefined ? 'a number of ' : ''}${words} ${limit}${kinds[issue.origin] ?? ''}`
    }
    case 'invalid_value':
      return issue.values.length === 1 ? `\`${String(issue.values[0])}\`` : `one of ${list(issue.values.map(String))}`
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`
    case 'invalid_format':
      return issue.format === 'regex' ? `text like ${issue.pattern}` : `a valid ${issue.format}`
    case 'invalid_key':
      return 'valid keys'
    default:
      return 'a valid value'
  }
}

const withArticle = (name: string): string =>
  /^[aeiou]/.test(name) ? `an ${name}` : name === 'undefined' || name === 'null' ? name : `a ${name}`

const discriminatorFault = (issue: z.core.$ZodIssueInvalidUnion, schema: z.ZodType, place: string): string => {
  const discriminator = issue.discriminator ?? ''
  const parent = issue.path.at(-1) === discriminator ? issue.path.slice(0, -1) : issue.path
  const values = objectsAt(schema, parent).flatMap((object) => literalsOf(object.shape[discriminator] as z.ZodType))
  const input = issue.input as Record<string, unknown> | undefined
  const got = typeof input === 'object' && input !== null ? input[discriminator] : input
  const where = parent.length < issue.path.length || discriminator === '' ? place : `${place}.${discriminator}`
  const hint = typeof got === 'string' ? didYouMean(got, values) : ''
  return `Expected one of ${list(values)} for \`${where}\`, got ${show(got)}.${hint}`
}

const literalsOf = (schema: z.ZodType | undefined): string[] => {
  const bare = schema && unwrap(schema)
  if (bare instanceof z.ZodLiteral) return [...bare.values].map(String)
  if (bare instanceof z.ZodEnum) return bare.options.map(String)
  return []
}

const depthOf = (branch: readonly Issue[]): number =>
  Math.max(0, ...branch.map((issue) => issue.path.length + (issue.code === 'unrecognized_keys' ? 1 : 0)))

const placeOf = (where: Where, path: readonly PropertyKey[]): string => {
  if (typeof where === 'function') return where(path)
  return path.reduce<string>(
    (text, key) => (typeof key === 'number' ? `${text}[${key}]` : `${text}.${String(key)}`),
    where,
  )
}

const list = (values: readonly string[]): string => {
  const shown = values.length > 24 ? [...values.slice(0, 24), '…'] : values
  return shown.map((value) => (value === '…' ? value : `\`${value}\``)).join(', ')
}

/** Nesting from which a picture of a value would show little else than brackets. */
const deepNesting = 100

const isDeep = (json: string): boolean => {
  let depth = 0
  let quoted = false
  for (let i = 0; i < json.length; i++) {
    const character = json[i]
    if (character === '"') quoted = !quoted
    else if (quoted) {
      // An escaped character may be a quote.
      if (character === '\\') i++
    } else if (character === '[' || character === '{') {
      if (++depth >= deepNesting) return true
    } else if (character === ']' || character === '}') depth--
  }
  return false
}

/** A short, one-line picture of a value for error messages. */
export const show = (value: unknown): string => {
  if (value === undefined) return 'nothing'
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'number' || value === null) return String(value)
  if (typeof value === 'function') return 'a function'
  const nested = Array.isArray(value) ? 'a deeply nested list' : 'a deeply nested object'
  let text: string | undefined
  try {
    text = JSON.stringify(value)
    // V8 gives the text of any depth from Node 26 on; before, it throws a RangeError.
    if (text !== undefined && isDeep(text)) return nested
  } catch (error) {
    if (error instanceof RangeError) return nested
    // A cycle or a bigint inside: fall through to the plain form.
  }
  try {
    text ??= String(value)
  } catch {
    text = nested
  }
  return text.length > 80 ? `${text.slice(0, 79)}…` : text
}

/** The schema under `.optional()`, `.default()`, `.nullable()`, transforms and the like. */
export const unwrap = (schema: z.ZodType): z.ZodType => {
  let bare: z.core.$ZodType = schema
  for (;;) {
    if (
      bare instanceof z.ZodOptional ||
      bare instanceof z.ZodNullable ||
      bare instanceof z.ZodDefault ||
      bare instanceof z.ZodPrefault ||
      bare instanceof z.ZodNonOptional ||
      bare instanceof z.ZodReadonly ||
      bare instanceof z.ZodCatch
    ) {
      bare = bare.def.innerType
    } else if (bare instanceof z.ZodPipe) {
      bare = bare.def.in instanceof z.ZodTransform ? bare.def.out : bare.def.in
    } else if (bare instanceof z.ZodLazy) {
      bare = bare.def.getter()
    } else {
      return bare as z.ZodType
    }
  }
}

/** Every object schema that `path` may lead to: unions give one for each branch. */
const objectsAt = (schema: z.ZodType, path: readonly PropertyKey[]): z.ZodObject[] => {
  const bare = unwrap(schema)
  if (bare instanceof z.ZodUnion) return bare.options.flatMap((option) => objectsAt(option as z.ZodType, path))
  if (bare instanceof z.ZodIntersection) {
    return [bare.def.left, bare.def.right].flatMap((side) => objectsAt(side as z.ZodType, path))
  }
  if (path.length === 0) return bare instanceof z.ZodObject ? [bare] : []
  const [key, ...rest] = path
  if (bare instanceof z.ZodObject) {
    const child = bare.shape[key as string]
    return child === undefined ? [] : objectsAt(child as z.ZodType, rest)
  }
  if (bare instanceof z.ZodArray) return objectsAt(bare.element as z.ZodType, rest)
  if (bare instanceof z.ZodRecord) return objectsAt(bare.valueType as z.ZodType, rest)
  return []
}

/** A schema and those that it wraps, such as that of an optional field. */
export const schemaLayers = (schema: z.ZodType): z.ZodType[] => {
  const { innerType, in: input } = schema.def as { innerType?: z.ZodType; in?: z.ZodType }
  const below = innerType ?? input
  return below === undefined ? [schema] : [schema, ...schemaLayers(below)]
}

/** The description of a field, whatever wraps it. */
export const descriptionOf = (schema: z.ZodType): string | undefined =>
  schemaLayers(schema).find(({ description }) => description !== undefined)?.description

/** The description of a key that may be missing. */
const descriptionAt = (schema: z.ZodType, path: readonly PropertyKey[]): string | undefined => {
  const key = path.at(-1)
  const fields = objectsAt(schema, path.slice(0, -1)).flatMap(({ shape }) => shape[key as string] ?? [])
  return fields.map((field) => descriptionOf(field as z.ZodType)).find((text) => text !== undefined)
}

const knownKeys = (schema: z.ZodType, path: readonly PropertyKey[], input: unknown): string[] => {
  const objects = objectsAt(schema, path)
  const own = objects.filter((object) => isBranchOf(object, input))
  return [...new Set((own.length > 0 ? own : objects).flatMap((object) => Object.keys(object.shape)))]
}

/** Whether an object schema is the branch of a union that a value names, such as by its `type`. */
const isBranchOf = ({ shape }: z.ZodObject, input: unknown): boolean =>
  Object.entries(shape).every(([key, field]) => {
    const bare = unwrap(field as z.ZodType)
    return (
      !(bare instanceof z.ZodLiteral) || bare.values.has((input as Record<string, never> | undefined)?.[key] as never)
    )
  })

/**
 * A check that what a function is given has no option but these, whatever their values.
 * @param where name of the function in messages
 * @returns throws ConfigError for an option with another name, and for what is not an object
 */
export const optionCheck = <Options extends object>(
  where: string,
  names: { readonly [Name in keyof Required<Options>]: true },
): ((given: Options) => void) => {
  const shape = Object.fromEntries(Object.keys(names).map((name) => [name, z.unknown().optional()]))
  const schema = z.strictObject(shape)
  return (given) => {
    parseConfig(schema, given, where)
  }
}
