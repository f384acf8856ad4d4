import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { emptyMachine } from './fake-machine.ts'
import { loadScript } from './load-script.ts'

type Found = { root: string; version: string; cuda: boolean; cxx11Abi: boolean; lib: string; source: string }
type Libtorch = {
  findLibtorch(options: { root: string; cuda: boolean; previous?: Found }): Promise<Found>
  inspect(root: string, source: string): Found | undefined
}
type Cache = {
  installCopy(folder: string, target: string, facts: { origin: string; sha256: string }): Promise<void>
  verifyCopy(folder: string): Promise<string | undefined>
}
const { findLibtorch, inspect } = await loadScript<Libtorch>('libtorch.mjs')
const { installCopy, verifyCopy } = await loadScript<Cache>('cache.mjs')

const library = process.platform === 'darwin' ? 'dylib' : 'so'
const environment = { ...process.env }
let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunesmith-libtorch-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))
afterEach(() => {
  process.env = { ...environment }
})

interface Shape {
  version?: string
  lib?: string
  cuda?: boolean
  oldAbi?: boolean
}

/** A folder with the few files that set-up reads. */
async function makeLibtorch(
  root: string,
  { version = '2.9.1', lib = 'lib', cuda = false, oldAbi = false }: Shape = {},
) {
  const [major, minor, patch] = version.split('.')
  const header = `#define TORCH_VERSION_MAJOR ${major}\n#define TORCH_VERSION_MINOR ${minor}\n#define TORCH_VERSION_PATCH ${patch}\n`
  const symbol = `_ZN3c105ErrorC1ENS_14SourceLocation${oldAbi ? 'ESs' : 'ENSt7__cxx1112basic_string'}`
  const files: Record<string, string> = {
    'include/ATen/core/Tensor.h': '',
    'include/torch/csrc/api/include/torch/version.h': header,
    [`${lib}/libtorch_cpu.${library}`]: 'elf',
    [`${lib}/libc10.${library}`]: symbol,
    ...(cuda ? { [`${lib}/libtorch_cuda.${library}`]: 'elf' } : {}),
  }
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true })
    await writeFile(join(root, name), content)
  }
  return root
}

describe('inspect', () => {
  it('reads version, ABI and CUDA of each layout', async () => {
    expect(inspect(await makeLibtorch(join(folder, 'a')), 'x')).toMatchObject({
      version: '2.9.1',
      cuda: false,
      cxx11Abi: true,
    })
    const debian = await makeLibtorch(join(folder, 'b'), {
      version: '2.6.0',
      lib: 'lib/x86_64-linux-gnu',
      cuda: true,
      oldAbi: true,
    })
    expect(inspect(debian, 'x')).toMatchObject({
      version: '2.6.0',
      cuda: true,
      cxx11Abi: false,
      lib: join(debian, 'lib/x86_64-linux-gnu'),
    })
    await writeFile(join(folder, 'a', 'version.py'), "__version__ = '2.9.1+cpu'\n")
    expect(inspect(join(folder, 'a'), 'x')?.version).toBe('2.9.1+cpu')
  })

  it('rejects a folder without headers', async () => {
    const root = await makeLibtorch(join(folder, 'half'))
    await rm(join(root, 'include', 'ATen'), { recursive: true })
    expect(inspect(root, 'x')).toBeUndefined()
    expect(inspect(join(folder, 'nowhere'), 'x')).toBeUndefined()
  })
})

describe('findLibtorch', () => {
  it('prefers LIBTORCH, and reports what is wrong with it instead of looking elsewhere', async () => {
    await emptyMachine(folder, 'named')
    process.env.LIBTORCH = await makeLibtorch(join(folder, 'mine'))
    expect(await findLibtorch({ root: folder, cuda: false })).toMatchObject({ source: 'LIBTORCH', version: '2.9.1' })
    await expect(findLibtorch({ root: folder, cuda: true })).rejects.toThrow('Expected a CUDA build in LIBTORCH')
    process.env.LIBTORCH = await makeLibtorch(join(folder, 'old'), { version: '2.5.1' })
    await expect(findLibtorch({ root: folder, cuda: false })).rejects.toThrow(
      /Expected libtorch 2\.6 to 2\.15 in LIBTORCH, got 2\.5\.1/,
    )
    process.env.LIBTORCH = await makeLibtorch(join(folder, 'newest'), { version: '2.15.0' })
    expect(await findLibtorch({ root: folder, cuda: false })).toMatchObject({ version: '2.15.0' })
    process.env.LIBTORCH = await makeLibtorch(join(folder, 'new'), { version: '2.16.0' })
    await expect(findLibtorch({ root: folder, cuda: false })).rejects.toThrow('got 2.16.0')
    process.env.LIBTORCH = join(folder, 'nowhere')
    await expect(findLibtorch({ root: folder, cuda: false })).rejects.toThrow(
      'Expected a libtorch with include/ and lib/ in LIBTORCH',
    )
  })

  it('prefers an intact download to the torch of a Python, and that to a damaged download', async () => {
    const python = await makeLibtorch(join(folder, 'site-packages', 'torch'), { version: '2.8.0' })
    const machine = await emptyMachine(folder, 'cached', { python3: `echo ${python}` })
    await makeLibtorch(join(machine, 'fetched', 'torch'))
    const place = join(machine, 'cache', 'tunesmith', 'libtorch-2.9.1-cpu')
    await mkdir(dirname(place), { recursive: true })
    await installCopy(join(machine, 'fetched'), place, { origin: 'a test', sha256: '' })
    expect(await verifyCopy(place)).toBeUndefined()
    expect(await findLibtorch({ root: folder, cuda: false })).toMatchObject({
      source: 'an earlier download',
      version: '2.9.1',
    })
    await writeFile(join(place, 'torch', 'lib', `libtorch_cpu.${library}`), 'ELF')
    expect(await verifyCopy(place)).toContain('has a different checksum')
    expect(await findLibtorch({ root: folder, cuda: false })).toMatchObject({
      version: '2.8.0',
      source: expect.stringContaining('python3'),
    })
  })

  it('keeps the choice of an earlier set-up while it is still there', async () => {
    await emptyMachine(folder, 'kept')
    const root = await makeLibtorch(join(folder, 'kept-torch'))
    const previous = inspect(root, 'before')!
    expect(await findLibtorch({ root: folder, cuda: false, previous })).toMatchObject({ root, source: 'before' })
  })

  it('takes a copy that an image keeps beside the package', async () => {
    await emptyMachine(folder, 'image')
    const root = join(folder, 'package')
    await makeLibtorch(join(folder, 'beside'))
    await mkdir(join(root, 'build'), { recursive: true })
    const place = join(root, 'build', 'libtorch-2.9.1-cpu')
    await installCopy(join(folder, 'beside'), place, { origin: 'a test', sha256: '' })
    expect(await findLibtorch({ root, cuda: false })).toMatchObject({ root: place, version: '2.9.1' })
  })

  it('names network, LIBTORCH and Debian packages when there is none and none can be fetched', async () => {
    // A Python whose pip has no network; the archive is not tried, as fetch is replaced below.
    const asked = join(folder, 'asked.txt')
    const pip = `case "$*" in *--version*) exit 0 ;; "-c "*) echo ;; *) echo "$*" >> ${asked}; echo "ERROR: No matching distribution" >&2; exit 1 ;; esac`
    await emptyMachine(folder, 'offline', { python3: pip })
    vi.stubGlobal('fetch', () =>
      Promise.reject(Object.assign(new TypeError('fetch failed'), { cause: { code: 'ENOTFOUND' } })),
    )
    const message = await findLibtorch({ root: folder, cuda: false }).catch((error: Error) => error.message)
    vi.unstubAllGlobals()
    expect(message).toMatch(
      /^Building the addon needs libtorch 2\.6 to 2\.15\. None is on this machine.*No matching distribution/,
    )
    // Newer versions are taken where they are, and not fetched.
    expect((await readFile(asked, 'utf8')).trim().split('\n').at(-1)).toMatch(/ torch>=2\.6,<2\.14$/)
    expect(message).toMatch(/Connect to the network and run set-up again.*LIBTORCH=.*libtorch-dev/)
    expect(message).not.toContain('\n')
  })
})
