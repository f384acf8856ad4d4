import { describe, expect, it } from 'vitest'
import { ConfigError, TunesmithError } from '../../core/index.ts'
import { explainFault } from './phase-runner.ts'

describe('explainFault', () => {
  it.each([
    Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }),
    new Error('ENOSPC: no space left on device, write'),
    new Error('IO Error: Could not write file "x.tmp": No space left on device'),
  ])('names the remedy for a full disk: %s', (error) => {
    const explained = explainFault(error)
    expect(explained).toBeInstanceOf(TunesmithError)
    expect((explained as Error).message).toMatch(/^Disk full.*resume with the same command/)
  })

  it('returns other errors unchanged', () => {
    for (const error of [new ConfigError('x'), new TypeError('y'), 'z']) expect(explainFault(error)).toBe(error)
  })
})
