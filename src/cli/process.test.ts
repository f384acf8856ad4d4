import { spawn, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const fixture = fileURLToPath(new URL('./fixtures/program.ts', import.meta.url))
const start = (...args: string[]) => spawn(process.execPath, ['--import', 'tsx', fixture, ...args])
const codeOf = (child: ReturnType<typeof start>) => new Promise((resolve) => child.on('close', resolve))

describe('the process', () => {
  it.each([
    { signal: 'SIGINT', count: 1, code: 130, output: 'finished in order' },
    { signal: 'SIGINT', count: 2, code: 130, output: 'still working' },
    { signal: 'SIGTERM', count: 1, code: 143, output: 'finished in order' },
    { signal: 'SIGHUP', count: 1, code: 129, output: 'finished in order' },
    { signal: 'SIGUSR1', count: 1, code: 138, output: 'finished in order' },
  ] as const)('finishes its step after one $signal and quits after two ($count sent)', async (row) => {
    const child = start('work', String(row.count))
    let output = ''
    let errors = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (text.includes('still working')) child.kill(row.signal)
      if (text.includes('stopping') && row.count === 2) child.kill(row.signal)
    })
    expect(await codeOf(child)).toBe(row.code)
    expect(output).toContain(row.output)
    expect(output.includes('finished in order')).toBe(row.count === 1)
    expect(errors).toContain('Leaving the fixture. Press Ctrl-C again')
  })

  it.skipIf(process.platform === 'win32')('goes on after SIGHUP under nohup, and still stops at SIGTERM', async () => {
    // bash, as in a terminal, tells what was started in `_`.
    const script = 'nohup "$0" --import tsx "$1" work 1 2>/dev/null & echo "pid $!"; wait $!'
    const child = spawn('bash', ['-c', script, process.execPath, fixture])
    let output = ''
    let sent = false
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      const pid = Number(/pid (\d+)/.exec(output)?.[1])
      if (sent || !output.includes('still working') || Number.isNaN(pid)) return
      sent = true
      process.kill(pid, 'SIGHUP')
      setTimeout(() => {
        expect(output).not.toContain('stopping')
        process.kill(pid, 'SIGTERM')
      }, 300)
    })
    expect(await codeOf(child)).toBe(143)
    expect(output).toContain('finished in order')
  })

  it('continues when the reader of stderr has left', async () => {
    const child = start('report')
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.stderr.once('data', () => child.stderr.destroy())
    expect(await codeOf(child)).toBe(0)
    expect(output).toBe('the result\n')
  })

  it('ends a stream of answers, without an error, when the reader of stdout has left', async () => {
    const child = start('stream')
    let errors = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
    child.stdout.once('data', () => child.stdout.destroy())
    expect(await codeOf(child)).toBe(0)
    expect(errors).toBe('')
  })

  it.skipIf(process.platform !== 'linux')('reports output that a full disk lost (/dev/full is of Linux)', () => {
    const script = 'exec "$0" --import tsx "$1" report > /dev/full'
    const { status, stderr } = spawnSync('sh', ['-c', script, process.execPath, fixture], { encoding: 'utf8' })
    expect(stderr).toMatch(/step 100\nerror: Cannot write the output: disk full\.\n$/)
    expect(status).toBe(1)
  })

  it('reports a command that waits for what never happens', async () => {
    const { status, stderr } = spawnSync(process.execPath, ['--import', 'tsx', fixture, 'stuck'], { encoding: 'utf8' })
    expect(stderr).toMatch(/^error: The command ended before it was done: .*never settles\.\n$/)
    expect(status).toBe(1)
  })
})
