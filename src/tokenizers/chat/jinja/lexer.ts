// Jinja source as tokens. White space around tags is as transformers sets it (`trim_blocks` and `lstrip_blocks`), or kept.
import { TemplateError } from './values.ts'

/** A token: text between tags, the borders of tags, and what is in them. */
export interface Token {
  kind: 'text' | 'begin' | 'end' | 'open' | 'close' | 'name' | 'string' | 'integer' | 'float' | 'operator' | 'eof'
  value: string
  line: number
}

const operators = [
  ...['//', '**', '==', '!=', '<=', '>='],
  ...['+', '-', '*', '/', '%', '~', '<', '>', '=', '.', ',', ':', '|', '(', ')', '[', ']', '{', '}'],
]
const closing: { readonly [open: string]: string } = { '(': ')', '[': ']', '{': '}' }
const simpleEscapes: { readonly [letter: string]: string } = {
  ...{ n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', v: '\v', a: '\x07' },
  ...{ '\\': '\\', "'": "'", '"': '"', '\n': '' },
}

/** A string literal without its quotes, with Python's escapes. */
const unescaped = (text: string): string =>
  text.replace(
    /\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|[\s\S])/g,
    (whole, code: string) =>
      simpleEscapes[code] ??
      (/^[xuU]./.test(code) && code.length > 1
        ? String.fromCodePoint(Number.parseInt(code.slice(1), 16))
        : /^[0-7]/.test(code)
          ? String.fromCodePoint(Number.parseInt(code, 8))
          : whole),
  )

/** How a template is read. */
export interface TemplateOptions {
  /**
   * White space that is not written: the indent of a block tag, the line break after one, and the last one of the template, as in
   * transformers. False keeps all of it, as lm-eval does. Default: true
   */
  trims?: boolean
}

/** Splits a template into tokens. */
export class Lexer {
  readonly #trims: boolean
  readonly #source: string
  readonly #tokens: Token[] = []
  #at = 0
  #line = 1
  /** Whether the text at the position begins a line. */
  #startsLine = true

  constructor(source: string, { trims = true }: TemplateOptions = {}) {
    const lines = source.replace(/\r\n?/g, '\n')
    this.#source = trims ? lines.replace(/\n$/, '') : lines
    this.#trims = trims
  }

  /** @throws TemplateError for a tag that does not end */
  tokens(): Token[] {
    while (this.#at < this.#source.length) this.#next()
    this.#add('eof', '')
    return this.#tokens
  }

  #add(kind: Token['kind'], value: string): void {
    this.#tokens.push({ kind, value, line: this.#line })
  }

  #advance(length: number): void {
    for (let i = this.#at; i < this.#at + length; i++) if (this.#source[i] === '\n') this.#line++
    this.#at += length
  }

  /** The text up to the next tag, and the tag. */
  #next(): void {
    const rest = /\{[{%#]/g
    rest.lastIndex = this.#at
    const found = rest.exec(this.#source)
    const start = found?.index ?? this.#source.length
    const sign = this.#source[start + 2]
    let text = this.#source.slice(this.#at, start)
    if (found !== null && sign === '-') text = text.trimEnd()
    else if (found !== null && sign !== '+' && found[0] !== '{{') text = this.#withoutIndent(text)
    if (text !== '') this.#add('text', text)
    this.#advance(start - this.#at)
    if (found === null) return
    this.#advance(sign === '-' || sign === '+' ? 3 : 2)
    if (found[0] === '{#') {
      this.#comment()
      return
    }
    const raw = found[0] === '{%' ? /^\s*raw\s*([-+]?)%\}/.exec(this.#source.slice(this.#at)) : null
    if (raw !== null) this.#raw(raw)
    else this.#tag(found[0] === '{{')
  }

  /** Without the spaces of a line that begins with a block. */
  #withoutIndent(text: string): string {
    if (!this.#trims) return text
    const from = text.lastIndexOf('\n') + 1
    const isIndent = /^\s*$/.test(text.slice(from)) && (from > 0 || this.#startsLine)
    return isIndent ? text.slice(0, from) : text
  }

  #comment(): void {
    const end = this.#source.indexOf('#}', this.#at)
    if (end < 0) throw new TemplateError('Missing end of comment tag')
    const sign = this.#source[end - 1]
    this.#advance(end + 2 - this.#at)
    this.#afterTag(sign, true)
  }

  #raw(open: RegExpExecArray): void {
    this.#advance(open[0].length)
    this.#afterTag(open[1], true)
    const end = /\{%([-+]?)\s*endraw\s*([-+]?)%\}/.exec(this.#source.slice(this.#at))
    if (end === null) throw new TemplateError('Missing end of raw directive')
    const text = this.#source.slice(this.#at, this.#at + end.index)
    this.#add('text', end[1] === '-' ? text.trimEnd() : end[1] === '+' ? text : this.#withoutIndent(text))
    this.#advance(end.index + end[0].length)
    this.#afterTag(end[2], true)
  }

  /** Skips the white space that a tag takes with it. */
  #afterTag(sign: string | undefined, isBlock: boolean): void {
    const from = this.#at
    if (sign === '-') this.#advance(/^\s*/.exec(this.#source.slice(from))![0].length)
    else if (this.#trims && isBlock && sign !== '+' && this.#source[from] === '\n') this.#advance(1)
    this.#startsLine = this.#at > from && this.#source[this.#at - 1] === '\n'
  }

  #tag(isVariable: boolean): void {
    this.#add(isVariable ? 'open' : 'begin', '')
    const end = isVariable ? /[-+]?\}\}/y : /[-+]?%\}/y
    const open: string[] = []
    for (;;) {
      this.#advance(/^\s*/.exec(this.#source.slice(this.#at, this.#at + 4096))![0].length)
      if (this.#at >= this.#source.length) throw new TemplateError('unexpected end of template, a tag has no end')
      end.lastIndex = this.#at
      const closed = open.length === 0 ? end.exec(this.#source) : null
      if (closed !== null) {
        this.#advance(closed[0].length)
        this.#add(isVariable ? 'close' : 'end', '')
        this.#afterTag(closed[0][0], !isVariable)
        return
      }
      this.#inTag(open)
    }
  }

  #inTag(open: string[]): void {
    const word = /[\p{L}_][\p{L}\p{N}_]*/uy
    const number =
      /0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|((?:[1-9](?:_?\d)*|0(?:_?0)*))(\.\d(?:_?\d)*)?([eE][+-]?\d(?:_?\d)*)?/y
    const text = /'(?:[^'\\]|\\[\s\S])*'|"(?:[^"\\]|\\[\s\S])*"/y
    for (const pattern of [word, number, text]) pattern.lastIndex = this.#at
    const literal = text.exec(this.#source)
    const name = literal === null ? word.exec(this.#source) : null
    const digits = name === null ? number.exec(this.#source) : null
    if (literal !== null) this.#add('string', unescaped(literal[0].slice(1, -1)))
    else if (name !== null) this.#add('name', name[0])
    else if (digits !== null)
      this.#add(digits[2] === undefined && digits[3] === undefined ? 'integer' : 'float', digits[0].replaceAll('_', ''))
    const taken = literal ?? name ?? digits
    if (taken !== null) {
      this.#advance(taken[0].length)
      return
    }
    const operator = operators.find((one) => this.#source.startsWith(one, this.#at))
    if (operator === undefined)
      throw new TemplateError(`unexpected char '${this.#source[this.#at]}' at ${this.#at} in line ${this.#line}`)
    if (closing[operator] !== undefined) open.push(closing[operator])
    else if (')]}'.includes(operator)) {
      const expected = open.pop()
      if (expected === undefined) throw new TemplateError(`unexpected '${operator}' in line ${this.#line}`)
      if (expected !== operator)
        throw new TemplateError(`unexpected '${operator}', expected '${expected}' in line ${this.#line}`)
    }
    this.#add('operator', operator)
    this.#advance(operator.length)
  }
}
