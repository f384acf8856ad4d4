// Parses expressions into functions of the scope, with the precedence of Jinja.
import { runFilter, runTest } from './filters.ts'
import type { Token } from './lexer.ts'
import { attributeOf, elementOf, sliceOf } from './methods.ts'
import { literalInteger } from './numbers.ts'
import { binary, callValue, type Expression, type Scope, signed } from './runtime.ts'
import { Float, isTrue, iterate, type Named, str, TemplateError, Tuple, Undefined } from './values.ts'

/** Arguments of a call, computed when it runs. */
export type Arguments = (scope: Scope) => { given: unknown[]; named: Named }

const constants: { readonly [name: string]: unknown } = {
  ...{ true: true, True: true, false: false, False: false },
  ...{ none: null, None: null },
}
const noArguments: Arguments = () => ({ given: [], named: new Map() })
/** Names that end the argument of a test, as in `x is even and y`. */
const afterTest = ['else', 'or', 'and', 'not', 'if', 'is', 'in', 'recursive']

/** Reads tokens in order; expressions become functions. */
export class ExpressionParser {
  protected readonly tokens: readonly Token[]
  protected at = 0
  /** The call that was parsed last. */
  protected lastCall: { callee: Expression; given: Arguments } | undefined

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens
  }

  protected get token(): Token {
    return this.tokens[this.at]
  }

  protected is(kind: Token['kind'], value?: string): boolean {
    return this.token.kind === kind && (value === undefined || this.token.value === value)
  }

  /** Takes the next token if it is this one. */
  protected skip(kind: Token['kind'], value?: string): boolean {
    const found = this.is(kind, value)
    if (found) this.at++
    return found
  }

  /** @throws TemplateError for another token */
  protected expect(kind: Token['kind'], value?: string): string {
    const { token } = this
    if (!this.skip(kind, value)) this.unexpected(value ?? kind)
    return token.value
  }

  protected unexpected(expected?: string): never {
    const { kind, value, line } = this.token
    const got = value === '' || kind === 'text' ? `the ${kind} of a tag` : `'${value}'`
    throw new TemplateError(
      `${expected === undefined ? `unexpected ${got}` : `expected '${expected}', got ${got}`} in line ${line}`,
    )
  }

  protected operator(...values: string[]): string | undefined {
    return this.token.kind === 'operator' && values.includes(this.token.value)
      ? this.tokens[this.at++].value
      : undefined
  }

  protected word(...values: string[]): boolean {
    return this.token.kind === 'name' && values.includes(this.token.value)
  }

  /** An expression, or several with commas as a tuple. */
  tuple(isEnd: () => boolean = () => false): Expression {
    const items: Expression[] = []
    let isTuple = false
    while (!isEnd() && !this.is('close') && !this.is('end') && !this.is('operator', ')')) {
      items.push(this.condition())
      if (this.operator(',') === undefined) break
      isTuple = true
    }
    if (items.length === 1 && !isTuple) return items[0]
    if (items.length === 0 && !this.is('operator', ')')) this.unexpected()
    return (scope) => Tuple.from(items.map((item) => item(scope)))
  }

  /** `a if b else c`. */
  condition(): Expression {
    let value = this.or()
    while (this.word('if')) {
      const { line } = this.token
      this.at++
      const [yes, test] = [value, this.or()]
      const no = this.skip('name', 'else') ? this.condition() : undefined
      const lacking = `the inline if-expression on line ${line} evaluated to false and no else section was defined.`
      value = (scope) => (isTrue(test(scope)) ? yes(scope) : no === undefined ? new Undefined(lacking) : no(scope))
    }
    return value
  }

  /** What the filter of a loop may be: without a condition, whose `if` is that of the loop. */
  or(): Expression {
    let left = this.and()
    while (this.skip('name', 'or')) {
      const [a, b] = [left, this.and()]
      left = (scope) => {
        const value = a(scope)
        return isTrue(value) ? value : b(scope)
      }
    }
    return left
  }

  protected and(): Expression {
    let left = this.#not()
    while (this.skip('name', 'and')) {
      const [a, b] = [left, this.#not()]
      left = (scope) => {
        const value = a(scope)
        return isTrue(value) ? b(scope) : value
      }
    }
    return left
  }

  #not(): Expression {
    if (!this.skip('name', 'not')) return this.#compare()
    const value = this.#not()
    return (scope) => !isTrue(value(scope))
  }

  #comparison(): string | undefined {
    if (this.skip('name', 'in')) return 'in'
    const next = this.tokens[this.at + 1]
    if (this.is('name', 'not') && next?.kind === 'name' && next.value === 'in') {
      this.at += 2
      return 'not in'
    }
    return this.operator('==', '!=', '<', '<=', '>', '>=')
  }

  #compare(): Expression {
    const first = this.#sum()
    const rest: [operator: string, right: Expression][] = []
    for (let found = this.#comparison(); found !== undefined; found = this.#comparison())
      rest.push([found, this.#sum()])
    if (rest.length === 0) return first
    return (scope) => {
      let left = first(scope)
      for (const [operator, expression] of rest) {
        const right = expression(scope)
        if (binary[operator](left, right) !== true) return false
        left = right
      }
      return true
    }
  }

  #chain(next: () => Expression, ...operators: string[]): Expression {
    let left = next()
    for (let found = this.operator(...operators); found !== undefined; found = this.operator(...operators)) {
      const [a, b, apply] = [left, next(), binary[found]]
      left = (scope) => apply(a(scope), b(scope))
    }
    return left
  }

  #sum(): Expression {
    return this.#chain(() => this.#concatenation(), '+', '-')
  }

  #concatenation(): Expression {
    return this.#chain(() => this.#product(), '~')
  }

  #product(): Expression {
    return this.#chain(() => this.#power(), '*', '/', '//', '%')
  }

  #power(): Expression {
    return this.#chain(() => this.unary(), '**')
  }

  protected unary(withFilters = true): Expression {
    const sign = this.operator('-', '+')
    let value: Expression
    if (sign === undefined) value = this.#primary()
    else {
      const inner = this.unary(false)
      value = (scope) => signed(sign, inner(scope))
    }
    value = this.#postfix(value)
    return withFilters ? this.#filtersAndTests(value) : value
  }

  #primary(): Expression {
    const { kind, value } = this.token
    if (kind === 'name') {
      this.at++
      if (Object.hasOwn(constants, value)) return () => constants[value]
      return (scope) => scope.get(value)
    }
    if (kind === 'string') {
      let text = ''
      while (this.is('string')) text += this.expect('string')
      return () => text
    }
    if (kind === 'integer' || kind === 'float') {
      this.at++
      const constant = kind === 'integer' ? literalInteger(value) : new Float(Number(value))
      return () => constant
    }
    if (this.operator('(') !== undefined) {
      const inner = this.tuple()
      this.expect('operator', ')')
      return inner
    }
    if (this.operator('[') !== undefined) return this.#list()
    if (this.operator('{') !== undefined) return this.#dict()
    return this.unexpected()
  }

  #list(): Expression {
    const items: Expression[] = []
    while (!this.is('operator', ']')) {
      items.push(this.condition())
      if (this.operator(',') === undefined) break
    }
    this.expect('operator', ']')
    return (scope) => items.map((item) => item(scope))
  }

  #dict(): Expression {
    const entries: [Expression, Expression][] = []
    while (!this.is('operator', '}')) {
      const key = this.condition()
      this.expect('operator', ':')
      entries.push([key, this.condition()])
      if (this.operator(',') === undefined) break
    }
    this.expect('operator', '}')
    return (scope) => new Map(entries.map(([key, value]) => [key(scope), value(scope)]))
  }

  #postfix(start: Expression): Expression {
    let value = start
    for (;;) {
      const found = this.operator('.', '[', '(')
      if (found === undefined) return value
      const object = value
      if (found === '(') value = this.#call(object)
      else if (found === '[') value = this.#subscript(object)
      else if (this.is('integer')) {
        const index = Number(this.expect('integer'))
        value = (scope) => elementOf(object(scope), index)
      } else {
        const name = this.expect('name')
        value = (scope) => attributeOf(object(scope), name)
      }
    }
  }

  #call(callee: Expression): Expression {
    const given = this.rest()
    this.lastCall = { callee, given }
    return (scope) => {
      const target = callee(scope)
      const { given: values, named } = given(scope)
      return callValue(target, values, named)
    }
  }

  #subscript(object: Expression): Expression {
    const parts: (Expression | undefined)[] = []
    let isSlice = false
    let part: Expression | undefined
    while (!this.is('operator', ']')) {
      if (this.operator(':') !== undefined) {
        isSlice = true
        parts.push(part)
        part = undefined
      } else part = this.tuple(() => this.is('operator', ']') || this.is('operator', ':'))
    }
    this.expect('operator', ']')
    if (!isSlice) {
      if (part === undefined) return this.unexpected('an index')
      const key = part
      return (scope) => elementOf(object(scope), key(scope))
    }
    parts.push(part)
    return (scope) =>
      sliceOf(
        object(scope),
        parts.map((one) => one?.(scope)),
      )
  }

  /** Arguments up to the closing parenthesis, after the opening one. */
  protected rest(): Arguments {
    const positional: { value: Expression; spread: boolean }[] = []
    const named: { name: string | undefined; value: Expression }[] = []
    while (!this.is('operator', ')')) {
      const next = this.tokens[this.at + 1]
      if (this.operator('**') !== undefined) named.push({ name: undefined, value: this.condition() })
      else if (this.operator('*') !== undefined) positional.push({ value: this.condition(), spread: true })
      else if (this.is('name') && next.kind === 'operator' && next.value === '=') {
        const name = this.expect('name')
        this.at++
        named.push({ name, value: this.condition() })
      } else positional.push({ value: this.condition(), spread: false })
      if (this.operator(',') === undefined) break
    }
    this.expect('operator', ')')
    return (scope) => ({
      given: positional.flatMap(({ value, spread }) => (spread ? iterate(value(scope)) : [value(scope)])),
      named: new Map(
        named.flatMap(({ name, value }): [string, unknown][] =>
          name === undefined
            ? [...(value(scope) as Map<unknown, unknown>)].map(([key, one]) => [str(key), one])
            : [[name, value(scope)]],
        ),
      ),
    })
  }

  #filtersAndTests(start: Expression): Expression {
    let value = start
    for (;;) {
      if (this.operator('|') !== undefined) value = this.filter(value)
      else if (this.skip('name', 'is')) value = this.#test(value)
      else if (this.operator('(') !== undefined) value = this.#call(value)
      else return value
    }
  }

  #dotted(): string {
    let name = this.expect('name')
    while (this.operator('.') !== undefined) name += `.${this.expect('name')}`
    return name
  }

  /** A filter after `|`. */
  protected filter(value: Expression): Expression {
    const name = this.#dotted()
    const given = this.operator('(') === undefined ? noArguments : this.rest()
    return (scope) => {
      const input = value(scope)
      const { given: values, named } = given(scope)
      return runFilter(name, input, values, named)
    }
  }

  #test(value: Expression): Expression {
    const isNegated = this.skip('name', 'not')
    const name = this.#dotted()
    let given = noArguments
    if (this.operator('(') !== undefined) given = this.rest()
    else if (
      ['string', 'integer', 'float'].includes(this.token.kind) ||
      (this.is('name') && !this.word(...afterTest)) ||
      this.is('operator', '[') ||
      this.is('operator', '{')
    ) {
      const argument = this.#postfix(this.#primary())
      given = (scope) => ({ given: [argument(scope)], named: new Map() })
    }
    return (scope) => runTest(name, value(scope), given(scope).given) !== isNegated
  }
}
