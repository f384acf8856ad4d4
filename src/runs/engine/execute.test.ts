// The message of a run whose disk is full: what is left of it, and how it continues.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { explainDiskFault } from './execute.ts'

it('tells of a full disk whether there are checkpoints to resume from', async () => {
  const out = mkdtempSync(join(tmpdir(), 'tunesmith-full-'))
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' })
  const explained = async () => String(await explainDiskFault(full, out))
  try {
    mkdirSync(join(out, 'checkpoints'))
    expect(await explained()).toMatch(
      /Disk full while writing .*\. The run has no checkpoint and begins again: free space, then `/,
    )
    mkdirSync(join(out, 'checkpoints/step-00000004'))
    expect(await explained()).toMatch(/Disk full while writing .*\. Earlier checkpoints are intact: free space, then `/)
    const other = new Error('other')
    expect(await explainDiskFault(other, out)).toBe(other)
  } finally {
    rmSync(out, { recursive: true })
  }
})
