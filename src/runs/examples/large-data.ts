// Training data of any size: read and encoded in other threads, and kept encoded on disk, so that a second run or a resume starts at once.
import { stat } from 'node:fs/promises'
import { resolveData } from '../../checkpoint/index.ts'
import { ConfigError, formatBytes, formatCount, formatDuration, runPool } from '../../core/index.ts'
import { expandFiles } from '../../files/index.ts'
import { type TaskExample, tasks } from '../../tasks/index.ts'
import type { BuildContext } from '../engine/run-kind.ts'
import { exampleCache } from './cache-entry.ts'
import type { DataWork } from './data-worker.ts'
import type { EncodingRequest, ExamplesResult } from './encode-data.ts'
import { ExampleFile } from './example-file.ts'
import type { EncodedSet } from './run-data.ts'
import { type RecordsRequest, type SurveyResult, ValidationFile } from './survey-records.ts'

export interface DataSettings extends Pick<RecordsRequest, 'data' | 'validation' | 'validationShare' | 'share'> {
  task: string
  use?: readonly string[] | undefined
  exampleCache: 'auto' | 'on' | 'off'
  workers: number
}

/** From this size on data goes through the cache unless a recipe says otherwise. */
const largeBytes = 32 * 2 ** 20
/** Bytes of text for each byte of a compressed file, about. */
const expansion = 4
const progressMs = 10_000

const sizeOf = async (path: string): Promise<number> => {
  let bytes = 0
  for (const file of await expandFiles(path, [''])) {
    const { size } = await stat(file)
    bytes += /\.(gz|bz2|zst|zip|tgz|parquet)$/i.test(file) ? expansion * size : size
  }
  return bytes
}

/** Whether the data in these paths goes through the cache. @throws ConfigError where it has to and cannot */
export const isCached = async (
  { exampleCache: wanted, task, use = [] }: Pick<DataSettings, 'exampleCache' | 'task' | 'use'>,
  paths: readonly string[],
): Promise<boolean> => {
  if (wanted === 'off') return false
  if (!(task in tasks) && use.length === 0) {
    if (wanted === 'auto') return false
    throw new ConfigError(
      `\`exampleCache\` on needs the module of the task ${task}, which other threads import: name it in \`use\`.`,
    )
  }
  if (wanted === 'on') return true
  const sizes = await Promise.all(paths.map(async (path) => sizeOf(await resolveData(path))))
  return sizes.reduce((sum, size) => sum + size, 0) >= largeBytes
}

/** Does work in a thread of its own, and says how far it is. */
const inThread = async <Result>(
  workOf: (progress: Int32Array) => DataWork,
  label: string,
  { say, signal }: BuildContext,
): Promise<Result> => {
  const progress = new Int32Array(new SharedArrayBuffer(4))
  const timer = setInterval(() => say(`${label} … ${formatCount(Atomics.load(progress, 0))} records`), progressMs)
  const url = new URL('./data-worker.ts', import.meta.url)
  try {
    const results = runPool<DataWork, Result>({ url, size: 1, tasks: [workOf(progress)], signal })
    const { value } = await results.next()
    await results.return()
    return value as Result
  } finally {
    clearInterval(timer)
  }
}

/** Why a cache is made again, as a line for people; none where there was none. */
const describeProblem = (what: string, problem: string | undefined): string[] =>
  problem === undefined ? [] : [`The cache of ${what} was ${problem}: made again.`]

/** Looks at the records of a run, which are encoded later. @throws DataError with file and line */
export const openLargeData = async (settings: DataSettings, config: object, context: BuildContext) => {
  const { task, data, validation, validationShare, share, use = [], workers } = settings
  const cache = exampleCache()
  const shared = { task, config, data, validation, validationShare, share, use: [...use], cache }
  const survey = await inThread<SurveyResult>((progress) => ({ survey: { ...shared, progress } }), 'Reading', context)
  return {
    survey,
    validation: new ValidationFile(survey.folder, survey.all.records - survey.trained.records),
    notes: describeProblem('what was read', survey.problem),
    async encode(request: Omit<EncodingRequest, 'task' | 'config' | 'use'>): Promise<EncodedSet> {
      const started = performance.now()
      const found = await inThread<ExamplesResult>(
        (progress) => ({ encode: { ...shared, ...request, survey: survey.key, workers, progress } }),
        'Encoding',
        context,
      )
      const { folder, length, shapes, files, tally, built, problem } = found
      const examples = new ExampleFile<TaskExample>(folder, length, shapes, files)
      const count = `${formatCount(length)} examples`
      const bytes = formatBytes(await sizeOf(folder))
      const took = formatDuration(performance.now() - started)
      return {
        examples,
        placeOf: (index) => examples.placeOf(index),
        tally,
        notes: [
          ...describeProblem('encoded examples', problem),
          built
            ? `Encoded ${count} into the cache (${bytes}, ${took}); the next run with the same data starts at once.`
            : `Found ${count} in the cache (${bytes}).`,
        ],
        close: () => examples.close(),
      }
    },
  }
}
