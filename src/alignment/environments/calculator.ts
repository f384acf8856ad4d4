// A calculator as a tool: arithmetic on decimal numbers, read by a parser of its own. Nothing is evaluated as code.
import { z } from 'zod'
import { defineEnvironment } from './environment.ts'
import { type Tool, toolEnvironment } from './tool-environment.ts'

const maxLength = 1000
const maxDepth = 50

class Expression {
  readonly #text: string
  #at = 0
  #depth = 0

  constructor(text: string) {
    this.#text = text
      .replace(/[\s,_]/g, '')
      .replace(/[×·]/g, '*')
      .replace(/÷/g, '/')
      .replace(/−/g, '-')
  }

  value(): number {
    const value = this.#sum()
    if (this.#at < this.#text.length) this.#fail()
    return value
  }

  #fail(): never {
    const found = this.#at < this.#text.length ? `"${this.#text[this.#at]}" at character ${this.#at + 1}` : 'its end'
    throw new Error(`expected an arithmetic expression of numbers, + - * / % ^ and brackets, found ${found}`)
  }

  #eat(...operators: string[]): string | undefined {
    const found = operators.find((operator) => this.#text.startsWith(operator, this.#at))
    this.#at += found?.length ?? 0
    return found
  }

  #sum(): number {
    if (++this.#depth > maxDepth) throw new Error(`expected at most ${maxDepth} nested brackets and signs`)
    let value = this.#product()
    for (let operator = this.#eat('+', '-'); operator !== undefined; operator = this.#eat('+', '-'))
      value = operator === '+' ? value + this.#product() : value - this.#product()
    this.#depth--
    return value
  }

  #product(): number {
    let value = this.#sign()
    for (;;) {
      // `**` is a power, which `#sign` has read already.
      const operator = this.#eat('*', '/', '%')
      if (operator === undefined) return value
      const next = this.#sign()
      if (operator !== '*' && next === 0) throw new Error('division by zero')
      value = operator === '*' ? value * next : operator === '/' ? value / next : value % next
    }
  }

  /** A sign binds less than a power: -2^2 is -4. */
  #sign(): number {
    if (++this.#depth > maxDepth) throw new Error(`expected at most ${maxDepth} nested brackets and signs`)
    const operator = this.#eat('-', '+')
    const value = operator === undefined ? this.#power() : this.#sign()
    this.#depth--
    return operator === '-' ? -value : value
  }

  /** From right to left. */
  #power(): number {
    const value = this.#atom()
    return this.#eat('**', '^') === undefined ? value : value ** this.#sign()
  }

  #atom(): number {
    if (this.#eat('(') !== undefined) {
      const value = this.#sum()
      if (this.#eat(')') === undefined) this.#fail()
      return value
    }
    const number = /^(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?/.exec(this.#text.slice(this.#at))?.[0]
    if (number === undefined) return this.#fail()
    this.#at += number.length
    return Number(number)
  }
}

/** The value of an arithmetic expression. @throws an Error that says what is wrong with it */
export const calculate = (text: string): number => {
  if (text.length > maxLength) throw new Error(`expected at most ${maxLength} characters`)
  const value = new Expression(text).value()
  if (!Number.isFinite(value)) throw new Error('the result is too large')
  // 15 digits are exact, so that 0.1 + 0.2 is 0.3.
  return Number(value.toPrecision(15))
}

/** The calculator as a tool. */
export const calculatorTool: Tool = {
  name: 'calculator',
  description: 'Computes an arithmetic expression, such as (12.5 - 3) * 4.',
  parameters: {
    type: 'object',
    properties: { expression: { type: 'string', description: 'the expression' } },
    required: ['expression'],
  },
  run({ expression }) {
    if (typeof expression !== 'string' && typeof expression !== 'number')
      throw new Error('the argument `expression` is missing')
    return String(calculate(String(expression)))
  },
}

export const calculator = defineEnvironment({
  type: 'calculator',
  source: 'arXiv:2110.14168, section 4.2',
  summary: 'Questions that the model may answer with the help of a calculator.',
  config: z.strictObject({
    role: z
      .enum(['tool', 'user'])
      .default('tool')
      .describe('role of the turns with results; user for chat templates without the role tool'),
    describe: z.boolean().default(true).describe('describe the calculator and its calls in the system prompt'),
  }),
  create: (options) => toolEnvironment('calculator', [calculatorTool], options),
})
