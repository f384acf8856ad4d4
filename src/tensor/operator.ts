// Turns an entry of the operator lists into a function: looks the operator up in libtorch's dispatcher, picks the overload,
// places arguments by the schema's names, and converts errors.
import { ConfigError, didYouMean, NativeError, ShapeError } from '../core/index.ts'
import { expectDevice } from './device.ts'
import { dtypeFacts, expectDtype, isDtype } from './dtype.ts'
import { describeValue, toOneLine, toTypedError } from './error-messages.ts'
import { Generator } from './generator.ts'
import { native, type OperatorSchema } from './native.ts'
import type { AnySignature, OperatorEntry } from './operator-entry.ts'
import { Tensor } from './tensor.ts'

type ParameterKind = 'positional' | 'option' | 'never'

/** A parsed overload. */
export interface Declaration {
  operator: string
  overload: string
  /** Arguments in the schema's order. */
  parameters: { name: string; passed: ParameterKind }[]
}

const kindOfPrefix: Record<string, ParameterKind | undefined> = { '*': 'option', '-': 'never' }

/** Parses an overload as written in the operator lists. */
export const parseDeclaration = (text: string): Declaration => {
  const match = /^(\w+::\w+)(?:\.(\w+))?\(([^)]*)\)$/.exec(text)
  if (match === null) throw new Error(`Malformed operator declaration: ${text}`)
  const parameters = match[3]
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part.length > 0)
    .map((part): Declaration['parameters'][number] => {
      const passed: ParameterKind = kindOfPrefix[part[0]] ?? 'positional'
      return { name: passed === 'positional' ? part : part.slice(1), passed }
    })
  return { operator: match[1], overload: match[2] ?? '', parameters }
}

/** libtorch's spelling of an argument name; names in capitals, such as `A`, are as they are. */
export const snakeCase = (name: string) =>
  /^[A-Z]+$/.test(name) ? name : name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

const reductions: Record<string, number> = { none: 0, mean: 1, sum: 2 }

type Converter = (value: unknown) => unknown

const handleOf = (value: unknown): unknown => (value instanceof Tensor ? value.use() : value)

const convertDtype: Converter = (value) =>
  typeof value === 'string' && isDtype(value) ? dtypeFacts(value).code : value

/** Internal code also creates tensors without memory, on the device `meta`. */
const checkedDevice: Converter = (value) =>
  value === 'meta' || typeof value !== 'string' ? value : expectDevice(value)

const maxChunks = 2 ** 20

/** libtorch splits an empty dimension into any number of parts, which could fill the memory. */
const boundedCount: Converter = (value) => {
  if (typeof value === 'number' && value > maxChunks)
    throw new ShapeError(`Expected at most ${maxChunks} for \`chunks\`, got ${value}.`)
  return value
}

/** Converts a value of a schema type to what the addon takes. */
const converterFor = (name: string, type: string): Converter => {
  const plain = type.replace('?', '')
  if (plain === 'Tensor') return handleOf
  if (type.startsWith('Tensor') && type.includes('[]'))
    return (value) => (Array.isArray(value) ? value.map(handleOf) : value)
  if (plain === 'ScalarType') return convertDtype
  if (plain === 'Device') return checkedDevice
  if (plain === 'Generator') return (value) => (value instanceof Generator ? value.external : value)
  if (name === 'chunks') return boundedCount
  if (name === 'reduction') return (value) => (typeof value === 'string' ? reductions[value] : value)
  return (value) => value
}

type Acceptor = (value: unknown) => boolean

const isTensor: Acceptor = (value) => value instanceof Tensor

/** Whether a value fits a schema type that takes no null; decides between overloads. */
const acceptorOf = (name: string, plain: string): Acceptor => {
  if (plain === 'Tensor') return isTensor
  if (plain.startsWith('Tensor') || plain.startsWith('List[Optional[Tensor')) {
    const part: Acceptor = plain === 'Tensor[]' ? isTensor : (value) => value === null || isTensor(value)
    return (value) => Array.isArray(value) && value.every(part)
  }
  if (plain.endsWith('[]')) {
    const integers = /^(int|SymInt)/.test(plain)
    return (value) => Array.isArray(value) || (integers && typeof value === 'number')
  }
  if (plain === 'ScalarType') return (value) => typeof value === 'string' && isDtype(value)
  if (plain === 'Generator') return (value) => value instanceof Generator
  if (plain === 'bool') return (value) => typeof value === 'boolean'
  if (plain === 'str' || plain === 'Device' || plain === 'Any') return (value) => typeof value === 'string'
  const number: Acceptor = (value) => typeof value === 'number' || typeof value === 'bigint'
  if (name === 'reduction')
    return (value) => (typeof value === 'string' && Object.hasOwn(reductions, value)) || number(value)
  if (plain === 'Scalar' || plain === 'number') return (value) => number(value) || typeof value === 'boolean'
  return number
}

/** Made once for each argument, as operators are called many times. */
const acceptorFor = (name: string, type: string): Acceptor => {
  const accepts = acceptorOf(name, type.replace(/\?$/, ''))
  return type.endsWith('?') ? (value) => value === null || accepts(value) : (value) => value !== null && accepts(value)
}

interface Resolved {
  declaration: Declaration
  schema: OperatorSchema
  /** Index in the schema of each positional parameter. */
  positions: number[]
  required: number
  options: Map<string, number>
  acceptors: Acceptor[]
  converters: Converter[]
  returnsTensors: boolean[]
}

const resolve = (text: string): Resolved => {
  const declaration = parseDeclaration(text)
  const schema = native.operator(declaration.operator, declaration.overload)
  const positions: number[] = []
  const options = new Map<string, number>()
  let required = 0
  for (const { name, passed } of declaration.parameters) {
    const place = schema.arguments.findIndex((argument) => argument.name === snakeCase(name))
    if (place < 0) {
      if (passed === 'never') continue
      throw new NativeError(`libtorch's ${text} has no argument \`${snakeCase(name)}\` in this version.`)
    }
    if (passed === 'positional') {
      positions.push(place)
      if (!schema.arguments[place].hasDefault && !schema.arguments[place].optional) required = positions.length
    } else if (passed === 'option') options.set(name, place)
  }
  return {
    declaration,
    schema,
    positions,
    required,
    options,
    acceptors: schema.arguments.map(({ name, type }) => acceptorFor(name, type)),
    converters: schema.arguments.map(({ name, type }) => converterFor(name, type)),
    returnsTensors: schema.returns.map((type) => type.startsWith('Tensor')),
  }
}

const isOptions = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

const matches = (
  candidate: Resolved,
  values: readonly unknown[],
  options: Record<string, unknown> | undefined,
): boolean => {
  if (values.length < candidate.required || values.length > candidate.positions.length) return false
  for (let i = 0; i < values.length; i++) {
    if (values[i] !== undefined && !candidate.acceptors[candidate.positions[i]](values[i])) return false
  }
  if (options === undefined) return true
  for (const key in options) {
    const place = candidate.options.get(key)
    if (options[key] === undefined) continue
    if (place === undefined || !candidate.acceptors[place](options[key])) return false
  }
  return true
}

/** The schema's type of a positional argument. */
const typeAt = ({ schema, positions }: Resolved, i: number): string | undefined =>
  i < positions.length ? schema.arguments[positions[i]].type.replace('?', '') : undefined

/** The error of a call that fits no overload. @throws ConfigError for an unknown dtype or device */
const argumentError = (
  name: string,
  candidates: readonly Resolved[],
  values: readonly unknown[],
  options: object | undefined,
): Error => {
  const known = new Set(candidates.flatMap((candidate) => [...candidate.options.keys()]))
  for (const [key, value] of Object.entries(options ?? {})) {
    if (!known.has(key))
      return new ConfigError(toOneLine(`Unknown option \`${key}\` of ${name}.${didYouMean(key, known)}`))
    if (key === 'dtype') expectDtype(value)
    if (key === 'device') expectDevice(value)
  }
  for (const [i, value] of values.entries())
    if (typeof value === 'string' && candidates.some((candidate) => typeAt(candidate, i) === 'ScalarType'))
      expectDtype(value)
  const forms = candidates.map(({ declaration, schema }) => {
    const typed = (passed: ParameterKind) =>
      declaration.parameters
        .filter((parameter) => parameter.passed === passed)
        .map(({ name: parameter }) => {
          const type = schema.arguments.find((argument) => argument.name === snakeCase(parameter))?.type
          return `${parameter}: ${type}`
        })
    const parts = typed('positional')
    const keys = typed('option')
    if (keys.length > 0) parts.push(`{ ${keys.join(', ')} }`)
    return `${name}(${parts.join(', ')})`
  })
  const got = [...values, ...(options === undefined ? [] : [options])].map((value) => describeValue(value)).join(', ')
  return new ShapeError(`Expected arguments for ${forms.join(' or ')}, got (${got}).`)
}

/** Entries of the operators that are functions, by name; tests compare them with libtorch's schemas. */
export const functions: Record<string, OperatorEntry<AnySignature>> = {}

/** An operator as a function. `name` is that of the export; `overloads` are written as in `entry`. */
export const operator = <Signature extends AnySignature>(name: string, ...overloads: string[]): Signature => {
  functions[name] = { overloads }
  return callable(name, functions[name]) as Signature
}

/** The function of one entry; its operators are looked up at the first call. */
export const callable = (
  name: string,
  { overloads }: OperatorEntry<AnySignature>,
): ((...values: unknown[]) => unknown) => {
  let candidates: Resolved[] | undefined
  return (...given) => {
    candidates ??= overloads.map(resolve)
    let options: Record<string, unknown> | undefined
    let count = given.length
    while (count > 0 && given[count - 1] === undefined) count--
    if (count > 0 && isOptions(given[count - 1])) options = given[--count] as Record<string, unknown>
    const values = count === given.length ? given : given.slice(0, count)
    const chosen = candidates.find((candidate) => matches(candidate, values, options))
    if (chosen === undefined) {
      for (const value of values) if (value instanceof Tensor) value.use()
      throw argumentError(name, candidates, values, options)
    }
    const { schema, positions, converters } = chosen
    const placed: unknown[] = new Array(schema.arguments.length)
    let result: unknown
    try {
      for (let i = 0; i < values.length; i++) placed[positions[i]] = converters[positions[i]](values[i])
      if (options !== undefined)
        for (const key in options) {
          const place = chosen.options.get(key)
          if (place !== undefined) placed[place] = converters[place](options[key])
        }
      result = native.call(schema.id, ...placed)
    } catch (error) {
      throw toTypedError(name, given, error)
    }
    if (schema.inPlace) return values[0] instanceof Tensor ? values[0] : undefined
    if (chosen.returnsTensors.length === 1) return chosen.returnsTensors[0] ? wrap(result) : result
    return (result as unknown[] | undefined)?.map((part, i) => (chosen.returnsTensors[i] ? wrap(part) : part))
  }
}

const wrap = (result: unknown): unknown =>
  Array.isArray(result)
    ? result.map((handle) => Tensor.fromHandle(handle as number))
    : Tensor.fromHandle(result as number)
