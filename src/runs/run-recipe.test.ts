// What the recipe of a run's folder may make run: the user's own modules, and nothing that came along with the run.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { readRunRecipe } from './kinds.ts'

const root = mkdtempSync(join(tmpdir(), 'tunesmith-run-recipe-'))
afterAll(() => rmSync(root, { recursive: true }))

const imported = globalThis as { own?: boolean }

/** A folder with the recipe of a run and a module that throws. */
const makeRun = (name: string, more: object): string => {
  const folder = join(root, name)
  mkdirSync(join(folder, 'node_modules', 'evil'), { recursive: true })
  for (const file of ['x.mjs', 'node_modules/evil/index.js'])
    writeFileSync(join(folder, file), 'throw new Error("code of a run")')
  const recipe = { command: 'align', objective: 'dpo', base: 'base', data: 'rows.jsonl', out: folder, ...more }
  writeFileSync(join(folder, 'run.json'), JSON.stringify(recipe))
  return folder
}

it.each([
  ['a relative path', () => './x.mjs'],
  ['a package', () => 'evil'],
  ['a URL', (folder: string) => `file://${folder}/x.mjs`],
  ['its path', (folder: string) => join(folder, 'x.mjs')],
  ['a way around', (folder: string) => `${folder}/../around/../${folder.split('/').pop()}/x.mjs`],
  ['a link to its folder', () => join(root, 'link', 'x.mjs')],
])('does not import a module in the folder of a run, named by %s', async (name, moduleOf) => {
  const folder = join(root, name.replaceAll(' ', '-'))
  mkdirSync(join(root, 'around'), { recursive: true })
  makeRun(name.replaceAll(' ', '-'), { use: [moduleOf(folder)] })
  rmSync(join(root, 'link'), { force: true })
  symlinkSync(folder, join(root, 'link'))
  const { use } = (await readRunRecipe(folder)) as { use?: string[] }
  expect(use).toEqual([])
})

it('leaves out a recipe file in the folder of a run, which is read again for its functions', async () => {
  const inside = makeRun('inside', { recipeFile: join(root, 'inside', 'x.mjs') })
  expect(await readRunRecipe(inside)).not.toHaveProperty('recipeFile')
  const outside = makeRun('outside', { recipeFile: join(root, 'recipe.mjs') })
  expect(await readRunRecipe(outside)).toHaveProperty('recipeFile', join(root, 'recipe.mjs'))
})

it("imports a user's own module", async () => {
  const own = join(root, 'own.mjs')
  writeFileSync(own, 'globalThis.own = true')
  expect(await readRunRecipe(makeRun('mine', { use: [own] }))).toHaveProperty('use', [own])
  expect(imported.own).toBe(true)
  await expect(readRunRecipe(makeRun('gone', { use: [join(root, 'gone.mjs')] }))).rejects.toThrow(/found no file/)
})
