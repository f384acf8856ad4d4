// Files of tensors hold the bytes they should, whatever lengths meet whatever block edges, and their hash is that of those bytes; what the
// system refuses comes back as Node words it.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { cat, memoryStatistics, Tensor, tensor, writeTensorFile } from './index.ts'

const MiB = 1 << 20
const memory = '/dev/shm'
const folders = [tmpdir(), ...(existsSync(memory) ? [memory] : [])].map((at) => mkdtempSync(join(at, 'tensor-file-')))
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

const pattern = Uint8Array.from({ length: 18 * MiB }, (_, i) => (i * 7919) >> 3)
const bytesOf = (length: number) => pattern.slice(0, length)
const bytesTensor = (bytes: Uint8Array) => Tensor.from(bytes, { shape: [bytes.length], dtype: 'uint8' })
const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

describe.each(folders)('in %s', (folder) => {
  it('contains header and tensors of any length', async () => {
    const path = join(folder, 'lengths')
    const lengths = [0, 1, 4095, 4096, 8191, 70_000, 8 * MiB - 64, 8 * MiB + 1, 17 * MiB + 5]
    for (const header of [0, 1, 64, 4096])
      for (const length of lengths) {
        const [start, values] = [new Uint8Array(header).fill(65), bytesOf(length)]
        const parts = [bytesTensor(values), tensor([1, 2, 3], { dtype: 'float32' }), bytesTensor(bytesOf(3))]
        const hash = await writeTensorFile(path, start, parts)
        const written = readFileSync(path)
        const want = Buffer.concat([start, values, new Uint8Array(new Float32Array([1, 2, 3]).buffer), bytesOf(3)])
        expect(written.equals(want), `${header} and ${length} bytes`).toBe(true)
        expect(hash, `${header} and ${length} bytes`).toBe(hashOf(want))
        rmSync(path)
      }
  })
})

it('writes tensors that are not row-major in row-major order, and frees the copies', async () => {
  const path = join(folders[0], 'turned')
  const matrix = Tensor.from(Float32Array.from({ length: 600 * 500 }, Math.sqrt), { shape: [600, 500] })
  const turned = [matrix.t(), matrix.narrow(1, 3, 7), matrix.t().to('bfloat16'), matrix.t(), matrix.select(1, 4)]
  const { inUse } = memoryStatistics()
  await writeTensorFile(path, new Uint8Array(8), turned)
  expect(memoryStatistics().inUse).toBeLessThanOrEqual(inUse)
  const want = Buffer.concat(
    turned.map((part) => {
      const bits = part.contiguous().view([-1]).to(part.dtype)
      const out = new Uint8Array(part.size * (part.dtype === 'bfloat16' ? 2 : 4))
      bits.copyInto(out)
      return out
    }),
  )
  expect(readFileSync(path).subarray(8).equals(want)).toBe(true)
})

it('hashes correctly without the OpenSSL of Node', () => {
  const script = `
    const { Tensor, writeTensorFile } = await import(${JSON.stringify(fileURLToPath(new URL('index.ts', import.meta.url)))})
    const { createHash } = await import('node:crypto')
    const { readFileSync, rmSync } = await import('node:fs')
    const path = ${JSON.stringify(join(folders[0], 'plain-hash'))}
    for (const length of [0, 1, 54, 55, 56, 63, 64, 65, 119, 120, 127, 128, 1000, 1048583]) {
      const values = Uint8Array.from({ length: length + 1 }, (_, i) => i * 31)
      const hash = await writeTensorFile(path, values.subarray(0, length), [])
      const again = createHash('sha256').update(readFileSync(path)).digest('hex')
      if (hash !== again) console.log('differs at', length)
      rmSync(path)
    }
    console.log('compared')`
  const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
    encoding: 'utf8',
    env: { ...process.env, TUNESMITH_OPENSSL: '0' },
  })
  expect(stdout, stderr).toBe('compared\n')
})

describe('an error of the system', () => {
  const write = (path: string) => writeTensorFile(path, new Uint8Array(8), [cat([tensor([1]), tensor([2])])])

  it('is thrown for an existing file', async () => {
    const path = join(folders[0], 'there')
    await write(path)
    await expect(write(path)).rejects.toMatchObject({
      code: 'EEXIST',
      path,
      message: `EEXIST: file already exists, open '${path}'`,
    })
  })

  it('is thrown for a missing folder', async () => {
    await expect(write(join(folders[0], 'none', 'file'))).rejects.toMatchObject({ code: 'ENOENT', syscall: 'open' })
  })
})
