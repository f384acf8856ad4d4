import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { expectNewFolder } from './run-record.ts'

const root = mkdtempSync(join(tmpdir(), 'tunesmith-run-folder-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const folderWith = (name: string, ...files: string[]): string => {
  const folder = join(root, name)
  mkdirSync(folder)
  for (const file of files) writeFileSync(join(folder, file), '')
  return folder
}

it('refuses a folder with files that a run would replace, and names them', async () => {
  const folder = folderWith('project', 'report.html', 'notes.txt')
  mkdirSync(join(folder, 'model'))
  await expect(expectNewFolder(folder)).rejects.toThrow(
    `found model, report.html in ${folder}, which the run would replace. Name another folder.`,
  )
})

it('names the way to continue a run', async () => {
  await expect(expectNewFolder(folderWith('run', 'run.json', 'report.html'))).rejects.toThrow('found a run in')
})

it('takes a folder with other files, with those of the studio and of a run that failed before it began, and one that does not exist', async () => {
  await expectNewFolder(folderWith('other', 'notes.txt', 'data.csv'))
  await expectNewFolder(folderWith('studio', 'form.json', 'console.log', '.lock'))
  await expectNewFolder(folderWith('failed', 'code.json', 'sessions.json'))
  await expectNewFolder(join(root, 'missing'))
})
