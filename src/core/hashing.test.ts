import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { sha256, sha256File } from './hashing.ts'

// FIPS 180-2, appendix B.1 and B.3.
const ofAbc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
const ofMillionA = 'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0'

it('hashes text, bytes and files', async () => {
  expect(sha256('abc')).toBe(ofAbc)
  expect(sha256(new TextEncoder().encode('abc'))).toBe(ofAbc)
  const folder = await mkdtemp(join(tmpdir(), 'tunesmith-hash-'))
  try {
    await writeFile(join(folder, 'a'), 'a'.repeat(1_000_000))
    expect(await sha256File(join(folder, 'a'))).toBe(ofMillionA)
  } finally {
    await rm(folder, { recursive: true })
  }
})
