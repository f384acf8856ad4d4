// Files of tensors hold the bytes they should, whatever lengths meet whatever block edges, and their hash is that of those bytes; what the
// system refuses comes back as Node words it.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { cat, encodeRows, memoryStatistics, partBytes, Tensor, tensor, writeTensorFile } from './index.ts'

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

describe('parts in another type', () => {
  const path = join(folders[0], 'parts')
  const matrix = Tensor.from(
    Float32Array.from({ length: 1100 * 256 }, (_, i) => Math.sin(i) * 3),
    { shape: [1100, 256] },
  )
  const wide = matrix.narrow(0, 0, 1024)

  it('are those of the tensors converted or quantised by themselves, whatever their strides', async () => {
    const scales = Float32Array.from({ length: 1024 }, (_, i) => 0.03 + i / 1e5)
    const importance = Float32Array.from({ length: 256 }, (_, i) => i % 7)
    const parts = [
      { tensor: matrix, as: 'float16' },
      { tensor: matrix.t(), as: 'bfloat16' },
      { tensor: matrix.to('bfloat16'), as: 'float32' },
      { tensor: matrix.to('float16').t(), as: 'float32' },
      { tensor: matrix, as: 'Q4_K', columns: importance },
      { tensor: wide.t(), as: 'Q6_K' },
      { tensor: matrix.to('bfloat16'), as: 'Q8_0' },
      // Rows of heads in another order.
      { tensor: wide.view([4, 2, 128, 256]).transpose(1, 2), as: 'Q4_0' },
      { tensor: wide, as: 'int8-by-row', columns: scales },
      { tensor: wide.t(), as: 'int8-by-column', columns: scales },
      { tensor: matrix.narrow(1, 0, 100), as: 'int4' },
      { tensor: matrix.narrow(1, 0, 100), as: 'int4-scales' },
      // Scales before their integers, and twice after them.
      { tensor: wide.t(), as: 'int4-scales' },
      { tensor: wide.t(), as: 'int4' },
      { tensor: wide.t(), as: 'int4-scales' },
      { tensor: wide.t(), as: 'int4-scales' },
    ]
    const odd = bytesOf(13)
    const hash = await writeTensorFile(path, odd, [...parts, odd])
    const written = readFileSync(path)
    rmSync(path)
    const wanted = Buffer.concat([odd, ...parts.flatMap((part) => [...partBytes(part)]), odd])
    expect(written.equals(wanted)).toBe(true)
    expect(hash).toBe(hashOf(wanted))
    for (const { tensor, as } of parts.slice(0, 4)) {
      const rows = tensor.contiguous()
      const want = new Uint8Array(rows.size * (as === 'float32' ? 4 : 2))
      rows.to(as as 'float32').copyInto(want)
      const found = new Uint8Array(want.length)
      encodeRows(rows.to('float32'), as).copyInto(found)
      expect(Buffer.from(found).equals(want), as).toBe(true)
    }
  })

  it('are refused where they are not finite, by their number, and nothing else is', async () => {
    const notFinite = (part: number) => new Error(`part ${part} is bad`)
    const bad = (value: number, dtype: 'float32' | 'bfloat16' = 'float32') =>
      cat([matrix, Tensor.from(new Float32Array(256).fill(value), { shape: [1, 256] })]).to(dtype)
    const write = (tensor: Tensor, as?: string) => {
      rmSync(path, { force: true })
      return writeTensorFile(path, new Uint8Array(1), [matrix, { tensor, as, finite: true }], { notFinite })
    }
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      await expect(write(bad(value))).rejects.toThrow('part 1 is bad')
      await expect(write(bad(value).t(), 'float16')).rejects.toThrow('part 1 is bad')
      await expect(write(bad(value, 'bfloat16'), 'Q8_0')).rejects.toThrow('part 1 is bad')
      await expect(write(bad(value), 'int4')).rejects.toThrow('part 1 is bad')
    }
    await expect(write(bad(1e6), 'float16')).rejects.toThrow('part 1 is bad')
    await write(bad(65_504), 'float16')
    await write(bad(3e38))
    await write(bad(1e6), 'bfloat16')
    rmSync(path)
  })

  it('are written without a hash, and not where the signal says so', async () => {
    expect(await writeTensorFile(path, new Uint8Array(1), [matrix], { hash: false })).toBe('')
    expect(readFileSync(path)).toHaveLength(1 + 4 * matrix.size)
    rmSync(path)
    const stop = new AbortController()
    const written = writeTensorFile(path, new Uint8Array(1), Array(200).fill({ tensor: matrix, as: 'Q2_K' }), {
      signal: stop.signal,
    })
    stop.abort(new Error('stopped by the user'))
    await expect(written).rejects.toThrow('stopped by the user')
    rmSync(path, { force: true })
    await expect(writeTensorFile(path, new Uint8Array(1), [], { signal: stop.signal })).rejects.toThrow('stopped')
    expect(existsSync(path)).toBe(false)
  })

  it('name what does not fit', async () => {
    const write = (part: object) => writeTensorFile(path, new Uint8Array(1), [{ tensor: matrix, ...part }])
    await expect(write({ as: 'Q9' })).rejects.toThrow(/Expected one of Q4_0, .*got Q9/)
    await expect(write({ as: 'Q4_K', tensor: matrix.t() })).rejects.toThrow(/whole blocks of 256 values \(Q4_K\).*1100/)
    await expect(write({ as: 'Q8_0', columns: new Float32Array(256) })).rejects.toThrow(/Expected no `columns`/)
    await expect(write({ as: 'int8-by-row' })).rejects.toThrow(/Expected scales as `columns`/)
    await expect(write({ as: 'Q8_0', tensor: bytesTensor(bytesOf(32)) })).rejects.toThrow(/got Byte|got uint8/)
    expect(existsSync(path)).toBe(false)
  })
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
