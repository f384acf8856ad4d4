import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { useModules, useModulesOf } from './use-modules.ts'

const root = mkdtempSync(join(tmpdir(), 'tunesmith-use-'))
afterAll(() => rmSync(root, { recursive: true }))

const counts = globalThis as { imports?: number }
const write = (path: string, text: string) => {
  const file = join(root, path)
  mkdirSync(join(file, '..'), { recursive: true })
  writeFileSync(file, text)
  return file
}
const module = 'globalThis.imports = (globalThis.imports ?? 0) + 1\n'

it('imports a package once, from whichever of its copies comes first', async () => {
  const files = ['a', 'b'].map((folder) => {
    write(`${folder}/package.json`, '{"name":"tone","type":"module"}')
    return write(`${folder}/index.js`, module)
  })
  write('c/package.json', '{"name":"other","type":"module"}')
  const other = write('c/index.js', module)
  expect(await useModules(files)).toEqual(files)
  expect(counts.imports).toBe(1)
  await useModules(other)
  expect(counts.imports).toBe(2)
})

it('imports what the run of a model was started with, as far as it is there and outside the run', async () => {
  write('d/package.json', '{"type":"module"}')
  const mine = write('d/mine.js', `${module}// of a run`)
  const inside = write('run/model/evil.js', 'throw new Error("code of a model")')
  write('run/run.json', JSON.stringify({ use: [mine, inside, join(root, 'gone.js'), './evil.js'] }))
  const before = counts.imports ?? 0
  await useModulesOf(join(root, 'run', 'model'))
  await useModulesOf(join(root, 'run'))
  expect(counts.imports).toBe(before + 1)
  await useModulesOf(join(root, 'no-run'))
})
