// The hand-written pages of the documentation, their links and their code blocks.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Page {
  /** Relative to the root, with slashes. */
  path: string
  text: string
}

export interface CodeBlock {
  page: string
  /** 1-based line of its first line of code. */
  line: number
  language: string
  /** What follows the language on the fence, such as `no-run`. */
  flags: string
  code: string
}

// Written by `npm run docs`.
const generated = /^docs\/(reference|public)\//

const walk = (folder: string): string[] =>
  readdirSync(folder).flatMap((name) => {
    if (name === 'node_modules' || name.startsWith('.')) return []
    const path = join(folder, name)
    return statSync(path).isDirectory() ? walk(path) : [path]
  })

/** README.md, the other pages of the root, and docs/. */
export const pages: readonly Page[] = [
  ...['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'LOG.md'].map((name) => join(root, name)),
  ...walk(join(root, 'docs')).filter((path) => path.endsWith('.md')),
]
  .map((path) => ({ path: relative(root, path).replaceAll('\\', '/'), text: readFileSync(path, 'utf8') }))
  .filter(({ path }) => !generated.test(path))

/** The fenced blocks of a page. */
export const codeBlocks = ({ path, text }: Page): CodeBlock[] => {
  const blocks: CodeBlock[] = []
  const lines = text.split('\n')
  for (let i = 0; i < lines.length; i++) {
    const [, fence, language, flags] = /^\s*(```+)(\w*)\s*(.*)$/.exec(lines[i]) ?? []
    if (fence === undefined) continue
    const start = i + 1
    while (++i < lines.length && lines[i].trim() !== fence);
    blocks.push({ page: path, line: start + 1, language, flags, code: lines.slice(start, i).join('\n') })
  }
  return blocks
}

/** The text without fenced blocks and inline code, line numbers kept. */
export const prose = (text: string): string => {
  let inside = false
  return text
    .split('\n')
    .map((line) => {
      if (/^\s*```/.test(line)) {
        inside = !inside
        return ''
      }
      return inside ? '' : line.replace(/`[^`]*`/g, '``')
    })
    .join('\n')
}

export interface Link {
  target: string
  line: number
}

/** Links and images of a page, those in code left out. */
export const links = (text: string): Link[] =>
  prose(text)
    .split('\n')
    .flatMap((line, i) => [...line.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => ({ target, line: i + 1 })))

/** The anchors of a page's headings, as GitHub and VitePress make them. */
export const anchors = (text: string): Set<string> =>
  new Set(
    text
      .split('\n')
      .filter((line) => /^#{1,6} /.test(line))
      .map((line) =>
        line
          .replace(/^#+ /, '')
          .replace(/[`*]/g, '')
          .toLowerCase()
          .replace(/[^\p{L}\p{N}\s-]/gu, '')
          .trim()
          .replace(/\s+/g, '-'),
      ),
  )
