// The main text of an HTML page.
import { type HtmlBlock, type HtmlPage, toHtmlBlocks } from './blocks.ts'
import { contentGroups } from './content.ts'
import { readableContent } from './faithful.ts'

/** How to extract the text of a page. */
export interface HtmlOptions {
  /**
   * `fast` classifies blocks by length, links and neighbours; `faithful` runs Readability, and falls back to `fast`
   * when that returns only a fragment; `all` keeps every block.
   */
  mode: 'fast' | 'faithful' | 'all'
}

/** The text of a page. */
export interface HtmlText {
  /** Main text; empty when the page has none. */
  text: string
  title: string
  /** BCP 47 tag of `<html lang>`, or an empty string. */
  language: string
}

/** Extracts the text of a page. Never throws. */
export const extractHtml = (html: string, options: HtmlOptions): HtmlText => {
  const page = toHtmlBlocks(html)
  const { title, language } = page
  if (options.mode === 'all') return { text: render(allGroups(page.blocks)), title, language }
  const fast = render(contentGroups(page.blocks))
  const readable = options.mode === 'faithful' ? readableText(html, page) : undefined
  if (readable === undefined || isFragment(readable.text, fast)) return { text: fast, title, language }
  return { text: readable.text, title: title || readable.title, language }
}

/** Text and title by Readability; undefined when it finds nothing. */
const readableText = (html: string, page: HtmlPage): { text: string; title: string } | undefined => {
  const readable = readableContent(html)
  if (readable === undefined) return undefined
  const body = render(allGroups(toHtmlBlocks(readable.html).blocks))
  if (body === '') return undefined
  // Readability leaves out the headline if it repeats the title.
  const headline = page.blocks.find((block) => block.level === 1 && !block.boilerplate)?.text ?? ''
  const isComplete = headline === '' || `\n${body}\n`.includes(`\n${headline}\n`)
  return { text: isComplete ? body : `${headline}\n\n${body}`, title: readable.title }
}

/** From this length in characters on, the text of the fast rules can outweigh a short result of Readability. */
const minFastText = 200
/**
 * Readability returns at least 3/4 of the fast text on ordinary pages, and less than 1/5 where it picks the navigation.
 */
const minReadableShare = 1 / 3

/** Whether Readability chose a small block beside the content, as it does on pages laid out by tables. */
const isFragment = (readable: string, fast: string): boolean =>
  fast.length >= minFastText && readable.length < minReadableShare * fast.length

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
