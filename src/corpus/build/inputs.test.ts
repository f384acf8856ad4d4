import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ConfigError, DataError, sha256 } from '../../core/index.ts'
import { listInputs } from './inputs.ts'
import { describeChanges } from './resolve-options.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunesmith-inputs-'))
  for (const name of ['a', 'b']) await writeFile(join(folder, name), `bytes of ${name}`)
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const source = (path: string) => ({ kind: 'text', path, options: {} })

describe('listInputs', () => {
  it('gives size and hash of every file in the order of the sources', async () => {
    const paths = { one: [join(folder, 'b')], two: [join(folder, 'a')] }
    const inputs = await listInputs([source('one'), source('two')], {
      expand: async ({ path }) => ({ paths: paths[path as keyof typeof paths], local: true }),
    })
    expect(inputs).toEqual([
      { source: 0, path: join(folder, 'b'), bytes: 10, sha256: sha256('bytes of b') },
      { source: 1, path: join(folder, 'a'), bytes: 10, sha256: sha256('bytes of a') },
    ])
  })

  it('lists names on servers without size and hash', async () => {
    const inputs = await listInputs([source('x')], {
      expand: async () => ({ paths: ['hub://me/set@1/a'], local: false }),
    })
    expect(inputs).toEqual([{ source: 0, path: 'hub://me/set@1/a', bytes: 0, sha256: null }])
  })

  it('refuses a file named twice, one that is missing, and a source without files', async () => {
    const file = async () => ({ paths: [join(folder, 'a')], local: true })
    await expect(listInputs([source('x'), source('y')], { expand: file })).rejects.toThrow(ConfigError)
    const missing = async () => ({ paths: [join(folder, 'c')], local: true })
    await expect(listInputs([source('x')], { expand: missing })).rejects.toThrow(DataError)
    await expect(listInputs([source('x')], { expand: async () => ({ paths: [], local: true }) })).rejects.toThrow(
      /got none/,
    )
  })
})

describe('describeChanges', () => {
  const input = (path: string, hash: string) => ({ source: 0, path, bytes: 1, sha256: hash })
  it('names options and inputs that differ', () => {
    const before = { settings: { filters: [1], dedup: [] }, inputs: [input('a', '1'), input('b', '1')] }
    const after = { settings: { filters: [2], dedup: [] }, inputs: [input('a', '2'), input('c', '1')] }
    expect(describeChanges(before, after)).toEqual(['filters', 'new input c', 'missing input b', 'changed input a'])
    expect(describeChanges(before, before)).toEqual(['the version of the program'])
  })
})
