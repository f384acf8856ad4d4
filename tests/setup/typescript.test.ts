// Compiling a small tree to what a package has: few files, one copy of each module, and nothing of sources that are gone.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadScript } from './load-script.ts'

const { compileTypescript } = await loadScript<{ compileTypescript(root: string): Promise<void> }>('typescript.mjs')
const { listFiles } = await loadScript<{ listFiles(paths: string[], accept: (path: string) => boolean): string[] }>(
  'hashes.mjs',
)
const packages = fileURLToPath(new URL('../../node_modules', import.meta.url))
const root = mkdtempSync(join(tmpdir(), 'tunesmith-compile-'))
const write = (path: string, text: string) => writeFileSync(join(root, path), text)

const isThere = (path: string) => existsSync(join(root, 'dist', path))

beforeAll(async () => {
  for (const folder of ['src/parts', 'build/modules', 'dist/web', 'scripts'])
    mkdirSync(join(root, folder), { recursive: true })
  symlinkSync(packages, join(root, 'node_modules'))
  const exports = { '.': { types: './dist/a.d.ts', default: './dist/a.js' }, './package.json': './package.json' }
  write('package.json', JSON.stringify({ type: 'module', exports }))
  write('scripts/write-catalogue.mjs', '')
  write(
    'src/a.ts',
    [
      '/** One. */',
      'export const a: number = 1 // "//"',
      "export { Shared, text } from './parts/shared.ts'",
      "export const worker = new URL('./parts/worker.ts', import.meta.url).href",
      '',
    ].join('\n'),
  )
  write(
    'src/parts/shared.ts',
    [
      '/** In both. */',
      'export class Shared {',
      '  static readonly first = new Shared()',
      '}',
      "export const text = new URL('./text.txt', import.meta.url).href",
      '',
    ].join('\n'),
  )
  write('src/parts/text.txt', 'beside the code')
  write('src/parts/worker.ts', "export { Shared } from './shared.ts'\n")
  write(
    'tsconfig.build.json',
    JSON.stringify({
      compilerOptions: {
        ...{ rootDir: 'src', outDir: 'build/modules', declaration: true, declarationDir: 'dist' },
        ...{ module: 'nodenext', target: 'es2023', types: ['node'], rewriteRelativeImportExtensions: true },
      },
      include: ['src'],
    }),
  )
  write('build/modules/gone.js', '')
  write('dist/gone.d.ts', '')
  write('dist/old.js', '')
  write('dist/web/page-1a2b.js', '')
  await compileTypescript(root)
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

it('removes the output of sources that are gone, and keeps the pages of the studio', () => {
  expect(['a.js', 'a.d.ts', 'gone.d.ts', 'old.js', 'web/page-1a2b.js'].map(isThere)).toEqual([
    ...[true, true, false, false, true],
  ])
})

it('writes what is exported or started under its own path, and has one copy of what they share', async () => {
  expect(['parts/worker.js', 'parts/shared.js'].map(isThere)).toEqual([true, false])
  const a = await import(pathToFileURL(join(root, 'dist/a.js')).href)
  const { Shared } = await import(pathToFileURL(join(root, 'dist/parts/worker.js')).href)
  expect(a.Shared).toBe(Shared)
  expect(Shared.first.constructor.name).toBe('Shared')
})

it('leaves the code where it finds the files beside its source', async () => {
  const a = await import(pathToFileURL(join(root, 'dist/a.js')).href)
  expect(readFileSync(new URL(a.text), 'utf8')).toBe('beside the code')
  expect(a.worker).toBe(pathToFileURL(join(root, 'dist/parts/worker.ts')).href)
})

it('keeps comments in declarations only', () => {
  const code = listFiles([join(root, 'dist')], (path) => path.endsWith('.js')).map((path) => readFileSync(path, 'utf8'))
  expect(code.join('')).not.toContain('/**')
  expect(code.join('')).toContain('a = 1;')
  expect(readFileSync(join(root, 'dist/a.d.ts'), 'utf8')).toContain('/** One. */')
})
