// Each rule by hand, from the paper's section 2.2 and the reference implementation c4_utils.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { c4 } from './c4.ts'
import { createFilter, type FilterDecision } from './filter.ts'

const good = 'Here is a sentence. And one more of them! Is this the third? It is the fourth. This one is last.'

const apply = async (text: string, options: object = {}): Promise<FilterDecision> =>
  (await createFilter(c4, options, 'c4')).apply({ id: '1', text, metadata: {} })

const textOf = async (text: string, options: object = {}): Promise<string> => {
  const decision = await apply(text, options)
  if (!decision.keep) throw new Error(decision.reason)
  return decision.text ?? text
}

describe('lines', () => {
  it.each([
    ['No mark at its end', false],
    ['It trails off at the end...', false],
    ['A full stop ends it.', true],
    ['Does a question end it?', true],
    ['She said "end of line"', true],
    ["He said 'end of line'", true],
    ['Too short.', false],
    ['It is long.', true],
    ['Please enable JavaScript to go on.', false],
    ['Read our Privacy Policy before you go.', false],
    ['This site uses cookies and more.', false],
    [`Here is a ${'x'.repeat(1001)} of a word.`, false],
    [`Here is a ${'x'.repeat(1000)} of a word.`, true],
  ])('%s', async (line, stays) => expect(await textOf(`${good}\n${line}`)).toBe(stays ? `${good}\n${line}` : good))

  it('lose citation marks before the end is looked at', async () => {
    expect(await textOf(`${good}\nIt was so.[3][citation needed]\nThe [edit] mark goes[12] too.`)).toBe(
      `${good}\nIt was so.\nThe  mark goes too.`,
    )
    expect(await textOf(`${good}\nIt was so.[3]`, { removeCitations: false })).toBe(good)
  })

  it('are trimmed, and split at any line end', async () => {
    expect(await textOf(`  ${good}\r\n\tIt is so here. \u2028Menu`)).toBe(`${good}\nIt is so here.`)
  })
})

describe('pages', () => {
  it('need five sentences in the lines that stay', async () => {
    expect(await apply('One is here. Two is here. Three is here. Four is here.')).toEqual({
      keep: false,
      reason: 'too-few-sentences',
      detail: '4',
    })
    expect(await apply(good)).toEqual({ keep: true })
    expect(await apply('Just this one.', { minSentences: 1 })).toEqual({ keep: true })
    // "Mr." and "3.5" end no sentence.
    expect((await apply('Mr. Smith came. It was 3.5 km. They ran. We sat.')).keep).toBe(false)
  })

  it('may hold no filler and no code, when the line passed the line rules', async () => {
    expect(await apply(`${good}\nThe Lorem Ipsum text is here.`)).toMatchObject({ reason: 'lorem-ipsum' })
    expect(await apply(`${good}\nif (x) { return true.`)).toMatchObject({ reason: 'curly-bracket' })
    expect(await apply(`${good}\nif (x) {`)).toEqual({ keep: true, text: good })
    expect(await textOf(`${good}\nif (x) { return true.`, { curlyBracket: false })).toContain('{')
  })

  it('need three long paragraphs as in mC4, when told', async () => {
    const long = `${'word '.repeat(50)}end.`
    expect((await apply([good, long, long].join('\n'), { minParagraphs: 3 })).keep).toBe(false)
    expect((await apply([good, long, long, long].join('\n'), { minParagraphs: 3 })).keep).toBe(true)
  })

  describe('with bad words from a file', () => {
    let folder: string
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'c4-'))
      writeFileSync(join(folder, 'words.txt'), '# a comment\nrude\nvery bad (thing)\n\n')
    })
    afterAll(() => rmSync(folder, { recursive: true }))
    it.each([
      ['This is Rude to say.', true],
      ['This is a very bad (thing) to say.', true],
      ['This is crude to say.', false],
    ])('%s', async (line, bad) => {
      const decision = await apply(`${good}\n${line}`, { badWordsFile: join(folder, 'words.txt') })
      expect(decision.keep ? undefined : decision.reason).toBe(bad ? 'bad-word' : undefined)
    })
    it('names a missing file', async () => {
      await expect(apply(good, { badWordsFile: join(folder, 'none.txt') })).rejects.toThrow(/none\.txt: Expected/)
    })
  })
})
