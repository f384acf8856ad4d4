// Names of models: paths, Hub models in the cache, and downloads from a local server that imitates the Hub.
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { loadModel, resolveModel } from '../../src/checkpoint/index.ts'
import { startHub } from './hub-server.ts'

const golden = fileURLToPath(new URL('../parity/models/golden/heads/BertForMaskedLM', import.meta.url))
const contents = new Map(['config.json', 'model.safetensors'].map((file) => [file, readFileSync(join(golden, file))]))
const [first, second] = ['1', '2'].map((digit) => digit.repeat(40))
const scratch = mkdtempSync(join(tmpdir(), 'hub-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
afterEach(() => vi.unstubAllEnvs())

let count = 0
const freshCache = () => join(scratch, `cache-${++count}`)

/** The layout that Hugging Face's tools write: blobs, links to them under commits, names of revisions. */
const fill = (
  cache: string,
  id: string,
  commit: string,
  files: Map<string, Uint8Array>,
  refs: string[] = [],
): string => {
  const repository = join(cache, `models--${id.replace('/', '--')}`)
  for (const [file, bytes] of files) {
    const blob = join(repository, 'blobs', createHash('sha256').update(bytes).digest('hex'))
    const link = join(repository, 'snapshots', commit, file)
    for (const path of [blob, link]) mkdirSync(dirname(path), { recursive: true })
    writeFileSync(blob, bytes)
    symlinkSync(relative(dirname(link), blob), link)
  }
  mkdirSync(join(repository, 'refs'), { recursive: true })
  for (const ref of refs) writeFileSync(join(repository, 'refs', ref), commit)
  return join(repository, 'snapshots', commit)
}

describe('a model in the cache', () => {
  it('is found without a network, by its branch, tag or commit', async () => {
    const cacheDir = freshCache()
    const old = fill(cacheDir, 'some-org/some.model', first, contents, ['v1.0'])
    const newest = fill(cacheDir, 'some-org/some.model', second, contents, ['main'])
    const find = (revision?: string) => resolveModel('some-org/some.model', { cacheDir, revision, offline: true })
    expect(await find()).toBe(newest)
    expect(await find('main')).toBe(newest)
    expect(await find('v1.0')).toBe(old)
    expect(await find(first)).toBe(old)
    await expect(find('3'.repeat(40))).rejects.toThrow(/in the cache, because the network is switched off/)
    expect((await loadModel('some-org/some.model', { cacheDir, offline: true })).headType).toBe('masked-lm')
  })

  it('is found by HF_HOME and HF_HUB_CACHE, without a request when HF_HUB_OFFLINE is set', async () => {
    const cacheDir = freshCache()
    const folder = fill(join(cacheDir, 'hub'), 'tiny', first, contents, ['main'])
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:9')
    vi.stubEnv('HF_HOME', cacheDir)
    expect(await resolveModel('tiny')).toBe(folder)
    await expect(resolveModel('tiny', { revision: 'v2' })).rejects.toThrow(/the Hub model `tiny` at `v2` in the cache/)
    vi.stubEnv('HF_HUB_CACHE', freshCache())
    await expect(resolveModel('tiny')).rejects.toThrow(/download the model once with the network on/)
  })

  it('is incomplete while files are missing', async () => {
    const [config] = [...contents]
    const index = (files: string[]) =>
      Buffer.from(JSON.stringify({ weight_map: Object.fromEntries(files.map((file, i) => [`w${i}`, file])) }))
    const cases: Map<string, Uint8Array>[] = [
      new Map([config]),
      new Map([...contents].slice(1)),
      new Map([
        config,
        ['model.safetensors.index.json', index(['a.safetensors', 'b.safetensors'])],
        ['a.safetensors', Buffer.of(1)],
      ]),
      new Map([
        config,
        ['model.safetensors.index.json', Buffer.from('{"weight_map": ')],
        ['a.safetensors', Buffer.of(1)],
      ]),
    ]
    for (const files of cases) {
      const cacheDir = freshCache()
      fill(cacheDir, 'org/part', first, files, ['main'])
      await expect(resolveModel('org/part', { cacheDir, offline: true })).rejects.toThrow(/found neither/)
    }
    const cacheDir = freshCache()
    const folder = fill(cacheDir, 'org/part', first, contents, ['main'])
    rmSync(join(folder, '..', '..', 'blobs'), { recursive: true })
    await expect(resolveModel('org/part', { cacheDir, offline: true })).rejects.toThrow(/found neither/)
  })
})

describe('a name that leads nowhere', () => {
  it.each([
    './no/such/folder',
    '/no/such.gguf',
    'a/b/c',
    '../no-such-model',
    'org/..',
    'org/',
    'org/-name',
    'org/na--me',
    `org/${'n'.repeat(97)}`,
    'models/base.gguf',
    'model.safetensors',
    'no such model',
    '',
  ])('%j is a path, and never looked up on the Hub', async (name) => {
    await expect(resolveModel(name, { offline: true })).rejects.toThrow(/^Expected a folder, a .gguf file or a Hub id/)
  })

  it('is a path where its first part is a folder here, with the nearest name beside it', async () => {
    vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:9')
    vi.stubEnv('HF_HUB_OFFLINE', '')
    await expect(resolveModel('src/modles')).rejects.toThrow(
      /found nothing at `src\/modles`, seen from .*\. Did you mean `src\/models`\?$/,
    )
    await expect(resolveModel('src/zzzz')).rejects.toThrow(/Check the path\.$/)
  })

  it.each(['../../etc', '/main', 'a/../../b', ''])('a revision %j never leaves the cache', async (revision) => {
    await expect(resolveModel('org/name', { revision, offline: true })).rejects.toThrow(
      /^Expected a branch, tag or commit/,
    )
  })

  it('a folder comes before an id of the same name', async () => {
    expect(await resolveModel('src')).toBe('src')
  })
})

describe('a download', () => {
  let hub: Awaited<ReturnType<typeof startHub>>
  let asked: string[]
  let served: Map<string, Uint8Array>
  let damage: (path: string, bytes: Uint8Array) => Uint8Array

  beforeEach(async () => {
    asked = []
    damage = (_, bytes) => bytes
    served = new Map([
      ['.gitattributes', Buffer.from('*')],
      ['README.md', Buffer.from('# a model')],
      ['1_Pooling/config.json', Buffer.from('{"pooling_mode_mean_tokens": true}')],
      ...contents,
      ['pytorch_model.bin', Buffer.of(0x80, 2)],
      ['tokenizer.json', Buffer.from('{}')],
    ])
    hub = await startHub({
      kind: 'models',
      commit: second,
      revisions: ['main', 'v1'],
      asked,
      files: served,
      damage: (path, bytes) => damage(path, bytes),
    })
    vi.stubEnv('HF_ENDPOINT', `${hub.address}/`)
    vi.stubEnv('HF_HUB_OFFLINE', '')
    vi.stubEnv('HF_TOKEN', '')
  })
  afterEach(() => hub.close())

  it('puts the files of a model into the usual cache under one commit, and is not repeated', async () => {
    const cacheDir = freshCache()
    const shown = vi.spyOn(console, 'debug')
    const progress: string[] = []
    const folder = await resolveModel('org/name', { cacheDir, onProgress: (file) => progress.push(file) })
    expect(folder).toBe(join(cacheDir, 'models--org--name', 'snapshots', second))
    expect(readdirSync(folder).sort()).toEqual(['1_Pooling', 'config.json', 'model.safetensors', 'tokenizer.json'])
    for (const [file, bytes] of contents) expect(readFileSync(join(folder, file)).equals(bytes)).toBe(true)
    expect(progress.at(-1)).toBe('model.safetensors')
    expect(shown).not.toHaveBeenCalled()
    expect(readdirSync(join(folder, '..', '..', 'blobs')).filter((name) => name.includes('incomplete'))).toEqual([])
    const requests = asked.length
    expect(await resolveModel('org/name', { cacheDir, offline: true })).toBe(folder)
    expect(await resolveModel('org/name', { cacheDir })).toBe(folder)
    expect(await resolveModel('org/name', { cacheDir, revision: second })).toBe(folder)
    expect(asked.length).toBe(requests)
    // Another name of the same commit brings no file again.
    expect(await resolveModel('org/name', { cacheDir, revision: 'v1' })).toBe(folder)
    expect(asked.slice(requests).filter((path) => path.includes('/resolve/'))).toEqual([])
    expect((await loadModel('org/name', { cacheDir, revision: 'v1', offline: true })).headType).toBe('masked-lm')
  })

  it('that breaks off or arrives damaged leaves nothing that looks complete, and is resumed', async () => {
    const cacheDir = freshCache()
    damage = (path, bytes) =>
      path.endsWith('.safetensors') ? Uint8Array.from(bytes, (byte, i) => (i === 99 ? byte ^ 1 : byte)) : bytes
    await expect(resolveModel('org/name', { cacheDir })).rejects.toThrow(/arrived with \d+ bytes and SHA-256/)
    const repository = join(cacheDir, 'models--org--name')
    expect(existsSync(join(repository, 'refs', 'main'))).toBe(false)
    expect(readdirSync(join(repository, 'blobs')).filter((name) => name.includes('incomplete'))).toEqual([])
    for (const revision of ['main', second])
      await expect(resolveModel('org/name', { cacheDir, revision, offline: true })).rejects.toThrow(/found neither/)
    damage = (_, bytes) => bytes
    asked.length = 0
    await resolveModel('org/name', { cacheDir })
    const again = asked.filter((path) => path.includes('/resolve/'))
    expect(again.length).toBeGreaterThan(0)
    expect(again.filter((path) => !path.endsWith('model.safetensors'))).toEqual([])
  })

  it('of a model without safetensors, or of no model, is an error with a remedy', async () => {
    served.delete('model.safetensors')
    const cacheDir = freshCache()
    await expect(resolveModel('org/name', { cacheDir })).rejects.toThrow(/it has no safetensors weights/)
    await expect(resolveModel('org/other', { cacheDir })).rejects.toThrow(/or the name, the network and HF_TOKEN/)
    vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:9')
    await expect(resolveModel('org/name', { cacheDir })).rejects.toThrow(
      /^Expected a folder `org\/name` here, or the Hub model `org\/name` at `main`, found no folder/,
    )
  })
})
