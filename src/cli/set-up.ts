// Runs scripts/setup.mjs for the command line: as a command of its own, or before the first command that needs the addon.
// The script shares no code with this folder, because it must run before anything is installed.
import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { packageRoot, SetupError, setupCall } from '../core/index.ts'

/** What set-up did, as its `--json` prints it. */
export interface SetupResult {
  /** The libtorch that the addon uses, and how it was found. */
  libtorch: { version: string; folder: string; source: string; cuda: boolean }
  addon: string
  /** True when nothing had to be done. */
  ready: boolean
  seconds: number
  /** The archive that `--prebuild` wrote. */
  prebuilt?: string
}

const script = (): string => join(packageRoot(), 'scripts', 'setup.mjs')

/**
 * Runs set-up with the given flags; its progress goes to stderr.
 *
 * @throws SetupError with the reason and the remedy that set-up names.
 */
export const runSetup = async (flags: readonly string[], signal: AbortSignal): Promise<SetupResult> => {
  const child = spawn(process.execPath, [script(), '--json', ...flags], { stdio: ['ignore', 'pipe', 'pipe'], signal })
  let stdout = ''
  let failure = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    // The error comes last, and the program prints it.
    const at = failure === '' ? text.search(/^error: /m) : 0
    const progress = at < 0 ? text : text.slice(0, at)
    if (at >= 0) failure += text.slice(at)
    process.stderr.write(progress)
  })
  const ending = await new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, by) => resolve(code ?? by))
  })
  if (ending !== 0) {
    const reason = failure.replace(/^error: /, '').trimEnd()
    throw new SetupError(reason || `Set-up was stopped (${ending}). Run ${setupCall()} again to continue it.`)
  }
  return JSON.parse(stdout) as SetupResult
}

/** Runs set-up and waits for it, in the middle of a command that turns out to need the addon. */
export const setUpNow = (): void => {
  process.stderr.write('The native addon is not built yet: setting up first.\n')
  const { status, signal } = spawnSync(process.execPath, [script()], { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status === 0) return
  const reason = signal === null ? 'failed; the reason is above' : `was stopped by ${signal}`
  throw new SetupError(`Set-up ${reason}. Run ${setupCall()}, or this command again, to continue it.`)
}
