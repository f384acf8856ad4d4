import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadScript } from './load-script.ts'

type Archive = {
  fetchArchive(
    wish: { cuda: boolean; cacheFolder: string; newest: string },
    reasons: string[],
    base: string,
  ): Promise<string | undefined>
}
const { fetchArchive } = await loadScript<Archive>('archive.mjs')
const { setQuiet } = await loadScript<{ setQuiet(value: boolean): void }>('report.mjs')
const { withLock } = await loadScript<{ withLock<T>(folder: string, work: () => Promise<T>): Promise<T> }>('lock.mjs')
const { processName } = await loadScript<{ processName(pid: number): string }>('lock.mjs')
const { withTemporaryFolder } = await loadScript<{
  withTemporaryFolder<T>(cache: string, work: (folder: string) => Promise<T>): Promise<T>
}>('cache.mjs')
const { packagesAreRight } = await loadScript<{ packagesAreRight(root: string): boolean }>('packages.mjs')

let folder = ''
beforeAll(async () => {
  setQuiet(true)
  folder = await mkdtemp(join(tmpdir(), 'tunesmith-fetch-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe.skipIf(process.platform !== 'linux' || process.arch !== 'x64')(
  'fetchArchive (archives are for linux-x64)',
  () => {
    let server: Server
    let archive: Buffer
    const log: { url: string; range: string | undefined }[] = []
    let cutAfter = Number.POSITIVE_INFINITY
    let statedChecksum: string | undefined
    beforeAll(async () => {
      await mkdir(join(folder, 'libtorch', 'lib'), { recursive: true })
      await writeFile(join(folder, 'libtorch', 'lib', 'libtorch_cpu.so'), 'x'.repeat(300_000))
      await writeFile(join(folder, 'libtorch', 'build-version'), '2.9.1+cpu\n')
      await writeFile(join(folder, 'libtorch', 'notes.txt'), 'not wanted')
      // An archive by another program than ours: cmake is installed wherever the addon was built.
      execFileSync('cmake', ['-E', 'tar', 'cf', 'a.zip', '--format=zip', 'libtorch'], { cwd: folder })
      archive = await readFile(join(folder, 'a.zip'))
      server = createServer((request, response) => {
        const range = request.headers.range
        log.push({ url: request.url ?? '', range })
        if (!request.url?.endsWith('/libtorch-shared-with-deps-2.9.1%2Bcpu.zip'))
          return void response.writeHead(404).end()
        const start = range === undefined ? 0 : Number(/bytes=(\d+)-/.exec(range)?.[1])
        const body = archive.subarray(start)
        const checksum = statedChecksum === undefined ? {} : { 'x-amz-meta-checksum-sha256': statedChecksum }
        response.writeHead(range === undefined ? 200 : 206, { 'content-length': body.length, ...checksum })
        if (cutAfter >= body.length) return void response.end(body)
        // Late enough for the first part to arrive.
        response.write(body.subarray(0, cutAfter), () => setTimeout(() => response.destroy(), 200))
        cutAfter = Number.POSITIVE_INFINITY
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    })
    afterAll(() => void server.close())

    const fetchInto = (cache: string, reasons: string[] = [], newest = '2.9.1') =>
      fetchArchive(
        { cuda: false, cacheFolder: join(folder, cache), newest },
        reasons,
        `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      )

    it('unpacks the libraries and records their checksums', async () => {
      const target = await fetchInto('plain')
      expect(target).toBe(join(folder, 'plain', 'libtorch-2.9.1-cpu'))
      expect((await readdir(target!)).sort()).toEqual(['build-version', 'lib', 'manifest.json'])
      const manifest = JSON.parse(await readFile(join(target!, 'manifest.json'), 'utf8'))
      expect(manifest.sha256).toBe(createHash('sha256').update(archive).digest('hex'))
      expect(Object.keys(manifest.files)).toEqual(['lib/libtorch_cpu.so'])
      expect(await readdir(join(folder, 'plain', 'downloads'))).toEqual([])
    })

    it('resumes where a broken connection stopped', async () => {
      cutAfter = 200
      log.length = 0
      expect(await fetchInto('resumed')).toContain('libtorch-2.9.1-cpu')
      expect(log.map(({ range }) => range)).toEqual([undefined, expect.stringMatching(/^bytes=\d+-$/)])
    })

    it("refuses a checksum that differs from the server's, and keeps nothing of the download", async () => {
      statedChecksum = '0'.repeat(64)
      await expect(fetchInto('damaged')).rejects.toThrow(/Expected SHA-256 0{64}.*The download is damaged/)
      statedChecksum = undefined
      expect(
        (await readdir(join(folder, 'damaged'), { recursive: true })).filter((name) => name.includes('torch')),
      ).toEqual([])
    })

    it('gives the reasons when there is no such archive or no server', async () => {
      const reasons: string[] = []
      expect(await fetchInto('absent', reasons, '9.9.9')).toBeUndefined()
      expect(reasons.join()).toContain('HTTP 404')
      const closed = fetchArchive(
        { cuda: false, cacheFolder: join(folder, 'closed'), newest: '2.9.1' },
        reasons,
        'http://127.0.0.1:9',
      )
      expect(await closed).toBeUndefined()
      expect(reasons.at(-1)).toMatch(/127\.0\.0\.1:9: /)
    })
  },
)

describe('withLock', () => {
  it('lets one process in at a time and takes over from a dead one', async () => {
    const lock = join(folder, 'lock')
    let inside = 0
    let most = 0
    const work = async () => {
      most = Math.max(most, ++inside)
      await new Promise((resolve) => setTimeout(resolve, 50))
      inside -= 1
    }
    await Promise.all([withLock(lock, work), withLock(lock, work), withLock(lock, work)])
    expect(most).toBe(1)
    // An id above the largest of Linux and macOS; and this process's id with the start time of an earlier process.
    for (const holder of [`99999999 ${hostname()} 1`, `${process.pid} ${hostname()} 1`]) {
      await mkdir(lock)
      await writeFile(join(lock, 'pid'), holder)
      expect(await withLock(lock, async () => 'mine')).toBe('mine')
    }
    await expect(withLock(lock, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await withLock(lock, async () => 'free again')).toBe('free again')
  })
})

describe('withTemporaryFolder', () => {
  it('removes what a killed set-up left, and nothing of one that runs', async () => {
    const cache = join(folder, 'killed')
    for (const [name, owner] of [
      ['.fetch-1-dead', `99999999 ${hostname()} 1`],
      ['.fetch-2-live', processName(process.pid)],
    ]) {
      await mkdir(join(cache, name), { recursive: true })
      await writeFile(join(cache, name, 'owner'), owner)
    }
    const inside = await withTemporaryFolder(cache, async () => readdir(cache))
    expect(inside.filter((name) => name.startsWith('.fetch-') && name !== '.fetch-2-live')).toHaveLength(1)
    expect(await readdir(cache)).toEqual(['.fetch-2-live'])
  })
})

describe('packagesAreRight', () => {
  it('compares the lock file with what npm installed', async () => {
    const root = join(folder, 'packages')
    await mkdir(join(root, 'node_modules'), { recursive: true })
    expect(packagesAreRight(root)).toBe(true)
    const write = (path: string, packages: object) => writeFile(join(root, path), JSON.stringify({ packages }))
    await write('package-lock.json', {
      '': {},
      'node_modules/a': { version: '1.0.0' },
      'node_modules/b': { version: '1.0.0', optional: true },
    })
    expect(packagesAreRight(root)).toBe(false)
    await write('node_modules/.package-lock.json', { 'node_modules/a': { version: '1.0.0' } })
    expect(packagesAreRight(root)).toBe(true)
    await write('node_modules/.package-lock.json', { 'node_modules/a': { version: '1.0.1' } })
    expect(packagesAreRight(root)).toBe(false)
  })
})
