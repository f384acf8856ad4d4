// JSON schemas as grammars: every text of the grammar is valid by the schema. A keyword that a grammar cannot hold is an error,
// so that nothing invalid is ever written.
import { ConfigError, show } from '../../core/index.ts'
import { automatonNode } from './automaton.ts'
import { Languages } from './languages.ts'
import {
  anyOf,
  choice,
  type Effort,
  hasText,
  literal,
  type Node,
  nothing,
  oneOf,
  optional,
  reference,
  repeat,
  sequence,
} from './nodes.ts'
import { maxDigits, numberAutomaton } from './number-range.ts'
import { countOf, isObject, type Schema, StringGrammars, string, stringKeywords } from './strings.ts'

const maxDepth = 64
const maxSchemas = 5000

const digit = oneOf([0x30, 0x39])
const natural = choice(literal('0'), sequence(oneOf([0x31, 0x39]), repeat(digit, 0, maxDigits - 1)))
const minus = optional(literal('-'))
const integer = sequence(minus, natural)
/** A number of 0 or more. */
const positive = sequence(
  natural,
  optional(sequence(literal('.'), repeat(digit, 1, maxDigits))),
  optional(sequence(anyOf('eE'), optional(anyOf('+-')), repeat(digit, 1, 2))),
)
const number = sequence(minus, positive)
/** White space between parts: none, a space, or a new line with its indentation. */
const space = choice(nothing, literal(' '), sequence(literal('\n'), repeat(literal(' '), 0, 24)))

/** Parts in brackets with commas between them. */
const listed = (open: string, parts: Node, close: string): Node =>
  sequence(literal(open), space, parts, space, literal(close))
const comma = sequence(space, literal(','), space)
const colon = sequence(space, literal(':'), space)

const anyValue: Node = reference(() => value)
const member = sequence(string(), colon, anyValue)
const anyObject = listed('{', optional(sequence(member, repeat(sequence(comma, member)))), '}')
const value: Node = choice(
  anyObject,
  listed('[', optional(sequence(anyValue, repeat(sequence(comma, anyValue)))), ']'),
  string(),
  number,
  literal('true'),
  literal('false'),
  literal('null'),
)

export const anyJsonObject = anyObject

/** Keywords that say nothing of which values are valid. */
const annotations = [
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
  '$schema',
  '$id',
  '$comment',
  '$defs',
  'definitions',
  'nullable',
]

const numericKeywords = ['minimum', 'exclusiveMinimum', 'maximum', 'exclusiveMaximum', 'multipleOf']

const keywords: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems'],
  string: stringKeywords,
  number: numericKeywords,
  integer: numericKeywords,
  boolean: [],
  null: [],
}

const boundOf = (schema: Schema, key: string, where: string): number | undefined => {
  const given = schema[key]
  if (given === undefined || typeof given === 'number') return given
  throw new ConfigError(`Expected a number for \`${where}.${key}\`, got ${show(given)}.`)
}

const sides = [
  ['minimum', 'least', false],
  ['exclusiveMinimum', 'least', true],
  ['maximum', 'most', false],
  ['exclusiveMaximum', 'most', true],
] as const

/** Numbers within the bounds of a schema. @throws ConfigError where there are none */
const numberOf = (schema: Schema, isInteger: boolean, where: string, effort: Effort): Node => {
  const bounds = sides.flatMap(([key, side, isExclusive]) => {
    const value = boundOf(schema, key, where)
    return value === undefined ? [] : [{ value, side, isExclusive }]
  })
  const multipleOf = boundOf(schema, 'multipleOf', where)
  if (multipleOf !== undefined && multipleOf <= 0)
    throw new ConfigError(`Expected a number above 0 for \`${where}.multipleOf\`, got ${multipleOf}.`)
  if (multipleOf === undefined && bounds.length === 0) return isInteger ? integer : number
  // The most common bound, which is a sign that is left out.
  if (multipleOf === undefined && schema.minimum === 0 && bounds.length === 1) return isInteger ? natural : positive
  const given = numericKeywords.filter((key) => schema[key] !== undefined)
  const shown = given.map((key) => `\`${key}\` ${String(schema[key])}`).join(', ')
  let found: Node | undefined
  try {
    found = automatonNode(numberAutomaton({ isInteger, bounds, multipleOf }), effort)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const advice =
      multipleOf === undefined ? '' : ' Large multiples need `minimum` and `maximum` that leave few of them.'
    throw new ConfigError(`\`${where}\` with ${shown} is not supported: ${error.message}${advice}`)
  }
  if (found !== undefined) return found
  throw new ConfigError(
    `No ${isInteger ? 'integer' : 'number'} of at most ${maxDigits} digits follows \`${where}\` with ${shown}. Change the bounds.`,
  )
}

/** Makes the grammar of one document. */
class Compiler {
  readonly #root: unknown
  readonly #known = new Map<unknown, Node>()
  readonly #languages = new Languages()
  readonly #strings = new StringGrammars(this.#languages)

  constructor(root: unknown) {
    this.#root = root
  }

  compile(schema: unknown, where: string, depth = 0): Node {
    if (depth > maxDepth)
      throw new ConfigError(`Expected at most ${maxDepth} nested schemas, got more at \`${where}\`.`)
    if (schema === true) return anyValue
    if (schema === false)
      throw new ConfigError(`\`${where}\` is false: no value is valid. Remove it, or describe the value.`)
    if (!isObject(schema)) throw new ConfigError(`Expected a schema for \`${where}\`, got ${show(schema)}.`)
    const known = this.#known.get(schema)
    if (known !== undefined) return known
    if (this.#known.size > maxSchemas) throw new ConfigError(`Expected at most ${maxSchemas} schemas, got more.`)
    let made: Node | undefined
    // Schemas refer to themselves.
    this.#known.set(
      schema,
      reference(() => made as Node),
    )
    made = this.#make(schema, where, depth)
    return this.#known.get(schema) as Node
  }

  #make(schema: Schema, where: string, depth: number): Node {
    if (schema.type === 'string' && Array.isArray(schema.allOf)) return this.#stringOfAll(schema, schema.allOf, where)
    const combined = ['$ref', 'const', 'enum', 'anyOf', 'allOf'].filter((key) => schema[key] !== undefined)
    if (combined.length > 0) return this.#combine(schema, combined, where, depth)
    const types = [schema.type ?? this.#impliedType(schema)].flat()
    this.#expectKeywords(schema, types.flatMap((type) => keywords[String(type)] ?? []).concat('type'), where)
    if (types.length === 0) throw new ConfigError(`Expected at least one type for \`${where}.type\`, got none.`)
    return choice(...types.map((type) => this.#ofType(type, schema, where, depth)))
  }

  /** A text with further conditions, as zod writes several patterns. */
  #stringOfAll({ allOf, ...own }: Schema, given: readonly unknown[], where: string): Node {
    const conditions = [{ schema: own, where }]
    for (const [i, schema] of given.entries()) {
      const place = `${where}.allOf[${i}]`
      if (!isObject(schema)) throw new ConfigError(`Expected a schema for \`${place}\`, got ${show(schema)}.`)
      conditions.push({ schema: { type: 'string', ...schema }, where: place })
    }
    for (const { schema, where: place } of conditions) {
      this.#expectKeywords(schema, [...stringKeywords, 'type'], place)
      if (schema.type !== 'string')
        throw new ConfigError(
          `Expected the type string for \`${place}\`, as \`${where}\` has, got ${show(schema.type)}.`,
        )
    }
    return this.#strings.of(conditions)
  }

  #impliedType(schema: Schema): unknown {
    if (schema.properties !== undefined || schema.additionalProperties !== undefined) return 'object'
    if (schema.items !== undefined || schema.prefixItems !== undefined) return 'array'
    return 'any'
  }

  #expectKeywords(schema: Schema, allowed: readonly string[], where: string): void {
    const other = Object.keys(schema).find((key) => !allowed.includes(key) && !annotations.includes(key))
    if (other !== undefined)
      throw new ConfigError(
        `\`${where}.${other}\` is not supported: a text that follows it cannot be guaranteed. Remove the keyword.`,
      )
  }

  #combine(schema: Schema, [key, ...others]: string[], where: string, depth: number): Node {
    // A type beside an enumeration is common, and says nothing more.
    this.#expectKeywords(
      schema,
      others.length > 0 ? [] : key === 'const' || key === 'enum' ? [key, 'type'] : [key],
      where,
    )
    const given = schema[key]
    if (key === '$ref') return this.#refer(given, where)
    if (key === 'const') return literal(JSON.stringify(given))
    if (!Array.isArray(given) || given.length === 0)
      throw new ConfigError(`Expected a list with at least one element for \`${where}.${key}\`, got ${show(given)}.`)
    if (key === 'enum') return choice(...given.map((one) => literal(JSON.stringify(one))))
    if (key === 'allOf' && given.length > 1)
      throw new ConfigError(`\`${where}.allOf\` with several schemas is not supported. Write them as one.`)
    return choice(...given.map((one, i) => this.compile(one, `${where}.${key}[${i}]`, depth + 1)))
  }

  #refer(given: unknown, where: string): Node {
    const path = typeof given === 'string' && /^#(\/|$)/.test(given) ? given.slice(1).split('/').slice(1) : undefined
    if (path === undefined)
      throw new ConfigError(
        `Expected a reference in this schema, such as #/$defs/item, for \`${where}.$ref\`, got ${show(given)}.`,
      )
    let target: unknown = this.#root
    for (const part of path) {
      const key = decodeURIComponent(part).replace(/~1/g, '/').replace(/~0/g, '~')
      target =
        typeof target === 'object' && target !== null && Object.hasOwn(target, key)
          ? (target as Schema)[key]
          : undefined
    }
    if (target === undefined)
      throw new ConfigError(`Expected a schema for \`${where}.$ref\`, found none at ${show(given)}.`)
    return this.compile(target, String(given))
  }

  #ofType(type: unknown, schema: Schema, where: string, depth: number): Node {
    switch (type) {
      case 'any':
        return anyValue
      case 'object':
        return this.#objectOf(schema, where, depth)
      case 'array':
        return this.#arrayOf(schema, where, depth)
      case 'string':
        return this.#strings.of([{ schema, where }])
      case 'number':
        return numberOf(schema, false, where, this.#languages.effort)
      case 'integer':
        return numberOf(schema, true, where, this.#languages.effort)
      case 'boolean':
        return choice(literal('true'), literal('false'))
      case 'null':
        return literal('null')
      default:
        throw new ConfigError(
          `Expected one of ${Object.keys(keywords).join(', ')} for \`${where}.type\`, got ${show(type)}.`,
        )
    }
  }

  #objectOf(schema: Schema, where: string, depth: number): Node {
    const { properties = {}, required = [], additionalProperties: more } = schema
    if (!isObject(properties))
      throw new ConfigError(`Expected an object for \`${where}.properties\`, got ${show(properties)}.`)
    if (!Array.isArray(required))
      throw new ConfigError(`Expected a list for \`${where}.required\`, got ${show(required)}.`)
    const names = Object.keys(properties)
    const missing = required.find((name) => !names.includes(String(name)))
    if (missing !== undefined)
      throw new ConfigError(`\`${where}.required\` names ${show(missing)}, which \`properties\` does not describe.`)
    if (names.length === 0) {
      if (more === false) return listed('{', nothing, '}')
      const one = sequence(
        string(),
        colon,
        more === undefined ? anyValue : this.compile(more, `${where}.additionalProperties`, depth + 1),
      )
      return listed('{', optional(sequence(one, repeat(sequence(comma, one)))), '}')
    }
    // Properties come in the order of the schema; from the last to the first, with and without others before.
    let [first, later]: [Node, Node] = [nothing, nothing]
    for (const name of names.toReversed()) {
      const own = this.compile(properties[name], `${where}.properties.${name}`, depth + 1)
      const part = sequence(literal(JSON.stringify(name)), colon, own)
      const [asFirst, asLater] = [sequence(part, later), sequence(comma, part, later)]
      ;[first, later] = required.includes(name) ? [asFirst, asLater] : [choice(asFirst, first), choice(asLater, later)]
    }
    return listed('{', first, '}')
  }

  #arrayOf(schema: Schema, where: string, depth: number): Node {
    const { items = true, prefixItems = [] } = schema
    if (!Array.isArray(prefixItems))
      throw new ConfigError(`Expected a list for \`${where}.prefixItems\`, got ${show(prefixItems)}.`)
    const min = countOf(schema, 'minItems', 0, where)
    const max = countOf(schema, 'maxItems', Number.POSITIVE_INFINITY, where)
    if (min > max)
      throw new ConfigError(`Expected at least \`minItems\` (${min}) for \`${where}.maxItems\`, got ${max}.`)
    const prefix = prefixItems.slice(0, max).map((one, i) => this.compile(one, `${where}.prefixItems[${i}]`, depth + 1))
    const most = items === false ? 0 : max - prefix.length
    if (items === false && min > prefix.length)
      throw new ConfigError(
        `Expected at most ${prefix.length} for \`${where}.minItems\` without further items, got ${min}.`,
      )
    let rest: Node = nothing
    if (most > 0) {
      const one = this.compile(items, `${where}.items`, depth + 1)
      const after = Math.max(0, min - prefix.length)
      if (prefix.length > 0) rest = repeat(sequence(comma, one), after, most)
      else rest = sequence(one, repeat(sequence(comma, one), Math.max(0, after - 1), most - 1))
      if (prefix.length === 0 && after === 0) rest = optional(rest)
    }
    let parts = rest
    for (let i = prefix.length - 1; i >= 0; i--) {
      const whole = sequence(...(i > 0 ? [comma] : []), prefix[i], parts)
      parts = i < min ? whole : optional(whole)
    }
    return listed('[', parts, ']')
  }
}

/**
 * The grammar of the values of a schema.
 * @param where its name in errors
 * @throws ConfigError for a keyword that is not supported, and for a schema without any valid value
 */
export const jsonSchemaGrammar = (schema: unknown, where: string): Node => {
  const grammar = new Compiler(schema).compile(schema, where)
  if (hasText(grammar)) return grammar
  throw new ConfigError(`\`${where}\` has no valid value: it needs itself in every case. Make a property optional.`)
}
