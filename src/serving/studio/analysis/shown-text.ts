// Values of records and predictions as text of bounded length.
const maxCharacters = 4000

/** A text, cut where it is too long for a table. */
export const cutText = (text: string, limit = maxCharacters): string =>
  text.length > limit ? `${text.slice(0, limit)} … (${text.length - limit} more characters)` : text

interface TurnLike {
  role: string
  content: string
}

const isTurns = (value: unknown): value is TurnLike[] =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.every(
    (one) => typeof (one as TurnLike)?.content === 'string' && typeof (one as TurnLike | undefined)?.role === 'string',
  )

/** A value as people read it: texts as they are, words of a list in one line, turns of a conversation by role. */
export const shownText = (value: unknown): string => {
  if (typeof value === 'string') return cutText(value)
  if (isTurns(value)) return cutText(value.map(({ role, content }) => `${role}: ${content}`).join('\n'))
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return cutText(value.join(' '))
  return cutText(JSON.stringify(value) ?? '')
}

/** A number that JSON can have; null for NaN and infinities. */
export const finiteOrNull = (value: number | null | undefined): number | null =>
  value !== null && value !== undefined && Number.isFinite(value) ? value : null

/** Mean, smallest and largest of the values that are finite. */
export const spreadOf = (values: readonly (number | null)[]) => {
  const known = values.filter((value): value is number => value !== null && Number.isFinite(value))
  if (known.length === 0) return { mean: null, min: null, max: null }
  let [sum, min, max] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const value of known) {
    sum += value
    min = Math.min(min, value)
    max = Math.max(max, value)
  }
  return { mean: sum / known.length, min, max }
}
