// What `npm run test:changed` finds: files that reach a change through imports, and through folders' index.ts by name only.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { ImportGraph } from '../../scripts/changed/import-graph.mjs'
import { reachedWithoutImports } from '../../scripts/changed/other-reach.mjs'

const folder = mkdtempSync(join(tmpdir(), 'tunesmith-graph-'))
afterAll(() => rmSync(folder, { recursive: true }))
const sources = {
  'a.ts': 'export const a = 1\n',
  'b.ts': "import { a } from './a.ts'\nexport const b = a\n",
  'c.ts': 'export const c = 1\nexport type C = number\n',
  'index.ts': "export { a as first } from './a.ts'\nexport { b } from './b.ts'\nexport * from './c.ts'\n",
  'uses-a.ts': "import { first } from './index.ts'\n",
  'uses-c.ts': "import {\n  type C,\n  c,\n} from './index.ts'\n",
  'uses-b.ts': "const { b } = await import('./b.ts')\n",
  'starts-c.ts': "new Worker(new URL('./c.ts', import.meta.url))\n",
  'all.ts': "import * as everything from './index.ts'\n",
}
for (const [name, text] of Object.entries(sources)) writeFileSync(join(folder, name), text)
const graph = new ImportGraph(Object.keys(sources).map((name) => join(folder, name)))
const reached = (name: string) =>
  Object.fromEntries([...graph.reach([join(folder, name)])].map(([path, distance]) => [basename(path), distance]))

it('sees through files that pass names on', () => {
  expect(reached('a.ts')).toMatchObject({ 'a.ts': 0, 'b.ts': 1, 'uses-a.ts': 1, 'uses-b.ts': 2, 'all.ts': 1 })
  expect(reached('a.ts')).not.toHaveProperty('uses-c.ts')
  expect(reached('c.ts')).toMatchObject({ 'uses-c.ts': 1, 'starts-c.ts': 1, 'all.ts': 1 })
  expect(reached('c.ts')).not.toHaveProperty('uses-a.ts')
  expect(reached('uses-a.ts')).toEqual({ 'uses-a.ts': 0 })
})

it('reaches the importers of a changed index.ts', () => {
  expect(Object.keys(reached('index.ts')).sort()).toEqual(['all.ts', 'index.ts', 'uses-a.ts', 'uses-c.ts'])
})

it('knows tests that read pages and start programs', () => {
  const tests = ['tests/docs/docs.test.ts', 'tests/studio/run.test.ts', 'src/tensor/kernels.test.ts']
  const found = (changed: string) => reachedWithoutImports([changed], tests).map(([path]) => path)
  expect(found('docs/corpus.md')).toEqual(['tests/docs/docs.test.ts'])
  expect(found('web/main.tsx')).toEqual(['tests/studio/run.test.ts'])
  expect(found('native/kernels/linear.cpp')).toContain('src/tensor/kernels.test.ts')
})
