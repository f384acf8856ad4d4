// Benchmarks by name, and task files of users: JSON, or a TypeScript or JavaScript module that exports one.
import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { ConfigError, DataError, didYouMean, importUserModule } from '../../core/index.ts'
import { findMetric, registerMetricInfo } from '../../tracking/index.ts'
import { readJson } from '../records/json-rows.ts'
import { benchmarks } from './benchmarks/index.ts'
import { compileTask, type HarnessTask } from './task-file.ts'

/** Names of the benchmarks that come with Tunesmith. */
export const benchmarkNames = (): string[] => benchmarks.map(({ name }) => name)

/** Whether a name is that of a task file. */
export const isTaskFile = (name: string): boolean => /\.(json|ts|mts|js|mjs)$/.test(name)

const readTaskFile = async (file: string): Promise<HarnessTask> => {
  const path = resolve(file)
  if (!existsSync(path)) throw new DataError('Expected a task file, found nothing. Check the path.', path)
  const content = path.endsWith('.json') ? await readJson(path) : (await importUserModule(path)).default
  if (content === undefined)
    throw new ConfigError(`${path}: expected \`export default defineHarnessTask({ … })\`, got no default export.`)
  return compileTask(content, file, dirname(path))
}

/**
 * The benchmarks of these names, or of these task files. Their metrics become known to checkpoints and reports, as `name.metric`.
 * @throws ConfigError for an unknown name, for one that is given twice, and for faults of a task file
 */
export const findHarnessTasks = async (given: readonly string[]): Promise<HarnessTask[]> => {
  const known = benchmarkNames()
  // The command line splits lists of plain names only, not those with a path among them.
  const names = given.flatMap((name) => (existsSync(name) ? [name] : name.split(',')))
  const unknown = names.filter((name) => !isTaskFile(name) && !known.includes(name))
  if (unknown.length > 0)
    throw new ConfigError(
      unknown.map(
        (name) =>
          `Expected one of ${known.join(', ')} or a task file (.json, .ts) for \`harness\`, got "${name}".${didYouMean(name, known)}`,
      ),
    )
  const tasks = await Promise.all(
    names.map((name) =>
      isTaskFile(name)
        ? readTaskFile(name)
        : compileTask(
            benchmarks.find((one) => one.name === name),
            name,
          ),
    ),
  )
  const twice = tasks.find(({ name }, i) => tasks.findIndex((other) => other.name === name) < i)
  if (twice !== undefined) throw new ConfigError(`The task ${twice.name} is given twice for \`harness\`: rename one.`)
  for (const { name, metrics } of tasks)
    for (const { name: metric, direction, unit, summary } of metrics) {
      const full = harnessMetricName(name, metric)
      if (findMetric(full) === undefined) registerMetricInfo({ name: full, direction, unit, summary })
    }
  return tasks
}

/** The name of a benchmark's metric in events, checkpoints and reports. */
export const harnessMetricName = (task: string, metric: string): string => `${task}.${metric}`
