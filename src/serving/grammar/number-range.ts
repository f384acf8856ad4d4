// Numbers between bounds, and multiples of a number, read digit by digit. They are compared as decimals, without exponents, so
// that nothing is rounded: with at most 15 digits, different decimals are different numbers in float64 too.
import type { Automaton } from './automaton.ts'
import type { CodePoints } from './languages.ts'

/** Digits of a number at most: a model that repeats a digit must come to an end. */
export const maxDigits = 15

/** What numbers must follow. */
export interface NumberRange {
  isInteger: boolean
  bounds: readonly { value: number; side: 'least' | 'most'; isExclusive: boolean }[]
  /** Above 0. */
  multipleOf?: number | undefined
}

/** A number as digits before and after the point. */
interface Decimal {
  isNegative: boolean
  whole: string
  fraction: string
}

const decimalOf = (value: number): Decimal => {
  const [mantissa, exponent = '0'] = String(Math.abs(value)).split('e')
  const [whole, fraction = ''] = mantissa.split('.')
  const shift = Number(exponent)
  const digits = whole + fraction
  const point = whole.length + shift
  const padded = point > 0 ? digits.padEnd(point, '0') : '0'.repeat(1 - point) + digits
  const at = Math.max(1, point)
  return {
    isNegative: value < 0,
    whole: padded.slice(0, at).replace(/^0+(?=\d)/, ''),
    fraction: padded.slice(at).replace(/0+$/, ''),
  }
}

/** Where a number is read. */
interface Place {
  part: 'start' | 'sign' | 'zero' | 'whole' | 'point' | 'fraction'
  isNegative: boolean
  isZero: boolean
  /** Digits before and after the point. */
  whole: number
  fraction: number
  /** For each bound how the digits so far compare with as many of its own: -1, 0 or 1. */
  compared: readonly number[]
  /** Of the digits so far, by the multiple. */
  remainder: number
}

const readDigits = ({ isInteger, bounds, multipleOf }: NumberRange) => {
  const limits = bounds.map(({ value, ...bound }) => ({ ...bound, ...decimalOf(value) }))
  const unit = multipleOf === undefined ? { whole: '1', fraction: '' } : decimalOf(multipleOf)
  const divisor = Number(unit.whole + unit.fraction)
  const maxFraction = isInteger ? 0 : multipleOf === undefined ? maxDigits : unit.fraction.length

  /** A digit of a bound at the place of the next digit of the number. */
  const expected = ({ whole, fraction }: Decimal, place: Place): string | undefined =>
    place.part === 'point' || place.part === 'fraction' ? (fraction[place.fraction] ?? '0') : whole[place.whole]

  const isLike = (limit: Decimal, place: Place): boolean => limit.isNegative === place.isNegative

  const afterDigit = (place: Place, digit: number): Place => {
    const inFraction = place.part === 'point' || place.part === 'fraction'
    const compared = limits.map((limit, i) => {
      const wanted = expected(limit, place)
      if (!isLike(limit, place)) return 0
      // More digits before the point than the bound has.
      if (wanted === undefined) return 1
      return place.compared[i] === 0 ? Math.sign(digit - Number(wanted)) : place.compared[i]
    })
    return {
      ...place,
      part: inFraction ? 'fraction' : digit === 0 && place.whole === 0 ? 'zero' : 'whole',
      isZero: place.isZero && digit === 0,
      ...(inFraction ? { fraction: place.fraction + 1 } : { whole: place.whole + 1 }),
      compared,
      remainder: (place.remainder * 10 + digit) % divisor,
    }
  }

  /** How a number that ends here compares with the digits of a bound before the point, or with all. */
  const magnitude = (limit: Decimal, place: Place, i: number, isWhole: boolean): number => {
    if (place.part !== 'fraction' && place.part !== 'point' && place.whole < limit.whole.length) return -1
    if (place.compared[i] !== 0 || !isWhole) return place.compared[i]
    return /[1-9]/.test(limit.fraction.slice(place.fraction)) ? -1 : 0
  }

  const afterPoint = (place: Place): Place => ({
    ...place,
    part: 'point',
    compared: limits.map((limit, i) => (isLike(limit, place) ? magnitude(limit, place, i, false) : 0)),
  })

  const isWithin = (place: Place): boolean =>
    limits.every((limit, i) => {
      const size = magnitude(limit, place, i, true)
      const sign = isLike(limit, place) ? (place.isNegative ? -size : size) : place.isNegative ? -1 : 1
      return sign === 0 ? !limit.isExclusive : sign > 0 === (limit.side === 'least')
    })

  const signs = [false, true]
  /** Maximum number of digits before the point, by the sign: no more than a bound on that side of zero has. */
  const [maxPositive, maxNegative] = signs.map((isNegative) => {
    const ends = limits.filter(({ side }) => side === (isNegative ? 'least' : 'most'))
    return Math.min(maxDigits, ...ends.map((end) => (end.isNegative === isNegative ? end.whole.length : 1)))
  })
  const maxWhole = (place: Place): number => (place.isNegative ? maxNegative : maxPositive)

  /** What a whole number must be a multiple of. */
  const wholeDivisor = divisor / commonDivisor(divisor, 10 ** unit.fraction.length)

  /**
   * What of the remainder decides which digits may still come: for each number of further digits the least that makes a multiple of
   * them, if so few digits can. Remainders that are alike in that are one state, so that multiples of 3000 have no more states than
   * those of 3.
   */
  const futureOf = (place: Place): string => {
    if (maxFraction > 0) return String(place.remainder)
    let rest = place.remainder % wholeDivisor
    const least: (number | string)[] = []
    for (let size = 1, digits = place.whole; digits <= maxWhole(place); digits++, size *= 10) {
      const missing = rest === 0 ? 0 : wholeDivisor - rest
      least.push(missing < size ? missing : '')
      rest = (rest * 10) % wholeDivisor
    }
    return least.join('/')
  }

  const places = unit.fraction.length
  return { limits, divisor, maxFraction, places, afterDigit, afterPoint, isWithin, maxWhole, futureOf }
}

const commonDivisor = (a: number, b: number): number => (b === 0 ? a : commonDivisor(b, a % b))

/** The automaton of the numbers, without exponents, and without a sign before 0. */
export const numberAutomaton = (range: NumberRange): Automaton<Place> => {
  const { divisor, maxFraction, places, afterDigit, afterPoint, isWithin, limits, maxWhole, futureOf } =
    readDigits(range)
  const single = (character: string): CodePoints => [[character.charCodeAt(0), character.charCodeAt(0)]]
  const zeros = limits.map(() => 0)
  return {
    start: { part: 'start', isNegative: false, isZero: true, whole: 0, fraction: 0, compared: zeros, remainder: 0 },
    keyOf: (place) => {
      const { part, isNegative, isZero, whole, fraction, compared } = place
      // Without bounds, a number and its negative are alike but for 0.
      return [
        part,
        isNegative && (isZero || limits.length > 0),
        isZero,
        whole,
        fraction,
        compared,
        futureOf(place),
      ].join()
    },
    accepts: (place) =>
      ['zero', 'whole', 'fraction'].includes(place.part) &&
      !(place.isNegative && place.isZero) &&
      (place.remainder * 10 ** (places - Math.min(places, place.fraction))) % divisor === 0 &&
      isWithin(place),
    steps(place) {
      const { part, whole, fraction } = place
      const found: [CodePoints, Place][] = []
      if (part === 'start') found.push([single('-'), { ...place, part: 'sign', isNegative: true }])
      const canPoint = (part === 'zero' || part === 'whole') && maxFraction > 0 && whole < maxDigits
      if (canPoint) found.push([single('.'), afterPoint(place)])
      const isWhole = part !== 'point' && part !== 'fraction'
      const isFull =
        whole + fraction >= (isWhole ? maxWhole(place) : maxDigits) ||
        fraction >= maxFraction + (part === 'fraction' ? 0 : 1)
      if (part !== 'zero' && !isFull)
        for (let digit = 0; digit <= 9; digit++) found.push([single(String(digit)), afterDigit(place, digit)])
      return found
    },
  }
}
