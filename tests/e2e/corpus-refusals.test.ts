// What `corpus build` refuses through the command line: inputs without text, paths that are no files, and when it
// stops.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { createRandom } from '../../src/core/index.ts'
import { runCli, temporaryFolder } from './corpus-fixture.ts'

const folder = temporaryFolder('corpus-refusals')
afterAll(() => folder.dispose())
const path = (name: string) => join(folder.path, name)

const build = (out: string, ...args: string[]) => runCli(['corpus', 'build', '--out', out, '--workers', '1', ...args])

describe('corpus build', () => {
  it('fails when no input has text, and says why', async () => {
    const random = createRandom(3)
    mkdirSync(path('inputs'))
    writeFileSync(
      path('inputs/random.txt'),
      Uint8Array.from({ length: 30_000 }, () => random.integer(256)),
    )
    writeFileSync(path('inputs/empty.txt'), '')
    const { code, stdout, stderr } = await build(path('none'), '--source', `text:${path('inputs')}`)
    expect(stderr).toMatch(/Expected text in the 2 inputs, got records without text \(1 damaged-file, 1 not-text\)/)
    expect(stderr).toMatch(/First damaged input: .*empty\.txt: Expected text, got an empty file/)
    expect(stdout).not.toContain('Built')
    expect(code).not.toBe(0)
    expect(existsSync(path('none/corpus.json'))).toBe(false)
  })

  it('reports an empty corpus by its exit code when the filters drop everything', async () => {
    writeFileSync(path('short.txt'), 'Too short.\n')
    const { code, stdout } = await build(path('short'), '--source', `text:${path('short.txt')}`)
    expect(stdout).toMatch(/is empty: every document was dropped/)
    expect(code).toBe(1)
  })

  it('finds a missing test set before any work', async () => {
    writeFileSync(path('a.txt'), 'Some text.\n')
    const out = path('contaminated')
    const source = ['--source', `text:${path('a.txt')}`]
    const { code, stderr } = await build(out, ...source, '--decontaminate', path('nope.jsonl'))
    expect(stderr).toMatch(/nope\.jsonl: Expected a readable file, got ENOENT/)
    expect(code).not.toBe(0)
    expect(existsSync(out)).toBe(false)
  })

  it.skipIf(!existsSync('/proc/self'))('refuses an output folder in /proc (skipped without /proc)', async () => {
    const { code, stderr } = await build('/proc/x', '--source', `text:${path('a.txt')}`)
    expect(stderr).toMatch(/Expected a folder that can be created for `--out`, got \/proc\/x/)
    expect(code).not.toBe(0)
  })

  it.skipIf(!existsSync('/dev/zero'))(
    'refuses devices and named pipes as inputs (skipped without /dev/zero)',
    async () => {
      execFileSync('mkfifo', [path('pipe')])
      const pipe = await build(path('b'), '--source', `text:${path('pipe')}`)
      expect(pipe.stderr).toMatch(/pipe: Expected a regular file, got a named pipe/)
      const device = await build(path('b'), '--source', 'text:/dev/zero')
      expect(device.stderr).toMatch(/zero: Expected a regular file, got a device/)
      expect([pipe.code, device.code]).not.toContain(0)
    },
  )

  it('stops within 2 s of SIGTERM while it hashes a large input', async () => {
    // A file with a hole: it takes no disk, and hashing its 64 GB takes minutes.
    writeFileSync(path('huge.txt'), '')
    truncateSync(path('huge.txt'), 64e9)
    let signalled = 0
    const args = ['corpus', 'build', '--out', path('huge'), '--source', `text:${path('huge.txt')}`]
    const { code } = await runCli(args, {
      onSpawn: (child) => {
        const timer = setInterval(() => {
          // The build takes the lock just before it hashes its inputs.
          if (!existsSync(path('huge/.lock'))) return
          clearInterval(timer)
          setTimeout(() => {
            signalled = performance.now()
            child.kill('SIGTERM')
          }, 500)
        }, 50)
      },
    })
    expect(performance.now() - signalled).toBeLessThan(2000)
    expect(code).toBe(143)
  })
})
