// Main content by Mozilla's Readability on a linkedom tree, as in a browser's reader view. Slower than the fast rules.
import { createRequire } from 'node:module'
import { Readability } from '@mozilla/readability'

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
export const readableContent = (html: string): { html: string; title: string } | undefined => {
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
