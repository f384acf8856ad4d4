// Plain text of wikitext.
import { type Block, joinBlocks, toBlocks } from './blocks.ts'
import { type WikiNamespaces, wikiNamespaces } from './links.ts'
import { renderMarkup } from './renderer.ts'

export { type WikiNamespaces, wikiNamespaces } from './links.ts'

export interface WikitextOptions {
  /**
   * `fast` drops tables and block templates; `faithful` renders them as text. Both render formulas and templates inside
   * sentences.
   */
  mode: 'fast' | 'faithful'
  namespaces?: WikiNamespaces
  /** Keep captions of pictures as paragraphs (default: false). */
  captions?: boolean
  /** Headings in lower case whose sections are dropped. */
  dropSections?: ReadonlySet<string>
}

const englishNamespaces = wikiNamespaces()

/** The text of a page: headings, paragraphs and lists, without markup. Never throws. */
export const extractWikitext = (source: string, options: WikitextOptions): string => {
  const marked = renderMarkup(withoutComments(source.replace(/[\u0001-\u0008\r]/g, '')), {
    namespaces: options.namespaces ?? englishNamespaces,
    faithful: options.mode === 'faithful',
    captions: options.captions ?? false,
  })
  let blocks = toBlocks(marked)
  if (options.dropSections !== undefined && options.dropSections.size > 0) {
    blocks = withoutSections(blocks, options.dropSections)
  }
  return joinBlocks(blocks)
}

/** Removes comments; a comment alone on its line is removed with the line. */
const withoutComments = (source: string): string => {
  let start = source.indexOf('<!--')
  if (start < 0) return source
  let output = ''
  let copied = 0
  while (start >= 0) {
    let end = source.indexOf('-->', start + 4)
    end = end < 0 ? source.length : end + 3
    output += source.slice(copied, start)
    const startsLine = start === 0 || source.charCodeAt(start - 1) === 10
    if (startsLine && source.charCodeAt(end) === 10) end++
    copied = end
    start = source.indexOf('<!--', end)
  }
  return output + source.slice(copied)
}

const withoutSections = (blocks: readonly Block[], dropped: ReadonlySet<string>): Block[] => {
  let below = 0 // level of the heading being dropped
  return blocks.filter((block) => {
    if (block.kind === 'heading') {
      if (below > 0 && block.level <= below) below = 0
      if (below === 0 && dropped.has(block.text.toLowerCase())) below = block.level
    }
    return below === 0
  })
}
