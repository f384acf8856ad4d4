// Splits text into words and counts sentences: by the affix rules of English (those of spaCy's blank pipeline, which
// the reference implementation of the Gopher, C4 and FineWeb rules uses), by Unicode's rules, or at white space. The
// caches affect only the speed.

import { splitWhitespace } from './characters.ts'
import { englishExceptions } from './english-exceptions.ts'

/** english: splits off punctuation and contractions; unicode: UAX 29, any script; whitespace: splits at white space. */
export const wordRules = ['english', 'unicode', 'whitespace'] as const
/** How to split words. */
export type WordRule = (typeof wordRules)[number]

const lower = '\\p{Ll}\\p{Lo}\\p{Lm}'
const upper = '\\p{Lu}\\p{Lt}\\p{Lo}'
const letter = '\\p{L}'
const quotes = '\'"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉⟦⟧'
const marks = '…,:;!?¿؟¡()\\[\\]{}<>_#*&。？！，、；：～·।،۔؛٪'
const icon = '\\p{So}'
const currency = '(?:\\$|£|€|¥|฿|US\\$|C\\$|A\\$|[₠-₿﷼])'
const units =
  'km²|km³|km|m²|m³|m/s|mph|mbar|mb|mm²|mm³|mm|mg|m|dm²|dm³|dm|cm²|cm³|cm|ha|µm|µg|nm|yd|in|ft|kg|g|t|lb|oz|km/h|kmh|hPa|Pa|' +
  'MB|kb|KB|gb|GB|tb|TB|T|G|M|K|%|км²|км³|км|м²|м³|м/с|м|дм²|дм³|дм|см²|см³|см|мм²|мм³|мм|нм|кг|г|мг|км/ч|кПа|Па|мбар|' +
  'Кб|КБ|кб|Мб|МБ|мб|Гб|ГБ|гб|Тб|ТБ|тб'

const prefixPattern = new RegExp(`^(?:[§%=—–]|\\+(?![0-9])|\\.\\.+|${currency}|[${marks}${quotes}]|${icon})`, 'u')
const suffixPattern = new RegExp(
  `(?:'s|'S|’s|’S|\\.\\.+|[—–${marks}${quotes}]|${icon}|(?<=[0-9])\\+|(?<=°[FfCcKk])\\.|(?<=[0-9])${currency}|` +
    `(?<=[0-9])(?:${units})|(?<=[0-9${lower}%²\\-+${marks}${quotes}|:?()])\\.|(?<=[${upper}][${upper}])\\.)$`,
  'u',
)
const infixPattern = new RegExp(
  `\\.\\.+|…|${icon}|(?<=[0-9])[+\\-*^](?=[0-9-])|(?<=[${lower}${quotes}])\\.(?=[${upper}${quotes}])|` +
    `(?<=${letter}),(?=${letter})|(?<=[${letter}0-9])(?:--?-?|–|——?|~)(?=${letter})|(?<=[${letter}0-9])[:<>=/](?=${letter})`,
  'gu',
)
// A host name with a top-level domain, or an IPv4 address, with optional scheme, user, port and path.
const urlPattern = new RegExp(
  '^(?:[\\w+\\-.\\u0080-\\uffff]{2,}://)?(?:\\S+(?::\\S*)?@)?(?:' +
    '(?!(?:10|127)(?:\\.\\d{1,3}){3})(?!(?:169\\.254|192\\.168)(?:\\.\\d{1,3}){2})(?!172\\.(?:1[6-9]|2\\d|3[01])(?:\\.\\d{1,3}){2})' +
    '(?:[1-9]\\d?|1\\d\\d|2[01]\\d|22[0-3])(?:\\.(?:1?\\d{1,2}|2[0-4]\\d|25[0-5])){2}(?:\\.(?:[1-9]\\d?|1\\d\\d|2[0-4]\\d|25[0-4]))|' +
    '(?:(?:[A-Za-z0-9\\u00a1-\\uffff][A-Za-z0-9\\u00a1-\\uffff_\\-]{0,62})?[A-Za-z0-9\\u00a1-\\uffff]\\.)+' +
    `[${lower}]{2,63})(?::\\d{2,5})?(?:[/?#]\\S*)?$`,
  'u',
)
const plainWord = /^[A-Za-z]+$/
/** Longer chunks are not split; the URL pattern would take quadratic time. */
const longestChunk = 500
/** Except for runs of dots, suffixes are shorter than this minus the two characters of look-behind. */
const suffixWindow = 8

/** The suffix of `text` or ''; reads only its end, so that removing many suffixes is linear. */
const suffixOf = (text: string): string => {
  if (text.endsWith('..')) {
    let start = text.length - 2
    while (start > 0 && text[start - 1] === '.') start--
    return text.slice(start)
  }
  return suffixPattern.exec(text.slice(-suffixWindow))?.[0] ?? ''
}

const longestException = Math.max(...[...englishExceptions.keys()].map((word) => word.length))

const splitInfixes = (text: string, into: string[]): void => {
  let start = 0
  for (const match of text.matchAll(infixPattern)) {
    if (match.index === 0) continue
    if (match.index > start) into.push(text.slice(start, match.index))
    into.push(match[0])
    start = match.index + match[0].length
  }
  if (start < text.length) into.push(text.slice(start))
}

/** Splits a run without white space: prefixes and suffixes alternately, then exceptions, URLs and infixes. */
const splitChunk = (chunk: string, exceptions: ReadonlyMap<string, readonly string[]>): string[] => {
  // The length is tested first: hashing the rest at every step would take quadratic time.
  const isException = (text: string) => text.length <= longestException && exceptions.has(text)
  const words: string[] = []
  const suffixes: string[] = []
  let rest = chunk
  for (;;) {
    if (rest === '' || isException(rest)) break
    const prefix = prefixPattern.exec(rest)?.[0] ?? ''
    if (prefix !== '') {
      const without = rest.slice(prefix.length)
      if (without !== '' && isException(without)) {
        words.push(prefix)
        rest = without
        break
      }
    }
    const suffix = suffixOf(rest.slice(prefix.length))
    if (suffix !== '') {
      const without = rest.slice(0, rest.length - suffix.length)
      if (without !== '' && isException(without)) {
        suffixes.push(suffix)
        rest = without
        break
      }
    }
    if (prefix === '' && suffix === '') break
    if (prefix !== '') words.push(prefix)
    if (suffix !== '') suffixes.push(suffix)
    rest = rest.slice(prefix.length, rest.length - suffix.length)
  }
  if (rest !== '') {
    const exception = exceptions.get(rest)
    if (exception !== undefined) words.push(...exception)
    else if (urlPattern.test(rest)) words.push(rest)
    else splitInfixes(rest, words)
  }
  for (let i = suffixes.length - 1; i >= 0; i--) words.push(suffixes[i])
  return words
}

/** Exceptions that the affix rules would split, such as emoticons; matched anywhere in a chunk. */
interface SplitExceptions {
  bySplitForm: ReadonlyMap<string, readonly string[]>
  /** First words of the split forms. */
  starts: ReadonlySet<string>
  /** Words of the longest split form. */
  longest: number
}

let splitExceptions: SplitExceptions | undefined

/** Made for the first text: programs that split none need not wait for the patterns. */
const makeSplitExceptions = (): SplitExceptions => {
  const bySplitForm = new Map<string, readonly string[]>()
  const starts = new Set<string>()
  let longest = 0
  for (const [text, words] of englishExceptions) {
    const cut = splitChunk(text, new Map())
    if (cut.length < 2) continue
    bySplitForm.set(cut.join(' '), words)
    starts.add(cut[0])
    longest = Math.max(longest, cut.length)
  }
  return { bySplitForm, starts, longest }
}

/** Joins exceptions that were split: the longest first, ties from the start. */
const joinExceptions = (words: readonly string[]): readonly string[] => {
  splitExceptions ??= makeSplitExceptions()
  const { bySplitForm, starts, longest } = splitExceptions
  const found: { start: number; length: number; exception: readonly string[] }[] = []
  for (let start = 0; start + 1 < words.length; start++) {
    if (!starts.has(words[start])) continue
    for (let length = Math.min(longest, words.length - start); length >= 2; length--) {
      const exception = bySplitForm.get(words.slice(start, start + length).join(' '))
      if (exception !== undefined) found.push({ start, length, exception })
    }
  }
  if (found.length === 0) return words
  found.sort((x, y) => y.length - x.length || x.start - y.start)
  const taken = new Uint8Array(words.length)
  const chosen = new Map<number, (typeof found)[number]>()
  for (const match of found) {
    const { start, length } = match
    if (taken.subarray(start, start + length).includes(1)) continue
    taken.fill(1, start, start + length)
    chosen.set(start, match)
  }
  const joined: string[] = []
  for (let i = 0; i < words.length; ) {
    const match = chosen.get(i)
    joined.push(...(match?.exception ?? [words[i]]))
    i += match?.length ?? 1
  }
  return joined
}

const chunkCache = new Map<string, readonly string[]>()
const chunkCacheSize = 50_000

const splitChunkCached = (chunk: string): readonly string[] => {
  const known = chunkCache.get(chunk)
  if (known !== undefined) return known
  const words =
    chunk.length > longestChunk || (plainWord.test(chunk) && !englishExceptions.has(chunk))
      ? [chunk]
      : joinExceptions(splitChunk(chunk, englishExceptions))
  if (chunk.length <= 40) {
    if (chunkCache.size >= chunkCacheSize) chunkCache.clear()
    chunkCache.set(chunk, words)
  }
  return words
}

const splitEnglish = (text: string): string[] => {
  const words: string[] = []
  for (const chunk of splitWhitespace(text)) {
    const cut = splitChunkCached(chunk)
    if (cut.length === 1) words.push(cut[0])
    else for (const word of cut) words.push(word)
  }
  return words
}

let segmenter: Intl.Segmenter | undefined

const splitUnicode = (text: string): string[] => {
  segmenter ??= new Intl.Segmenter('en', { granularity: 'word' })
  const words: string[] = []
  for (const { segment } of segmenter.segment(text)) if (segment.trim() !== '') words.push(segment)
  return words
}

const splitters: Record<WordRule, (text: string) => string[]> = {
  english: splitEnglish,
  unicode: splitUnicode,
  whitespace: splitWhitespace,
}

let lastText = ''
let lastRule: WordRule = 'english'
let lastWords: readonly string[] = []

/** The words of `text`, with punctuation marks as separate words; the last result is cached for the next filter. */
export const splitWords = (text: string, rule: WordRule = 'english'): readonly string[] => {
  if (rule !== lastRule || text !== lastText) {
    lastWords = splitters[rule](text)
    lastText = text
    lastRule = rule
  }
  return lastWords
}

const sentenceEnd = /^\p{Sentence_Terminal}$/u
const punctuationOnly = /^\p{P}+$/u
const spaceRuns = /[\s\x1c-\x1f\x85]+/g

/** Number of sentences: each starts at the first word after a terminal mark that is not punctuation. */
export const countSentences = (text: string, rule: WordRule = 'english'): number => {
  let sentences = 1
  let ended = false
  const read = (words: readonly string[]) => {
    for (const word of words) {
      if (word.length <= 2 && sentenceEnd.test(word)) ended = true
      else if (ended && !punctuationOnly.test(word)) open()
    }
  }
  const open = () => {
    sentences++
    ended = false
  }
  if (rule !== 'english') {
    read(splitters[rule](text))
    return sentences
  }
  // More white space than one space is a separate word in spaCy, so it starts a sentence too.
  let start = 0
  for (const { 0: run, index } of text.matchAll(spaceRuns)) {
    if (index > start) read(splitChunkCached(text.slice(start, index)))
    if (ended && run !== ' ') open()
    start = index + run.length
  }
  if (start < text.length) read(splitChunkCached(text.slice(start)))
  return sentences
}
