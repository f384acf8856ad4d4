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

  it('notes the skipped blank lines of plain text', async () => {
    const { texts, notes } = await read('b.txt', 'one\n\ntwo\n  \nthree')
    expect(texts).toEqual(['one', 'two', 'three'])
    expect(notes).toEqual([expect.stringMatching(/b\.txt: Skipped 2 blank lines \(the first is line 2\)/)])
  })

  it('reads a column of separated values, JSON and Parquet, quoted line breaks included', async () => {
    const csv = 'id,text,label\n1,"one, and\nmore",a\n2,two,b\n'
    expect(await read('t.csv', csv)).toEqual({ texts: ['one, and\nmore', 'two'], notes: [] })
    expect(await read('t.tsv', 'text\tlabel\none\ta\n')).toEqual({ texts: ['one'], notes: [] })
    expect(await read('t.json', '[{"text":"one"},{"text":"two"}]')).toEqual({ texts: ['one', 'two'], notes: [] })
    const golden = join(import.meta.dirname, '../../../tests/tasks/golden/classes.parquet')
    expect((await readTexts(golden, 'text', () => undefined)).length).toBeGreaterThan(1)
  })

  it('names the setting and a likely column where the column is missing', async () => {
    await expect(read('m.csv', 'id,Customer Comment\n1,a fine day\n')).rejects.toThrow(
      /m\.csv:2: Expected a column "text" for `text`, got the columns id, Customer Comment\. Set `settings\.text: "Customer Comment"`/,
    )
    await expect(read('n.csv', 'text,stars\none,1\n,2\n')).rejects.toThrow(/n\.csv:3: Expected text in column "text"/)
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
