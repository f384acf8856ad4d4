// The documentation: every link leads somewhere, every command line parses, prose keeps to its width, every guide
// is linked, and README.md, ARCHITECTURE.md and LOG.md stay short.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseCommandLine } from '../../src/cli/command-line.ts'
import { commands } from '../../src/cli/commands/index.ts'
import { anchors, codeBlocks, links, type Page, pages, prose, root } from './pages.ts'

/** What is wrong with the links of a page. */
const brokenLinks = ({ path, text }: Page): string[] =>
  links(text).flatMap(({ target, line }) => {
    if (/^(https?|mailto):/.test(target)) return []
    const [file, anchor] = target.split('#')
    const place = file === '' ? path : normalize(join(dirname(path), file))
    // `npm run docs` writes these; docs/reference.md says so.
    if (/^docs\/(reference|public)\//.test(place)) return []
    if (!existsSync(join(root, place))) return [`${path}:${line}: ${target} leads nowhere`]
    if (anchor === undefined || !place.endsWith('.md')) return []
    return anchors(readFileSync(join(root, place), 'utf8')).has(anchor)
      ? []
      : [`${path}:${line}: no heading #${anchor}`]
  })

/** A shell block as command lines: comments removed, continued lines joined. */
const commandLines = (code: string): string[] =>
  code
    .replace(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => line.replace(/\s+#\s.*$/, '').trim())
    .filter((line) => line !== '' && !line.startsWith('#'))

const words = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, double, single, bare]) => double ?? single ?? bare)

/** What is wrong with a line of `tunesmith …`; undefined for other programs. */
const faultOf = async (line: string): Promise<string | undefined> => {
  const [first, ...rest] = words(line.replace(/^(\$|npx) /, '').replace(/\s*(\||>|&&|2>).*$/, ''))
  if (first !== 'tunesmith') return undefined
  if (/^--(help|version)$/.test(rest[0] ?? '')) return undefined
  const two = `${rest[0]} ${rest[1]}`
  const name = two in commands ? two : rest[0]
  const load = commands[name as keyof typeof commands]
  if (load === undefined) return `no command ${name}`
  const argv = rest.slice(name.split(' ').length)
  // A recipe file is not read here: tests/recipes.test.ts does.
  if (argv.some((word) => word.startsWith('--recipe'))) return undefined
  try {
    await parseCommandLine((await load()) as never, argv)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

describe('documentation', () => {
  it('has links that lead somewhere, to files and headings', () => {
    expect(pages.flatMap(brokenLinks)).toEqual([])
    expect(brokenLinks({ path: 'docs/x.md', text: '[a](nowhere.md) [b](../README.md#no-such-heading)' })).toHaveLength(
      2,
    )
  })

  it('shows command lines that parse', async () => {
    const faults: string[] = []
    for (const page of pages)
      for (const { language, code, line } of codeBlocks(page))
        if (language === 'sh')
          for (const one of commandLines(code)) {
            const fault = await faultOf(one)
            if (fault !== undefined) faults.push(`${page.path}:${line}: ${one}: ${fault}`)
          }
    expect(faults).toEqual([])
    expect(await faultOf('npx tunesmith pretrain --modle x')).toMatch(/Unknown option/)
  })

  it('keeps prose lines within 120 characters', () => {
    const wide = pages.flatMap(({ path, text }) =>
      prose(text)
        .split('\n')
        .flatMap((line, i) => {
          const isTable = line.trim().startsWith('|')
          const isLink = /https?:\/\//.test(line)
          return line.length > 120 && !isTable && !isLink ? [`${path}:${i + 1}: ${line.length} characters`] : []
        }),
    )
    expect(wide).toEqual([])
  })

  it.each([
    ['README.md', 130],
    ['ARCHITECTURE.md', 70],
    ['LOG.md', 402],
  ])('has a %s of fewer than %i lines', (name, most) => {
    expect(readFileSync(join(root, name), 'utf8').split('\n').length).toBeLessThan(most)
  })

  it('has a link to every guide, on its first page and beside each page of the site', () => {
    // Single studies and decisions have their own lists, checked below.
    const guides = pages.flatMap(({ path }) =>
      path.startsWith('docs/') && path !== 'docs/README.md' && !/^docs\/(results|decisions)\/(?!README)/.test(path)
        ? [path]
        : [],
    )
    const first = new Set(
      links(readFileSync(join(root, 'docs/README.md'), 'utf8')).map(({ target }) => `docs/${target}`),
    )
    const config = readFileSync(join(root, 'docs/.vitepress/config.mts'), 'utf8')
    const beside = [...config.matchAll(/page\('[^']+', '\/([^']+)'\)/g)].map(([, path]) => `docs/${path}`)
    expect(guides.filter((path) => !first.has(path))).toEqual([])
    expect(guides.filter((path) => !beside.includes(path.replace(/(README)?\.md$/, '')))).toEqual([])
  })

  it.each(['results', 'decisions'])('lists every page of docs/%s in its README.md', (folder) => {
    const listed = new Set(
      links(readFileSync(join(root, `docs/${folder}/README.md`), 'utf8')).map(
        ({ target }) => `docs/${folder}/${target.split('#')[0]}`,
      ),
    )
    const own = pages.flatMap(({ path }) =>
      path.startsWith(`docs/${folder}/`) && !path.endsWith('/README.md') ? [path] : [],
    )
    expect(own.length).toBeGreaterThan(20)
    expect(own.filter((path) => !listed.has(path))).toEqual([])
  })
})

describe('the benchmark chart', () => {
  it('is drawn from docs/benchmarks.json (run `node scripts/docs/benchmark-chart.mjs`)', async () => {
    const { drawChart } = (await import('../../scripts/docs/benchmark-chart.mjs' as string)) as {
      drawChart(data: object): string
    }
    const data = JSON.parse(readFileSync(join(root, 'docs/benchmarks.json'), 'utf8')) as object
    expect(readFileSync(join(root, 'docs/images/benchmarks.svg'), 'utf8')).toBe(drawChart(data))
  })

  it('names for each main job at most ten files, all of which exist', () => {
    const text = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8')
    const paths = [...text.matchAll(/^\| [a-z -]+ \| (`cli\/commands\/.*) \|$/gm)].map(([, files]) =>
      [...files.matchAll(/`([^`]+)`/g)].map(([, file]) => file),
    )
    expect(paths).toHaveLength(5)
    for (const files of paths) expect(files.length).toBeLessThanOrEqual(10)
    expect(paths.flat().filter((file) => !existsSync(join(root, 'src', file)))).toEqual([])
  })
})
