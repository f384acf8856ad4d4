// HTML to blocks of text with what is known about each: how much of it is links, whether it stands in the main content,
// in navigation and the like, and what kind of line it is. Decides nothing about which blocks are content.
import { decodeHtml } from '../entities.ts'
import { tokenize } from './tokens.ts'

export type BlockKind = 'paragraph' | 'heading' | 'item' | 'row' | 'code'

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

// What an element does, as bits.
const isBlock = 1
const isVoid = 2
const isHidden = 4
const isBoilerplate = 8
const isContainer = 16
const isHeading = 32
const isCell = 64
const isMain = 128
// What stands around a text, as bits.
const inHidden = 1
const inBoilerplate = 2
const inMain = 4
const inLink = 8
const inCode = 16

const elements = new Map<string, number>()
const declare = (names: string, bits: number) => {
  for (const name of names.split(' ')) elements.set(name, (elements.get(name) ?? 0) | bits)
}
declare(
  'address article aside blockquote body center dd details dialog dir div dl dt fieldset figcaption figure footer form',
  isBlock,
)
declare(
  'h1 h2 h3 h4 h5 h6 header hgroup hr html li main menu nav ol p pre section summary table tbody tfoot thead tr ul',
  isBlock,
)
declare('caption legend optgroup option td th listing plaintext search video audio head', isBlock)
declare('area base br col embed hr img input link meta param source track wbr frame basefont bgsound keygen', isVoid)
declare(
  'script style template noscript svg math select button textarea iframe object canvas video audio applet datalist',
  isHidden,
)
declare('noembed noframes map dialog rp title', isHidden)
declare('nav aside footer menu search', isBoilerplate)
declare(
  'div section ul ol table td aside nav header footer form dl span sup p a details figure iframe h2 h3',
  isContainer,
)
declare('h1 h2 h3 h4 h5 h6', isHeading)
declare('td th', isCell)
declare('main article', isMain)

// Names by which authors mark what is not content; whole words of class and id.
const boilerplateName = new RegExp(
  '(?:^|[\\s"\'_-])(?:nav|navbar|navigation|navbox|menu|menubar|sidebar|side-?bar|footer|footnav|breadcrumbs?|cookies?|consent|gdpr|' +
    'share|sharing|sharebar|social|related|recommended|comments?|commentlist|disqus|advert|advertisement|ads?|adsense|promo|promoted|' +
    'sponsor|sponsored|subscribe|newsletter|pagination|pager|toolbar|masthead|popup|modal|overlay|widget|widgets|signup|login|' +
    'catlinks|printfooter|toc|skip-?link|skip|site-?map|copyright|legal|tagcloud|tags|dropdown|topbar|taglist|byline-?share|' +
    'mw-portlet|mw-indicators|editsection|noprint|siteSub|contentSub|jump-to-nav|banner)(?:$|[\\s"\'_-])',
  'i',
)
const hiddenName =
  /(?:^|[\s"'_-])(?:sr-only|screen-reader-text|visually-?hidden|mw-editsection|hidden|visuallyhidden|offscreen)(?:$|[\s"'])/i
const attribute = /([a-z][a-z-]*)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/gi
const roleBoilerplate =
  /^(?:navigation|banner|contentinfo|complementary|search|menu|menubar|dialog|alert|toolbar|tablist)$/i
const hiddenStyle = /display\s*:\s*none|visibility\s*:\s*hidden/i

const maxDepth = 4096
/** Stands for <br> until white space is collapsed; no page can hold it, since HTML has no such character. */
const lineBreak = '\u0003'

/** Splits a page into blocks, in order. */
export const toHtmlBlocks = (html: string): HtmlPage => {
  const blocks: HtmlBlock[] = []
  let title = ''
  let language = ''
  let inTitle = false

  const names: string[] = []
  const surroundings: number[] = [0]
  const openCount = new Map<string, number>()
  let around = 0 // of the innermost element

  let text = ''
  let linkLength = 0
  let kind: BlockKind = 'paragraph'
  let level = 0
  let blockAround = 0
  let lineBreaks = 0
  let cells = 0
  let inRow = 0

  const flush = () => {
    if (text !== '') {
      const own =
        blockAround & inCode
          ? decodeHtml(text.replaceAll(lineBreak, '\n')).replace(/^\s*\n|\s+$/g, '')
          : kind === 'paragraph'
            ? collapse(text)
                .replace(/ ?\u0003 ?/g, '\n')
                .trim()
            : collapse(text.replaceAll(lineBreak, ' '))
      const line = kind === 'row' ? withoutEmptyCells(own) : own
      if (line !== '') {
        blocks.push({
          kind,
          text: line,
          level,
          linkLength: Math.min(linkLength, line.length),
          main: (blockAround & inMain) !== 0,
          boilerplate: (blockAround & inBoilerplate) !== 0,
        })
      }
      text = ''
      linkLength = 0
    }
    kind = 'paragraph'
    level = 0
    cells = 0
    lineBreaks = 0
  }

  const pop = () => {
    const name = names.pop()!
    surroundings.pop()
    openCount.set(name, openCount.get(name)! - 1)
    around = surroundings[surroundings.length - 1]
    if (name === 'tr' && inRow > 0) inRow--
  }

  tokenize(html, {
    text(start, end) {
      if (around & inHidden) {
        if (inTitle && title === '') title = collapse(html.slice(start, end))
        return
      }
      const piece = html.slice(start, end)
      if (text === '') {
        if (isSpace(piece)) return
        blockAround = around
      }
      text += piece
      lineBreaks = 0
      if (around & inLink) linkLength += trimmedLength(piece)
    },
    open(name, attributesStart, attributesEnd) {
      const bits = elements.get(name) ?? 0
      if (name === 'br') {
        if (around & inHidden) return
        if (++lineBreaks >= 2 && inRow === 0) flush()
        else if (text !== '') text += inRow > 0 ? ' ' : lineBreak
        return
      }
      if (bits & isVoid) {
        if (name === 'hr') flush()
        return
      }
      if (name === 'html') language ||= langOf(html.slice(attributesStart, attributesEnd))
      const top = names[names.length - 1]
      // End tags that HTML lets authors leave out.
      if (
        top === name &&
        (name === 'p' || name === 'li' || name === 'tr' || name === 'option' || name === 'dt' || name === 'dd')
      )
        pop()
      else if (top === 'p' && bits & isBlock) pop()
      else if (name === 'a' && top === 'a') pop()
      else if (bits & isCell && (top === 'td' || top === 'th')) pop()
      else if ((name === 'dd' && top === 'dt') || (name === 'dt' && top === 'dd')) pop()

      let own = around
      if (bits & isHidden) own |= inHidden
      if (bits & isMain) own = (own | inMain) & ~inBoilerplate
      else if (bits & isBoilerplate) own |= inBoilerplate
      else if (name === 'header' && !(around & inMain)) own |= inBoilerplate
      if (name === 'a' && html.slice(attributesStart, attributesEnd).includes('href')) own |= inLink
      else if (name === 'pre' || name === 'listing') own |= inCode
      if (attributesEnd - attributesStart > 5 && bits & (isContainer | isMain)) {
        own = named(html.slice(attributesStart, attributesEnd), own, bits, name)
      }
      if (name === 'title') inTitle = true
      if (bits & isBlock && !(around & inHidden)) {
        if (inRow > 0 && bits & isCell) {
          if (cells++ > 0 && text !== '' && !text.endsWith(' | ')) text += ' | '
        } else if (inRow > 0 && name !== 'tr' && name !== 'table') {
          if (text !== '') text += ' '
        } else {
          flush()
          if (bits & isHeading) {
            kind = 'heading'
            level = name.charCodeAt(1) - 48
          } else if (name === 'li' || name === 'dd' || name === 'dt') kind = 'item'
          else if (own & inCode) kind = 'code'
          else if (name === 'tr') kind = 'row'
          else if (top === 'li' && (name === 'p' || name === 'div')) kind = 'item'
        }
      }
      if (
        names.length >= maxDepth ||
        (html.charCodeAt(attributesEnd - 1) === 47 && (name === 'path' || bits & isHidden))
      )
        return
      if (name === 'tr') inRow++
      names.push(name)
      surroundings.push(own)
      openCount.set(name, (openCount.get(name) ?? 0) + 1)
      around = own
    },
    close(name) {
      if (name === 'title') inTitle = false
      const bits = elements.get(name) ?? 0
      if (bits & isBlock && !(around & inHidden)) {
        if (inRow > 0 && name !== 'tr' && name !== 'table' && name !== 'tbody') {
          if (text !== '' && !(bits & isCell)) text += ' '
        } else flush()
      }
      if ((openCount.get(name) ?? 0) === 0) return
      while (names[names.length - 1] !== name) pop()
      pop()
    },
  })
  flush()
  return { title, language, blocks }
}

const langOf = (attributes: string): string => /\blang\s*=\s*["']?([A-Za-z-]{2,20})/.exec(attributes)?.[1] ?? ''

/** What the class, id, role and style of an element say about its text. */
const named = (attributes: string, surroundings: number, bits: number, element: string): number => {
  let own = surroundings
  if (/\bhidden\b/i.test(attributes) && /(?:^|\s)hidden(?:\s|=|$|\/)/i.test(attributes)) own |= inHidden
  attribute.lastIndex = 0
  for (let match = attribute.exec(attributes); match !== null; match = attribute.exec(attributes)) {
    const value = match[2] ?? match[3] ?? match[4] ?? ''
    const name = match[1].toLowerCase()
    if (name === 'class' || name === 'id') {
      if (hiddenName.test(value) || (element === 'sup' && value === 'reference')) own |= inHidden
      else if (
        !(bits & isMain) &&
        element !== 'p' &&
        element !== 'h2' &&
        element !== 'h3' &&
        boilerplateName.test(value)
      ) {
        own |= inBoilerplate
      }
    } else if (name === 'role') {
      if (value === 'main' || value === 'article') own = (own | inMain) & ~inBoilerplate
      else if (roleBoilerplate.test(value)) own |= inBoilerplate
    } else if (name === 'style') {
      if (hiddenStyle.test(value)) own |= inHidden
    } else if (name === 'aria-hidden' && value === 'true') own |= inHidden
  }
  return own
}

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
    if (code !== 32 && (code < 9 || code > 13)) return false
  }
  return true
}

const trimmedLength = (text: string): number => text.trim().length

const collapse = (text: string): string => {
  const lines = decodeHtml(text)
    .replace(/[\u200b\u200e\u200f\ufeff\u00ad]/g, '')
    .replace(/[\s\u00a0]+/g, ' ')
    .trim()
  return lines
}
