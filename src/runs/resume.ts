// Resuming a run of any kind, and the proof that a resumed run gives the same bits.
import { createHash } from 'node:crypto'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { z } from 'zod'
import { ConfigError, parseConfig, sha256, sha256File, withoutUndefined } from '../core/index.ts'
import { expectOneProcess } from '../distributed/index.ts'
import { checkpointFiles, readHistory, readRunCard, runFiles } from '../tracking/index.ts'
import { budgetSchema, listSnapshots, type RunState } from '../training/index.ts'
import { execute } from './engine/execute.ts'
import type { RunListener, RunMode, RunRecipe, RunResult } from './engine/run-kind.ts'
import { isFinished } from './engine/run-record.ts'
import { kindOf, readRunRecipe } from './kinds.ts'

/** How a run is resumed, and who listens to it. */
export interface ResumeOptions extends RunListener {
  /** New length of the run, also of one that has finished: it keeps the state of its optimizer (default: that of its recipe). */
  budget?: z.input<typeof budgetSchema> | undefined
}

/**
 * Continues a run from its newest intact checkpoint: to the same end with the same bits, or beyond it under a larger `budget`, over
 * which its schedule is stretched.
 * @throws ConfigError for a budget that is spent already, or a run without steps
 */
export const resume = async (folder: string, options: ResumeOptions = {}): Promise<RunResult> => {
  const { budget, ...listener } = options
  const recipe = await readRunRecipe(folder)
  const extended = budget === undefined ? recipe : withBudget(recipe, budget)
  if (!isDeepStrictEqual(extended.budget, recipe.budget))
    return execute(kindOf(recipe.command), extended, 'extend', listener)
  const finished = await finishedResult(recipe)
  if (finished !== undefined) {
    listener.onNote?.(`The run in ${recipe.out} has already finished: nothing is left to do.`)
    return finished
  }
  return execute(kindOf(recipe.command), recipe, 'resume', listener)
}

/** The recipe with another budget. @throws ConfigError for one without limits, or a run without steps */
const withBudget = (recipe: RunRecipe, given: z.input<typeof budgetSchema>): RunRecipe => {
  expectSteps(recipe, 'It has no budget, so there is nothing to extend.')
  const budget = withoutUndefined(parseConfig(budgetSchema, given, 'budget'))
  if (Object.keys(budget).length === 0)
    throw new ConfigError('Expected `steps`, `tokens`, `epochs` or `minutes` in `budget`, got none of them.')
  return { ...recipe, budget }
}

/** @param consequence what follows for a variant without steps, for the message @throws ConfigError for such a run */
const expectSteps = (recipe: RunRecipe, consequence: string): void => {
  if (kindOf(recipe.command).nonIterative?.(recipe) !== undefined)
    throw new ConfigError(`Expected a run with steps, got one of a variant without steps. ${consequence}`)
}

/** What a finished run gave, from its files; undefined for a run that is not, or whose recipe was changed since. */
const finishedResult = async (recipe: RunRecipe): Promise<RunResult | undefined> => {
  const { out } = recipe
  const card = (await isFinished(out)) ? await readRunCard(out) : undefined
  const { out: _, ...now } = recipe
  if (card === undefined || !isDeepStrictEqual({ ...(card.config as object), out }, { ...asJson(now), out })) return
  const { end, training } = await readHistory(out)
  if (end?.reason !== 'finished') return
  const { modelStep, steps, tokens, wallSeconds: seconds, results, mainMetric, references, warnings = [] } = card
  return {
    out,
    model: join(out, runFiles.model),
    modelStep,
    reason: 'finished',
    cause: end.cause,
    steps,
    tokens,
    seconds,
    loss: training.loss?.values.at(-1) ?? Number.NaN,
    metrics: { ...results },
    mainMetric,
    references,
    warnings,
  }
}

/** As a file would give it back. */
const asJson = (value: object): object => JSON.parse(JSON.stringify(value)) as object

/** The outcome of `verifyResume`. */
export interface ResumeProof {
  steps: number
  /** Whether both runs gave the same bytes in every file. */
  equal: boolean
  /** Files that differ. */
  different: string[]
  sha256: string
}

/**
 * Trains `2N` steps, then `N` and `N` in a resumed run, and compares every byte of the last checkpoints.
 * @throws ConfigError for a run that keeps no checkpoints, or that ends by time
 */
export const verifyResume = async (
  folder: string,
  options: { steps?: number; keep?: boolean } = {},
  listener: RunListener = {},
): Promise<ResumeProof> => {
  expectOneProcess('verify-resume')
  const recipe = await readRunRecipe(folder)
  expectSteps(recipe, 'It keeps no checkpoints, so there is nothing to verify.')
  if (recipe.budget.minutes !== undefined)
    throw new ConfigError(
      'Expected a budget of steps, tokens or epochs, got minutes. The length of such a run depends on the machine.',
    )
  const half = options.steps ?? 5
  const work = join(folder, runFiles.verification)
  await rm(work, { recursive: true, force: true })
  const at = (name: string, stopAt: number) =>
    parseConfig(
      kindOf(recipe.command).schema,
      {
        ...recipe,
        out: join(work, name),
        evaluate: {},
        sample: {},
        checkpoint: { steps: stopAt },
        keep: { last: 2 },
      },
      'verify-resume',
    )
  const stopAfter = async (name: string, stopAt: number, mode: RunMode) => {
    const aborter = new AbortController()
    const signal = listener.signal === undefined ? aborter.signal : AbortSignal.any([aborter.signal, listener.signal])
    const here = at(name, 1_000_000)
    await execute(kindOf(recipe.command), here, mode, {
      ...listener,
      signal,
      onEvent: (event) => {
        listener.onEvent?.(event)
        if (event.type === 'step' && event.step >= stopAt) aborter.abort()
      },
    })
    listener.signal?.throwIfAborted()
  }
  await stopAfter('whole', 2 * half, 'new')
  await stopAfter('halves', half, 'new')
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

/** SHA-256 of the files of the newest checkpoint, without the training time. */
const hashesOf = async (run: string): Promise<Map<string, string>> => {
  const [newest] = await listSnapshots(run)
  const hashes = new Map<string, string>()
  if (newest === undefined) return hashes
  for (const entry of await readdir(newest.path, { withFileTypes: true, recursive: true }))
    if (entry.isFile() && entry.name !== checkpointFiles.manifest) {
      const path = join(entry.parentPath, entry.name)
      hashes.set(
        relative(newest.path, path),
        entry.name === checkpointFiles.state ? await hashOfState(path) : await sha256File(path),
      )
    }
  return hashes
}

const hashOfState = async (path: string): Promise<string> => {
  const { seconds: _, ...state } = JSON.parse(await readFile(path, 'utf8')) as RunState
  return sha256(JSON.stringify(state))
}
