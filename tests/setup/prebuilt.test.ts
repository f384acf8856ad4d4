import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { loadScript } from './load-script.ts'

type Target = Record<string, unknown>
type Prebuilt = {
  prebuiltTarget(libtorch: object, cuda: boolean, sources: string): Target
  prebuiltName(version: string, target: Target): string
  writePrebuilt(folder: string, version: string, target: Target, addon: string): string
  installPrebuilt(
    root: string,
    cache: string,
    target: Target,
    path: string,
    load: (path: string) => Promise<string | undefined>,
  ): Promise<boolean>
  keepBuilt(cache: string, version: string, target: Target, addon: string): void
  tryAddon(path: string): Promise<string | undefined>
}
type Tar = {
  packTar(files: Record<string, Uint8Array>): Buffer
  unpackTar(archive: Uint8Array, limit: number): Record<string, Buffer>
}
const { installPrebuilt, keepBuilt, prebuiltName, prebuiltTarget, tryAddon, writePrebuilt } =
  await loadScript<Prebuilt>('prebuilt.mjs')
const { packTar, unpackTar } = await loadScript<Tar>('tar.mjs')
const { setQuiet } = await loadScript<{ setQuiet(value: boolean): void }>('report.mjs')

let folder = ''
let warnings = ''
const target = prebuiltTarget({ version: '2.13.0+cpu', cxx11Abi: true }, false, 'abc')
const name = prebuiltName('1.2.3', target)
const addon = () => join(folder, 'built.node')
const cache = () => join(folder, 'cache')
const fits = async () => undefined

beforeAll(async () => {
  setQuiet(true)
  folder = await mkdtemp(join(tmpdir(), 'tunesmith-prebuilt-'))
  await writeFile(addon(), 'not a real addon '.repeat(1000))
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    warnings += text
    return true
  })
})
afterAll(async () => {
  vi.restoreAllMocks()
  await rm(folder, { recursive: true, force: true })
})
afterEach(() => {
  vi.unstubAllEnvs()
  delete process.env.TUNESMITH_PREBUILDS
  warnings = ''
})

/** A package of version 1.2.3 with a prebuilt addon. */
const makePackage = async (where: string, made: Target = target) => {
  const root = join(folder, where)
  await mkdir(root, { recursive: true })
  await writeFile(join(root, 'package.json'), '{"version": "1.2.3"}')
  const archive = writePrebuilt(join(root, 'prebuilds'), '1.2.3', { ...target, ...made }, addon())
  return { root, archive, placed: join(root, 'tunesmith.node') }
}

describe('a prebuilt addon', () => {
  it('has a name that says what it is for', () => {
    expect(name).toBe(
      `tunesmith-1.2.3-${process.platform}-${process.arch}${target.libc === null ? '' : `-${target.libc}`}-node${process.versions.modules}-libtorch2.13.0-cpu.tar.gz`,
    )
  })

  it('that was built on this machine serves the next clone of the same sources, and four of them are kept', async () => {
    const { root, placed } = await makePackage('clone')
    await rm(join(root, 'prebuilds'), { recursive: true })
    expect(await installPrebuilt(root, cache(), target, placed, fits)).toBe(false)
    keepBuilt(cache(), '1.2.3', target, addon())
    expect(await installPrebuilt(root, cache(), target, placed, fits)).toBe(true)
    expect(await readFile(placed)).toEqual(await readFile(addon()))
    const otherSources = { ...target, sources: 'def' }
    expect(await installPrebuilt(root, cache(), otherSources, placed, fits)).toBe(false)
    for (const sources of ['1', '2', '3', '4', '5']) keepBuilt(cache(), '1.2.3', { ...target, sources }, addon())
    expect(await readdir(join(cache(), 'addons'))).toHaveLength(4)
  })

  it('is taken from the package, and its checksum can be checked with sha256sum', async () => {
    const { root, archive, placed } = await makePackage('own')
    expect(await installPrebuilt(root, cache(), target, placed, fits)).toBe(true)
    expect(await readFile(placed)).toEqual(await readFile(addon()))
    const sha256 = createHash('sha256')
      .update(await readFile(archive))
      .digest('hex')
    expect(await readFile(`${archive}.sha256`, 'utf8')).toBe(`${sha256}  ${name}\n`)
  })

  it('is taken from the folder in TUNESMITH_PREBUILDS', async () => {
    const { root } = await makePackage('shared')
    process.env.TUNESMITH_PREBUILDS = join(root, 'prebuilds')
    const empty = join(folder, 'empty')
    await mkdir(empty)
    await writeFile(join(empty, 'package.json'), '{"version": "1.2.3"}')
    expect(await installPrebuilt(empty, cache(), target, join(empty, 'tunesmith.node'), fits)).toBe(true)
  })

  it('is an error when its checksum is wrong', async () => {
    const { root, archive, placed } = await makePackage('tampered')
    const bytes = await readFile(archive)
    bytes[bytes.length - 10] ^= 1
    await writeFile(archive, bytes)
    await expect(installPrebuilt(root, cache(), target, placed, fits)).rejects.toThrow(
      /^Expected SHA-256 [0-9a-f]{64} for the prebuilt/,
    )
    await rm(`${archive}.sha256`)
    await expect(installPrebuilt(root, cache(), target, placed, fits)).rejects.toThrow('in a file beside it')
  })

  it('does not load on a processor that lacks instructions, and the reason says so', async () => {
    const end = join(folder, 'end.cjs')
    await writeFile(end, "process.kill(process.pid, 'SIGILL')")
    vi.stubEnv('NODE_OPTIONS', `--require ${end}`)
    expect(await tryAddon(addon())).toBe(
      'it does not load here: this processor lacks instructions that libtorch was built with',
    )
  })

  it('is skipped with the reason when it is for other sources, another ABI, or does not load', async () => {
    const other = await makePackage('sources', { sources: 'xyz' })
    expect(await installPrebuilt(other.root, cache(), target, other.placed, fits)).toBe(false)
    expect(warnings).toContain('it was built from other sources')
    const abi = await makePackage('abi', { cxx11Abi: false })
    expect(await installPrebuilt(abi.root, cache(), target, abi.placed, fits)).toBe(false)
    expect(warnings).toContain('it was built for cxx11Abi false, and this machine has true')
    const broken = await makePackage('broken')
    expect(await installPrebuilt(broken.root, cache(), target, broken.placed, tryAddon)).toBe(false)
    expect(warnings).toMatch(/it does not load here: /)
  })

  describe('behind a URL', () => {
    let server: Server
    let root = ''
    beforeAll(async () => {
      root = (await makePackage('remote')).root
      server = createServer(async (request, response) => {
        const file = join(root, 'prebuilds', decodeURIComponent(request.url?.split('/').at(-1) ?? ''))
        const data = await readFile(file).catch(() => undefined)
        response.writeHead(data === undefined ? 404 : 200).end(data)
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    })
    afterAll(() => void server.close())

    it('is fetched from TUNESMITH_PREBUILDS, and a missing one means a build', async () => {
      process.env.TUNESMITH_PREBUILDS = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/`
      const place = join(folder, 'fetched')
      await mkdir(place)
      await writeFile(join(place, 'package.json'), '{"version": "1.2.3"}')
      expect(await installPrebuilt(place, cache(), target, join(place, 'tunesmith.node'), fits)).toBe(true)
      const newer = { ...target, libtorch: '2.14.0' }
      expect(await installPrebuilt(place, cache(), newer, join(place, 'other.node'), fits)).toBe(false)
      process.env.TUNESMITH_PREBUILDS = 'http://127.0.0.1:9'
      expect(await installPrebuilt(place, cache(), target, join(place, 'third.node'), fits)).toBe(false)
      expect(warnings).toMatch(/127\.0\.0\.1:9\//)
    })
  })
})

describe('tar archives', () => {
  it('unpack to the files that were packed, with the same bytes each time', () => {
    const file = fc.uint8Array({ maxLength: 2000 })
    fc.assert(
      fc.property(
        fc.dictionary(fc.stringMatching(/^[a-z][a-z.-]{0,30}$/), file, { noNullPrototype: true }),
        (files) => {
          const archive = packTar(
            Object.fromEntries(Object.entries(files).map(([key, data]) => [key, Buffer.from(data)])),
          )
          const unpacked = Object.entries(unpackTar(archive, 2 ** 20)).map(([key, data]) => [key, new Uint8Array(data)])
          expect(unpacked).toEqual(Object.entries(files))
        },
      ),
      { numRuns: 50 },
    )
  })

  it('refuse damage and more bytes than allowed', () => {
    const archive = packTar({ a: Buffer.alloc(5000, 1) })
    expect(() => unpackTar(archive.subarray(0, 40), 2 ** 20)).toThrow('damaged')
    expect(() => unpackTar(Buffer.from('no gzip'), 2 ** 20)).toThrow('damaged')
    expect(() => unpackTar(archive, 4096)).toThrow('damaged')
  })
})
