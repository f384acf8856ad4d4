// Python's `text % values`.
import { fixedText, scaledToInteger, truncated } from './numbers.ts'
import { Float, isNumber, lengthOf, numberOf, repr, str, TemplateError, Tuple, typeName } from './values.ts'

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
