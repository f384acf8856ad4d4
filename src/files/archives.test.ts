// Zip and tar archives as the system's tools write them, and hostile names in them.
import { describe, expect, it } from 'vitest'
import { DataError } from '../core/index.ts'
import { tarOf, zipOf } from './fixtures/archives.ts'
import { tarFiles, zipFiles } from './packed-files.ts'

describe.each([
  ['tar', tarOf, tarFiles],
  ['zip', zipOf, zipFiles],
] as const)('%s archives', (_, pack, unpack) => {
  it('give their files by name', () => {
    const files = [...unpack(pack({ './pos/1.txt': 'good', 'neg/2.txt': 'bad' }), 'a')]
    expect(files.map(({ name, data }) => [name, data.toString()])).toEqual([
      ['./pos/1.txt', 'good'],
      ['neg/2.txt', 'bad'],
    ])
  })

  it.each(['../../ux/1.txt', 'pos/../../ux/1.txt', '/ux/1.txt', 'C:\\ux\\1.txt', '..\\ux\\1.txt'])(
    'refuse the entry %s, which leaves the archive',
    (name) => {
      expect(() => [...unpack(pack({ 'pos/1.txt': 'good', [name]: 'x' }), 'a.pack')]).toThrow(DataError)
      expect(() => [...unpack(pack({ [name]: 'x' }), 'a.pack')]).toThrow(/^a\.pack: .*paths inside the archive/)
    },
  )

  it('accept names with two dots that are no parent folder', () => {
    expect([...unpack(pack({ 'a..b/c...txt': 'x' }), 'a')].map(({ name }) => name)).toEqual(['a..b/c...txt'])
  })
})
