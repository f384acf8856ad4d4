// Uploads and downloads of whole folders, against a local server that imitates the Hub: its API for creating repositories, LFS
// storage, commits and trees, as @huggingface/hub calls it.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { pullFolder, pushFolder, resolveModel } from '../../src/checkpoint/index.ts'
import { type ServedRepository, startHub } from './hub-server.ts'

const scratch = mkdtempSync(join(tmpdir(), 'hub-push-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
const token = `hf_${'abcdefghij'.repeat(4)}`
const commit = '7'.repeat(40)
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

interface Line {
  key: string
  value: { path: string; content?: string; encoding?: string; oid?: string; summary?: string }
}

let server: Server
let address = ''
let asked: { method: string; path: string; authorized: boolean }[] = []
let created: { name: string; organization?: string; private: boolean } | undefined
let stored: Map<string, Buffer>
let repository: Map<string, Buffer>
let title = ''
let refuse: string | undefined

const bodyOf = async (request: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** The files of a commit: small ones are in it, large ones in the LFS storage. */
const apply = (lines: Line[]): void => {
  for (const { key, value } of lines) {
    if (key === 'header') title = value.summary ?? ''
    if (key === 'file') repository.set(value.path, Buffer.from(value.content ?? '', 'base64'))
    if (key === 'lfsFile')
      repository.set(value.path, stored.get(value.oid ?? '') ?? Buffer.from('missing in the storage'))
  }
}

const answer = async (request: IncomingMessage, pathname: string): Promise<unknown> => {
  const body = await bodyOf(request)
  const json = <Value>() => JSON.parse(body.toString()) as Value
  if (pathname === '/api/repos/create') {
    created = json()
    return { url: `${address}/owner/bot`, id: 'x' }
  }
  if (created === undefined) return undefined
  if (pathname === '/api/models/owner/bot') return { id: 'owner/bot', _id: 'x' }
  if (pathname === '/api/models/owner/bot/preupload/main')
    return {
      files: json<{ files: { path: string; size: number }[] }>().files.map(({ path, size }) => ({
        path,
        uploadMode: size > 1000 ? 'lfs' : 'regular',
      })),
    }
  if (pathname === '/owner/bot.git/info/lfs/objects/batch')
    return {
      transfer: 'basic',
      objects: json<{ objects: { oid: string }[] }>().objects.map(({ oid }) => ({
        oid,
        actions: { upload: { href: `${address}/storage/${oid}` } },
      })),
    }
  if (pathname.startsWith('/storage/')) {
    stored.set(pathname.slice('/storage/'.length), body)
    return {}
  }
  if (pathname === '/api/models/owner/bot/commit/main') {
    apply(
      body
        .toString()
        .split('\n')
        .map((line) => JSON.parse(line) as Line),
    )
    return { success: true, commitOid: commit, commitUrl: `${address}/owner/bot/commit/${commit}`, hookOutput: '' }
  }
  if (pathname === '/api/models/owner/bot/tree/main')
    return [...repository].map(([path, bytes]) => {
      const lfs = bytes.length > 1000 ? { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 1 } } : {}
      return { type: 'file', path, size: bytes.length, oid: createHash('sha1').update(bytes).digest('hex'), ...lfs }
    })
  return repository.get(decodeURIComponent(pathname.replace('/owner/bot/resolve/main/', '')))
}

beforeEach(async () => {
  asked = []
  created = undefined
  refuse = undefined
  stored = new Map()
  repository = new Map()
  server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    asked.push({
      method: request.method ?? '',
      path: pathname,
      authorized: request.headers.authorization === `Bearer ${token}`,
    })
    if (refuse !== undefined && pathname.includes(refuse)) {
      response.writeHead(403, { 'content-type': 'application/json' })
      return response.end(JSON.stringify({ error: `no write access with ${token}` }))
    }
    const found = await answer(request, pathname)
    if (found instanceof Buffer) {
      const [from, to] = (/bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? []).slice(1).map(Number)
      const part =
        from === undefined ? found : found.subarray(from, to ? to + 1 : from === 0 && to === 0 ? 1 : undefined)
      const range =
        from === undefined ? {} : { 'content-range': `bytes ${from}-${from + part.length - 1}/${found.length}` }
      response.writeHead(from === undefined ? 200 : 206, { etag: '"x"', 'content-length': part.length, ...range })
      return response.end(part)
    }
    response.writeHead(found === undefined ? 404 : 200, { 'content-type': 'application/json' })
    return response.end(JSON.stringify(found ?? { error: 'not found' }))
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  vi.stubEnv('HF_ENDPOINT', `${address}/`)
  vi.stubEnv('HF_TOKEN', token)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await new Promise((closed) => server.close(closed))
})

let count = 0
const makeFolder = (files: Record<string, string | Buffer>): string => {
  const folder = join(scratch, `folder-${++count}`)
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
  return folder
}
const weights = Buffer.alloc(5000, 7)
const model = { 'README.md': '# Bot', 'onnx/model.onnx': weights, 'config.json': '{}', '.cache/secret': 'x' }

describe('push', () => {
  it('makes a private repository and commits all files, large ones through LFS, and pull gives them back', async () => {
    const folder = makeFolder(model)
    const lines: string[] = []
    const result = await pushFolder(
      { folder, name: 'owner/bot', message: 'First' },
      { onProgress: (line) => lines.push(line) },
    )
    expect(created).toMatchObject({ name: 'bot', organization: 'owner' })
    expect(JSON.stringify(created)).toMatch(/"(private":true|visibility":"private")/)
    expect(result).toMatchObject({ url: `${address}/owner/bot`, commit, bytes: 5000 + 5 + 2, dryRun: false })
    expect([...repository.keys()].sort()).toEqual(['README.md', 'config.json', 'onnx/model.onnx'])
    expect(repository.get('onnx/model.onnx')?.equals(weights)).toBe(true)
    expect([...stored.keys()]).toEqual([sha256(weights)])
    expect(title).toBe('First')
    // The storage has its own signature: the token of the Hub is not sent there.
    for (const { path, authorized } of asked) expect([path, authorized]).toEqual([path, !path.startsWith('/storage/')])
    expect(lines.join('\n')).not.toContain(token)

    const out = join(scratch, 'pulled')
    const pulled = await pullFolder({ name: 'owner/bot', out })
    expect(pulled.files.map(({ path }) => path).sort()).toEqual([...repository.keys()].sort())
    expect(readFileSync(join(out, 'onnx', 'model.onnx')).equals(weights)).toBe(true)
    expect(readFileSync(join(out, 'README.md'), 'utf8')).toBe('# Bot')
  })

  it('asks for a public repository only where it is told to, and lists files without a request in a dry run', async () => {
    const folder = makeFolder(model)
    const dry = await pushFolder({ folder, name: 'owner/bot', dryRun: true })
    expect(dry.files).toEqual([
      { path: 'README.md', bytes: 5 },
      { path: 'config.json', bytes: 2 },
      { path: 'onnx/model.onnx', bytes: 5000 },
    ])
    expect(asked).toEqual([])
    await pushFolder({ folder, name: 'owner/bot', public: true })
    expect(JSON.stringify(created)).toMatch(/"(private":false|visibility":"public")/)
  })

  it('uploads the finished model of a run', async () => {
    const run = makeFolder({ 'run.json': '{}', 'model/config.json': '{}', 'events.jsonl': '' })
    const { files } = await pushFolder({ folder: run, name: 'owner/bot', dryRun: true })
    expect(files.map(({ path }) => path)).toEqual(['config.json'])
    const unfinished = makeFolder({ 'run.json': '{}' })
    await expect(pushFolder({ folder: unfinished, name: 'owner/bot', dryRun: true })).rejects.toThrow(/finished run/)
  })

  it('refuses tokens in files, names that are no id, missing folders, and a missing token', async () => {
    const push = (files: Record<string, string>, name = 'owner/bot') => pushFolder({ folder: makeFolder(files), name })
    await expect(push({ 'notes.md': `my token is ${token}` })).rejects.toThrow(/got one in notes\.md/)
    await expect(push({ 'notes.md': `hf_${'Z'.repeat(34)}` })).rejects.toThrow(/without tokens/)
    for (const name of ['bot', '../../etc/x', 'owner/bot/more', 'owner/..'])
      await expect(push({ a: '1' }, name)).rejects.toThrow(/owner\/name/)
    await expect(pushFolder({ folder: join(scratch, 'none'), name: 'owner/bot' })).rejects.toThrow(/Check the path/)
    expect(asked).toEqual([])
    vi.stubEnv('HF_TOKEN', '')
    vi.stubEnv('HF_TOKEN_PATH', join(scratch, 'no-token'))
    await expect(push({ a: '1' })).rejects.toThrow(/set HF_TOKEN/)
    const saved = makeFolder({ token: `${token}\n` })
    vi.stubEnv('HF_TOKEN_PATH', join(saved, 'token'))
    await push({ a: '1' })
    expect(repository.get('a')?.toString()).toBe('1')
  })

  it('says why an upload failed, without the token', async () => {
    refuse = '/preupload/'
    const failed = pushFolder({ folder: makeFolder(model), name: 'owner/bot' })
    await expect(failed).rejects.toThrow(
      /Uploading to owner\/bot failed, and nothing was committed: .*no write access.*Check that HF_TOKEN may do this/,
    )
    await expect(failed).rejects.not.toThrow(token)
  })

  it('says what to do where the Hub does not answer, or is none', async () => {
    const gone = createServer().listen(0, '127.0.0.1')
    await once(gone, 'listening')
    vi.stubEnv('HF_ENDPOINT', `http://127.0.0.1:${(gone.address() as AddressInfo).port}`)
    gone.close()
    const out = join(scratch, 'away')
    const dead = /: no answer from http:\/\/127\.0\.0\.1:\d+ \(ECONNREFUSED\)\. Check the network and HF_ENDPOINT\.$/
    await expect(pushFolder({ folder: makeFolder(model), name: 'owner/bot' })).rejects.toThrow(dead)
    await expect(pullFolder({ name: 'owner/bot', out })).rejects.toThrow(dead)
    await expect(resolveModel('owner/bot', { cacheDir: join(scratch, 'cache') })).rejects.toThrow(/no answer from/)
    const page = createServer((_, response) => response.end('<html></html>')).listen(0, '127.0.0.1')
    await once(page, 'listening')
    vi.stubEnv('HF_ENDPOINT', `http://127.0.0.1:${(page.address() as AddressInfo).port}`)
    await expect(pullFolder({ name: 'owner/bot', out })).rejects.toThrow(
      /did not answer as a Hub does. Check HF_ENDPOINT/,
    )
    page.close()
    expect(existsSync(out)).toBe(false)
  })
})

describe('pull', () => {
  it('leaves nothing where a file arrives damaged or lies outside the folder', async () => {
    await pushFolder({ folder: makeFolder(model), name: 'owner/bot' })
    const out = join(scratch, 'damaged')
    repository.set('../outside', Buffer.from('x'))
    await expect(pullFolder({ name: 'owner/bot', out })).rejects.toThrow(/outside its folder/)
    expect(existsSync(out)).toBe(false)
    expect(readdirSync(scratch).filter((name) => name.includes('outside'))).toEqual([])
    repository.delete('../outside')
    refuse = '/resolve/main/onnx'
    await expect(pullFolder({ name: 'owner/bot', out })).rejects.toThrow(/Downloading owner\/bot failed/)
    expect(existsSync(out)).toBe(false)
    const taken = makeFolder({ a: '1' })
    await expect(pullFolder({ name: 'owner/bot', out: taken })).rejects.toThrow(/does not exist/)
  })

  describe('of a large file', () => {
    const files = new Map([['model.safetensors', Buffer.alloc(4 << 20, 7)]])
    const served = { kind: 'models', commit, revisions: [], files } as const
    const withHub = async (more: Partial<ServedRepository>, work: (out: string) => Promise<void>) => {
      const hub = await startHub({ ...served, ...more })
      vi.stubEnv('HF_ENDPOINT', hub.address)
      const out = join(scratch, `large-${++count}`)
      try {
        await work(out)
        expect(existsSync(out)).toBe(false)
      } finally {
        await hub.close()
      }
    }

    it('fails where the connection is dropped in the middle', () =>
      withHub({ breaks: 'drop' }, async (out) => {
        await expect(pullFolder({ name: 'org/name', revision: commit, out })).rejects.toThrow(
          /Downloading org\/name failed, and nothing was left/,
        )
      }))

    it('stops in the middle when it is cancelled', () => {
      const stop = new AbortController()
      return withHub({ breaks: 'stall', onBreak: () => stop.abort() }, async (out) => {
        const pulled = pullFolder({ name: 'org/name', revision: commit, out }, { signal: stop.signal })
        await expect(pulled).rejects.toThrow(/abort/i)
      })
    })
  })
})
