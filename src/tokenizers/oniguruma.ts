// Translates the regular expressions of tokenizer files (Oniguruma, Ruby syntax, Unicode) to JavaScript's `v` flavour,
// and decides which of them need a time limit. A pattern without a JavaScript equivalent throws an error, as does one
// with catastrophic backtracking on short texts.
// @source the Oniguruma syntax reference, doc/RE
import { Script } from 'node:vm'
import { DataError } from '../core/index.ts'

const MAX_PATTERN = 65_536
const MAX_REPEAT = 1000
const MAX_GROUP_DEPTH = 100
const PROBE_MS = 200

const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}'
// Escapes that mean the same inside and outside brackets: [positive, negative], as the inside of a class.
const CLASSES: Record<string, string> = { s: '\\p{White_Space}', d: '\\p{Nd}', w: WORD, h: '0-9A-Fa-f' }
const CONTROLS: Record<string, number> = { n: 10, r: 13, t: 9, f: 12, v: 11, a: 7, e: 27 }
const POSIX: Record<string, string> = {
  alnum: '\\p{Alphabetic}\\p{M}\\p{Nd}',
  alpha: '\\p{Alphabetic}\\p{M}',
  ascii: '\\0-\\x7f',
  blank: '\\p{Zs}\\t',
  cntrl: '\\p{Cc}\\p{Cf}\\p{Cn}\\p{Co}\\p{Cs}',
  digit: '\\p{Nd}',
  graph: '[[\\0-\\u{10ffff}]--[\\p{White_Space}\\p{Cc}\\p{Cn}\\p{Cs}]]',
  lower: '\\p{Lowercase}',
  print: '[[\\0-\\u{10ffff}]--[\\p{Cc}\\p{Cn}\\p{Cs}]]',
  punct: '\\p{P}$+<=>^`|~'.replace(/[$+<=>^`|~]/g, (c) => `\\x${c.charCodeAt(0).toString(16)}`),
  space: '\\p{White_Space}',
  upper: '\\p{Uppercase}',
  word: WORD,
  xdigit: '0-9A-Fa-f',
}

// The split patterns of published tokenizers, as written in their tokenizer.json.
// @source the tokenizers of GPT-2, Llama 3, Qwen 2, GPT-4o (o200k), Mistral Nemo (Tekken), DeepSeek-V3 and BLOOM
const CASED = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]'
const UNCASED = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]'
const LLAMA3_START = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
const LLAMA3_END = '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'
const CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
const PREFIX = '[^\\r\\n\\p{L}\\p{N}]?'
const SPACES = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'
/** Split patterns of published tokenizers, by name. */
export const PUBLISHED_PATTERNS = {
  gpt2: "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  llama3: `${LLAMA3_START}\\p{N}{1,3}${LLAMA3_END}`,
  qwen2: `${LLAMA3_START}\\p{N}${LLAMA3_END}`,
  o200k: `${PREFIX}${CASED}*${UNCASED}+${CONTRACTION}|${PREFIX}${CASED}+${UNCASED}*${CONTRACTION}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`,
  tekken: `${PREFIX}${CASED}*${UNCASED}+|${PREFIX}${CASED}+${UNCASED}*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`,
  deepseek: `[!"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_\`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|${SPACES}`,
  bloom: ' ?[^(\\s|[.,!?…。，、।۔،])]+',
} as const

/** A translated regular expression. */
export interface CompiledRegex {
  regex: RegExp
  /** True unless the structure of the pattern guarantees matching in linear time. */
  needsTimeLimit: boolean
}

// Where an alternative of these patterns fails after a long run, another one consumes the same run, so they match in
// linear time though the analysis of their structure does not show it. They save the cost of a time limit.
const LINEAR: ReadonlySet<string> = new Set(Object.values(PUBLISHED_PATTERNS))

/** Translates a regular expression of a tokenizer file to a global regular expression. Throws DataError. */
export const translateRegex = (pattern: string, where: string): RegExp => compileRegex(pattern, where).regex

/** Like `translateRegex`, with the result of the time analysis. Throws DataError. */
export const compileRegex = (pattern: string, where: string): CompiledRegex => {
  if (pattern.length > MAX_PATTERN) throwUnusable(pattern, where, `is longer than ${MAX_PATTERN} characters`)
  const translation = new Translation(pattern, where)
  const source = translation.translate()
  let regex: RegExp
  try {
    regex = new RegExp(source, 'vg')
    regex.test('') // V8 compiles at the first use, and then throws for a pattern that is too large.
    regex.lastIndex = 0
  } catch (error) {
    throwUnusable(pattern, where, `has no equivalent in JavaScript (${(error as Error).message})`)
  }
  if (translation.nestsRepeats) probeRegex(regex, pattern, where)
  return { regex, needsTimeLimit: translation.needsTimeLimit && !LINEAR.has(pattern) }
}

/** A global regular expression that matches `text` literally. */
export const literalRegex = (text: string): RegExp =>
  new RegExp([...text].map((character) => literal(character)).join(''), 'vg')

function throwUnusable(pattern: string, where: string, why: string): never {
  const shown = pattern.length > 60 ? `${pattern.slice(0, 57)}...` : pattern
  throw new DataError(
    `Expected a usable regular expression for \`${where}\`, got ${JSON.stringify(shown)}, which ${why}.`,
  )
}

const literal = (character: string): string =>
  /[\p{L}\p{N}]/u.test(character) ? character : `\\u{${character.codePointAt(0)!.toString(16)}}`

/** All letters that match a letter case-insensitively. */
const variants = (character: string): string[] => {
  const folded = new Set([character, character.toLowerCase(), character.toUpperCase()])
  // The two letters outside ASCII that fold to an ASCII letter.
  if (folded.has('s')) folded.add('ſ')
  if (folded.has('k')) folded.add('\u212a')
  return [...folded].filter((variant) => [...variant].length === 1)
}

class Translation {
  #at = 0
  #depth = 0
  #atoms = 0
  #insensitive = false
  #dotAll = false
  #lookarounds = 0
  /** Whether a repeat contains another repeat or an alternation. */
  nestsRepeats = false
  /**
   * Whether backtracking may take more than linear time. False only if each alternative is a sequence of fixed atoms
   * that may end in one repeat of a fixed atom: then a match never gives up what it has consumed.
   */
  needsTimeLimit = false
  readonly #pattern: string
  readonly #where: string

  constructor(pattern: string, where: string) {
    this.#pattern = pattern
    this.#where = where
  }

  translate(): string {
    const source = this.#alternatives().source
    if (this.#at < this.#pattern.length) this.#reject('has a closing bracket too many')
    return source
  }

  #reject(why: string): never {
    return throwUnusable(this.#pattern, this.#where, why)
  }

  #peek(text: string): boolean {
    return this.#pattern.startsWith(text, this.#at)
  }

  #eat(text: string): boolean {
    if (!this.#peek(text)) return false
    this.#at += text.length
    return true
  }

  #next(): string {
    if (this.#at >= this.#pattern.length) this.#reject('ends too early')
    const character = String.fromCodePoint(this.#pattern.codePointAt(this.#at)!)
    this.#at += character.length
    return character
  }

  /** Everything up to the end or an unopened `)`; `varies` is true if it can match in more than one way. */
  #alternatives(): { source: string; varies: boolean } {
    if (++this.#depth > MAX_GROUP_DEPTH) this.#reject(`nests more than ${MAX_GROUP_DEPTH} groups`)
    const insensitive = this.#insensitive
    const dotAll = this.#dotAll
    let source = ''
    let varies = false
    // Whether an earlier part of this alternative can match in more than one way.
    let backtracks = false
    while (this.#at < this.#pattern.length && !this.#peek(')')) {
      if (this.#eat('|')) {
        source += '|'
        varies = true
        backtracks = false
        continue
      }
      const atom = this.#atom()
      if (backtracks && atom.source !== '') this.needsTimeLimit = true
      const repeated = this.#repeats(atom.source)
      if (repeated !== undefined) {
        if (atom.varies) this.nestsRepeats = this.needsTimeLimit = true
        if (this.#lookarounds > 0) this.needsTimeLimit = true
      }
      source += repeated?.source ?? atom.source
      varies ||= atom.varies || repeated?.varies === true
      backtracks ||= atom.varies || repeated?.varies === true
    }
    this.#depth--
    this.#insensitive = insensitive
    this.#dotAll = dotAll
    return { source, varies }
  }

  /** The atom with the repeat operators after it, or undefined if there are none. */
  #repeats(atom: string): { source: string; varies: boolean } | undefined {
    let result: string | undefined
    let varies = false
    for (;;) {
      const counts = /^\{(\d*)(,?)(\d*)\}/.exec(this.#pattern.slice(this.#at, this.#at + 24))
      let operator: string
      if (counts !== null && (counts[1] !== '' || counts[3] !== '')) {
        this.#at += counts[0].length
        const [, low, comma, high] = counts
        if (Number(low) > MAX_REPEAT || Number(high) > MAX_REPEAT) this.#reject(`repeats more than ${MAX_REPEAT} times`)
        if (high !== '' && Number(low) > Number(high)) this.#reject('repeats a falling range')
        operator = `{${low || 0}${comma}${high}}`
      } else if (this.#peek('*') || this.#peek('+') || this.#peek('?')) operator = this.#next()
      else return result === undefined ? undefined : { source: result, varies }
      if (atom === '') this.#reject('repeats nothing')
      const body = result === undefined ? atom : `(?:${result})`
      if (result !== undefined) this.nestsRepeats = this.needsTimeLimit = true
      varies = counts === null || (counts[2] !== '' && counts[1] !== counts[3])
      if (this.#eat('?')) result = `${body}${operator}?`
      else if (counts === null && this.#eat('+')) {
        result = this.#atomic(`${body}${operator}`)
        varies = false
      } else result = `${body}${operator}`
    }
  }

  /** JavaScript has no atomic groups, but a lookahead keeps its first match, which a back-reference then consumes. */
  #atomic(source: string): string {
    const name = `atom${this.#atoms++}`
    return `(?:(?=(?<${name}>${source}))\\k<${name}>)`
  }

  #atom(): { source: string; varies: boolean } {
    const character = this.#next()
    if (character === '(') return this.#group()
    let source: string
    if (character === '[') source = this.#bracket()
    else if (character === '.') source = this.#dotAll ? '[\\0-\\u{10ffff}]' : '[^\\n]'
    else if (character === '^') source = '(?<![^\\n])'
    else if (character === '$') source = '(?![^\\n])'
    else if (character === '\\') {
      const varies = this.#peek('R')
      return { source: this.#escape(), varies }
    } else if (character === '*' || character === '+' || character === '?') return this.#reject('repeats nothing')
    else source = this.#character(character)
    return { source, varies: false }
  }

  #character(character: string): string {
    const all = this.#insensitive ? variants(character) : [character]
    return all.length === 1 ? literal(character) : `[${all.map(literal).join('')}]`
  }

  #group(): { source: string; varies: boolean } {
    if (this.#eat('?#')) {
      while (!this.#eat(')')) this.#next()
      return { source: '', varies: false }
    }
    let open = '(?:'
    let atomic = false
    const insensitive = this.#insensitive
    const dotAll = this.#dotAll
    if (this.#eat('?')) {
      const look = ['<=', '<!', '=', '!'].find((kind) => this.#eat(kind))
      const options = /^([imx]*)(?:-([imx]*))?([:)])/.exec(this.#pattern.slice(this.#at, this.#at + 16))
      if (look !== undefined) open = `(?${look}`
      else if (this.#eat('>')) atomic = true
      else if (options !== null) {
        this.#at += options[0].length
        if (options[1].includes('x') || options[2]?.includes('x')) this.#reject('uses extended syntax')
        this.#insensitive = options[1].includes('i') || (insensitive && !options[2]?.includes('i'))
        this.#dotAll = options[1].includes('m') || (dotAll && !options[2]?.includes('m'))
        // `(?i)` applies up to the end of the enclosing group, whose `alternatives` restores the options.
        if (options[3] === ')') return { source: '', varies: false }
      } else if (/^<[\p{L}_]/u.test(this.#pattern.slice(this.#at, this.#at + 3))) {
        while (this.#next() !== '>');
      } else this.#reject('uses a group without an equivalent in JavaScript')
    }
    const looks = open === '(?=' || open === '(?!' || open === '(?<=' || open === '(?<!'
    if (looks) this.#lookarounds++
    const { source, varies } = this.#alternatives()
    if (looks) this.#lookarounds--
    if (!this.#eat(')')) this.#reject('has an unclosed group')
    this.#insensitive = insensitive
    this.#dotAll = dotAll
    return { source: atomic ? this.#atomic(source) : `${open}${source})`, varies: varies && !atomic }
  }

  #escape(): string {
    const character = this.#next()
    const lower = character.toLowerCase()
    if (Object.hasOwn(CLASSES, lower)) return `[${character === lower ? '' : '^'}${CLASSES[lower]}]`
    switch (character) {
      case 'p':
      case 'P':
        return `[${this.#property(character === 'P')}]`
      case 'b':
        return `(?:(?<=[${WORD}])(?![${WORD}])|(?<![${WORD}])(?=[${WORD}]))`
      case 'B':
        return `(?:(?<=[${WORD}])(?=[${WORD}])|(?<![${WORD}])(?![${WORD}]))`
      case 'A':
        return '(?<![\\0-\\u{10ffff}])'
      case 'z':
        return '(?![\\0-\\u{10ffff}])'
      case 'Z':
        return '(?!\\n?[\\0-\\u{10ffff}])'.replace('\\n?', '(?!\\n(?![\\0-\\u{10ffff}]))')
      case 'R':
        return '(?:\\r\\n|[\\n-\\r\\x85\\u2028\\u2029])'
      default:
        return this.#character(this.#escapedCharacter(character))
    }
  }

  /** The character of the escape after a backslash. */
  #escapedCharacter(character: string): string {
    if (Object.hasOwn(CONTROLS, character)) return String.fromCharCode(CONTROLS[character])
    const rest = this.#pattern.slice(this.#at)
    const hex =
      character === 'x'
        ? (/^\{([0-9a-fA-F]{1,8})\}/.exec(rest) ?? /^([0-9a-fA-F]{1,2})/.exec(rest))
        : character === 'u'
          ? /^([0-9a-fA-F]{4})/.exec(rest)
          : null
    if (hex !== null) {
      this.#at += hex[0].length
      const code = Number.parseInt(hex[1], 16)
      if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) this.#reject(`names the character ${hex[1]}`)
      return String.fromCodePoint(code)
    }
    if (character === '0') return '\0'
    if (/[\p{L}\p{N}]/u.test(character)) this.#reject(`uses \\${character}`)
    return character
  }

  /** The content of a character class for `\p{…}`. */
  #property(negative: boolean): string {
    const match = /^\{(\^?)([\w\s=-]{1,60})\}/.exec(this.#pattern.slice(this.#at, this.#at + 70))
    if (match === null) this.#reject('has a bad \\p{…}')
    this.#at += match[0].length
    const name = match[2]
    const posix = Object.hasOwn(POSIX, name.toLowerCase()) ? POSIX[name.toLowerCase()] : undefined
    const choices = [`\\p{${name}}`, `\\p{Script=${name}}`, posix]
    // Flag `u` excludes properties of strings, which are unknown to Oniguruma.
    const found = choices.find((choice) => choice !== undefined && (choice === posix || isValid(choice)))
    if (found === undefined) this.#reject(`names the unknown property ${name}`)
    return negative !== (match[1] === '^') ? `[^${found}]` : found
  }

  #bracket(): string {
    if (++this.#depth > MAX_GROUP_DEPTH) this.#reject(`nests more than ${MAX_GROUP_DEPTH} classes`)
    const negative = this.#eat('^')
    // Each operand of && is a class of its own.
    const sides: string[] = []
    let side = ''
    let first = true
    while (first || !this.#eat(']')) {
      if (this.#eat('&&')) {
        sides.push(side)
        side = ''
      } else side += this.#classItem(first)
      first = false
    }
    sides.push(side)
    this.#depth--
    const inside = sides.length === 1 ? side : sides.map((one) => `[${one}]`).join('&&')
    return `[${negative ? '^' : ''}${inside}]`
  }

  #classItem(first: boolean): string {
    const posix = /^\[:(\^?)(\w+):\]/.exec(this.#pattern.slice(this.#at, this.#at + 16))
    if (posix !== null && Object.hasOwn(POSIX, posix[2])) {
      this.#at += posix[0].length
      return posix[1] === '^' ? `[^${POSIX[posix[2]]}]` : POSIX[posix[2]]
    }
    const character = this.#next()
    if (character === '[') return this.#bracket()
    let low = character
    if (character === '\\') {
      const name = this.#next()
      const lower = name.toLowerCase()
      if (Object.hasOwn(CLASSES, lower)) return name === lower ? CLASSES[lower] : `[^${CLASSES[lower]}]`
      if (name === 'p' || name === 'P') return this.#property(name === 'P')
      low = name === 'b' ? '\b' : this.#escapedCharacter(name)
    } else if (character === ']' && !first) this.#reject('has a misplaced ]')
    // A range, unless the hyphen is the last character in the brackets or a class follows it.
    if (
      this.#peek('-') &&
      !this.#peek('-]') &&
      !this.#peek('-[') &&
      !/^-\\[pPsSdDwWhH]/.test(this.#pattern.slice(this.#at, this.#at + 3))
    ) {
      this.#at++
      const end = this.#next()
      const high = end === '\\' ? this.#escapedCharacter(this.#next()) : end
      if (low.codePointAt(0)! > high.codePointAt(0)!) this.#reject('has a falling range')
      let range = `${literal(low)}-${literal(high)}`
      if (this.#insensitive)
        for (const letter of lettersWithin(low, high)) range += variants(letter).map(literal).join('')
      return range
    }
    return (this.#insensitive ? variants(low) : [low]).map(literal).join('')
  }
}

const lettersWithin = (low: string, high: string): string[] => {
  const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
  return [...letters].filter((letter) => letter >= low && letter <= high)
}

const isValid = (source: string): boolean => {
  try {
    new RegExp(source, 'u')
    return true
  } catch {
    return false
  }
}

/**
 * Runs a global pattern under a time limit over short texts that cause catastrophic backtracking in typical careless
 * patterns. Only an early check: patterns that pass must still match under a time limit. Throws DataError.
 */
export const probeRegex = (regex: RegExp, pattern: string, where: string): void => {
  const alphabet = new Set([
    ...'aA0 \n.-_é中',
    ...[...pattern].filter((character) => /[\p{L}\p{N}\s]/u.test(character)).slice(0, 12),
  ])
  const texts: string[] = []
  // Endings that make most patterns fail after a long partial match.
  for (const end of ['\0', '\x01', '!'])
    for (const one of alphabet) texts.push(`${one.repeat(40)}${end}`, `${`${one}a`.repeat(20)}${end}`)
  try {
    new Script('const r = new RegExp(source, flags); for (const text of texts) text.replace(r, "")').runInNewContext(
      { source: regex.source, flags: regex.flags, texts },
      { timeout: PROBE_MS },
    )
  } catch {
    throwUnusable(pattern, where, 'takes too long on short texts')
  }
}
