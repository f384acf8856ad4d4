// Scanners find the end of each word in an array of UTF-16 units. They dominate the time of encoding, so the patterns
// of well-known tokenizers are hand-written; tests compare each with its regular expression.
// @source the patterns: GPT-2's encoder, Llama 3's and Qwen 2's tokenizer.json

import { PUBLISHED_PATTERNS } from '../oniguruma.ts'
import type { Pattern } from '../pattern.ts'
import type { Span } from '../text.ts'
import { classAt, classOf, LETTER, NUMBER, WHITE_SPACE } from '../unicode.ts'

/** Finds word boundaries. */
export interface Scanner {
  /** Called with each text before its units are scanned. */
  begin?(text: string): void
  /** The end of the word that starts at `start`: above `start`, at most `limit`. */
  next(units: Uint16Array, start: number, limit: number): number
  /** Whether `limit` may be before the end of the text. */
  readonly limited: boolean
}

/** The split pattern of GPT-2. */
export const GPT2_PATTERN = PUBLISHED_PATTERNS.gpt2
/** The split pattern of Llama 3. */
export const LLAMA3_PATTERN = PUBLISHED_PATTERNS.llama3
/** The split pattern of Qwen 2. */
export const QWEN2_PATTERN = PUBLISHED_PATTERNS.qwen2

const KIND = LETTER | NUMBER | WHITE_SPACE
const SPACE = 32
const APOSTROPHE = 39

/** The end of the run of characters of `kind` (0: neither letter, number nor white space). */
const run = (units: Uint16Array, start: number, limit: number, kind: number): number => {
  let at = start
  while (at < limit) {
    const unit = units[at]
    if (unit < 0xd800 || unit > 0xdfff) {
      if ((classOf(unit) & KIND) !== kind) break
      at++
    } else {
      if ((classAt(units, at, limit) & KIND) !== kind) break
      at += isPair(units, at, limit) ? 2 : 1
    }
  }
  return at
}

const isPair = (units: Uint16Array, at: number, limit: number): boolean => {
  const unit = units[at]
  return unit >= 0xd800 && unit <= 0xdbff && at + 1 < limit && units[at + 1] >= 0xdc00 && units[at + 1] <= 0xdfff
}

const spaces = (units: Uint16Array, start: number, limit: number): number => {
  const end = run(units, start, limit, WHITE_SPACE)
  // `\s+(?!\S)` leaves the last space to the next word; all white space is in the basic plane.
  return end < limit && end - start > 1 ? end - 1 : end
}

/** Scanner for `GPT2_PATTERN`. */
export const gpt2Scanner: Scanner = {
  limited: true,
  next(units, start, limit) {
    const unit = units[start]
    if (unit === APOSTROPHE && start + 1 < limit) {
      const second = units[start + 1]
      if (second === 0x73 || second === 0x74 || second === 0x6d || second === 0x64) return start + 2
      if (start + 2 < limit) {
        const third = units[start + 2]
        if ((third === 0x65 && (second === 0x72 || second === 0x76)) || (third === 0x6c && second === 0x6c))
          return start + 3
      }
    }
    let kind = classAt(units, start, limit) & KIND
    if (unit === SPACE && start + 1 < limit) {
      kind = classAt(units, start + 1, limit) & KIND
      if (kind !== WHITE_SPACE) return run(units, start + 1, limit, kind)
    }
    return kind === WHITE_SPACE ? spaces(units, start, limit) : run(units, start, limit, kind)
  },
}

const isLineEnd = (unit: number): boolean => unit === 10 || unit === 13

/** The end of an English contraction in any case, or 0. */
const contraction = (units: Uint16Array, start: number, limit: number): number => {
  if (start + 1 >= limit) return 0
  const second = units[start + 1] | 32
  // U+017F, the long s, matches s case-insensitively.
  if (second === 0x73 || second === 0x74 || second === 0x6d || second === 0x64 || units[start + 1] === 0x17f) {
    if (units[start + 1] < 0x80 || units[start + 1] === 0x17f) return start + 2
  }
  if (start + 2 >= limit || units[start + 1] > 0x7f || units[start + 2] > 0x7f) return 0
  const third = units[start + 2] | 32
  if ((third === 0x65 && (second === 0x72 || second === 0x76)) || (third === 0x6c && second === 0x6c)) return start + 3
  return 0
}

/** Scanner for the Llama 3 family of patterns, which differ in the maximum number of digits per word. */
const llama3Scanner = (maxDigits: number): Scanner => ({
  limited: true,
  next(units, start, limit) {
    const unit = units[start]
    if (unit === APOSTROPHE) {
      const end = contraction(units, start, limit)
      if (end > 0) return end
    }
    const kind = classAt(units, start, limit) & KIND
    if (kind === LETTER) return run(units, start, limit, LETTER)
    if (kind === NUMBER) {
      let end = start
      for (let i = 0; i < maxDigits && end < limit && (classAt(units, end, limit) & KIND) === NUMBER; i++)
        end += isPair(units, end, limit) ? 2 : 1
      return end
    }
    const after = start + (isPair(units, start, limit) ? 2 : 1)
    const next = after < limit ? classAt(units, after, limit) & KIND : WHITE_SPACE
    if (next === LETTER && !isLineEnd(unit)) return run(units, after, limit, LETTER)
    if (kind === 0 || (unit === SPACE && next === 0 && after < limit)) {
      let end = run(units, kind === 0 ? start : after, limit, 0)
      while (end < limit && isLineEnd(units[end])) end++
      return end
    }
    const end = run(units, start, limit, WHITE_SPACE)
    for (let last = end; last > start; last--) if (isLineEnd(units[last - 1])) return last
    return end < limit && end - start > 1 ? end - 1 : end
  },
})

/** Isolates digits (any numeric character), one by one or in runs; the text between them is one word. */
export const digitScanner = (individual: boolean): Scanner => ({
  limited: true,
  next(units, start, limit) {
    let at = start
    if ((classAt(units, at, limit) & NUMBER) !== 0) {
      if (individual) return at + (isPair(units, at, limit) ? 2 : 1)
      while (at < limit && (classAt(units, at, limit) & NUMBER) !== 0) at += isPair(units, at, limit) ? 2 : 1
      return at
    }
    while (at < limit && (classAt(units, at, limit) & NUMBER) === 0) at += isPair(units, at, limit) ? 2 : 1
    return at
  },
})

/** Scanner that isolates the matches of a regular expression and the text between them. */
export const regexScanner = (pattern: RegExp): Scanner => {
  const regex = new RegExp(pattern.source, pattern.flags)
  let text = ''
  let matchStart = -1
  let matchEnd = -1
  return {
    limited: false,
    begin(newText) {
      text = newText
      matchStart = matchEnd = -1
    },
    next(_units, start, limit) {
      if (start < matchStart) return matchStart
      if (start === matchStart && matchEnd > start) return matchEnd
      regex.lastIndex = start
      // Skip empty matches.
      for (let match = regex.exec(text); match !== null; match = regex.exec(text)) {
        if (match[0] === '') {
          if (match.index > start) return match.index
          regex.lastIndex = match.index + (match.index < text.length && text.codePointAt(match.index)! > 0xffff ? 2 : 1)
          continue
        }
        matchStart = match.index
        matchEnd = match.index + match[0].length
        return matchStart > start ? matchStart : matchEnd
      }
      return limit
    },
  }
}

/** Like `regexScanner`, but finds all matches at the start of a text, under one time limit. */
const spanScanner = (pattern: Pattern): Scanner => {
  let spans: Span[] = []
  let at = 0
  return {
    limited: false,
    begin(text) {
      spans = pattern.matches(text)
      at = 0
    },
    next(_units, start, limit) {
      while (at < spans.length && spans[at][1] <= start) at++
      if (at === spans.length) return limit
      const [matchStart, matchEnd] = spans[at]
      return matchStart > start ? matchStart : matchEnd
    },
  }
}

/** Splits each word of `outer` by `inner`. */
export const nestedScanner = (outer: Scanner, inner: Scanner): Scanner => {
  let end = -1
  return {
    limited: outer.limited,
    begin(text) {
      end = -1
      outer.begin?.(text)
    },
    next(units, start, limit) {
      if (start >= end) end = outer.next(units, start, limit)
      return inner.next(units, start, end)
    },
  }
}

const KNOWN: Readonly<Record<string, () => Scanner>> = {
  [GPT2_PATTERN]: () => gpt2Scanner,
  [LLAMA3_PATTERN]: () => llama3Scanner(3),
  [QWEN2_PATTERN]: () => llama3Scanner(1),
}

/** The hand-written scanner of a well-known pattern, else one that runs the regular expression. */
export const scannerOf = (pattern: Pattern): Scanner => {
  if (Object.hasOwn(KNOWN, pattern.source)) return KNOWN[pattern.source]()
  return pattern.needsTimeLimit ? spanScanner(pattern) : regexScanner(pattern.regex)
}
