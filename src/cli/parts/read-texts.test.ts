// Texts of files for commands: marks, blank lines and bytes of other encodings.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readTexts } from './read-texts.ts'

const folder = mkdtempSync(join(tmpdir(), 'read-texts-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const read = async (name: string, content: string | Uint8Array) => {
  const path = join(folder, name)
  writeFileSync(path, content)
  const notes: string[] = []
  return { texts: await readTexts(path, 'text', (line) => notes.push(line)), notes }
}

describe('readTexts', () => {
  it('leaves out the byte order mark, carriage returns and the blank lines at the end', async () => {
    expect(await read('a.txt', '\ufeffone\r\ntwo\r\n\r\n')).toEqual({ texts: ['one', 'two'], notes: [] })
    expect(await read('a.jsonl', '\ufeff{"text":"one"}\n\n{"text":"two"}\n')).toEqual({
      texts: ['one', 'two'],
      notes: [],
    })
  })

  it('says which blank lines of plain text it passed over, for texts are counted without them', async () => {
    const { texts, notes } = await read('b.txt', 'one\n\ntwo\n  \nthree')
    expect(texts).toEqual(['one', 'two', 'three'])
    expect(notes).toEqual([expect.stringMatching(/b\.txt: Skipped 2 blank lines \(the first is line 2\)/)])
  })

  it.each([
    ['c.txt', Buffer.from('one\ntwo\ncaf\xe9\nfour\n', 'latin1'), 3],
    ['c.jsonl', Buffer.from('{"text":"one"}\n{"text":"caf\xe9"}', 'latin1'), 2],
    ['d.txt', Buffer.from('\ufeffone\ntwo\n', 'utf16le'), 1],
    ['e.txt', Buffer.concat([Buffer.from('é\none\n'), Buffer.from([0xc3])]), 3],
  ])('refuses bytes that are no UTF-8 (%s), with the line', async (name, content, line) => {
    await expect(read(name, content)).rejects.toThrow(new RegExp(`${name}:${line}: Expected UTF-8`))
  })
})
