// The main text of an HTML page.

import { createRequire } from 'node:module'
import { Readability } from '@mozilla/readability'
import { type HtmlBlock, type HtmlPage, toHtmlBlocks } from './blocks.ts'
import { contentGroups } from './content.ts'

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

// The package types its argument with the browser's DOM, which Node's types lack.
type ReadabilityDocument = ConstructorParameters<typeof Readability>[0]

type Linkedom = typeof import('linkedom')
let linkedom: Linkedom | undefined

/** Loaded when the first page is read: it has more than 200 modules, which every command would wait for. */
const loadLinkedom = (): Linkedom => {
  linkedom ??= createRequire(import.meta.url)('linkedom') as Linkedom
  return linkedom
}

/** Depth at which browsers stop nesting elements. Readability's time grows with the square of the depth. */
const maxDepth = 512

/** Whether elements are nested deeper than in any page that a browser shows; without recursion, which they would break. */
const isTooDeep = (root: { readonly children: ArrayLike<unknown> }): boolean => {
  let level = [root]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > maxDepth) return true
    level = level.flatMap(({ children }) => Array.from(children) as (typeof root)[])
  }
  return false
}

/** HTML of the main content, and its title; undefined when Readability finds none or the page breaks it. */
const readableContent = (html: string): { html: string; title: string } | undefined => {
  try {
    const { document } = loadLinkedom().parseHTML(
      /<html[\s>]/i.test(html) ? html : `<!doctype html><html><body>${html}</body></html>`,
    )
    if (isTooDeep(document.documentElement)) return undefined
    // Readability keeps these on small pages, where it has few candidates.
    for (const element of document.querySelectorAll('nav, [role=navigation], body > footer')) element.remove()
    // Readability asks for the DOM's own type, and reads only the part of it that linkedom has.
    const article = new Readability(document as unknown as ReadabilityDocument, { maxElemsToParse: 200_000 }).parse()
    if (article === null || typeof article.content !== 'string') return undefined
    return { html: article.content, title: article.title ?? '' }
  } catch {
    return undefined // too many elements: the caller falls back to the fast rules
  }
}
