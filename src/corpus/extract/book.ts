// The text of a published book (plain text, Markdown, Project Gutenberg), by chapter, without headers, licences and
// hard line breaks.

export interface BookChapter {
  /** Empty for the text before the first chapter. */
  title: string
  text: string
}

export interface Book {
  title?: string
  author?: string
  year?: string
  language?: string
  chapters: BookChapter[]
}

export interface BookOptions {
  /** Join the lines of a paragraph that was wrapped at a fixed width. */
  unwrap: boolean
}

const gutenbergStart =
  /^\s*\*{3}\s*START OF (?:THE|THIS) PROJECT GUTENBERG E(?:BOOK|TEXT)[^\n]*(?:\n[^\n*]+)?\*{3}[^\n]*$/im
const gutenbergEnd =
  /^\s*(?:\*{3}\s*END OF (?:THE|THIS) PROJECT GUTENBERG E(?:BOOK|TEXT)|End of (?:the )?Project Gutenberg(?:'s|’s)? )/im
const smallPrintEnd = /^\s*\*END\*?\s*THE SMALL PRINT[^\n]*$/im
const productionNote =
  /^(?:\s*(?:produced by|e-?text prepared by|this e-?text was (?:prepared|produced)|transcribed (?:from|by)|\[?transcriber[’']?s?[’']? notes?|proofread|html version by|distributed proofreading)[^\n]*(?:\n[^\n]+)*\n\s*)+/i

/** Parses a book. */
export const parseBook = (source: string, options: BookOptions): Book => {
  const text = source.replace(/\r\n?/g, '\n').replace(/^\ufeff/, '')
  const gutenberg = cutGutenberg(text)
  if (gutenberg !== undefined) {
    return { ...gutenberg.metadata, chapters: plainChapters(gutenberg.body, options) }
  }
  const front = readFrontMatter(text)
  const isMarkdown = /^#{1,6}\s+\S/m.test(front.body)
  return {
    ...front.metadata,
    chapters: isMarkdown ? markdownChapters(front.body, options) : plainChapters(front.body, options),
  }
}

type BookMetadata = Omit<Book, 'chapters'>

const cutGutenberg = (text: string): { metadata: BookMetadata; body: string } | undefined => {
  const start = gutenbergStart.exec(text.slice(0, 60_000)) ?? smallPrintEnd.exec(text.slice(0, 60_000))
  const from = start === null ? 0 : start.index + start[0].length
  const end = gutenbergEnd.exec(text.slice(from))
  if (start === null && (end === null || !/project gutenberg/i.test(text.slice(0, 3000)))) return undefined
  const head = text.slice(0, from || 3000)
  const field = (name: string) =>
    new RegExp(`^${name}:[ \\t]*(.+(?:\\n[ \\t]{2,}\\S.*)*)`, 'im').exec(head)?.[1].replace(/\s+/g, ' ').trim()
  const metadata: BookMetadata = {}
  const [title, author, language] = [field('Title'), field('Author'), field('Language')]
  if (title !== undefined) metadata.title = title
  if (author !== undefined) metadata.author = author
  if (language !== undefined) metadata.language = language
  const body = text.slice(from, end === null ? undefined : from + end.index).trimStart()
  return { metadata, body: body.replace(productionNote, '') }
}

/** `# Title: X`, `## Author: Y`, `## Year: Z` and a rule; or YAML between `---` lines. */
const readFrontMatter = (text: string): { metadata: BookMetadata; body: string } => {
  const metadata: BookMetadata = {}
  const set = (name: string, value: string) => {
    const key = name.toLowerCase() === 'date' ? 'year' : name.toLowerCase()
    if (value !== '' && (key === 'title' || key === 'author' || key === 'year' || key === 'language'))
      metadata[key] = value
  }
  const yaml = /^---\n([\s\S]{0,5000}?)\n---\n/.exec(text)
  if (yaml !== null) {
    for (const line of yaml[1].split('\n')) {
      const match = /^(\w+):\s*["']?(.*?)["']?\s*$/.exec(line)
      if (match !== null) set(match[1], match[2])
    }
    return { metadata, body: text.slice(yaml[0].length) }
  }
  const header = /^\s*((?:#{1,2} (?:Title|Author|Year|Language):[^\n]*\n\s*)+)(?:-{3,}\s*\n)?/i.exec(text)
  if (header === null) return { metadata, body: text }
  for (const match of header[1].matchAll(/^#{1,2} (\w+):\s*(.*?)\s*$/gm)) set(match[1], match[2])
  return { metadata, body: text.slice(header[0].length) }
}

const markdownChapters = (body: string, options: BookOptions): BookChapter[] => {
  const chapters: BookChapter[] = []
  let title = ''
  let lines: string[] = []
  const finish = () => {
    const text = paragraphs(plainMarkdown(lines.join('\n')), options)
    if (text !== '' || title !== '') chapters.push({ title, text })
    lines = []
  }
  let fenced = false
  for (const line of body.split('\n')) {
    if (/^\s*(```|~~~)/.test(line)) fenced = !fenced
    const heading = fenced ? null : /^#{1,6}\s+(.*?)\s*#*\s*$/.exec(line)
    if (heading === null) lines.push(line)
    else {
      finish()
      title = plainMarkdown(heading[1]).trim()
    }
  }
  finish()
  return mergeTitles(chapters)
}

/** Merges a heading without text (VOLUME I) with the next one. */
const mergeTitles = (chapters: BookChapter[]): BookChapter[] => {
  const merged: BookChapter[] = []
  let pending: string[] = []
  for (const { title, text } of chapters) {
    if (title !== '') pending.push(title)
    if (text === '') continue
    merged.push({ title: pending.join('\n\n'), text })
    pending = []
  }
  return merged
}

const plainMarkdown = (text: string): string =>
  text
    .replace(/^\s*(?:-{3,}|\*{3,}|_{3,}|(?:\*\s+){2,}\*)\s*$/gm, '')
    .replace(/!\[([^\]]*)\]\([^)]*\)/g, '')
    .replace(/\[([^\]\n]+)\]\([^)\s]*(?:\s+"[^"]*")?\)/g, '$1')
    .replace(/(\*\*|__)(?=\S)(.{1,2000}?\S?)\1/g, '$2')
    .replace(/(?<![\w*])\*(?=[^\s*])([^*\n]{1,1000}?)(?<=[^\s*])\*(?![\w*])/g, '$1')
    .replace(/(?<![\w_])_(?=[^\s_])([^_]{1,2000}?)(?<=[^\s_])_(?![\w_])/g, '$1')
    .replace(/^ {0,3}>[ \t]?/gm, '')
    .replace(/^\s*(?:```|~~~).*$/gm, '')
    .replace(/`([^`\n]+)`/g, '$1')
    .replace(/&(amp|lt|gt|quot|nbsp|mdash|ndash);/g, (_, name: keyof typeof named) => named[name])
    .replace(/\\([\\`*_{}[\]()#+.!>-])/g, '$1')

const named = { amp: '&', lt: '<', gt: '>', quot: '"', nbsp: ' ', mdash: '—', ndash: '–' }

const numeral =
  '(?:[IVXLCDM]{1,8}|\\d{1,3}|(?:the )?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last)|one|two|three|four|five|six|seven|eight|nine|ten)'
const chapterLine = new RegExp(
  `^(?:chapter|book|part|letter|canto|stave|volume|act|scene|section|lecture)\\s+${numeral}\\b\\.?[^\\n]{0,80}$|^(?:preface|introduction|prologue|epilogue|conclusion|foreword|appendix)\\.?$`,
  'i',
)
const minChapterLength = 400

const plainChapters = (body: string, options: BookOptions): BookChapter[] => {
  const cleaned = body
    .replace(/\[Illustration(?::[^\]]{0,2000})?\]/g, '')
    .replace(/(?<![\w_])_(?=[^\s_])([^_]{1,2000}?)(?<=[^\s_])_(?![\w_])/g, '$1')
    .replace(/^\s*(?:\*\s*){3,}$/gm, '')
  const chapters: BookChapter[] = []
  let title = ''
  let blocks: string[] = []
  const finish = () => {
    const text = paragraphs(blocks.join('\n\n'), options)
    if (text !== '' || title !== '') chapters.push({ title, text })
    blocks = []
  }
  for (const block of cleaned.split(/\n[ \t]*\n/)) {
    const first = block.trim()
    const isTitle = first.split('\n').length <= 2 && chapterLine.test(first.split('\n')[0].trim())
    if (isTitle) {
      finish()
      title = first.replace(/\s+/g, ' ')
    } else if (first !== '') blocks.push(block)
  }
  finish()
  // A table of contents is a run of chapters nearly without text; it is merged into the chapter before.
  const merged: BookChapter[] = []
  for (const chapter of mergeTitles(chapters)) {
    const previous = merged.at(-1)
    if (
      previous !== undefined &&
      previous.title !== '' &&
      previous.text.length < minChapterLength &&
      chapters.length > 3
    ) {
      previous.text += `\n\n${chapter.title === '' ? '' : `${chapter.title}\n\n`}${chapter.text}`
    } else merged.push({ ...chapter })
  }
  return merged
}

/** Paragraphs separated by one blank line; wrapped paragraphs are joined to one line. */
const paragraphs = (text: string, options: BookOptions): string => {
  const blocks: string[] = []
  for (const raw of text.split(/\n[ \t]*\n/)) {
    const block = raw.replace(/[ \t]+$/gm, '').replace(/^\n+|\n+$/g, '')
    if (block.trim() === '') continue
    blocks.push(options.unwrap ? unwrap(block) : block)
  }
  return blocks.join('\n\n').trim()
}

/** Joins lines when all but the last are long; verse, lists and tables are unchanged. */
const unwrap = (block: string): string => {
  const lines = block.split('\n')
  if (lines.length === 1) return block.trim()
  const wrapped = lines.slice(0, -1).every((line, index) => line.length >= 50 && (index === 0 || !/^\s{2,}/.test(line)))
  const prose = wrapped || (averageLength(lines) >= 55 && !lines.some((line) => /^\s{2,}/.test(line)))
  return prose ? lines.map((line) => line.trim()).join(' ') : lines.map((line) => line.trimEnd()).join('\n')
}

const averageLength = (lines: readonly string[]): number =>
  lines.slice(0, -1).reduce((sum, line) => sum + line.length, 0) / Math.max(1, lines.length - 1)

/** The whole book as one text, with chapter titles as separate paragraphs. */
export const bookText = (chapters: readonly BookChapter[]): string =>
  chapters.map(({ title, text }) => (title === '' ? text : `${title}\n\n${text}`)).join('\n\n')
