// Blocks of marked text (see renderer.ts): headings, paragraphs, lists, code, table rows, without quotes and gaps.
import { marks } from './renderer.ts'

export interface Block {
  kind: 'heading' | 'paragraph' | 'list' | 'code' | 'row'
  /** 1 to 6 for a heading, else 0. */
  level: number
  text: string
}

const heading = /^(={1,6})([^=].*?|.)\1[\s\u0002]*$/
const rule = /^-{4,}/
const listMark = /^[*#:;]+/

/** Splits marked text into blocks, without empty ones and headings of empty sections. */
export const toBlocks = (marked: string): Block[] => {
  const blocks: Block[] = []
  let paragraph = ''
  let numbered = 0

  const add = (kind: Block['kind'], text: string, level = 0) => {
    if (text !== '') blocks.push({ kind, level, text })
  }
  const endParagraph = () => {
    if (paragraph !== '') add('paragraph', paragraph)
    paragraph = ''
  }

  for (const raw of marked.split('\n')) {
    const first = raw.charCodeAt(0)
    if (first === 1) {
      endParagraph()
      add('code', raw.slice(1).replaceAll(marks.gap, '').trimEnd())
      continue
    }
    if (first === 4) {
      endParagraph()
      add('row', tidy(raw.slice(1)))
      continue
    }
    const line = raw.trim()
    const mark = line.charCodeAt(0)
    const isList = mark === 42 || mark === 35 || mark === 58 || mark === 59
    if (!isList || mark !== 35) numbered = 0
    if (line === '') endParagraph()
    else if (mark === 61) {
      const match = line.length > 2000 ? null : heading.exec(line)
      if (match === null) paragraph = join(paragraph, tidy(line))
      else {
        endParagraph()
        add('heading', tidy(match[2]), match[1].length)
      }
    } else if (isList) {
      endParagraph()
      const marker = listMark.exec(line)![0]
      const text = tidy(line.slice(marker.length))
      if (text === '') continue
      const kind = marker.at(-1)
      if (kind === '*') add('list', `- ${text}`)
      else if (kind === '#') add('list', `${++numbered}. ${text}`)
      else if (kind === ';') add('list', text.replace(/ : /, ': '))
      else add(marker.length === 1 ? 'list' : 'list', text)
    } else if (mark === 45 && rule.test(line)) {
      endParagraph()
      paragraph = tidy(line.replace(rule, ''))
    } else {
      const text = tidy(line)
      if (text !== '') paragraph = join(paragraph, text)
      else endParagraph() // a line of templates only separates blocks
    }
  }
  endParagraph()
  return withoutEmptySections(blocks)
}

const join = (paragraph: string, line: string): string => (paragraph === '' ? line : `${paragraph} ${line}`)

/** Joins blocks with blank lines, except within lists, code and tables. */
export const joinBlocks = (blocks: readonly Block[]): string => {
  let text = ''
  blocks.forEach(({ kind, text: own }, index) => {
    if (index > 0) text += kind === blocks[index - 1].kind && kind !== 'paragraph' && kind !== 'heading' ? '\n' : '\n\n'
    text += own
  })
  return text
}

const withoutEmptySections = (blocks: readonly Block[]): Block[] => {
  const kept: Block[] = []
  let nextLevel = 7 // of the heading that follows, 0 when content follows, 7 at the end
  for (let index = blocks.length - 1; index >= 0; index--) {
    const block = blocks[index]
    if (block.kind !== 'heading') {
      kept.push(block)
      nextLevel = 0
    } else if (nextLevel === 0 || (nextLevel !== 7 && nextLevel > block.level)) {
      kept.push(block)
      nextLevel = block.level
    }
  }
  return kept.reverse()
}

// Attributes of cells and rows outside tables, such as `|valign=top|` in a table that a template starts.
const cellAttributes =
  /(^|\s)[|!]{1,2}[ \t]*(?:(?:v?align|style|width|height|colspan|rowspan|bgcolor|class|scope)[ \t]*=[ \t]*(?:"[^"|]{0,200}"|[^\s|"]{1,100})[ \t]*)+\|(?!\|)/gi
const tableMarkup = /^(?:\{\||\|-)[ \t]*(?:[a-z]+[ \t]*=[ \t]*(?:"[^"]{0,200}"|[^\s"]{1,100})[ \t]*)*$/i

/** Removes quote marks and gaps, with the brackets, commas and spaces that gaps leave. */
const tidy = (line: string): string => {
  let text = line
  if (text.includes("''")) text = withoutQuotes(text)
  if (text.includes(marks.gap)) text = withoutGaps(text)
  if (text.includes(marks.lineBreak)) text = text.replace(/[ \t]*\u0003+[ \t]*/g, '\n').trim()
  if (text.includes('=') && text.includes('|')) text = text.replace(cellAttributes, '$1').replace(tableMarkup, '')
  if (text.includes('  ') || /[\t\u00a0\u200e\u200f\ufeff]/.test(text)) {
    text = text.replace(/[\u200e\u200f\ufeff]/g, '').replace(/[ \t\u00a0]{2,}|[\t\u00a0]/g, ' ')
  }
  return text.trim()
}

// Runs are shortened first and every repetition is bounded, so that each line takes linear time.
const withoutGaps = (line: string): string =>
  line
    .replace(/[ \t\u00a0]{2,}/g, ' ')
    .replace(/\u0002(?: ?\u0002)+/g, (run) => (run.includes(' ') ? ' \u0002' : '\u0002'))
    .replace(/^ ?\u0002 ?[,;:] ?/, '')
    .replace(/([,;:]) ?\u0002 ?[,;:]/g, '$1')
    .replace(/(?<=[\p{L}\d])\u0002(?=[\p{L}\d])/gu, ' ')
    .replace(/ ?[([][ ;,:/–—-]{0,8}\u0002[ ;,:/–—\u0002-]{0,16}[)\]]/g, '')
    .replace(/([([])(?:[ ;,:]{0,4}\u0002){1,8}[ ;,:]{0,4}/g, '$1')
    .replace(/(?:[ ;,:]{0,4}\u0002){1,8}[ ;,:]{0,4}([)\]])/g, '$1')
    .replace(/ ?\u0002 ?([,.;:!?])/g, '$1')
    .replace(/ \u0002 ?/g, ' ')
    .replace(/\u0002/g, '')

/**
 * Removes the apostrophes of bold and italic as MediaWiki pairs them: two, three or five in a row are marks, others are
 * marks after a literal apostrophe; when both kinds are odd in a line, one run of three is an apostrophe and italic.
 */
const withoutQuotes = (line: string): string => {
  const runs = [...line.matchAll(/'{2,}/g)]
  let bold = 0
  let italic = 0
  for (const [run] of runs) {
    if (run.length === 2 || run.length >= 5) italic++
    if (run.length === 3 || run.length === 4 || run.length >= 5) bold++
  }
  let apostropheAt = -1
  if (bold % 2 === 1 && italic % 2 === 1) {
    let best = 4
    for (const run of runs) {
      if (run[0].length !== 3 && run[0].length !== 4) continue
      const before = line[run.index - 1]
      const beforeThat = line[run.index - 2]
      const rank = before === ' ' ? 3 : beforeThat === ' ' || beforeThat === undefined ? 1 : 2
      if (rank < best) {
        best = rank
        apostropheAt = run.index
      }
    }
  }
  return line.replace(/'{2,}/g, (run, at: number) => {
    if (run.length === 4) return "'"
    if (run.length > 5) return "'".repeat(run.length - 5)
    return at === apostropheAt ? "'" : ''
  })
}
