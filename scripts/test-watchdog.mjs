// Ends a test file that hangs. Where native code never returns, the event loop stands still and no timeout of vitest can fire, so a
// second thread waits: it prints the name of the test, where the native threads stand if gdb is installed, and ends the process.
// vitest then reports the file as failed, and continues with the others.
import { Worker } from 'node:worker_threads'
import { afterAll, beforeEach, expect } from 'vitest'

/** Several times what the slowest file takes on a loaded machine. */
const limitMinutes = Number(process.env.TUNESMITH_TEST_FILE_MINUTES ?? 15)

const name = new SharedArrayBuffer(4096)
const bytes = new Uint8Array(name)
const write = (text) => {
  bytes.fill(0)
  new TextEncoder().encodeInto(text, bytes.subarray(0, -1))
}
write('before its first test')
beforeEach(() => write(expect.getState().currentTestName ?? ''))

function watch({ workerData, fs, childProcess }) {
  const { name, file, minutes } = workerData
  setTimeout(() => {
    const test = Buffer.from(new Uint8Array(name)).toString().replace(/\0+$/, '')
    // The streams of a worker need the main thread, which hangs.
    fs.writeSync(2, `\nHANGS: ${file} did not end within ${minutes} minutes. It is at: ${test}\n`)
    const { stdout } = childProcess.spawnSync(
      'gdb',
      ['-p', String(process.pid), '-batch', '-ex', 'thread apply all bt 16'],
      { encoding: 'utf8', timeout: 60_000 },
    )
    fs.writeSync(2, stdout ? `${stdout.slice(-20_000)}\n` : 'Install gdb to see where it stands.\n')
    process.kill(process.pid, 'SIGKILL')
  }, minutes * 60_000)
}

const code = `(${watch})({ workerData: require('node:worker_threads').workerData, fs: require('node:fs'),
  childProcess: require('node:child_process') })`
const file = expect.getState().testPath
const watcher = new Worker(code, { eval: true, workerData: { name, file, minutes: limitMinutes } })
watcher.unref()
// Others may run in this process after the file.
afterAll(() => watcher.terminate())
