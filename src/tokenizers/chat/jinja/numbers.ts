// Python's numbers in templates: integers of any size, rounding of exact decimals, numbers as texts, and `text % values`. An
// integer is a JavaScript number while it is safe (below 2^53), and a bigint beyond; a float is a `Float`.

import { Float, isNumber, lengthOf, numberOf, repr, str, TemplateError, Tuple, typeName, Undefined } from './values.ts'

/** An int of Python. */
export type Integer = number | bigint

/** Python refuses to write longer integers. */
const mostDigits = 4300
const largest = 10n ** BigInt(mostDigits)

/** An integer as a number where that is exact. @throws TemplateError beyond 4300 digits */
const integerOf = (value: bigint): Integer => {
  if (value >= largest || value <= -largest)
    throw new TemplateError(`an integer has at most ${mostDigits} digits in a template`)
  const small = Number(value)
  return Number.isSafeInteger(small) ? small : value
}

/** An integer literal: decimal, 0x, 0o or 0b. */
export const literalInteger = (text: string): Integer => integerOf(BigInt(text.toLowerCase()))

/** The exact integer of an int, a bool or a whole float. */
const exact = (value: number | bigint | boolean | Float): bigint =>
  typeof value === 'bigint' ? value : BigInt(numberOf(value))

const floorDivide = (a: bigint, b: bigint): bigint => a / b - (a % b !== 0n && a < 0n !== b < 0n ? 1n : 0n)

/** Python's `%` of floats, which has the sign of the divisor. */
const floatModulo = (a: number, b: number): number => {
  const rest = a % b
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest
}

/** Python's `//` of floats: 1 // 0.1 is 9. */
const floatFloorDivide = (a: number, b: number): number => {
  const share = (a - floatModulo(a, b)) / b
  const whole = Math.floor(share)
  return share - whole > 0.5 ? whole + 1 : whole
}

const exactPower = (a: bigint, b: bigint): bigint => {
  const size = a < 0n ? -a : a
  // A bound on the digits, before a power is computed that could take all memory.
  if (size > 1n && (size.toString(2).length - 1) * Number(b) > 4 * mostDigits)
    throw new TemplateError(`an integer has at most ${mostDigits} digits in a template`)
  return a ** b
}

const operations = {
  '+': { float: (a: number, b: number) => a + b, integer: (a: bigint, b: bigint) => a + b },
  '-': { float: (a: number, b: number) => a - b, integer: (a: bigint, b: bigint) => a - b },
  '*': { float: (a: number, b: number) => a * b, integer: (a: bigint, b: bigint) => a * b },
  '//': { float: floatFloorDivide, integer: floorDivide },
  '%': { float: floatModulo, integer: (a: bigint, b: bigint) => a - b * floorDivide(a, b) },
  '**': { float: (a: number, b: number) => a ** b, integer: exactPower },
} as const

const divides = ['/', '//', '%']

/** An operator of two numbers. @throws TemplateError for other values, and for a division by zero */
export const arithmetic = (operator: keyof typeof operations | '/', a: unknown, b: unknown): Integer | Float => {
  if (!isNumber(a) || !isNumber(b)) {
    for (const one of [a, b]) if (one instanceof Undefined) one.use()
    const name = operator === '**' ? '** or pow()' : operator
    throw new TemplateError(`unsupported operand type(s) for ${name}: '${typeName(a)}' and '${typeName(b)}'`)
  }
  const [left, right] = [numberOf(a), numberOf(b)]
  if (right === 0 && divides.includes(operator))
    throw new TemplateError(operator === '/' ? 'division by zero' : 'integer division or modulo by zero')
  if (operator === '/') return new Float(left / right)
  const { float, integer } = operations[operator]
  if (a instanceof Float || b instanceof Float || (operator === '**' && right < 0)) return new Float(float(left, right))
  const value = float(left, right)
  const isExact = Number.isSafeInteger(left) && Number.isSafeInteger(right) && Number.isSafeInteger(value)
  return isExact ? value : integerOf(integer(exact(a), exact(b)))
}

/** The nearest integer to numerator / denominator; halves go to the even one. */
const nearest = (numerator: bigint, denominator: bigint): bigint => {
  const whole = floorDivide(numerator, denominator)
  const twice = 2n * (numerator - whole * denominator)
  return twice > denominator || (twice === denominator && whole % 2n !== 0n) ? whole + 1n : whole
}

/** A finite number as a fraction. */
const fractionOf = (value: number | bigint): [numerator: bigint, denominator: bigint] => {
  if (typeof value === 'bigint') return [value, 1n]
  let [whole, halvings] = [value, 0n]
  // Doubling is exact, and ends: a double has at most 1074 binary places.
  for (; !Number.isInteger(whole); halvings++) whole *= 2
  return [BigInt(whole), 1n << halvings]
}

/** The integer nearest to value * 10^digits, from the exact value of the double. */
const scaledToInteger = (value: number | bigint, digits: number): bigint => {
  const [numerator, denominator] = fractionOf(value)
  const power = 10n ** BigInt(Math.abs(digits))
  return digits >= 0 ? nearest(numerator * power, denominator) : nearest(numerator, denominator * power)
}

/** A number that is not negative with this many decimals. */
const fixedText = (value: number | bigint, digits: number): string => {
  const text = String(scaledToInteger(value, digits)).padStart(digits + 1, '0')
  return digits === 0 ? text : `${text.slice(0, -digits)}.${text.slice(-digits)}`
}

/** Python's `round`: an int remains one. @throws TemplateError for a value that is no number */
export const rounded = (value: unknown, digits: number): Integer | Float => {
  if (!isNumber(value)) throw new TemplateError(`type ${typeName(value)} doesn't define __round__ method`)
  if (!(value instanceof Float)) {
    const whole = exact(value)
    return integerOf(digits >= 0 ? whole : scaledToInteger(whole, digits) * 10n ** BigInt(-digits))
  }
  const { value: float } = value
  // Beyond these places a double has no digits, or is 0.
  if (!Number.isFinite(float) || digits > 323) return value
  if (digits < -309) return new Float(0)
  return new Float(Number(`${scaledToInteger(float, digits)}e${-digits}`))
}

/** The integer part. @throws TemplateError for infinity and NaN */
export const truncated = (value: number | bigint | boolean | Float): Integer => {
  if (!(value instanceof Float)) return typeof value === 'bigint' ? value : Number(value)
  if (!Number.isFinite(value.value)) throw new TemplateError('cannot convert float infinity or NaN to integer')
  return integerOf(BigInt(Math.trunc(value.value)))
}

const prefixes: { readonly [base: number]: string } = { 2: '0b', 8: '0o', 16: '0x' }

/** Python's `int(text, base)` of a text without spaces around it; undefined where it is none. */
export const integerFrom = (text: string, base: number): Integer | undefined => {
  const found = /^([-+]?)(0[box])?_?([0-9a-z]+(?:_[0-9a-z]+)*)$/i.exec(text)
  if (found === null) return undefined
  const [, sign, prefix, given] = found
  if (prefix !== undefined && prefix.toLowerCase() !== prefixes[base]) return undefined
  const digits = [...given.replaceAll('_', '').toLowerCase()].map((digit) => Number.parseInt(digit, 36))
  if (digits.some((digit) => digit >= base)) return undefined
  const value = digits.reduce((sum, digit) => sum * BigInt(base) + BigInt(digit), 0n)
  return integerOf(sign === '-' ? -value : value)
}

const decimal = /^[-+]?(?:\d+(?:_\d+)*(?:\.(?:\d+(?:_\d+)*)?)?|\.\d+(?:_\d+)*)(?:e[-+]?\d+(?:_\d+)*)?$/i

/** Python's `float(text)` of a text without spaces around it; undefined where it is none. */
export const floatFrom = (text: string): number | undefined => {
  if (decimal.test(text)) return Number(text.replaceAll('_', ''))
  const named = /^([-+]?)(?:(inf(?:inity)?)|nan)$/i.exec(text)
  if (named === null) return undefined
  if (named[2] === undefined) return Number.NaN
  return named[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
}

/** What stands between % and the letter. */
interface Layout {
  flags: string
  width: number
  precision: number | undefined
}

const exponentText = (value: number, precision: number): string => {
  if (value === 0) return `${fixedText(0, precision)}e+00`
  let exponent = Number(value.toExponential().split('e')[1])
  let digits = String(scaledToInteger(value, precision - exponent))
  if (digits.length > precision + 1) digits = String(scaledToInteger(value, precision - ++exponent))
  const mantissa = precision === 0 ? digits : `${digits[0]}.${digits.slice(1)}`
  return `${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`
}

const generalText = (value: number, given: number, keepsZeros: boolean): string => {
  const precision = Math.max(1, given)
  const scientific = exponentText(value, precision - 1)
  const exponent = Number(scientific.split('e')[1])
  const isFixed = exponent >= -4 && exponent < precision
  const text = isFixed ? fixedText(value, precision - 1 - exponent) : scientific
  const [mantissa, tail] = text.split('e')
  const short = keepsZeros || !mantissa.includes('.') ? mantissa : mantissa.replace(/\.?0+$/, '')
  return tail === undefined ? short : `${short}e${tail}`
}

/** The digits of the size of a float. */
const floatDigits = (size: number, kind: string, { flags, precision = 6 }: Layout): string => {
  if (!Number.isFinite(size)) return Number.isNaN(size) ? 'nan' : 'inf'
  const lower = kind.toLowerCase()
  if (lower === 'f') return fixedText(size, precision)
  return lower === 'e' ? exponentText(size, precision) : generalText(size, precision, flags.includes('#'))
}

const integerDigits = (size: number | bigint, kind: string, { flags, precision = 0 }: Layout): [string, string] => {
  const base = kind === 'o' ? 8 : kind.toLowerCase() === 'x' ? 16 : 10
  const prefix = flags.includes('#') && base !== 10 ? `0${kind}` : ''
  const digits = size.toString(base).padStart(precision, '0')
  return [prefix, kind === 'X' ? digits.toUpperCase() : digits]
}

const numeric = (value: unknown, kind: string, layout: Layout): string => {
  const isInteger = 'diuoxX'.includes(kind)
  if (!isNumber(value)) throw new TemplateError(`%${kind} format: a real number is required, not ${typeName(value)}`)
  if ('oxX'.includes(kind) && value instanceof Float)
    throw new TemplateError(`%${kind} format: an integer is required, not float`)
  const number = isInteger ? truncated(value) : numberOf(value)
  const isNegative = number < 0 || Object.is(number, -0)
  const size = isNegative ? -number : number
  const [prefix, digits] = isInteger ? integerDigits(size, kind, layout) : ['', floatDigits(Number(size), kind, layout)]
  const { flags, width } = layout
  const sign = (isNegative ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '') + prefix
  const text = 'EFG'.includes(kind) ? digits.toUpperCase() : digits
  if (!flags.includes('0') || flags.includes('-')) return sign + text
  return sign + text.padStart(width - sign.length, '0')
}

/** A text with each character beyond ASCII escaped, as Python's `ascii`. */
const asciiOnly = (text: string): string =>
  text.replace(/[^\0-\x7f]/gu, (character) => {
    const code = character.codePointAt(0)!
    const [letter, width] = code < 0x100 ? ['x', 2] : code < 0x10000 ? ['u', 4] : ['U', 8]
    return `\\${letter}${code.toString(16).padStart(width, '0')}`
  })

const character = (value: unknown): string => {
  if (typeof value === 'string' && lengthOf(value) === 1) return value
  if (typeof value === 'number' && value >= 0 && value < 0x110000) return String.fromCodePoint(value)
  throw new TemplateError('%c requires an int or a unicode character')
}

const converted = (value: unknown, kind: string, layout: Layout): string => {
  const cut = (text: string) =>
    layout.precision === undefined ? text : Array.from(text).slice(0, layout.precision).join('')
  if (kind === 's') return cut(str(value))
  if (kind === 'r') return cut(repr(value))
  if (kind === 'a') return cut(asciiOnly(repr(value)))
  return kind === 'c' ? character(value) : numeric(value, kind, layout)
}

const most = 1000

const bounded = (value: number): number => {
  if (value > most) throw new TemplateError(`a width or precision of a format is at most ${most} in a template`)
  return value
}

const pattern = /%(?:\(([^()]*)\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+)?)?[hlL]?([\s\S]?)/g

/**
 * `text % value`, where a tuple has several values.
 * @throws TemplateError for too few, too many or unfit values, and letters that Python does not have
 */
export const percentFormat = (text: string, value: unknown): string => {
  const given: readonly unknown[] = value instanceof Tuple ? value : [value]
  let next = 0
  let isNamed = false
  const take = (): unknown => {
    if (next >= given.length) throw new TemplateError('not enough arguments for format string')
    return given[next++]
  }
  const sizeOf = (part: string | undefined): number => {
    if (part !== '*') return bounded(Number(part ?? 0))
    const size = take()
    if (typeof size !== 'number') throw new TemplateError('* wants int')
    return Math.sign(size) * bounded(Math.abs(size))
  }
  const result = text.replace(
    pattern,
    (whole, name: string | undefined, flags: string, wide?: string, exact?: string, kind = '') => {
      if (kind === '') throw new TemplateError('incomplete format')
      if (kind === '%') return '%'
      if (!'diouxXeEfFgGcrsa'.includes(kind)) throw new TemplateError(`unsupported format character in ${whole}`)
      if (name !== undefined && !(value instanceof Map)) throw new TemplateError('format requires a mapping')
      const width = sizeOf(wide)
      const hasPrecision = whole
        .slice(0, -1)
        .replace(/^%\([^()]*\)/, '')
        .includes('.')
      const precision = hasPrecision ? Math.max(0, sizeOf(exact)) : undefined
      const layout = { flags: width < 0 ? `${flags}-` : flags, width: Math.abs(width), precision }
      if (name !== undefined) {
        isNamed = true
        if (!(value as Map<unknown, unknown>).has(name)) throw new TemplateError(repr(name))
      }
      const one = name === undefined ? take() : (value as Map<unknown, unknown>).get(name)
      const shown = converted(one, kind, layout)
      const room = ' '.repeat(Math.max(0, layout.width - lengthOf(shown)))
      return layout.flags.includes('-') ? shown + room : room + shown
    },
  )
  const mayRemain = isNamed || value instanceof Map || (Array.isArray(value) && !(value instanceof Tuple))
  if (next < given.length && !mayRemain) throw new TemplateError('not all arguments converted during string formatting')
  return result
}
