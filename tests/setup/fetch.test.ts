import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
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
      // An archive by another program than ours: cmake is there wherever set-up can work.
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

    it('goes on where a broken connection stopped', async () => {
      cutAfter = 200
      log.length = 0
      expect(await fetchInto('resumed')).toContain('libtorch-2.9.1-cpu')
      expect(log.map(({ range }) => range)).toEqual([undefined, expect.stringMatching(/^bytes=\d+-$/)])
    })

    it('refuses another checksum than the server states, and keeps nothing of it', async () => {
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
  it('lets one in at a time and takes over from the dead', async () => {
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
    await mkdir(lock)
    // A number that no process has: past the largest that Linux and macOS give out.
    await writeFile(join(lock, 'pid'), '99999999')
    expect(await withLock(lock, async () => 'mine')).toBe('mine')
    await expect(withLock(lock, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(await withLock(lock, async () => 'free again')).toBe('free again')
  })
})

describe('packagesAreRight', () => {
  it('compares the lock with what npm installed', async () => {
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
