// `setup --cuda`: which builds fit a driver, what is fetched of what pip resolves, its size before the download, and its hashes. A small
// program stands for Python's pip.
import { createHash } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadScript } from './load-script.ts'

interface Wheel {
  name: string
  version: string
  url: string
  sha256?: string
}
const { indexesFor, resolveCuda, sizeOf, fetchCuda } = await loadScript<{
  indexesFor(driver: string | undefined): string[][]
  resolveCuda(python: string, requirement: string, flags: string[]): Promise<{ wheels?: Wheel[]; fault?: string }>
  sizeOf(wheels: Wheel[]): Promise<number | undefined>
  fetchCuda(python: string, requirement: string, temporary: string, cache: string, reasons: string[]): Promise<unknown>
}>('cuda.mjs')

const folder = mkdtempSync(join(tmpdir(), 'tunesmith-cuda-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const one = (name: string, version: string, sha256 = 'a') => ({
  metadata: { name, version },
  download_info: { url: `http://127.0.0.1:1/${name}.whl`, archive_info: { hashes: { sha256 } } },
})
const cpu = [one('torch', '2.13.0+cpu'), one('sympy', '1.14')]
const cuda = (sha256?: string) => [
  one('torch', '2.13.0', sha256),
  one('nvidia-cublas', '13.1'),
  one('triton', '3.7'),
  one('sympy', '1.14'),
]

/** A program that answers as pip: with a CPU build, and a CUDA build where that is left out; downloads are these bytes. */
const fakePip = (name: string, answers: { plain: object[]; without: object[] }): string => {
  const path = join(folder, name)
  writeFileSync(
    path,
    `#!${process.execPath}
const words = process.argv.slice(2)
const last = words.at(-1)
if (words.includes('--dry-run'))
  console.log(JSON.stringify({ install: last.includes('!=') ? ${JSON.stringify(answers.without)} : ${JSON.stringify(answers.plain)} }))
else require('node:fs').writeFileSync(words[words.indexOf('--dest') + 1] + '/torch.whl', 'bytes')
`,
  )
  chmodSync(path, 0o755)
  return path
}

describe('a driver', () => {
  it('of CUDA 13 takes the newest build, an older one a build for CUDA 12, and none the newest', () => {
    expect(indexesFor('580.65.06')[0]).toEqual([])
    expect(indexesFor(undefined)[0]).toEqual([])
    expect(indexesFor('550.54.15')).toEqual([['--index-url', expect.stringContaining('cu126')]])
  })

  it('that is too old is refused in one line', () => {
    expect(() => indexesFor('470.82.01')).toThrow(
      'Expected an NVIDIA driver 525 or newer for --cuda, got 470.82.01. Update it, or set up without --cuda.',
    )
  })
})

describe('what pip resolves', () => {
  it('is taken without Python’s own packages and triton, and without CPU builds that the index prefers', async () => {
    const { wheels } = await resolveCuda(fakePip('prefers', { plain: cpu, without: cuda() }), 'torch<2.14', [])
    expect(wheels?.map(({ name, version }) => `${name} ${version}`)).toEqual(['torch 2.13.0', 'nvidia-cublas 13.1'])
  })

  it('may have no CUDA build', async () => {
    const { fault } = await resolveCuda(fakePip('only', { plain: cpu, without: cpu }), 'torch<2.14', [])
    expect(fault).toBe('the configured package index has only CPU builds')
    const mac = [one('torch', '2.13.0')]
    expect((await resolveCuda(fakePip('mac', { plain: mac, without: mac }), 'torch', [])).fault).toMatch(
      /no CUDA build/,
    )
  })
})

it('the size is known before the download, where the server states it', async () => {
  const server = createServer((request, response) => {
    if (request.url === '/none.whl') response.writeHead(404)
    else response.writeHead(200, { 'content-length': '1500' })
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const at = (name: string) => ({
    ...{ name, version: '1', url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/${name}.whl` },
  })
  expect(await sizeOf([at('a'), at('b')])).toBe(3000)
  expect(await sizeOf([at('a'), at('none')])).toBeUndefined()
  server.close()
})

it('a file with another hash than the index stated ends set-up', async () => {
  const path = process.env.PATH
  process.env.PATH = folder
  try {
    const python = fakePip('damaged', { plain: cuda('b'.repeat(64)), without: [] })
    const digest = createHash('sha256').update('bytes').digest('hex')
    await expect(fetchCuda(python, 'torch', join(folder, 'temporary'), folder, [])).rejects.toThrow(
      `Expected torch.whl with SHA-256 ${'b'.repeat(64)}, got ${digest}. The download is damaged: run set-up again.`,
    )
  } finally {
    process.env.PATH = path
  }
})
