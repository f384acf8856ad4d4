// Wikitext to marked text: templates, links, tags and references are resolved; lines, lists, headings and quotes are
// left for lines.ts. Control characters carry marks between the two (see `marks`); they cannot occur in XML.
import { decodeHtml, decodeHtmlEntity } from '../entities.ts'
import { BracketFinder, splitTopLevel } from './brackets.ts'
import { formulaText, superscript } from './formula.ts'
import { fileCaption, hasImageOptions, linkKind, pipeTrick, type WikiNamespaces } from './links.ts'
import { renderTable } from './tables.ts'
import { blockTemplates, inlineTemplates, type TemplateArguments } from './templates.ts'

/** Marks in rendered text. */
export const marks = {
  /** At a line's start: keep the line as it is (code). */
  verbatim: '\u0001',
  /** Something that shows nothing stood here. */
  gap: '\u0002',
  /** A line break inside a paragraph. */
  lineBreak: '\u0003',
  /** At a line's start: a row of a table. */
  row: '\u0004',
}

export interface RenderOptions {
  namespaces: WikiNamespaces
  /** Block templates and tables become text, rather than nothing. */
  faithful: boolean
  /** Captions of pictures become paragraphs. */
  captions: boolean
}

const maxDepth = 24

// Extension tags and others whose content shows nothing that is prose.
const droppedTags = new Set(
  (
    'ref references gallery timeline imagemap score graph templatestyles mapframe maplink hiero inputbox categorytree section ' +
    'includeonly charinsert indicator pages rss table style script templatedata noinclude'
  ).split(' '),
)
const verbatimTags = new Set(['syntaxhighlight', 'source', 'pre'])
const formulaTags = new Set(['math', 'chem', 'ce'])
const paragraphTags = new Set('p div center blockquote section article poem h1 h2 h3 h4 h5 h6 ul ol dl'.split(' '))
const inlineTags = new Set(
  (
    'b i u s del ins em strong small big sub sup span font tt code kbd samp var cite q dfn abbr strike bdi bdo ruby rb rp rt ' +
    'a mark time data wbr nowiki onlyinclude translate tvar languages noinclude caption thead tbody tfoot tr td th col ' +
    'colgroup dt rtc img input'
  ).split(' '),
)

const special = new Uint8Array(128)
for (const character of '&<[{_}]') special[character.charCodeAt(0)] = 1

const externalLink = /^\[(?:https?:|ftps?:|mailto:|irc:|news:|gopher:|\/\/)[^\]\n]*/i
const behaviourSwitch = /__[A-Z]{3,}[A-Z]*__/y
const entity = /&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});/y
const tagName = /<\/?([a-zA-Z][a-zA-Z0-9]*)/y

/** Renders one page or a part of one. */
export const renderMarkup = (text: string, options: RenderOptions, depth = 0): string => {
  if (depth > maxDepth) return marks.gap
  const brackets = new BracketFinder(text)
  let output = ''
  let copied = 0
  let at = 0
  const length = text.length

  // Each case either sets `at` past what it consumed, after `replace`, or steps over one character.
  const replace = (end: number, replacement: string) => {
    output += text.slice(copied, at) + replacement
    at = copied = end
  }

  while (at < length) {
    let found = at // not captured by the closures, so that this loop stays in registers
    let code = 0
    while (found < length && ((code = text.charCodeAt(found)) > 127 || special[code] === 0)) found++
    at = found
    if (at >= length) break
    const next = text.charCodeAt(at + 1)
    if (code === 38) {
      entity.lastIndex = at
      const match = entity.exec(text)
      if (match === null) at++
      else replace(at + match[0].length, decodeHtmlEntity(match[0]))
    } else if (code === 95) {
      behaviourSwitch.lastIndex = at
      const match = next === 95 ? behaviourSwitch.exec(text) : null
      if (match === null) at++
      else replace(at + match[0].length, '')
    } else if (code === 91) {
      if (next === 91) {
        const end = brackets.link(at)
        if (end < 0) replace(unclosedLinkEnd(text, at, options.namespaces), '')
        else replace(end, renderLink(text.slice(at + 2, end - 2), options, depth))
      } else {
        const match = externalLink.exec(text.slice(at, at + 2000))
        const end = match === null ? -1 : at + match[0].length
        if (end < 0 || text.charCodeAt(end) !== 93) at++
        else {
          const space = /[\s\u00a0]/.exec(match![0])
          const label = space === null ? '' : text.slice(at + space.index + 1, end)
          replace(end + 1, label.trim() === '' ? marks.gap : renderMarkup(label, options, depth + 1))
        }
      }
    } else if (code === 125 || code === 93) {
      if (next === code)
        replace(at + 2, '') // closes nothing: an opening that was broken by its author
      else at++
    } else if (code === 123) {
      if (next === 123) {
        const end = brackets.template(at)
        if (end < 0)
          replace(lineEnd(text, at), marks.gap) // never closed: its arguments would show as prose
        else replace(end, renderTemplate(text.slice(at, end), options, depth))
      } else if (next === 124 && startsLine(text, at)) {
        const end = brackets.table(at)
        if (end < 0) replace(unclosedTableEnd(text, at), `\n${marks.gap}\n`)
        else {
          const rows = options.faithful ? tableRows(text.slice(at, end), options, depth) : ''
          replace(end, `\n${rows === '' ? marks.gap : rows}\n`)
        }
      } else at++
    } else renderTag()
  }
  if (copied === 0) return text
  return output + text.slice(copied)

  function renderTag(): void {
    tagName.lastIndex = at
    const match = tagName.exec(text)
    if (match === null) {
      at++
      return
    }
    const name = match[1].toLowerCase()
    const closing = text.charCodeAt(at + 1) === 47
    const end = brackets.tagEnd(at)
    const known =
      droppedTags.has(name) ||
      verbatimTags.has(name) ||
      formulaTags.has(name) ||
      paragraphTags.has(name) ||
      inlineTags.has(name) ||
      name === 'br' ||
      name === 'hr' ||
      name === 'li' ||
      name === 'dd'
    if (!known) at++
    else if (end < 0) replace(Math.min(lineEnd(text, at), length), marks.gap)
    else if (name === 'br') replace(end, marks.lineBreak)
    else if (name === 'hr') replace(end, '\n\n')
    else if (name === 'li') replace(end, closing ? '\n' : '\n* ')
    else if (name === 'dd') replace(end, '\n')
    else if (paragraphTags.has(name)) replace(end, '\n\n')
    else if (closing || text.charCodeAt(end - 2) === 47) replace(end, '')
    else if (droppedTags.has(name)) {
      const close = name === 'table' ? nestedClose(name, end) : brackets.close(name, end)
      // A <ref> that is never closed swallows its line, not the article.
      replace(close < 0 ? (name === 'ref' ? lineEnd(text, at) : end) : close, name === 'ref' ? '' : marks.gap)
    } else if (formulaTags.has(name)) {
      const close = brackets.closeStart(name, end)
      if (close < 0) replace(end, '')
      else {
        const formula = formulaText(text.slice(end, close))
        replace(brackets.close(name, close), formula === '' ? marks.gap : formula)
      }
    } else if (verbatimTags.has(name)) {
      const close = brackets.closeStart(name, end)
      if (close < 0) replace(end, '')
      else replace(brackets.close(name, close), verbatimLines(text.slice(end, close)))
    } else if (name === 'sup') {
      const close = brackets.closeStart(name, end)
      const number = close < 0 || close - end > 40 ? '' : superscript(decodeHtml(text.slice(end, close)).trim())
      if (number === '' || number === text.slice(end, close).trim()) replace(end, '')
      else replace(brackets.close(name, close), number)
    } else if (name === 'nowiki') {
      const close = brackets.closeStart(name, end)
      if (close < 0) replace(end, '')
      else replace(brackets.close(name, close), decodeHtml(text.slice(end, close)))
    } else replace(end, '')
  }

  function nestedClose(name: string, from: number): number {
    let close = brackets.closeStart(name, from)
    for (let open = text.indexOf(`<${name}`, from); open >= 0 && close >= 0 && open < close; ) {
      close = brackets.closeStart(name, close + 2)
      open = text.indexOf(`<${name}`, open + 1)
    }
    return close < 0 ? -1 : lineOrTagEnd(text, close)
  }
}

const lineOrTagEnd = (text: string, at: number): number => {
  const end = text.indexOf('>', at)
  return end < 0 ? text.length : end + 1
}

const lineEnd = (text: string, at: number): number => {
  const end = text.indexOf('\n', at)
  return end < 0 ? text.length : end
}

/** An unclosed link loses its brackets only; an unclosed picture or category loses its line, which is no prose. */
const unclosedLinkEnd = (text: string, at: number, namespaces: WikiNamespaces): number => {
  const target = /^[^\]|[\n]*/.exec(text.slice(at + 2, at + 300))![0]
  return linkKind(target.trim(), true, namespaces) === 'text' ? at + 2 : lineEnd(text, at)
}

/** An unclosed table ends where lines stop looking like one. */
const unclosedTableEnd = (text: string, at: number): number => {
  let end = lineEnd(text, at)
  while (end < text.length && /[|!\s]/.test(text[end + 1] ?? 'x')) end = lineEnd(text, end + 1)
  return end
}

const startsLine = (text: string, at: number): boolean => {
  let before = at - 1
  for (;;) {
    const code = text.charCodeAt(before)
    if (code === 32 || code === 9 || code === 58 || code === 42 || code === 35) before--
    else return Number.isNaN(code) || code === 10
  }
}

const verbatimLines = (code: string): string => {
  const lines = decodeHtml(code)
    .replace(/^\s*\n|\s+$/g, '')
    .split('\n')
  return `\n${lines.map((line) => marks.verbatim + line).join('\n')}\n`
}

const renderLink = (inside: string, options: RenderOptions, depth: number): string => {
  const pipe = inside.indexOf('|')
  let target = (pipe < 0 ? inside : inside.slice(0, pipe)).trim()
  const forced = target.startsWith(':')
  if (forced) target = target.slice(1).trim()
  const kind = forced ? 'text' : linkKind(target, pipe >= 0, options.namespaces)
  if (kind === 'nothing') return marks.gap
  // A picture whose namespace is unknown or missing still has the options of one.
  const parts = pipe < 0 ? [inside] : splitTopLevel(inside, '|')
  if (kind === 'file' || (!forced && hasImageOptions(parts))) {
    const caption = options.captions && pipe >= 0 ? fileCaption(parts) : ''
    return caption === '' ? marks.gap : `\n\n${renderMarkup(caption, options, depth + 1)}\n\n`
  }
  if (pipe < 0) return renderMarkup(target, options, depth + 1)
  const label = inside.slice(pipe + 1)
  return label.trim() === '' ? pipeTrick(target) : renderMarkup(label, options, depth + 1)
}

const tableRows = (table: string, options: RenderOptions, depth: number): string =>
  renderTable(table, (cell) => flatten(renderMarkup(cell, options, depth + 1)))
    .map((row) => marks.row + row)
    .join('\n')

/** One line of what may be several. */
const flatten = (text: string): string =>
  text
    .replace(/[\u0001\u0002\u0004]/g, '')
    .replace(/(^|[\n\u0003])[*#:;]+ */g, '$1')
    .replace(/[\s\u0003]+/g, ' ')
    .trim()

const renderTemplate = (source: string, options: RenderOptions, depth: number): string => {
  if (source.startsWith('{{{') && source.endsWith('}}}')) {
    const parameter = splitTopLevel(source.slice(3, -3), '|', 2)
    return parameter.length > 1 ? renderMarkup(parameter[1], options, depth + 1) : ''
  }
  const inside = source.slice(2, -2)
  const pipe = inside.indexOf('|')
  const name = (pipe < 0 ? inside : inside.slice(0, pipe)).trim().toLowerCase().replaceAll('_', ' ')
  let renderer = inlineTemplates.get(name)
  if (renderer === undefined && name.startsWith('lang-')) renderer = inlineTemplates.get('lang-rtl')
  if (renderer === undefined && options.faithful) renderer = blockTemplates.get(name)
  if (renderer === undefined) return marks.gap
  const shown = renderer(new LazyArguments(name, pipe < 0 ? '' : inside.slice(pipe + 1), pipe >= 0, options, depth))
  return shown === '' ? marks.gap : shown
}

class LazyArguments implements TemplateArguments {
  readonly count: number
  readonly #positional: string[] = []
  readonly #named = new Map<string, string>()
  readonly #options: RenderOptions
  readonly #depth: number
  readonly name: string

  constructor(name: string, source: string, given: boolean, options: RenderOptions, depth: number) {
    this.name = name
    this.#options = options
    this.#depth = depth
    for (const part of given ? splitTopLevel(source, '|') : []) {
      const equals = part.indexOf('=')
      const key = equals < 0 ? '' : part.slice(0, equals).trim().toLowerCase()
      if (equals < 0 || !/^[\w -]{1,30}$/.test(key)) this.#positional.push(part)
      else if (/^\d{1,2}$/.test(key)) this.#positional[Number(key) - 1] = part.slice(equals + 1)
      else this.#named.set(key, part.slice(equals + 1))
    }
    this.count = Math.min(this.#positional.length, 200)
  }

  at(index: number): string {
    return this.#flat(this.#positional[index - 1])
  }

  get(name: string): string {
    return this.#flat(this.#named.get(name))
  }

  blocks(index: number | string): string {
    const source = typeof index === 'number' ? this.#positional[index - 1] : this.#named.get(index)
    return source === undefined ? '' : renderMarkup(source.trim(), this.#options, this.#depth + 1)
  }

  #flat(source: string | undefined): string {
    return source === undefined ? '' : flatten(renderMarkup(source, this.#options, this.#depth + 1))
  }
}
