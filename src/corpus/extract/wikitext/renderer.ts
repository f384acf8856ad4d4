// Marked text of wikitext: renders templates, links, tags and references, and leaves lines, lists, headings and quotes
// to blocks.ts. Control characters are the marks between the two (see `marks`); they cannot occur in XML.

import { decodeHtml, decodeHtmlEntity } from '../entities.ts'
import { BracketFinder, splitTopLevel } from './brackets.ts'
import { formulaText, superscript } from './formula.ts'
import {
  droppedTags,
  fileCaption,
  formulaTags,
  hasImageOptions,
  isTag,
  linkKind,
  pipeTrick,
  textTags,
  verbatimTags,
  type WikiNamespaces,
} from './links.ts'
import { renderTable } from './tables.ts'
import { blockTemplates, inlineTemplates, type TemplateArguments } from './templates.ts'

/** Marks in rendered text. */
export const marks = {
  /** At the start of a line: keep the line unchanged (code). */
  verbatim: '\u0001',
  /** In place of markup without text. */
  gap: '\u0002',
  /** A line break inside a paragraph. */
  lineBreak: '\u0003',
  /** At the start of a line: a row of a table. */
  row: '\u0004',
}

/** How to render wikitext. */
export interface RenderOptions {
  namespaces: WikiNamespaces
  /** Render block templates and tables as text instead of dropping them. */
  faithful: boolean
  /** Keep captions of pictures as paragraphs. */
  captions: boolean
}

const maxDepth = 24

const code = (character: string): number => character.charCodeAt(0)
const AMPERSAND = code('&')
const LESS_THAN = code('<')
const BRACKET = code('[')
const CLOSING_BRACKET = code(']')
const BRACE = code('{')
const CLOSING_BRACE = code('}')
const UNDERSCORE = code('_')
const PIPE = code('|')
const SLASH = code('/')
const LINE_FEED = code('\n')

/** 1 for characters that may start markup. */
const isSpecial = new Uint8Array(128)
for (const character of [AMPERSAND, LESS_THAN, BRACKET, CLOSING_BRACKET, BRACE, CLOSING_BRACE, UNDERSCORE])
  isSpecial[character] = 1

/** White space and list marks that may precede a table in its line. */
const isIndent = new Uint8Array(128)
for (const character of ' \t:*#') isIndent[code(character)] = 1

const externalLink = /^\[(?:https?:|ftps?:|mailto:|irc:|news:|gopher:|\/\/)[^\]\n]*/i
const behaviourSwitch = /__[A-Z]{3,}[A-Z]*__/y
const entity = /&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});/y
const tagName = /<\/?([a-zA-Z][a-zA-Z0-9]*)/y

/** Longest external link and its label that is searched for. */
const maxExternalLink = 2000
/** Longest content of <sup> that may be a number. */
const maxSuperscript = 40

/** The position of the next character that may start markup, or the length of the text. */
const nextSpecial = (text: string, from: number): number => {
  const length = text.length
  let at = from
  let unit = 0
  while (at < length && ((unit = text.charCodeAt(at)) > 127 || isSpecial[unit] === 0)) at++
  return at
}

/** Renders one page or a part of one. */
export const renderMarkup = (text: string, options: RenderOptions, depth = 0): string => {
  if (depth > maxDepth) return marks.gap
  const first = nextSpecial(text, 0)
  return first === text.length ? text : new MarkupRenderer(text, options, depth).render(first)
}

/** Renders one text; each method consumes the markup at the current position, or steps over one character. */
class MarkupRenderer {
  readonly #text: string
  readonly #options: RenderOptions
  readonly #depth: number
  readonly #brackets: BracketFinder
  #output = ''
  /** End of the text that is already in the output. */
  #copied = 0
  #at = 0

  constructor(text: string, options: RenderOptions, depth: number) {
    this.#text = text
    this.#options = options
    this.#depth = depth
    this.#brackets = new BracketFinder(text)
  }

  render(from: number): string {
    const text = this.#text
    for (this.#at = from; this.#at < text.length; this.#at = nextSpecial(text, this.#at)) {
      const unit = text.charCodeAt(this.#at)
      const next = text.charCodeAt(this.#at + 1)
      if (unit === BRACKET) next === BRACKET ? this.#link() : this.#externalLink()
      else if (unit === LESS_THAN) this.#tag()
      else if (unit === BRACE) this.#brace(next)
      else if (unit === AMPERSAND) this.#entity()
      else if (unit === UNDERSCORE) this.#behaviourSwitch(next)
      // Two closing brackets without opening ones are an error of the author.
      else if (next === unit) this.#replace(this.#at + 2, '')
      else this.#at++
    }
    return this.#copied === 0 ? text : this.#output + text.slice(this.#copied)
  }

  /** Replaces the text from the current position to `end`. */
  #replace(end: number, replacement: string): void {
    this.#output += this.#text.slice(this.#copied, this.#at) + replacement
    this.#at = this.#copied = end
  }

  #renderInside(text: string): string {
    return renderMarkup(text, this.#options, this.#depth + 1)
  }

  #entity(): void {
    entity.lastIndex = this.#at
    const match = entity.exec(this.#text)
    if (match === null) this.#at++
    else this.#replace(this.#at + match[0].length, decodeHtmlEntity(match[0]))
  }

  #behaviourSwitch(next: number): void {
    behaviourSwitch.lastIndex = this.#at
    const match = next === UNDERSCORE ? behaviourSwitch.exec(this.#text) : null
    if (match === null) this.#at++
    else this.#replace(this.#at + match[0].length, '')
  }

  #link(): void {
    const end = this.#brackets.link(this.#at)
    if (end < 0) this.#replace(unclosedLinkEnd(this.#text, this.#at, this.#options.namespaces), '')
    else this.#replace(end, renderLink(this.#text.slice(this.#at + 2, end - 2), this.#options, this.#depth))
  }

  #externalLink(): void {
    const start = this.#at
    const match = externalLink.exec(this.#text.slice(start, start + maxExternalLink))
    const end = match === null ? -1 : start + match[0].length
    if (end < 0 || this.#text.charCodeAt(end) !== CLOSING_BRACKET) {
      this.#at++
      return
    }
    const space = /[\s\u00a0]/.exec(match![0])
    const label = space === null ? '' : this.#text.slice(start + space.index + 1, end)
    this.#replace(end + 1, label.trim() === '' ? marks.gap : this.#renderInside(label))
  }

  /** A template, a table, or a plain brace. */
  #brace(next: number): void {
    if (next === BRACE) this.#template()
    else if (next === PIPE && startsLine(this.#text, this.#at)) this.#table()
    else this.#at++
  }

  #template(): void {
    const end = this.#brackets.template(this.#at)
    // The arguments of an unclosed template would appear as prose.
    if (end < 0) this.#replace(lineEnd(this.#text, this.#at), marks.gap)
    else this.#replace(end, renderTemplate(this.#text.slice(this.#at, end), this.#options, this.#depth))
  }

  #table(): void {
    const end = this.#brackets.table(this.#at)
    if (end < 0) {
      this.#replace(unclosedTableEnd(this.#text, this.#at), `\n${marks.gap}\n`)
      return
    }
    const { faithful } = this.#options
    const rows = faithful ? tableRows(this.#text.slice(this.#at, end), this.#options, this.#depth) : ''
    this.#replace(end, `\n${rows === '' ? marks.gap : rows}\n`)
  }

  #tag(): void {
    tagName.lastIndex = this.#at
    const name = tagName.exec(this.#text)?.[1].toLowerCase()
    if (name === undefined || !isTag(name)) {
      this.#at++
      return
    }
    const end = this.#brackets.tagEnd(this.#at)
    if (end < 0) {
      this.#replace(lineEnd(this.#text, this.#at), marks.gap)
      return
    }
    const isEndTag = this.#text.charCodeAt(this.#at + 1) === SLASH
    const fixed = textTags.get(name)
    if (fixed !== undefined) this.#replace(end, isEndTag ? (fixed.end ?? fixed.start) : fixed.start)
    else if (isEndTag || this.#text.charCodeAt(end - 2) === SLASH) this.#replace(end, '')
    else this.#element(name, end)
  }

  /** An element whose content starts at `start`. */
  #element(name: string, start: number): void {
    if (droppedTags.has(name)) this.#droppedElement(name, start)
    else if (formulaTags.has(name)) this.#content(name, start, (tex) => formulaText(tex) || marks.gap)
    else if (verbatimTags.has(name)) this.#content(name, start, verbatimLines)
    else if (name === 'nowiki') this.#content(name, start, decodeHtml)
    else if (name === 'sup') this.#superscript(start)
    else this.#replace(start, '')
  }

  /** Replaces an element by its rendered content, or drops its start tag when it is never closed. */
  #content(name: string, start: number, render: (content: string) => string): void {
    const close = this.#brackets.closeStart(name, start)
    if (close < 0) this.#replace(start, '')
    else this.#replace(this.#brackets.close(name, close), render(this.#text.slice(start, close)))
  }

  #droppedElement(name: string, start: number): void {
    const isReference = name === 'ref'
    const close = name === 'table' ? this.#nestedClose(name, start) : this.#brackets.close(name, start)
    // An unclosed <ref> drops its line, not the rest of the article.
    const end = close >= 0 ? close : isReference ? lineEnd(this.#text, this.#at) : start
    this.#replace(end, isReference ? '' : marks.gap)
  }

  /** The end of an element that may contain elements of the same name. */
  #nestedClose(name: string, from: number): number {
    const brackets = this.#brackets
    let close = brackets.closeStart(name, from)
    for (let open = this.#text.indexOf(`<${name}`, from); open >= 0 && close >= 0 && open < close; ) {
      close = brackets.closeStart(name, close + 2)
      open = this.#text.indexOf(`<${name}`, open + 1)
    }
    return close < 0 ? -1 : lineOrTagEnd(this.#text, close)
  }

  /** A number as superscript characters; other content is rendered as text. */
  #superscript(start: number): void {
    const close = this.#brackets.closeStart('sup', start)
    const content = close < 0 || close - start > maxSuperscript ? '' : this.#text.slice(start, close)
    const number = superscript(decodeHtml(content).trim())
    if (number === '' || number === content.trim()) this.#replace(start, '')
    else this.#replace(this.#brackets.close('sup', close), number)
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
    const unit = text.charCodeAt(before)
    if (isIndent[unit] === 1) before--
    else return Number.isNaN(unit) || unit === LINE_FEED
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
  const hasOptions = !forced && inside.indexOf('|', pipe + 1) > pipe && pipe >= 0
  const parts = hasOptions || kind === 'file' ? splitTopLevel(inside, '|') : []
  if (kind === 'file' || hasImageOptions(parts)) {
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

/** Joins lines to one. */
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
