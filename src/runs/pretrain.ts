// Pretraining as functions: start, go on, prove that going on changes nothing.
import { createHash } from 'node:crypto'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { ConfigError, parseConfig, sha256, sha256File } from '../core/index.ts'
import { EVENTS_FILE } from '../tracking/index.ts'
import { CHECKPOINTS, listSnapshots, type RunState } from '../training/index.ts'
import { execute, RUN_FILE, type RunListener, type RunResult, readRecipe } from './execute.ts'
import { type PretrainInput, pretrainSchema } from './recipe.ts'
import { applyDepth } from './size-rule.ts'

/** Trains as the recipe says, into a fresh folder. @throws ConfigError for recipes that do not fit, DataError for data that does not */
export const pretrain = async (input: PretrainInput, listener: RunListener = {}): Promise<RunResult> => {
  const recipe = applyDepth(parseConfig(pretrainSchema, input, 'pretrain'))
  const present: string[] = await readdir(recipe.out).catch(() => [])
  if ([RUN_FILE, EVENTS_FILE, CHECKPOINTS].some((name) => present.includes(name)))
    throw new ConfigError(
      `Expected a new folder for \`out\`, found the run that is in ${recipe.out}. Go on with it (\`tunesmith resume ${recipe.out}\`), or name another.`,
    )
  if (recipe.batch.sequences === undefined && recipe.batch.tokens === undefined) recipe.batch.sequences = 32
  const { keep, evaluate } = recipe
  if (keep.best !== undefined && Object.keys(evaluate).length === 0)
    throw new ConfigError('Expected evaluations to choose the best checkpoint by, got none. Set `evaluate.steps`.')
  return execute(recipe, 'fresh', listener)
}

/** Goes on with a run from its newest whole checkpoint, to the same end and the same bits. */
export const resume = async (folder: string, listener: RunListener = {}): Promise<RunResult> =>
  execute(await readRecipe(folder), 'resume', listener)

export interface ResumeProof {
  steps: number
  /** Whether both ways gave the same bytes in every file. */
  equal: boolean
  /** Files that differ. */
  different: string[]
  sha256: string
}

/** Trains `2N` steps, and `N` then `N` in a resumed run, and compares every byte of the last checkpoints. */
export const verifyResume = async (
  folder: string,
  options: { steps?: number; keep?: boolean } = {},
  listener: RunListener = {},
): Promise<ResumeProof> => {
  const recipe = await readRecipe(folder)
  if (recipe.budget.minutes !== undefined)
    throw new ConfigError(
      'Expected a budget of steps, tokens or epochs to prove that a run resumes exactly, got minutes: its length depends on the clock.',
    )
  const half = options.steps ?? 5
  const work = join(folder, 'verify-resume')
  await rm(work, { recursive: true, force: true })
  const at = (name: string, stopAt: number) =>
    parseConfig(
      pretrainSchema,
      {
        ...recipe,
        out: join(work, name),
        evaluate: {},
        sample: {},
        checkpoint: { steps: stopAt },
        heldOut: 0,
        keep: { last: 2 },
      },
      'verify-resume',
    )
  const stopAfter = async (name: string, stopAt: number, mode: 'fresh' | 'resume') => {
    const aborter = new AbortController()
    const signal = listener.signal === undefined ? aborter.signal : AbortSignal.any([aborter.signal, listener.signal])
    const here = at(name, 1_000_000)
    await execute(here, mode, {
      ...listener,
      signal,
      onEvent: (event) => {
        listener.onEvent?.(event)
        if (event.type === 'step' && event.step >= stopAt) aborter.abort()
      },
    })
    listener.signal?.throwIfAborted()
  }
  await stopAfter('whole', 2 * half, 'fresh')
  await stopAfter('halves', half, 'fresh')
  await stopAfter('halves', 2 * half, 'resume')
  const [whole, halves] = await Promise.all(['whole', 'halves'].map((name) => hashesOf(join(work, name))))
  const different = [...new Set([...whole.keys(), ...halves.keys()])].filter(
    (file) => whole.get(file) !== halves.get(file),
  )
  const digest = createHash('sha256')
  for (const [file, hash] of [...whole].sort()) digest.update(`${file} ${hash}\n`)
  if (!options.keep) await rm(work, { recursive: true, force: true })
  return { steps: 2 * half, equal: different.length === 0, different, sha256: digest.digest('hex') }
}

/** Everything of the newest checkpoint but the clock. */
const hashesOf = async (run: string): Promise<Map<string, string>> => {
  const [newest] = await listSnapshots(run)
  const hashes = new Map<string, string>()
  if (newest === undefined) return hashes
  for (const entry of await readdir(newest.path, { withFileTypes: true, recursive: true }))
    if (entry.isFile() && entry.name !== 'manifest.json') {
      const path = join(entry.parentPath, entry.name)
      hashes.set(
        relative(newest.path, path),
        entry.name === 'state.json' ? await hashOfState(path) : await sha256File(path),
      )
    }
  return hashes
}

const hashOfState = async (path: string): Promise<string> => {
  const { seconds: _, ...state } = JSON.parse(await readFile(path, 'utf8')) as RunState
  return sha256(JSON.stringify(state))
}
