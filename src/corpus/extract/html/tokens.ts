// A stream of tags and text runs of HTML, by the tokenizer rules that affect text: comments, raw-text elements, quoted
// attributes. It builds no tree, decodes nothing, never fails, and takes linear time.

export interface TokenHandler {
  text(start: number, end: number): void
  /** `attributesStart` to `attributesEnd` is the text between the name and the `>`. */
  open(name: string, attributesStart: number, attributesEnd: number): void
  close(name: string): void
}

const rawText = new Set(['script', 'style', 'textarea', 'title', 'iframe', 'noembed', 'noframes', 'xmp'])

export const tokenize = (html: string, handler: TokenHandler): void => {
  const length = html.length
  const missing = new Set<string>() // raw-text elements without a further end tag
  let at = 0
  let noComment = false
  while (at < length) {
    const open = html.indexOf('<', at)
    if (open < 0) {
      handler.text(at, length)
      return
    }
    const code = html.charCodeAt(open + 1)
    if (isLetter(code)) {
      if (open > at) handler.text(at, open)
      const nameEnd = endOfName(html, open + 2)
      const name = lower(html, open + 1, nameEnd)
      const end = endOfTag(html, nameEnd)
      handler.open(name, nameEnd, end - 1)
      at = end
      if (rawText.has(name) && !missing.has(name)) {
        const close = findClose(html, name, end)
        if (close < 0) missing.add(name)
        else {
          if (close > end) handler.text(end, close)
          handler.close(name)
          at = html.indexOf('>', close) + 1
          if (at === 0) at = length
        }
      }
    } else if (code === 47 && isLetter(html.charCodeAt(open + 2))) {
      if (open > at) handler.text(at, open)
      const nameEnd = endOfName(html, open + 3)
      handler.close(lower(html, open + 2, nameEnd))
      const end = html.indexOf('>', nameEnd)
      at = end < 0 ? length : end + 1
    } else if (code === 33 || code === 63 || code === 47) {
      if (open > at) handler.text(at, open)
      const comment = !noComment && html.startsWith('--', open + 2)
      let end = comment ? html.indexOf('-->', open + 4) : html.indexOf('>', open + 2)
      if (comment && end < 0) {
        noComment = true
        end = html.indexOf('>', open + 2)
        at = end < 0 ? length : end + 1
      } else at = end < 0 ? length : end + (comment ? 3 : 1)
    } else {
      const next = html.indexOf('<', open + 1) // a `<` in prose
      const end = next < 0 ? length : next
      handler.text(at, end)
      at = end
    }
  }
}

const isLetter = (code: number): boolean => (code >= 97 && code <= 122) || (code >= 65 && code <= 90)

const endOfName = (html: string, from: number): number => {
  let at = from
  for (;;) {
    const code = html.charCodeAt(at)
    if (code === 62 || code === 47 || code === 32 || code === 10 || code === 9 || code === 13 || code === 12) return at
    if (Number.isNaN(code)) return html.length
    at++
  }
}

const lower = (html: string, start: number, end: number): string => {
  const name = html.slice(start, Math.min(end, start + 40))
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at)
    if (code >= 65 && code <= 90) return name.toLowerCase()
  }
  return name
}

/** The position after the `>` of a tag; quoted attribute values may contain one. */
const endOfTag = (html: string, from: number): number => {
  const first = html.indexOf('>', from)
  if (first < 0) return html.length
  let quoteAt = -1
  for (let at = from; at < first; at++) {
    const code = html.charCodeAt(at)
    if (code === 34 || code === 39) {
      quoteAt = at
      break
    }
  }
  if (quoteAt < 0) return first + 1
  // A quote starts a value only after `=`.
  let at = from
  const limit = Math.min(html.length, from + 200_000)
  while (at < limit) {
    const code = html.charCodeAt(at)
    if (code === 62) return at + 1
    if ((code === 34 || code === 39) && opensValue(html, at)) {
      const close = html.indexOf(code === 34 ? '"' : "'", at + 1)
      if (close < 0 || close > limit) return first + 1
      at = close + 1
    } else at++
  }
  return first + 1
}

const opensValue = (html: string, at: number): boolean => {
  let before = at - 1
  while (html.charCodeAt(before) === 32) before--
  return html.charCodeAt(before) === 61
}

const findClose = (html: string, name: string, from: number): number => {
  for (let at = html.indexOf('</', from); at >= 0; at = html.indexOf('</', at + 2)) {
    const end = at + 2 + name.length
    if (html.slice(at + 2, end).toLowerCase() !== name) continue
    const code = html.charCodeAt(end)
    if (Number.isNaN(code) || code === 62 || code === 47 || code <= 32) return at
  }
  return -1
}
