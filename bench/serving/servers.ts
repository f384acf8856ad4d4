// The servers of bench/serving.ts as processes: ours, llama.cpp's, and a plain one of FastAPI and transformers.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { cacheFolder } from '../side-by-side.ts'

/** A server that answers. */
export interface PeerServer {
  url: string
  /** CPU seconds of its process so far; undefined where the system does not say. */
  cpuSeconds(): number | undefined
  stop(): Promise<void>
}

/** A port that is free now, below those that systems give to programs which ask for any: another one may not take it meanwhile. */
const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const port = 20_000 + Math.floor(12_000 * Math.random())
    const probe = createServer()
    probe.once('error', () => resolve(freePort()))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(port)))
  })

/** Ticks in which Linux counts the time of processes. */
const ticksPerSecond = 100

const cpuSecondsOf = (pid: number | undefined): number | undefined => {
  const file = `/proc/${pid}/stat`
  if (pid === undefined || !existsSync(file)) return undefined
  // After the name, which may have spaces, come the state and then numbers; times of user and system are the 12th and 13th.
  const fields = readFileSync(file, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

const start = async (
  name: string,
  command: (port: number) => { words: string[]; environment?: Record<string, string> },
  pollMilliseconds = 100,
): Promise<PeerServer> => {
  const port = await freePort()
  const { words, environment = {} } = command(port)
  const env = { ...process.env, HF_HUB_OFFLINE: '1', ...environment }
  const child: ChildProcess = spawn(words[0], words.slice(1), { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let fault = ''
  child.stderr?.on('data', (part) => {
    fault = (fault + part).slice(-2000)
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const url = `http://127.0.0.1:${port}`
  for (let tries = 0; ; tries++) {
    const answer = await fetch(`${url}/health`).catch(() => undefined)
    if (answer?.ok) break
    if (child.exitCode !== null || tries * pollMilliseconds > 120_000) {
      child.kill('SIGKILL')
      throw new Error(`${name} did not start: ${fault.trim()}`)
    }
    await sleep(pollMilliseconds)
  }
  return {
    url,
    cpuSeconds: () => cpuSecondsOf(child.pid),
    async stop() {
      child.kill('SIGTERM')
      // A server that still computes may not listen to the first one.
      const timer = setTimeout(() => child.kill('SIGKILL'), 15_000)
      await ended
      clearTimeout(timer)
    },
  }
}

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

/** Our server. @param flags of `tunesmith serve` beside the port */
export const startOurs = (flags: readonly string[], threads: number): Promise<PeerServer> =>
  start('tunesmith', (port) => ({
    words: [process.execPath, '--import', 'tsx', main, 'serve', '--port', String(port), ...flags],
    environment: { OMP_NUM_THREADS: String(threads) },
  }))

const command = fileURLToPath(new URL('../../bin/tunesmith.js', import.meta.url))

/** Our server as it is installed, from the compiled sources; its /health is asked every few milliseconds. */
export const startInstalled = (flags: readonly string[], threads: number): Promise<PeerServer> =>
  start(
    'tunesmith',
    (port) => ({
      words: [process.execPath, command, 'serve', '--port', String(port), ...flags],
      environment: { OMP_NUM_THREADS: String(threads) },
    }),
    5,
  )

/** Path of llama.cpp's server: TUNESMITH_LLAMA_SERVER, or what set-up of the peers has built; undefined without one. */
export const llamaServer = (): string | undefined =>
  [process.env.TUNESMITH_LLAMA_SERVER, join(cacheFolder(), 'llama.cpp', 'bin', 'llama-server')].find(
    (path) => path !== undefined && existsSync(path),
  )

export const startLlama = (path: string, gguf: string, { threads, rows }: { threads: number; rows: number }) =>
  start('llama.cpp', (port) => ({
    words: [
      ...[path, '--model', gguf, '--port', String(port), '--threads', String(threads), '--parallel', String(rows)],
      ...['--ctx-size', String(512 * rows), '--no-webui'],
    ],
  }))

/** FastAPI and uvicorn, fetched with pip when they are not there yet. */
const fastApiFolder = (python: string): string => {
  const folder = join(cacheFolder(), 'packages', 'fastapi-0.115')
  if (existsSync(join(folder, 'fastapi'))) return folder
  mkdirSync(folder, { recursive: true })
  const packages = ['fastapi>=0.115,<1', 'uvicorn>=0.30,<1']
  execFileSync(python, ['-m', 'pip', 'install', '--quiet', '--target', folder, ...packages], { stdio: 'inherit' })
  return folder
}

const script = fileURLToPath(new URL('../peers/serving.py', import.meta.url))

export const startFastApi = (
  python: string,
  kind: 'completions' | 'embeddings' | 'classify',
  { folder, threads, dtype }: { folder: string; threads: number; dtype: string },
): Promise<PeerServer> =>
  start('FastAPI', (port) => ({
    words: [python, script, kind, folder, String(port), String(threads), dtype],
    environment: { PYTHONPATH: fastApiFolder(python) },
  }))
