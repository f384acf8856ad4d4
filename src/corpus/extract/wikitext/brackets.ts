// The ends of wikitext constructs: templates, links, tables, tags. Failed searches are charged to a budget, so that a
// page of unclosed brackets cannot take quadratic time.

const verbatimTags = ['nowiki', 'pre', 'math', 'syntaxhighlight', 'source']

/** Finds the ends of constructs in one text. */
export class BracketFinder {
  readonly #text: string
  #budget: number

  constructor(text: string) {
    this.#text = text
    this.#budget = 40 * text.length + 100_000
  }

  #spend(from: number): boolean {
    this.#budget -= this.#text.length - from
    return this.#budget > 0
  }

  /**
   * End of the `{{…}}` or `{{{…}}}` that opens at `start`, exclusive; -1 when it is never closed.
   * Runs of braces pair as in MediaWiki: innermost first, three before two.
   */
  template(start: number): number {
    const text = this.#text
    if (this.#budget <= 0) return -1
    const open = [runLength(text, start, 123)]
    let at = start + open[0]
    const length = text.length
    while (at < length) {
      const code = text.charCodeAt(at)
      if (code === 123) {
        const run = runLength(text, at, 123)
        if (run >= 2) open.push(run)
        at += run
      } else if (code === 125) {
        let run = runLength(text, at, 125)
        while (run >= 2) {
          const top = open[open.length - 1]
          const pair = Math.min(top, run, 3)
          run -= pair
          at += pair
          if (top - pair >= 2) open[open.length - 1] = top - pair
          else open.pop()
          if (open.length === 0) return at
        }
        at += run
      } else if (code === 60) at = this.#pastVerbatim(at)
      else at++
    }
    this.#spend(start)
    return -1
  }

  /** Position after a tag whose content is not wikitext, or after the `<`. */
  #pastVerbatim(at: number): number {
    const text = this.#text
    for (const name of verbatimTags) {
      if (!text.startsWith(name, at + 1)) continue
      const end = this.tagEnd(at)
      if (end < 0 || text.charCodeAt(end - 2) === 47) return at + 1
      const close = this.close(name, end)
      return close < 0 ? at + 1 : close
    }
    return at + 1
  }

  /** End of the `[[…]]` that opens at `start`, exclusive; -1 when it is never closed. */
  link(start: number): number {
    const text = this.#text
    if (this.#budget <= 0) return -1
    let depth = 1
    let at = start + 2
    for (;;) {
      const close = text.indexOf(']]', at)
      if (close < 0) break
      const open = text.indexOf('[[', at)
      if (open >= 0 && open < close) {
        depth++
        at = open + 2
      } else {
        depth--
        at = close + 2
        if (depth === 0) return at
      }
    }
    this.#spend(start)
    return -1
  }

  /** End of the `{|` table that opens at `start`, exclusive; -1 when it is never closed. */
  table(start: number): number {
    const text = this.#text
    if (this.#budget <= 0) return -1
    let depth = 1
    let at = start + 2
    for (;;) {
      at = text.indexOf('\n', at)
      if (at < 0) break
      at++
      while (isSpaceOrIndent(text.charCodeAt(at))) at++
      const code = text.charCodeAt(at)
      const next = text.charCodeAt(at + 1)
      if (code === 123 && next === 124) depth++
      else if (code === 124 && next === 125 && text.charCodeAt(at + 2) !== 125) {
        if (--depth === 0) return at + 2
      }
    }
    this.#spend(start)
    return -1
  }

  /** End of the tag that opens at `start`, exclusive: past its `>`, quotes respected; -1 when there is none nearby. */
  tagEnd(start: number): number {
    const text = this.#text
    const limit = Math.min(text.length, start + 2000)
    let quote = 0
    for (let at = start + 1; at < limit; at++) {
      const code = text.charCodeAt(at)
      if (code === 62 && quote === 0) return at + 1
      if (code === 60 && quote === 0) return -1
      if (code === 34 || code === 39) quote = quote === code ? 0 : quote === 0 ? code : quote
    }
    const plain = text.indexOf('>', start) // an odd quote: take the first >
    return plain >= 0 && plain < limit ? plain + 1 : -1
  }

  /** Start of the `</name` after `from`; -1 when there is none. */
  closeStart(name: string, from: number): number {
    const text = this.#text
    if (this.#budget <= 0) return -1
    for (let at = text.indexOf('</', from); at >= 0; at = text.indexOf('</', at + 2)) {
      const end = at + 2 + name.length
      if (text.slice(at + 2, end).toLowerCase() === name && !isLetterOrDigit(text.charCodeAt(end))) return at
    }
    this.#spend(from)
    return -1
  }

  /** End of the `</name>` after `from`, exclusive; -1 when there is none. */
  close(name: string, from: number): number {
    const at = this.closeStart(name, from)
    if (at < 0) return -1
    const end = this.#text.indexOf('>', at)
    return end < 0 ? this.#text.length : end + 1
  }
}

const runLength = (text: string, start: number, code: number): number => {
  let end = start
  while (text.charCodeAt(end) === code) end++
  return end - start
}

const isSpaceOrIndent = (code: number): boolean => code === 32 || code === 9 || code === 58

const isLetterOrDigit = (code: number): boolean =>
  (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122)

/** Splits at separators that are outside links, templates and verbatim tags. */
export const splitTopLevel = (text: string, separator: string, limit = 1000): string[] => {
  if (!text.includes(separator)) return [text]
  const parts: string[] = []
  let depth = 0
  let start = 0
  let at = 0
  const length = text.length
  while (at < length && parts.length < limit - 1) {
    const code = text.charCodeAt(at)
    if (code === 123 || code === 91) {
      if (text.charCodeAt(at + 1) === code) {
        depth++
        at += 2
      } else at++
    } else if (code === 125 || code === 93) {
      if (text.charCodeAt(at + 1) === code) {
        if (depth > 0) depth--
        at += 2
      } else at++
    } else if (code === 60) {
      const verbatim = /^<(nowiki|math|pre|ref|syntaxhighlight|source)\b[^>]*[^/]?>/.exec(text.slice(at, at + 200))
      const close = verbatim === null || verbatim[0].endsWith('/>') ? -1 : text.indexOf(`</${verbatim[1]}`, at)
      at = close < 0 ? at + 1 : close + 2
    } else if (depth === 0 && text.startsWith(separator, at)) {
      parts.push(text.slice(start, at))
      at += separator.length
      start = at
    } else at++
  }
  parts.push(text.slice(start))
  return parts
}
