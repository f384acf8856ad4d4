// The TypeScript of the documentation: every block compiles under strict settings, and every block runs, on small files and random models
// that stand for those of the pages. `no-run` on a fence exempts a block from running and says why in the page.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { transform } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readTree } from '../architecture/files.ts'
import { isFull } from '../grid.ts'
import { makeWorkFolder, substitutes } from './fixture.ts'
import { type CodeBlock, codeBlocks, pages, root } from './pages.ts'

const require = createRequire(import.meta.url)
let work: string

const blocks = pages.flatMap(codeBlocks).filter(({ language }) => language === 'ts')
const fileOf = ({ page, line }: CodeBlock) => `${page.replace(/\.md$/, '').replace(/[^\w]+/g, '-')}-${line}.ts`
/** The block as JavaScript: a loader of TypeScript would take most of the time that a page takes. */
const runnable = (block: CodeBlock) => fileOf(block).replace(/\.ts$/, '.mjs')
const substituted = (code: string) =>
  Object.entries(substitutes).reduce((text, [hub, local]) => text.replaceAll(`'${hub}'`, `'${local}'`), code)

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'tunesmith-docs-'))
  await makeWorkFolder(work)
  for (const block of blocks) {
    const source = `${substituted(block.code)}\nexport {}\n`
    writeFileSync(join(work, fileOf(block)), source)
    writeFileSync(join(work, runnable(block)), (await transform(source, { loader: 'ts', target: 'node20' })).code)
  }
  const compilerOptions = {
    target: 'es2023',
    module: 'nodenext',
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: ['node'],
    lib: ['es2023', 'esnext.disposable'],
    allowImportingTsExtensions: true,
  }
  writeFileSync(join(work, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: blocks.map(fileOf) }))
})
afterAll(() => rmSync(work, { recursive: true, force: true }))

/** Runs the blocks of a page one after another in one process, in a copy of the folder. */
const runPage = (page: string): string => {
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-page-'))
  try {
    cpSync(work, folder, { recursive: true, verbatimSymlinks: true })
    const own = blocks.filter((block) => block.page === page && !block.flags.includes('no-run'))
    const lines = own.map(
      (block) => `try { await import('./${runnable(block)}') } catch (error) {
  console.error('${block.page}:${block.line}', error); process.exit(1) }`,
    )
    writeFileSync(join(folder, 'run-page.mjs'), `${lines.join('\n')}\nprocess.exit(0)\n`)
    const { status, stderr } = spawnSync(process.execPath, ['run-page.mjs'], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, HF_HUB_OFFLINE: '1' },
    })
    return status === 0 ? '' : stderr.slice(-2000)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

describe('code in the documentation', () => {
  it('compiles under strict settings', () => {
    const compiler = require.resolve('typescript/bin/tsc')
    let output = ''
    try {
      execFileSync(process.execPath, [compiler, '-p', work], { encoding: 'utf8', cwd: root })
    } catch (error) {
      output = (error as { stdout: string }).stdout
    }
    expect(output).toBe('')
  })

  const all = [...new Set(blocks.map(({ page }) => page))]
  // Those that `npm run test:changed` names, or those that a newcomer reads first; all compile.
  const named = process.env.TUNESMITH_TEST_PAGES?.split(',')
  const first = ['README.md', 'docs/tutorial.md', 'docs/inference.md', 'docs/extending.md']
  it.each(isFull ? all : all.filter((page) => (named ?? first).includes(page)))('of %s runs', (page) => {
    expect(runPage(page)).toBe('')
  })
})

/** Every function and class that the package exports, by name. */
const publicNames = (): Set<string> => {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: object }
  const entries = Object.keys(exports).flatMap((path) => (path.endsWith('.json') ? [] : [`tunesmith${path.slice(1)}`]))
  const imports = entries.map((entry) => `...Object.keys(await import('${entry}'))`)
  const script = `console.log(JSON.stringify([${imports.join(', ')}]))`
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: root, encoding: 'utf8' })
  return new Set(JSON.parse(output) as string[])
}

/** Functions of src/, which guides name in camel case; other words in backticks are options, commands and values. */
const functionsOfSource = (): Set<string> =>
  new Set(
    [...readTree(root)].flatMap(([path, text]) =>
      /^src\/.*(?<!\.test)\.ts$/.test(path)
        ? [...text.matchAll(/^export (?:async )?(?:const|function\*?) ([a-z]+[A-Z]\w*)/gm)].map(([, name]) => name)
        : [],
    ),
  )

/** Names that guides have for something else than the function of this name: methods of an opened model and of a task, keywords, options. */
const otherThings = new Set(['fillMask', 'parsePrediction', 'anyOf', 'oneOf', 'textField'])

describe('functions that guides name', () => {
  it('can be imported from the package', () => {
    const exported = publicNames()
    const functions = functionsOfSource()
    expect(exported).toContain('finetune')
    expect(functions).toContain('defineRun')
    const guides = pages.filter(({ path }) => /^(README\.md|docs\/(?!internals|results|decisions))/.test(path))
    const missing = guides.flatMap(({ path, text }) =>
      [...text.matchAll(/`([a-z]+[A-Z]\w*)(?:\([^`\n]*\))?`/g)]
        .map(([, name]) => name)
        .filter((name) => functions.has(name) && !exported.has(name) && !otherThings.has(name))
        .map((name) => `${path}: ${name}`),
    )
    expect(missing).toEqual([])
  })
})
