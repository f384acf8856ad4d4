// Compiling a small tree: what was compiled from sources that are gone is removed, and what set-up builds beside it stays.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadScript } from './load-script.ts'

const { compileTypescript } = await loadScript<{ compileTypescript(root: string): Promise<void> }>('typescript.mjs')
const packages = fileURLToPath(new URL('../../node_modules', import.meta.url))
const root = mkdtempSync(join(tmpdir(), 'tunesmith-compile-'))
const write = (path: string, text: string) => writeFileSync(join(root, path), text)

beforeAll(() => {
  for (const folder of ['src', 'dist/web', 'scripts']) mkdirSync(join(root, folder), { recursive: true })
  symlinkSync(packages, join(root, 'node_modules'))
  write('package.json', '{"type": "module"}')
  write('scripts/write-catalogue.mjs', '')
  write('src/a.ts', '/** One. */\nexport const a: number = 1 // "//"\nexport const b = "// kept"\n')
  write(
    'tsconfig.build.json',
    '{"compilerOptions": {"rootDir": "src", "outDir": "dist", "module": "nodenext", "types": []}, "include": ["src"]}',
  )
  write('dist/gone.js', '')
  write('dist/web/page-1a2b.js', '')
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

it('removes the output of sources that are gone, and keeps the pages of the studio', async () => {
  await compileTypescript(root)
  const isThere = (path: string) => existsSync(join(root, 'dist', path))
  expect(['a.js', 'gone.js', 'web/page-1a2b.js'].map(isThere)).toEqual([true, false, true])
})

it('leaves comments out of the JavaScript, and nothing else', () => {
  expect(readFileSync(join(root, 'dist/a.js'), 'utf8')).toBe('export const a = 1;\nexport const b = "// kept";\n')
})
