// The main text of an HTML page, in two modes. Knows no HTTP and no WARC.
import { type HtmlBlock, toHtmlBlocks } from './blocks.ts'
import { contentGroups } from './content.ts'
import { readableContent } from './faithful.ts'

export interface HtmlOptions {
  /** `fast` judges blocks by length, links and neighbours; `faithful` is Readability on a tree; `all` keeps every block. */
  mode: 'fast' | 'faithful' | 'all'
}

export interface HtmlText {
  /** Empty when the page has no content to speak of. */
  text: string
  title: string
  /** Of `<html lang>`. */
  language: string
}

/** Extracts the text of a page. Never throws, whatever the input. */
export const extractHtml = (html: string, options: HtmlOptions): HtmlText => {
  const page = toHtmlBlocks(html)
  const { title, language } = page
  if (options.mode === 'faithful') {
    const readable = readableContent(html)
    if (readable !== undefined) {
      const { blocks } = toHtmlBlocks(readable.html)
      const body = render(allGroups(blocks))
      // Readability leaves out the headline where it repeats the title.
      const headline = page.blocks.find((block) => block.level === 1 && !block.boilerplate)?.text ?? ''
      const text =
        headline === '' || body === '' || `\n${body}\n`.includes(`\n${headline}\n`) ? body : `${headline}\n\n${body}`
      if (text !== '') return { text, title: title || readable.title, language }
    }
  }
  const groups = options.mode === 'all' ? allGroups(page.blocks) : contentGroups(page.blocks)
  return { text: render(groups), title, language }
}

const allGroups = (blocks: readonly HtmlBlock[]): HtmlBlock[][] => {
  const groups: HtmlBlock[][] = []
  for (const block of blocks) {
    const last = groups.at(-1)
    if (last !== undefined && last[0].kind === block.kind && (block.kind === 'item' || block.kind === 'row'))
      last.push(block)
    else groups.push([block])
  }
  return groups
}

const render = (groups: readonly HtmlBlock[][]): string =>
  groups.map((blocks) => blocks.map(({ kind, text }) => (kind === 'item' ? `- ${text}` : text)).join('\n')).join('\n\n')
