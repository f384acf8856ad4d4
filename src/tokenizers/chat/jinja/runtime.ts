// What a template runs on: scopes of variables, the output with the owners of its parts, and operators with Python's meaning.

import type { Span } from '../../text.ts'
import { arithmetic, percentFormat } from './numbers.ts'
import {
  Callable,
  checkLength,
  compare,
  contains,
  Float,
  isEqual,
  isNumber,
  iterate,
  type Named,
  Namespace,
  str,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
} from './values.ts'

/** Variables, the innermost first. */
export class Scope {
  readonly #names = new Map<string, unknown>()
  readonly #parent: Scope | undefined

  /** @param missing called for a name that no scope has, and may throw */
  constructor(
    parent?: Scope,
    readonly missing?: (name: string) => void,
  ) {
    this.#parent = parent
  }

  get(name: string): unknown {
    for (let scope: Scope | undefined = this; scope !== undefined; scope = scope.#parent) {
      if (scope.#names.has(name)) return scope.#names.get(name)
      scope.missing?.(name)
    }
    return new Undefined(`'${name}' is undefined`)
  }

  set(name: string, value: unknown): void {
    this.#names.set(name, value)
  }
}

/** Text that a template writes, with the parts that were written while a loop was at a value. */
export class Output {
  #parts: string[] = []
  #length = 0
  /** The number of the value that a loop is at. */
  owner: number | undefined
  /** Parts by the number of their value, in order. */
  readonly owned: { owner: number; span: Span }[] = []
  /** What generation tags enclose. */
  readonly generations: Span[] = []

  /** @param owners numbers of the values whose parts are noted; none for text that is captured */
  constructor(readonly owners?: ReadonlyMap<unknown, number>) {}

  get length(): number {
    return this.#length
  }

  get text(): string {
    return this.#parts.join('')
  }

  write(text: string): void {
    if (text === '') return
    const start = this.#length
    this.#parts.push(text)
    this.#length += text.length
    checkLength(this.#length)
    if (this.owner === undefined) return
    const last = this.owned.at(-1)
    if (last?.owner === this.owner && last.span[1] === start) last.span = [last.span[0], this.#length]
    else this.owned.push({ owner: this.owner, span: [start, this.#length] })
  }
}

/** What ends the body of a loop early. */
export type Signal = 'break' | 'continue' | undefined
export type Expression = (scope: Scope) => unknown
export type Statement = (scope: Scope, out: Output) => Signal

/** Runs statements up to one that ends a loop. */
export const runAll = (statements: readonly Statement[], scope: Scope, out: Output): Signal => {
  for (const statement of statements) {
    const signal = statement(scope, out)
    if (signal !== undefined) return signal
  }
  return undefined
}

/** The text that statements write. */
export const capture = (statements: readonly Statement[], scope: Scope): string => {
  const out = new Output()
  runAll(statements, scope, out)
  return out.text
}

/** What is assigned: a name, an attribute of a namespace, or several of them. */
export type Target = string | { readonly object: string; readonly attribute: string } | readonly Target[]

export const assign = (scope: Scope, target: Target, value: unknown): void => {
  if (typeof target === 'string') {
    scope.set(target, value)
    return
  }
  if ('object' in target) {
    const object = scope.get(target.object)
    if (!(object instanceof Namespace)) throw new TemplateError('cannot assign attribute on non-namespace object')
    if (target.attribute.startsWith('_'))
      throw new TemplateError('Chat templates cannot store underscore-prefixed attributes on a namespace')
    object.fields.set(target.attribute, value)
    return
  }
  const values = iterate(value)
  const expected = target.length
  if (values.length < expected)
    throw new TemplateError(`not enough values to unpack (expected ${expected}, got ${values.length})`)
  if (values.length > expected) throw new TemplateError(`too many values to unpack (expected ${expected})`)
  for (const [i, one] of target.entries()) assign(scope, one, values[i])
}

/** Calls a function, method or macro. @throws TemplateError for a value that cannot be called */
export const callValue = (callee: unknown, given: unknown[], named: Named): unknown => {
  if (callee instanceof Undefined) callee.use()
  const target = callee instanceof Namespace ? callee.fields.get('__call__') : callee
  if (target instanceof Callable) return target.call(given, named)
  throw new TemplateError(`'${typeName(callee)}' object is not callable`)
}

const add = (a: unknown, b: unknown): unknown => {
  if (typeof a === 'string' && typeof b === 'string') {
    checkLength(a.length + b.length)
    return a + b
  }
  if (Array.isArray(a) && Array.isArray(b) && a instanceof Tuple === b instanceof Tuple) {
    checkLength(a.length + b.length)
    return a instanceof Tuple ? Tuple.from([...a, ...b]) : [...a, ...b]
  }
  if (isNumber(a) && isNumber(b)) return arithmetic('+', a, b)
  for (const one of [a, b]) if (one instanceof Undefined) one.use()
  const kind = typeof a === 'string' ? 'str' : a instanceof Tuple ? 'tuple' : Array.isArray(a) ? 'list' : undefined
  if (kind !== undefined) throw new TemplateError(`can only concatenate ${kind} (not "${typeName(b)}") to ${kind}`)
  return arithmetic('+', a, b)
}

const repeat = (value: unknown, times: unknown): unknown => {
  const count = Math.max(0, Number(times))
  if (typeof value === 'string') {
    checkLength(value.length * count)
    return value.repeat(count)
  }
  const list = value as unknown[]
  checkLength(list.length * count)
  const all = Array.from({ length: count }, () => [...list]).flat()
  return value instanceof Tuple ? Tuple.from(all) : all
}

const multiply = (a: unknown, b: unknown): unknown => {
  const isSequence = (value: unknown) => typeof value === 'string' || Array.isArray(value)
  if (isSequence(a) && typeof b === 'number') return repeat(a, b)
  if (isSequence(b) && typeof a === 'number') return repeat(b, a)
  return arithmetic('*', a, b)
}

/** Operators of two values. */
export const binary: { readonly [operator: string]: (a: unknown, b: unknown) => unknown } = {
  '+': add,
  '-': (a, b) => arithmetic('-', a, b),
  '*': multiply,
  '/': (a, b) => arithmetic('/', a, b),
  '//': (a, b) => arithmetic('//', a, b),
  '%': (a, b) => (typeof a === 'string' ? percentFormat(a, b) : arithmetic('%', a, b)),
  '**': (a, b) => arithmetic('**', a, b),
  '~': (a, b) => {
    const text = str(a) + str(b)
    checkLength(text.length)
    return text
  },
  '==': isEqual,
  '!=': (a, b) => !isEqual(a, b),
  '<': (a, b) => compare(a, b, '<') < 0,
  '<=': (a, b) => compare(a, b, '<=') <= 0,
  '>': (a, b) => compare(a, b, '>') > 0,
  '>=': (a, b) => compare(a, b, '>=') >= 0,
  in: (a, b) => contains(b, a),
  'not in': (a, b) => !contains(b, a),
}

/** `-x` and `+x`. */
export const signed = (operator: string, value: unknown): unknown => {
  if (value instanceof Undefined) value.use()
  if (!isNumber(value)) throw new TemplateError(`bad operand type for unary ${operator}: '${typeName(value)}'`)
  // -0 is an int in Python, as 0 is.
  if (value instanceof Float) return new Float(operator === '-' ? -value.value : value.value)
  const exact = typeof value === 'bigint' ? value : Number(value)
  return operator === '-' && exact !== 0 ? -exact : exact
}
