// Making the types of recipes in a small tree: once, and again when the sources have changed.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadScript } from './load-script.ts'

const { makeRecipeTypes, hasRecipeTypes, sourceDigest } = await loadScript<{
  makeRecipeTypes(root: string, options?: { strict: boolean }): Promise<boolean>
  hasRecipeTypes(root: string): boolean
  sourceDigest(root: string): string
}>('recipe-types.mjs')
const root = mkdtempSync(join(tmpdir(), 'tunesmith-recipe-types-'))
const types = join(root, 'src/runs/recipe-types')
const write = (path: string, text: string) => writeFileSync(join(root, path), text)
const runs = () => readFileSync(join(root, 'runs.txt'), 'utf8').length

/** Its types are the text of the schema; it notes each run. */
const generator = `import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
const { schema } = await import('../src/schema.ts')
appendFileSync('runs.txt', '.')
mkdirSync('src/runs/recipe-types', { recursive: true })
writeFileSync('src/runs/recipe-types/index.ts', schema)
`

beforeAll(() => {
  for (const folder of ['src/runs', 'scripts']) mkdirSync(join(root, folder), { recursive: true })
  symlinkSync(fileURLToPath(new URL('../../node_modules', import.meta.url)), join(root, 'node_modules'))
  write('package.json', JSON.stringify({ type: 'module' }))
  write('scripts/generate-recipe-types.mjs', generator)
  write('src/schema.ts', "import type { T } from './runs/recipe-types/index.ts'\nexport const schema: T = 'one'\n")
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

it('makes the types once, which are no part of the digest of the sources', async () => {
  const digest = sourceDigest(root)
  expect(hasRecipeTypes(root)).toBe(false)
  expect(await makeRecipeTypes(root)).toBe(true)
  expect(await makeRecipeTypes(root)).toBe(true)
  expect([hasRecipeTypes(root), runs(), sourceDigest(root)]).toEqual([true, 1, digest])
  expect(readFileSync(join(types, 'index.ts'), 'utf8')).toBe('one')
})

it('makes them again after a change of the sources, and where they are gone', async () => {
  write('src/schema.ts', "export const schema: string = 'two'\n")
  expect(hasRecipeTypes(root)).toBe(false)
  await makeRecipeTypes(root)
  expect(readFileSync(join(types, 'index.ts'), 'utf8')).toBe('two')
  rmSync(types, { recursive: true })
  await makeRecipeTypes(root)
  expect([existsSync(join(types, 'index.ts')), runs()]).toEqual([true, 3])
})

it('keeps the old ones while the sources do not load, which fails under `strict`', async () => {
  write('src/schema.ts', 'throw new Error("broken")\n')
  expect(await makeRecipeTypes(root)).toBe(false)
  expect(readFileSync(join(types, 'index.ts'), 'utf8')).toBe('two')
  await expect(makeRecipeTypes(root, { strict: true })).rejects.toThrow(
    'the types of recipes could not be made: Error: broken',
  )
})
