// Blocks of text of an HTML page, with the properties that tell content from navigation: the length of links, the
// context, and the kind of line.

import { decodeHtml } from '../entities.ts'
import {
  contextInside,
  endsElement,
  inBoilerplate,
  inCode,
  inHidden,
  inLink,
  inMain,
  isBlock,
  isCell,
  isHeading,
  isHidden,
  isVoid,
  traitsOf,
} from './elements.ts'
import { type TokenHandler, tokenize } from './tokens.ts'

type BlockKind = 'paragraph' | 'heading' | 'item' | 'row' | 'code'

export interface HtmlBlock {
  kind: BlockKind
  text: string
  /** 1 to 6 for a heading, else 0. */
  level: number
  /** Characters inside links. */
  linkLength: number
  /** Inside <main>, <article> or role=main. */
  main: boolean
  /** Inside navigation, asides, footers, or containers named as such. */
  boilerplate: boolean
}

export interface HtmlPage {
  title: string
  /** BCP 47 tag of <html lang>, or an empty string. */
  language: string
  blocks: HtmlBlock[]
}

const SLASH = '/'.charCodeAt(0)
const ZERO = '0'.charCodeAt(0)
const SPACE = ' '.charCodeAt(0)
const TAB = '\t'.charCodeAt(0)
const CARRIAGE_RETURN = '\r'.charCodeAt(0)

const maxDepth = 4096
/** Represents <br> until white space is collapsed; HTML text cannot contain this character. */
const lineBreak = '\u0003'
const cellSeparator = ' | '

/** Splits a page into blocks, in order. */
export const toHtmlBlocks = (html: string): HtmlPage => {
  const reader = new PageReader(html)
  tokenize(html, reader)
  return reader.finish()
}

/** Collects the text of the current block, and the finished blocks. */
class BlockBuilder {
  readonly blocks: HtmlBlock[] = []
  #text = ''
  #linkLength = 0
  #kind: BlockKind = 'paragraph'
  #level = 0
  /** Context at the start of the block. */
  #context = 0
  #lineBreaks = 0
  #cells = 0

  addText(piece: string, context: number): void {
    if (this.#text === '') {
      if (isSpace(piece)) return
      this.#context = context
    }
    this.#text += piece
    this.#lineBreaks = 0
    if (context & inLink) this.#linkLength += piece.trim().length
  }

  addLineBreak(isInRow: boolean): void {
    if (++this.#lineBreaks >= 2 && !isInRow) this.finish()
    else if (this.#text !== '') this.#text += isInRow ? ' ' : lineBreak
  }

  /** Separates the text of two elements in a row of a table. */
  addSpace(): void {
    if (this.#text !== '') this.#text += ' '
  }

  startCell(): void {
    if (this.#cells++ > 0 && this.#text !== '' && !this.#text.endsWith(cellSeparator)) this.#text += cellSeparator
  }

  /** Finishes the current block and starts one of a kind; `level` is that of a heading. */
  start(kind: BlockKind, level = 0): void {
    this.finish()
    this.#kind = kind
    this.#level = level
  }

  /** Finishes the current block; the next one is a paragraph unless it is started as something else. */
  finish(): void {
    if (this.#text !== '') {
      const text = this.#cleanText()
      if (text !== '')
        this.blocks.push({
          kind: this.#kind,
          text,
          level: this.#level,
          linkLength: Math.min(this.#linkLength, text.length),
          main: (this.#context & inMain) !== 0,
          boilerplate: (this.#context & inBoilerplate) !== 0,
        })
      this.#text = ''
      this.#linkLength = 0
    }
    this.#kind = 'paragraph'
    this.#level = 0
    this.#cells = 0
    this.#lineBreaks = 0
  }

  #cleanText(): string {
    const text = this.#text
    if (this.#context & inCode) {
      const code = decodeHtml(text.replaceAll(lineBreak, '\n')).replace(/^\s*\n|\s+$/g, '')
      return this.#kind === 'row' ? withoutEmptyCells(code) : code
    }
    if (this.#kind === 'paragraph')
      return collapse(text)
        .replace(/ ?\u0003 ?/g, '\n')
        .trim()
    const line = collapse(text.replaceAll(lineBreak, ' '))
    return this.#kind === 'row' ? withoutEmptyCells(line) : line
  }
}

/** Tracks the open elements of a page and passes its text to blocks. */
class PageReader implements TokenHandler {
  readonly #html: string
  readonly #builder = new BlockBuilder()
  #title = ''
  #language = ''
  #isInTitle = false
  /** Names of the open elements, the innermost last. */
  readonly #names: string[] = []
  /** Context in each open element, after that of the page. */
  readonly #contexts: number[] = [0]
  readonly #openCounts = new Map<string, number>()
  /** Context in the innermost element. */
  #context = 0
  /** Number of open <tr>. */
  #rowDepth = 0

  constructor(html: string) {
    this.#html = html
  }

  text(start: number, end: number): void {
    if (this.#context & inHidden) {
      if (this.#isInTitle && this.#title === '') this.#title = collapse(this.#html.slice(start, end))
      return
    }
    this.#builder.addText(this.#html.slice(start, end), this.#context)
  }

  open(name: string, attributesStart: number, attributesEnd: number): void {
    const traits = traitsOf(name)
    if (name === 'br') {
      if (!(this.#context & inHidden)) this.#builder.addLineBreak(this.#rowDepth > 0)
      return
    }
    if (traits & isVoid) {
      if (name === 'hr') this.#builder.finish()
      return
    }
    if (name === 'html') this.#language ||= langOf(this.#html.slice(attributesStart, attributesEnd))
    const top = this.#names[this.#names.length - 1]
    if (endsElement(name, traits, top)) this.#pop()
    const context = contextInside(name, traits, this.#context, this.#html, attributesStart, attributesEnd)
    if (name === 'title') this.#isInTitle = true
    if (traits & isBlock && !(this.#context & inHidden)) this.#startBlock(name, traits, context, top)
    const isSelfClosed = this.#html.charCodeAt(attributesEnd - 1) === SLASH && (name === 'path' || traits & isHidden)
    if (this.#names.length < maxDepth && !isSelfClosed) this.#push(name, context)
  }

  close(name: string): void {
    if (name === 'title') this.#isInTitle = false
    const traits = traitsOf(name)
    if (traits & isBlock && !(this.#context & inHidden)) {
      if (this.#rowDepth === 0 || name === 'tr' || name === 'table' || name === 'tbody') this.#builder.finish()
      else if (!(traits & isCell)) this.#builder.addSpace()
    }
    if ((this.#openCounts.get(name) ?? 0) === 0) return
    while (this.#names[this.#names.length - 1] !== name) this.#pop()
    this.#pop()
  }

  /** Ends the last block and returns the page. */
  finish(): HtmlPage {
    this.#builder.finish()
    return { title: this.#title, language: this.#language, blocks: this.#builder.blocks }
  }

  /** Starts a block, or separates texts in a row of a table, whose cells form one block. */
  #startBlock(name: string, traits: number, context: number, top: string | undefined): void {
    if (this.#rowDepth > 0 && traits & isCell) this.#builder.startCell()
    else if (this.#rowDepth > 0 && name !== 'tr' && name !== 'table') this.#builder.addSpace()
    else if (traits & isHeading) this.#builder.start('heading', name.charCodeAt(1) - ZERO)
    else this.#builder.start(kindOf(name, context, top))
  }

  #push(name: string, context: number): void {
    if (name === 'tr') this.#rowDepth++
    this.#names.push(name)
    this.#contexts.push(context)
    this.#openCounts.set(name, (this.#openCounts.get(name) ?? 0) + 1)
    this.#context = context
  }

  #pop(): void {
    const name = this.#names.pop()!
    this.#contexts.pop()
    this.#openCounts.set(name, this.#openCounts.get(name)! - 1)
    this.#context = this.#contexts[this.#contexts.length - 1]
    if (name === 'tr' && this.#rowDepth > 0) this.#rowDepth--
  }
}

const kindOf = (name: string, context: number, top: string | undefined): BlockKind => {
  if (name === 'li' || name === 'dd' || name === 'dt') return 'item'
  if (context & inCode) return 'code'
  if (name === 'tr') return 'row'
  return top === 'li' && (name === 'p' || name === 'div') ? 'item' : 'paragraph'
}

const langOf = (attributes: string): string => /\blang\s*=\s*["']?([A-Za-z-]{2,20})/.exec(attributes)?.[1] ?? ''

const withoutEmptyCells = (row: string): string =>
  row.includes('|')
    ? row
        .replace(/(?:\s*\|\s*)+/g, ' | ')
        .replace(/^ \| | \| $/g, '')
        .trim()
    : row

const isSpace = (text: string): boolean => {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code !== SPACE && (code < TAB || code > CARRIAGE_RETURN)) return false
  }
  return true
}

const collapse = (text: string): string => {
  const lines = decodeHtml(text)
    .replace(/[\u200b\u200e\u200f\ufeff\u00ad]/g, '')
    .replace(/[\s\u00a0]+/g, ' ')
    .trim()
  return lines
}
