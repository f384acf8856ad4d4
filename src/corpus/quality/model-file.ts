// The quality model on disk: a JSON header with the options and a checksum, then float32 weights, little-endian.
// Sizes are checked before memory is allocated.

import { open, stat } from 'node:fs/promises'
import { z } from 'zod'
import { DataError, parseConfig, sha256, writeFileAtomic } from '../../core/index.ts'

const magic = 'TSQUAL1\n'
const maxHeaderBytes = 64 * 2 ** 10

const modelHeader = z.strictObject({
  bits: z.number().int().min(8).max(24),
  nGrams: z.number().int().min(1).max(5),
  maxWords: z.number().int().min(1).max(10_000_000),
  bias: z.number(),
  positives: z.number().int().min(0),
  negatives: z.number().int().min(0),
  weightsSha256: z.string().length(64),
})
export type ModelHeader = z.output<typeof modelHeader>

export const writeModelFile = async (
  path: string,
  header: Omit<ModelHeader, 'weightsSha256'>,
  weights: Float32Array,
): Promise<void> => {
  const bytes = new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength)
  const json = Buffer.from(JSON.stringify({ ...header, weightsSha256: sha256(bytes) }))
  const size = Buffer.alloc(4)
  size.writeUInt32LE(json.length)
  await writeFileAtomic(path, Buffer.concat([Buffer.from(magic), size, json, bytes]))
}

export const readModelFile = async (path: string): Promise<{ header: ModelHeader; weights: Float32Array }> => {
  const fault = (expected: string, got: string | number) =>
    new DataError(`Expected ${expected} for a quality model, got ${got}. Train it again or fetch it again.`, path)
  const size = await stat(path).then(
    (found) => found.size,
    () => undefined,
  )
  if (size === undefined) throw fault('a readable file', 'none')
  const file = await open(path)
  try {
    const start = Buffer.alloc(magic.length + 4)
    const { bytesRead } = await file.read(start, 0, start.length, 0)
    if (bytesRead < start.length || start.toString('latin1', 0, magic.length) !== magic) {
      throw fault('the mark TSQUAL1', JSON.stringify(start.toString('latin1', 0, Math.min(bytesRead, magic.length))))
    }
    const headerBytes = start.readUInt32LE(magic.length)
    if (headerBytes > maxHeaderBytes || start.length + headerBytes > size) {
      throw fault(`a header of at most ${Math.min(maxHeaderBytes, size)} bytes`, headerBytes)
    }
    const json = Buffer.alloc(headerBytes)
    await file.read(json, 0, headerBytes, start.length)
    let value: unknown
    try {
      value = JSON.parse(json.toString('utf8'))
    } catch {
      throw fault('a JSON header', 'broken JSON')
    }
    const header = parseConfig(modelHeader, value, path)
    const weightBytes = 4 * 2 ** header.bits
    if (size !== start.length + headerBytes + weightBytes) {
      throw fault(`${start.length + headerBytes + weightBytes} bytes`, size)
    }
    const weights = new Float32Array(2 ** header.bits)
    const bytes = new Uint8Array(weights.buffer)
    for (let done = 0; done < weightBytes; ) {
      const { bytesRead: read } = await file.read(bytes, done, weightBytes - done, start.length + headerBytes + done)
      if (read === 0) throw fault(`${weightBytes} bytes of weights`, done)
      done += read
    }
    if (sha256(bytes) !== header.weightsSha256) throw fault('weights that match their checksum', 'other bytes')
    return { header, weights }
  } finally {
    await file.close()
  }
}
