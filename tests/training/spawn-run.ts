// Starts run-child.ts and, when asked, kills it at a chosen moment.
import { type ChildProcess, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { bundledChild } from '../setup/bundled-child.ts'

const child = new URL('run-child.ts', import.meta.url)

export interface ChildResult {
  signal: NodeJS.Signals | null
  lines: string[]
}

/** `onLine` sees each line as it comes; `shellPrefix` runs first in the same shell, such as `ulimit -f 100`. */
export const spawnRun = async (
  recipe: { out: string },
  {
    onLine,
    shellPrefix = 'true',
  }: { onLine?: (line: string, process: ChildProcess) => void; shellPrefix?: string } = {},
): Promise<ChildResult> => {
  const path = `${recipe.out}.recipe.json`
  writeFileSync(path, JSON.stringify(recipe))
  const command = [process.execPath, await bundledChild(child), path]
  const started = spawn('bash', ['-c', `${shellPrefix}; exec "$@"`, 'bash', ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, OMP_WAIT_POLICY: 'passive' },
  })
  return new Promise((resolve, reject) => {
    const lines: string[] = []
    let rest = ''
    started.stdout.on('data', (data: Buffer) => {
      const parts = (rest + data.toString()).split('\n')
      rest = parts.pop() as string
      for (const line of parts) {
        lines.push(line)
        onLine?.(line, started)
      }
    })
    started.stderr.on('data', (data: Buffer) => lines.push(`stderr ${data.toString().trim()}`))
    started.on('error', reject)
    started.on('close', (_code, signal) => resolve({ signal, lines }))
  })
}

/** Kills with SIGKILL at random moments until `kills` are done, then lets the run end. Returns how often it was killed. */
export const runWithKills = async (
  recipe: { out: string },
  random: { integer(bound: number): number },
  {
    kills,
    withinSteps,
    onKill,
  }: {
    kills: number
    /** A process is killed after a random number of its steps, up to this: a fast machine ends a run before any delay. */
    withinSteps: number
    onKill?: (count: number, lines: string[]) => void
  },
): Promise<{ killed: number; last: ChildResult }> => {
  let killed = 0
  for (;;) {
    let timer: NodeJS.Timeout | undefined
    let left = 1 + random.integer(withinSteps)
    // Within the next step, or while it is written.
    const delay = random.integer(8)
    const last = await spawnRun(recipe, {
      onLine: (line, process) => {
        if (killed >= kills || !line.startsWith('step') || --left !== 0) return
        timer = setTimeout(() => process.kill('SIGKILL'), delay)
      },
    })
    clearTimeout(timer)
    if (last.signal !== 'SIGKILL') return { killed, last }
    killed++
    onKill?.(killed, last.lines)
  }
}
