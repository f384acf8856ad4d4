import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { loadScript } from './load-script.ts'

type Found = { root: string; version: string; cuda: boolean; cxx11Abi: boolean; lib: string; source: string }
type Libtorch = {
  findLibtorch(wishes: { cuda: boolean; previous?: Found }): Promise<Found>
  inspect(root: string, source: string): Found | undefined
}
type Cache = {
  installCopy(folder: string, target: string, facts: { origin: string; sha256: string }): Promise<void>
  verifyCopy(folder: string): Promise<string | undefined>
}
const { findLibtorch, inspect } = await loadScript<Libtorch>('libtorch.mjs')
const { installCopy, verifyCopy } = await loadScript<Cache>('cache.mjs')
const { findTools } = await loadScript<{ findTools(): unknown }>('addon.mjs')

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

/** A folder with the few files that set-up looks at. */
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

/** A machine with nothing: an empty cache and only the given programs on the PATH. */
async function emptyMachine(name: string, programs: Record<string, string> = {}) {
  const machine = join(folder, name)
  await mkdir(join(machine, 'bin'), { recursive: true })
  for (const [program, script] of Object.entries(programs)) {
    await writeFile(join(machine, 'bin', program), `#!/bin/sh\n${script}\n`)
    await chmod(join(machine, 'bin', program), 0o755)
  }
  process.env = { PATH: join(machine, 'bin'), HOME: machine, XDG_CACHE_HOME: join(machine, 'cache') }
  return machine
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

  it('is not taken in by half a libtorch', async () => {
    const root = await makeLibtorch(join(folder, 'half'))
    await rm(join(root, 'include', 'ATen'), { recursive: true })
    expect(inspect(root, 'x')).toBeUndefined()
    expect(inspect(join(folder, 'nowhere'), 'x')).toBeUndefined()
  })
})

describe('findLibtorch', () => {
  it('takes LIBTORCH before all else, and never passes over a wrong one in silence', async () => {
    await emptyMachine('named')
    process.env.LIBTORCH = await makeLibtorch(join(folder, 'mine'))
    expect(await findLibtorch({ cuda: false })).toMatchObject({ source: 'LIBTORCH', version: '2.9.1' })
    await expect(findLibtorch({ cuda: true })).rejects.toThrow('Expected a CUDA build in LIBTORCH')
    process.env.LIBTORCH = await makeLibtorch(join(folder, 'old'), { version: '2.5.1' })
    await expect(findLibtorch({ cuda: false })).rejects.toThrow(
      /Expected libtorch 2\.6 to 2\.13 in LIBTORCH, got 2\.5\.1/,
    )
    process.env.LIBTORCH = await makeLibtorch(join(folder, 'new'), { version: '2.14.0' })
    await expect(findLibtorch({ cuda: false })).rejects.toThrow('got 2.14.0')
    process.env.LIBTORCH = join(folder, 'nowhere')
    await expect(findLibtorch({ cuda: false })).rejects.toThrow(
      'Expected a libtorch with include/ and lib/ in LIBTORCH',
    )
  })

  it('takes a sound copy in the cache before the torch of a Python, and a Python before a damaged copy', async () => {
    const python = await makeLibtorch(join(folder, 'site-packages', 'torch'), { version: '2.8.0' })
    const machine = await emptyMachine('cached', { python3: `echo ${python}` })
    await makeLibtorch(join(machine, 'fetched', 'torch'))
    const place = join(machine, 'cache', 'tunesmith', 'libtorch-2.9.1-cpu')
    await mkdir(dirname(place), { recursive: true })
    await installCopy(join(machine, 'fetched'), place, { origin: 'a test', sha256: '' })
    expect(await verifyCopy(place)).toBeUndefined()
    expect(await findLibtorch({ cuda: false })).toMatchObject({ source: 'the cache', version: '2.9.1' })
    await writeFile(join(place, 'torch', 'lib', `libtorch_cpu.${library}`), 'ELF')
    expect(await verifyCopy(place)).toContain('has another checksum')
    expect(await findLibtorch({ cuda: false })).toMatchObject({
      version: '2.8.0',
      source: expect.stringContaining('python3'),
    })
  })

  it('keeps an earlier choice while it holds', async () => {
    await emptyMachine('kept')
    const root = await makeLibtorch(join(folder, 'kept-torch'))
    const previous = inspect(root, 'before')!
    expect(await findLibtorch({ cuda: false, previous })).toMatchObject({ root, source: 'before' })
  })
})

describe('findTools', () => {
  it('says in one line what to install', async () => {
    await emptyMachine('no-compiler')
    expect(findTools).toThrow(/^Expected a C\+\+ compiler .*g\+\+$/)
    await emptyMachine('no-cmake', { 'g++': '' })
    expect(findTools).toThrow(/^Expected cmake, found none\. .* cmake$/)
    await emptyMachine('no-ninja', { 'g++': '', cmake: '' })
    expect(findTools).toThrow(/^Expected ninja or make, found neither\. .*ninja-build$/)
    await emptyMachine('all', { 'g++': '', cmake: '', make: '' })
    expect(findTools).not.toThrow()
  })
})
