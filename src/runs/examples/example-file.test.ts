// Encoded examples on disk, while another program changes the files.
import { mkdtempSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { DataError } from '../../core/index.ts'
import { checksum, ExampleEncoder } from './example-codec.ts'
import { ExampleFile, ExampleFileWriter } from './example-file.ts'

it('refuses an index that was truncated after it was opened', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-examples-'))
  try {
    const writer = await ExampleFileWriter.create(folder)
    for (const id of [1, 2]) {
      const encoder = new ExampleEncoder()
      encoder.add({ id })
      const data = encoder.take()
      await writer.append({ data, numbers: Uint32Array.of(data.length, checksum(data), 0, id) })
    }
    await writer.close()
    const file = new ExampleFile(folder, writer.count, [], ['texts.jsonl'])
    expect([file.at(1), file.placeOf(1)]).toEqual([{ id: 2 }, { file: 'texts.jsonl', line: 2 }])
    expect(file.at(0)).toEqual({ id: 1 })
    // The last number of the second entry is missing.
    truncateSync(join(folder, 'index.bin'), 2 * 24 - 4)
    expect(() => file.at(1)).toThrow(DataError)
    expect(() => file.placeOf(1)).toThrow(/index\.bin/)
    expect(file.at(0)).toEqual({ id: 1 })
    file.close()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
