// Parses templates into functions and runs them, as Jinja does in the sandbox of transformers.
import type { Span } from '../../text.ts'
import { ExpressionParser } from './expressions.ts'
import { Lexer, type TemplateOptions } from './lexer.ts'
import {
  assign,
  callValue,
  capture,
  type Expression,
  Output,
  runAll,
  Scope,
  type Signal,
  type Statement,
  type Target,
} from './runtime.ts'
import {
  Callable,
  isEqual,
  isTrue,
  iterate,
  type Named,
  Namespace,
  str,
  TemplateError,
  Tuple,
  toValue,
  Undefined,
} from './values.ts'

interface Parameter {
  name: string
  otherwise: Expression | undefined
}

/** A macro, or the body of a call block. */
const macroOf = (name: string | null, parameters: readonly Parameter[], body: readonly Statement[], defined: Scope) =>
  new Callable(name ?? 'caller', (given, named) => {
    const scope = new Scope(defined)
    const rest = new Map(named)
    const caller = rest.get('caller')
    rest.delete('caller')
    parameters.forEach((parameter, i) => {
      const { name: own, otherwise } = parameter
      let value = given[i]
      if (i >= given.length && rest.has(own)) value = rest.get(own)
      else if (i >= given.length)
        value = otherwise === undefined ? new Undefined(`parameter '${own}' was not provided`) : otherwise(scope)
      rest.delete(own)
      scope.set(own, value)
    })
    const shown = name === null ? 'None' : `'${name}'`
    scope.set('varargs', Tuple.from(given.slice(parameters.length)))
    scope.set('kwargs', rest)
    scope.set('caller', caller ?? new Undefined('No caller defined'))
    const uses = used.get(body)
    if (rest.size > 0 && uses?.has('kwargs') !== true)
      throw new TemplateError(`macro ${shown} takes no keyword argument '${[...rest.keys()][0]}'`)
    if (given.length > parameters.length && uses?.has('varargs') !== true)
      throw new TemplateError(`macro ${shown} takes not more than ${parameters.length} argument(s)`)
    return capture(body, scope)
  })

/** Names that the bodies of macros use: further arguments are only taken where they are used. */
const used = new WeakMap<readonly Statement[], Set<string>>()

/** The variable `loop`. */
const loopOf = (items: readonly unknown[], i: number, depth: number, changes: { before?: unknown[] }): Namespace => {
  const loop = new Namespace()
  const { length } = items
  const fields: [string, unknown][] = [
    ['index', i + 1],
    ['index0', i],
    ['revindex', length - i],
    ['revindex0', length - i - 1],
    ['first', i === 0],
    ['last', i === length - 1],
    ['length', length],
    ['depth', depth],
    ['depth0', depth - 1],
    ['previtem', i > 0 ? items[i - 1] : new Undefined('there is no previous item')],
    ['nextitem', i < length - 1 ? items[i + 1] : new Undefined('there is no next item')],
    ['cycle', new Callable('cycle', (given) => given[i % given.length])],
    [
      'changed',
      new Callable('changed', (given) => {
        const isSame = changes.before !== undefined && isEqual(changes.before, given)
        changes.before = given
        return !isSame
      }),
    ],
  ]
  for (const [name, value] of fields) loop.fields.set(name, value)
  return loop
}

interface Loop {
  target: Target
  iterable: Expression
  test: Expression | undefined
  body: readonly Statement[]
  otherwise: readonly Statement[]
  isRecursive: boolean
}

const runLoop = (loop: Loop, values: unknown, scope: Scope, out: Output, depth: number): void => {
  const { target, test, body, otherwise, isRecursive } = loop
  if (values instanceof Undefined && values.message.includes('unsafe')) values.use()
  const items = iterate(values).filter((item) => {
    if (test === undefined) return true
    const inner = new Scope(scope)
    assign(inner, target, item)
    return isTrue(test(inner))
  })
  if (items.length === 0) {
    runAll(otherwise, new Scope(scope), out)
    return
  }
  const changes = {}
  const { owner } = out
  for (const [i, item] of items.entries()) {
    const inner = new Scope(scope)
    const variable = loopOf(items, i, depth, changes)
    if (isRecursive)
      variable.fields.set(
        '__call__',
        new Callable('loop', ([again]) => {
          const captured = new Output()
          runLoop(loop, again, scope, captured, depth + 1)
          return captured.text
        }),
      )
    inner.set('loop', variable)
    assign(inner, target, item)
    out.owner = out.owners?.get(item) ?? owner
    const signal = runAll(body, inner, out)
    out.owner = owner
    if (signal === 'break') break
  }
}

class TemplateParser extends ExpressionParser {
  readonly #tags: { readonly [name: string]: () => Statement } = {
    for: () => this.#for(),
    if: () => this.#if(),
    set: () => this.#set(),
    macro: () => this.#macro(),
    call: () => this.#call(),
    filter: () => this.#filter(),
    with: () => this.#with(),
    block: () => this.#block(),
    generation: () => this.#generation(),
    break: () => this.#signal('break'),
    continue: () => this.#signal('continue'),
  }

  template(): Statement[] {
    return this.#body().statements
  }

  /** Statements up to a tag of these names, which is taken up to its name. */
  #body(...ends: string[]): { statements: Statement[]; end: string } {
    const statements: Statement[] = []
    while (!this.is('eof')) {
      if (this.is('text')) {
        const text = this.expect('text')
        statements.push((_, out) => void out.write(text))
      } else if (this.skip('open')) {
        const value = this.tuple()
        this.expect('close')
        statements.push((scope, out) => void out.write(str(value(scope))))
      } else {
        this.expect('begin')
        const { value: name, line } = this.token
        this.expect('name')
        if (ends.includes(name)) return { statements, end: name }
        if (!Object.hasOwn(this.#tags, name))
          throw new TemplateError(
            `Encountered unknown tag '${name}'.${ends.length > 0 ? ` Expected one of ${ends.join(', ')} in line ${line}.` : ''}`,
          )
        statements.push(this.#tags[name]())
      }
    }
    if (ends.length > 0)
      throw new TemplateError(
        `Unexpected end of template. Jinja was looking for the following tags: ${ends.join(', ')}.`,
      )
    return { statements, end: '' }
  }

  /** The body of a tag, up to its end tag. */
  #until(end: string): Statement[] {
    const { statements } = this.#body(end)
    this.skip('name')
    this.expect('end')
    return statements
  }

  #target(): Target {
    const names: Target[] = []
    let isTuple = false
    do {
      if (this.word('in')) break
      if (this.operator('(') !== undefined) {
        names.push(this.#target())
        this.expect('operator', ')')
      } else {
        const name = this.expect('name')
        names.push(this.operator('.') === undefined ? name : { object: name, attribute: this.expect('name') })
      }
      if (!this.is('operator', ',')) break
      isTuple = true
    } while (this.operator(',') !== undefined)
    return isTuple ? names : names[0]
  }

  #for(): Statement {
    const target = this.#target()
    this.expect('name', 'in')
    const iterable = this.#iterable()
    const test = this.skip('name', 'if') ? this.condition() : undefined
    const isRecursive = this.skip('name', 'recursive')
    this.expect('end')
    const { statements: body, end } = this.#body('endfor', 'else')
    this.expect('end')
    const otherwise = end === 'else' ? this.#until('endfor') : []
    const loop: Loop = { target, iterable, test, body, otherwise, isRecursive }
    return (scope, out) => void runLoop(loop, iterable(scope), scope, out, 1)
  }

  /** What a loop is over: an expression without a condition, or several with commas. */
  #iterable(): Expression {
    const items = [this.or()]
    while (this.operator(',') !== undefined) items.push(this.or())
    return items.length === 1 ? items[0] : (scope) => Tuple.from(items.map((item) => item(scope)))
  }

  #if(): Statement {
    const branches: { test: Expression; body: Statement[] }[] = []
    let otherwise: Statement[] = []
    let next = 'elif'
    while (next === 'elif') {
      const test = this.tuple()
      this.expect('end')
      const { statements, end } = this.#body('elif', 'else', 'endif')
      branches.push({ test, body: statements })
      next = end
    }
    this.expect('end')
    if (next === 'else') otherwise = this.#until('endif')
    return (scope, out) => {
      const found = branches.find(({ test }) => isTrue(test(scope)))
      return runAll(found?.body ?? otherwise, scope, out)
    }
  }

  #set(): Statement {
    const target = this.#target()
    if (this.operator('=') !== undefined) {
      const value = this.tuple()
      this.expect('end')
      return (scope) => void assign(scope, target, value(scope))
    }
    let text: Expression = (scope) => scope.get('')
    let isFiltered = false
    while (this.operator('|') !== undefined) {
      text = this.filter(text)
      isFiltered = true
    }
    this.expect('end')
    const body = this.#until('endset')
    return (scope) => {
      const captured = capture(body, new Scope(scope))
      const inner = new Scope(scope)
      inner.set('', captured)
      assign(scope, target, isFiltered ? text(inner) : captured)
      return undefined
    }
  }

  #parameters(): Parameter[] {
    const parameters: Parameter[] = []
    this.expect('operator', '(')
    while (!this.is('operator', ')')) {
      const name = this.expect('name')
      parameters.push({ name, otherwise: this.operator('=') === undefined ? undefined : this.condition() })
      if (this.operator(',') === undefined) break
    }
    this.expect('operator', ')')
    return parameters
  }

  /** The body of a macro, with the names that it uses. */
  #macroBody(end: string): Statement[] {
    const from = this.at
    const body = this.#until(end)
    const names = this.tokens.slice(from, this.at).flatMap(({ kind, value }) => (kind === 'name' ? [value] : []))
    used.set(body, new Set(names))
    return body
  }

  #macro(): Statement {
    const name = this.expect('name')
    const parameters = this.#parameters()
    this.expect('end')
    const body = this.#macroBody('endmacro')
    return (scope) => void scope.set(name, macroOf(name, parameters, body, scope))
  }

  #call(): Statement {
    const parameters = this.is('operator', '(') ? this.#parameters() : []
    const { line } = this.token
    this.unary(false)
    // The call gets the body as one more argument.
    const { lastCall: call } = this
    if (call === undefined) throw new TemplateError(`expected call in line ${line}`)
    this.expect('end')
    const body = this.#macroBody('endcall')
    return (scope, out) => {
      const { given, named } = call.given(scope)
      const caller = macroOf(null, parameters, body, scope)
      out.write(str(callValue(call.callee(scope), given, new Map([...named, ['caller', caller]]))))
      return undefined
    }
  }

  #filter(): Statement {
    const change = this.filter((scope) => scope.get(''))
    let text = change
    while (this.operator('|') !== undefined) text = this.filter(text)
    this.expect('end')
    const body = this.#until('endfilter')
    return (scope, out) => {
      const inner = new Scope(scope)
      inner.set('', capture(body, inner))
      out.write(str(text(inner)))
      return undefined
    }
  }

  #with(): Statement {
    const values: [Target, Expression][] = []
    while (!this.is('end')) {
      const target = this.expect('name')
      this.expect('operator', '=')
      values.push([target, this.condition()])
      if (this.operator(',') === undefined) break
    }
    this.expect('end')
    const body = this.#until('endwith')
    return (scope, out) => {
      const inner = new Scope(scope)
      for (const [target, value] of values) assign(inner, target, value(scope))
      return runAll(body, inner, out)
    }
  }

  #block(): Statement {
    this.expect('name')
    this.expect('end')
    const body = this.#until('endblock')
    return (scope, out) => runAll(body, new Scope(scope), out)
  }

  #generation(): Statement {
    this.expect('end')
    const body = this.#until('endgeneration')
    return (scope, out) => {
      const from = out.length
      runAll(body, new Scope(scope), out)
      out.generations.push([from, out.length])
      return undefined
    }
  }

  #signal(signal: Exclude<Signal, undefined>): Statement {
    this.expect('end')
    return () => signal
  }
}

/** A parsed template. */
export type Program = readonly Statement[]

/** @throws TemplateError for a template that is not Jinja */
export const parseTemplate = (source: string, options?: TemplateOptions): Program =>
  new TemplateParser(new Lexer(source, options).tokens()).template()

const namespaceOf = (given: unknown[], named: Named): Namespace => {
  const namespace = new Namespace()
  const [from] = given
  const entries = from instanceof Map ? [...(from as Map<string, unknown>), ...named] : [...named]
  for (const [name, value] of entries) namespace.fields.set(str(name), value)
  return namespace
}

const globals: readonly [string, Callable][] = [
  ['namespace', new Callable('namespace', namespaceOf)],
  [
    'dict',
    new Callable('dict', ([from], named) => {
      const pairs = from === undefined ? [] : from instanceof Map ? [...from] : iterate(from).map(iterate)
      return new Map([...(pairs as [unknown, unknown][]), ...named])
    }),
  ],
]

/** What a template wrote. */
export interface Rendered {
  text: string
  /** What generation tags enclose. */
  generations: readonly Span[]
  /** Parts that were written while a loop was at a message, by its number. */
  owned: Output['owned']
}

/**
 * Runs a template.
 * @param missing called for a name that nothing defines, before it is undefined
 * @throws TemplateError for an error of the template, and what `functions` and `missing` throw
 */
export const runTemplate = (
  program: Program,
  variables: { readonly [name: string]: unknown },
  functions: { readonly [name: string]: (given: unknown[], named: Named) => unknown } = {},
  missing?: (name: string) => void,
): Rendered => {
  const scope = new Scope(undefined, missing)
  for (const [name, value] of globals) scope.set(name, value)
  for (const [name, call] of Object.entries(functions)) scope.set(name, new Callable(name, call))
  for (const [name, value] of Object.entries(variables)) scope.set(name, toValue(value))
  const messages = Object.hasOwn(variables, 'messages') ? scope.get('messages') : undefined
  const out = new Output(new Map(Array.isArray(messages) ? messages.map((message, i) => [message, i]) : []))
  runAll(program, new Scope(scope), out)
  return { text: out.text, generations: out.generations, owned: out.owned }
}

export { TemplateError }
