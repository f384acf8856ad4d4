// The fields of a recipe's form from its JSON schemas, and the recipe from what was typed. Independent of the page.
import type { FormSchema, RecipeForm } from '../../../src/serving/studio/types/new-run-types.ts'

/** What was typed, by the dotted name of the setting; settings without an entry have their defaults. */
export type Values = Readonly<Record<string, string>>

/** How a field is typed: `lines` has one value a line, `any` a number or text. */
type FieldKind = 'text' | 'number' | 'boolean' | 'choice' | 'lines' | 'numbers' | 'any' | 'json'

/** One setting of a recipe. */
export interface Field {
  name: string
  path: readonly string[]
  help: string
  kind: FieldKind
  choices: readonly { value: string; help: string | undefined }[]
  /** The default as it would be typed; undefined for a setting without one. */
  byDefault: string | undefined
  /** The range of a number in words. */
  range: string
  required: boolean
}

/** A value as it is typed. */
const typedOf = (value: unknown): string => {
  if (typeof value === 'string') return value
  const isList = Array.isArray(value) && value.every((one) => ['string', 'number'].includes(typeof one))
  return isList ? value.join('\n') : JSON.stringify(value)
}

const rangeOf = ({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: FormSchema): string => {
  // The limits of safe integers say nothing.
  const isLimit = (value: number | undefined): value is number =>
    value !== undefined && Math.abs(value) < Number.MAX_SAFE_INTEGER
  return [
    isLimit(minimum) && `at least ${minimum}`,
    isLimit(exclusiveMinimum) && `more than ${exclusiveMinimum}`,
    isLimit(maximum) && `at most ${maximum}`,
    isLimit(exclusiveMaximum) && `less than ${exclusiveMaximum}`,
  ]
    .filter(Boolean)
    .join(', ')
}

const isNumber = ({ type }: FormSchema): boolean => type === 'number' || type === 'integer'

const kindOf = (schema: FormSchema): FieldKind => {
  const branches = schema.anyOf ?? [schema]
  const list = branches.find(({ type }) => type === 'array')
  if (list !== undefined) return list.items !== undefined && isNumber(list.items) ? 'numbers' : 'lines'
  if (branches.length > 1) return 'any'
  if (schema.enum !== undefined) return 'choice'
  if (schema.type === 'boolean') return 'boolean'
  if (isNumber(schema)) return 'number'
  return schema.type === 'string' ? 'text' : 'json'
}

const choicesOf = (schema: FormSchema): Field['choices'] =>
  [schema, ...(schema.anyOf ?? [])].flatMap((branch) =>
    (branch.enum ?? []).map((value) => ({ value: String(value), help: undefined })),
  )

const asObject = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

const isBelow = (name: string, part: string): boolean => name === part || name.startsWith(`${part}.`)

class Collector {
  readonly fields: Field[] = []
  readonly #form: Pick<RecipeForm, 'schema' | 'parts'>
  readonly #values: Values

  constructor(form: Pick<RecipeForm, 'schema' | 'parts'>, values: Values) {
    this.#form = form
    this.#values = values
  }

  visit(schema: FormSchema, path: readonly string[], required: boolean, inherited: unknown): void {
    if (schema.flag === false) return
    const { properties, oneOf } = { ...schema, ...this.#partAt(path) }
    const defaults = asObject(schema.default ?? inherited)
    if (oneOf !== undefined) this.#visitUnion(schema, oneOf, path, required)
    else if (properties !== undefined)
      for (const [key, own] of Object.entries(properties))
        this.visit(own, [...path, key], schema.required?.includes(key) ?? false, defaults[key])
    else this.#add(schema, path, required, schema.default ?? inherited)
  }

  /** The schema that a choice gives a part, such as that of `adapter` with `variant: lora`. */
  #partAt(path: readonly string[]): FormSchema | undefined {
    const part = this.#form.parts.find((one) => one.part.join('.') === path.join('.'))
    if (part === undefined) return undefined
    const name = part.choice.join('.')
    const type = this.#values[name] ?? this.fields.find((field) => field.name === name)?.byDefault
    return type !== undefined && Object.hasOwn(part.schemas, type) ? part.schemas[type] : undefined
  }

  #visitUnion(schema: FormSchema, branches: FormSchema[], path: readonly string[], required: boolean): void {
    const name = [...path, 'type'].join('.')
    const defaults = asObject(schema.default)
    const types = branches.map(({ properties }) => properties?.type ?? {})
    const byDefault = typeof defaults.type === 'string' ? defaults.type : undefined
    const isSame = types.every(({ description }) => description === types[0].description)
    this.fields.push({
      name,
      path: [...path, 'type'],
      help: schema.description ?? (isSame ? types[0]?.description : undefined) ?? `which ${path[path.length - 1]}`,
      kind: 'choice',
      choices: types.map((type) => ({ value: String(type.const), help: isSame ? undefined : type.description })),
      byDefault,
      range: '',
      required: required && byDefault === undefined,
    })
    const chosen = this.#values[name] ?? byDefault
    const branch = branches.find(({ properties }) => properties?.type?.const === chosen)
    // The default of the whole part applies only while nothing of it is set.
    const isUntouched = !Object.keys(this.#values).some((key) => isBelow(key, path.join('.')))
    for (const [key, own] of Object.entries(branch?.properties ?? {}))
      if (key !== 'type')
        this.visit(
          isUntouched && defaults[key] !== undefined ? { ...own, default: defaults[key] } : own,
          [...path, key],
          branch?.required?.includes(key) ?? false,
          undefined,
        )
  }

  #add(schema: FormSchema, path: readonly string[], required: boolean, byDefault: unknown): void {
    this.fields.push({
      name: path.join('.'),
      path,
      help: schema.description ?? '',
      kind: kindOf(schema),
      choices: choicesOf(schema),
      byDefault: byDefault === undefined ? undefined : typedOf(byDefault),
      range: rangeOf(schema),
      required: required && byDefault === undefined,
    })
  }
}

/** The fields that apply to what was typed: those of the chosen task, variant, architecture, optimizer … */
export const fieldsOf = (form: Pick<RecipeForm, 'schema' | 'parts'>, values: Values): Field[] => {
  const collector = new Collector(form, values)
  collector.visit(form.schema, [], true, undefined)
  return collector.fields
}

const numberOf = (text: string): number | string =>
  text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text

/** What was typed as a value. What does not fit stays text, for the schema to refuse. */
const parsedValue = (text: string, kind: FieldKind): unknown => {
  const lines = () =>
    text
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean)
  if (kind === 'number' || kind === 'any') return numberOf(text)
  if (kind === 'boolean') return text === 'true'
  if (kind === 'lines') return lines()
  if (kind === 'numbers') return lines().map(numberOf)
  if (kind !== 'json') return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const setAt = (target: Record<string, unknown>, path: readonly string[], value: unknown): void => {
  const [key, ...rest] = path
  if (rest.length === 0) target[key] = value
  else setAt((target[key] ??= {}) as Record<string, unknown>, rest, value)
}

/** The recipe: what was typed, and the kind of each part that has settings of its own. */
export const recipeOf = (fields: readonly Field[], values: Values): Record<string, unknown> => {
  const recipe: Record<string, unknown> = {}
  for (const { name, path, kind, byDefault } of fields) {
    const typed = values[name] ?? ''
    if (typed !== '') setAt(recipe, path, parsedValue(typed, kind))
    else if (path.length > 1 && path.at(-1) === 'type' && byDefault !== undefined) {
      const part = path.slice(0, -1).join('.')
      if (fields.some((field) => isBelow(field.name, part) && (values[field.name] ?? '') !== ''))
        setAt(recipe, path, byDefault)
    }
  }
  return recipe
}

/** Keys of a run's recipe that a new run does not take over. */
const ownKeys = new Set(['command', 'out', 'recipeFile'])

/** Whether a setting is a list of texts, or an object of entries by name, as the tasks of a run of several are. */
const hasNamedEntries = ({ anyOf = [] }: FormSchema): boolean =>
  anyOf.some(({ type, properties }) => type === 'object' && properties === undefined) &&
  anyOf.some(({ type }) => type === 'array')

/** Entries by name as they are typed: `tone=sequence-classification,data=a.csv,settings.text=review`. */
const namedEntries = (entries: Record<string, unknown>): string[] => {
  const assignments = (value: unknown, path: string): string[] => {
    if (Array.isArray(value) && value.length === 1) return assignments(value[0], path)
    if (Array.isArray(value)) return [`${path}=${JSON.stringify(value)}`]
    if (typeof value !== 'object' || value === null) return [`${path}=${value}`]
    return Object.entries(value).flatMap(([key, inner]) => assignments(inner, `${path}.${key}`))
  }
  return Object.entries(entries).map(([name, entry]) => {
    const { type, ...fields } = asObject(entry)
    return [`${name}=${type}`, ...Object.entries(fields).flatMap(([key, value]) => assignments(value, key))].join(',')
  })
}

/** The settings of a recipe as they would be typed, without those that have their defaults. */
export const valuesOf = (form: Pick<RecipeForm, 'schema' | 'parts'>, recipe: Record<string, unknown>): Values => {
  const values: Record<string, string> = {}
  const flatten = (value: unknown, path: readonly string[]): void => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      for (const [key, inner] of Object.entries(value)) flatten(inner, [...path, key])
    else if (value !== undefined && value !== null) values[path.join('.')] = typedOf(value)
  }
  for (const [key, value] of Object.entries(recipe))
    if (!ownKeys.has(key)) {
      const schema = form.schema.properties?.[key]
      if (schema !== undefined && hasNamedEntries(schema)) values[key] = namedEntries(asObject(value)).join('\n')
      else flatten(value, [key])
    }
  const fields = fieldsOf(form, values)
  const kept = fields.filter(({ name, byDefault }) => values[name] !== undefined && values[name] !== (byDefault ?? ''))
  return Object.fromEntries(kept.map(({ name }) => [name, values[name]]))
}

/** A group of fields. */
export interface FieldGroup {
  name: string
  fields: Field[]
}

/** The essential fields, and the others by the part of the recipe that they are in. */
export const groupsOf = (form: RecipeForm, fields: readonly Field[]): { first: Field[]; groups: FieldGroup[] } => {
  const rank = ({ name }: Field) =>
    form.essentials.findIndex((essential) => name === essential || name === `${essential}.type`)
  const isFirst = (field: Field) => rank(field) >= 0 || field.required
  const first = fields.filter(isFirst).sort((a, b) => (rank(a) + 1 || 99) - (rank(b) + 1 || 99))
  const groups = new Map<string, FieldGroup>()
  for (const field of fields) {
    if (isFirst(field)) continue
    const name = field.path.length === 1 ? 'general' : field.path[0]
    const group = groups.get(name) ?? { name, fields: [] }
    groups.set(name, group)
    group.fields.push(field)
  }
  return { first, groups: [...groups.values()] }
}
