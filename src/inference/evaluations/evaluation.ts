// What an entry of `evaluate` declares, and what entries share: lines for a terminal, and a hash of data.
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { z } from 'zod'
import { formatCount, sha256, sha256File } from '../../core/index.ts'
import type { ProcessGroup } from '../../distributed/index.ts'
import type { SpecialistTask } from '../../runs/index.ts'
import type { ReadReport, ScoreIntervals } from '../../tasks/index.ts'
import type { LoadHooks, ModelChoice } from '../load.ts'

/** What is evaluated: a model on data. */
interface EvaluationInput extends ModelChoice {
  data: readonly string[]
  /** How the model was fine-tuned on this task, when it is a specialist in it. */
  recorded?: Pick<SpecialistTask, 'settings' | 'maxLength'> | undefined
}

/** Called while a model is evaluated. */
export interface EvaluateHooks extends LoadHooks {
  /** Called after each batch; `label` and `unit` name what is counted. */
  onProgress?(done: { label: string; unit: string; done: number; of?: number }): void
  signal?: AbortSignal | undefined
  /** The processes that divide the work: all get the same result, and the first one writes files. */
  group?: ProcessGroup | undefined
}

/** One kind of evaluation. */
export interface EvaluationEntry<Options extends z.ZodObject = z.ZodObject, Result = unknown> {
  type: string
  /** An option that only this entry has: where it is given, `task` need not be. */
  impliedBy?: string
  /** Whether it measures what the model was trained for, as its folder says: then `task` need not be given. */
  measures?(model: string): Promise<boolean>
  /** Options beside those of every evaluation; a name that two entries share means the same in both. */
  options: Options
  run(input: EvaluationInput, options: z.output<Options>, hooks: EvaluateHooks): Promise<Result>
  /** The result as text for a terminal. */
  render(result: Result): string
}

/** Declares a kind of evaluation; the type of the entry's own options stays inside the entry. */
export const defineEvaluation = <Options extends z.ZodObject, Result>(
  entry: EvaluationEntry<Options, Result>,
): EvaluationEntry => entry as EvaluationEntry

/** A line for each metric, with its interval. */
export const renderMetrics = (metrics: ScoreIntervals): string[] =>
  Object.entries(metrics).map(
    ([name, { value, low, high }]) => `${name.padEnd(20)} ${value.toFixed(4)}  [${low.toFixed(4)}, ${high.toFixed(4)}]`,
  )

/** A line for each reason for which records were left out. */
export const renderSkipped = (skipped: ReadReport['skipped']): string[] =>
  Object.entries(skipped).map(
    ([reason, { count, first }]) => `skipped: ${formatCount(count)} ${reason}, first: ${first}`,
  )

/** Files up to this many bytes count by their content, larger ones by their size. */
const wholeBytes = 64 << 20

const fileFacts = async (path: string): Promise<string> => {
  const found = await stat(path)
  if (!found.isFile()) return 'folder'
  return found.size <= wholeBytes ? sha256File(path) : `${found.size} bytes`
}

/** A short hash of files and folders, which tells apart the data of an evaluation on several machines; of what is neither, such as the name of a data set, the name counts. */
export const dataHash = async (paths: readonly string[]): Promise<string> => {
  const facts: string[] = []
  for (const path of paths) {
    const found = await stat(path).catch(() => undefined)
    if (found?.isFile()) facts.push(await fileFacts(path))
    else if (found?.isDirectory()) {
      for (const name of (await readdir(path, { recursive: true })).sort())
        facts.push(`${name} ${await fileFacts(join(path, name))}`)
    } else facts.push(path)
  }
  return sha256(facts.join('\n')).slice(0, 12)
}
