// Finds spark-submit and runs SQL with it: the class of `spark-sql`, so that a build needs neither Python nor a jar.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { SetupError } from '../../core/index.ts'

const sqlClass = 'org.apache.spark.sql.hive.thriftserver.SparkSQLCLIDriver'

/** The folder of the package pyspark in which Python imports it; it has all of Spark. */
const pysparkFolder = (): string | undefined => {
  const code =
    'import importlib.util as u; s = u.find_spec("pyspark"); print(s.submodule_search_locations[0] if s else "")'
  for (const python of ['python3', 'python']) {
    try {
      const folder = execFileSync(python, ['-c', code], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      if (folder.trim() !== '') return folder.trim()
    } catch {
      // Not installed: the next one is tried.
    }
  }
  return undefined
}

/**
 * The spark-submit of pyspark in a Python environment. The one in its `bin` is a script that asks the Python on the PATH, which is another
 * one while the environment is not activated.
 */
const inEnvironment = (home: string): string | undefined => {
  const lib = join(home, 'lib')
  const versions = existsSync(lib) ? readdirSync(lib).filter((name) => name.startsWith('python')) : []
  return versions
    .map((name) => join(lib, name, 'site-packages', 'pyspark', 'bin', 'spark-submit'))
    .find((file) => existsSync(file))
}

/**
 * The path of spark-submit: in SPARK_HOME, which may be a Python environment, on the PATH, or in an installed pyspark.
 * @throws SetupError when there is none
 */
export const findSparkSubmit = (env: Readonly<Record<string, string | undefined>> = process.env): string => {
  const { SPARK_HOME: home, PATH: path = '' } = env
  const inHome = home === undefined || home === '' ? undefined : join(home, 'bin', 'spark-submit')
  if (inHome !== undefined) {
    if (existsSync(inHome)) return inEnvironment(home ?? '') ?? inHome
    throw new SetupError(`Expected an installation of Spark in SPARK_HOME, got ${home} without bin/spark-submit.`)
  }
  const onPath = path.split(delimiter).map((folder) => join(folder, 'spark-submit'))
  const found = onPath.find((file) => existsSync(file))
  if (found !== undefined) return inEnvironment(dirname(dirname(found))) ?? found
  const folder = pysparkFolder()
  if (folder !== undefined && existsSync(join(folder, 'bin', 'spark-submit')))
    return join(folder, 'bin', 'spark-submit')
  throw new SetupError(
    'Cannot find spark-submit: `pip install pyspark`, or set SPARK_HOME to an installation of Spark or to a Python environment with pyspark.',
  )
}

export interface SparkRun {
  /** Path of spark-submit. */
  submit: string
  /** URL of the cluster (default: that of Spark's own configuration). */
  master?: string
  /** Settings by name; those of the user win over those of the build. */
  conf: Readonly<Record<string, string>>
  /** Path of an archive to unpack on every node, with `#` and the name of its folder there. */
  archive?: string
  /** Path of the script. */
  script: string
  /** Called for each line of the results, in order. */
  onLine: (line: string) => void
  signal?: AbortSignal | undefined
}

/** The arguments of spark-submit. */
export const submitArguments = ({ master, conf, archive, script }: Omit<SparkRun, 'submit' | 'onLine'>): string[] => [
  ...(master === undefined ? [] : ['--master', master]),
  ...Object.entries(conf).flatMap(([name, value]) => ['--conf', `${name}=${value}`]),
  ...(archive === undefined ? [] : ['--archives', archive]),
  ...['--class', sqlClass, 'spark-internal', '-S', '-f', script],
]

const keptErrorLines = 400

/** The environment of spark-submit: its own installation, whatever the environment of this process names. */
const environmentOf = (submit: string): NodeJS.ProcessEnv => {
  const home = dirname(dirname(submit))
  return existsSync(join(home, 'jars')) ? { ...process.env, SPARK_HOME: home } : process.env
}

/** Runs a script of SQL. @throws SetupError with Spark's reason when it fails */
export const runSpark = async ({ submit, onLine, signal, ...run }: SparkRun): Promise<void> => {
  const words = submitArguments(run)
  const { code, errors } = await runSubmit({ submit, words, onLine, signal })
  if (code !== 0) throw new SetupError(`Spark ended with exit code ${code}: ${reasonOf(errors, submit)}`)
}

export interface SubmitRun extends Pick<SparkRun, 'submit' | 'onLine' | 'signal'> {
  /** Arguments of spark-submit. */
  words: readonly string[]
  env?: NodeJS.ProcessEnv
}

/** Runs spark-submit. @returns its exit code or the signal that ended it, and the last lines of stderr */
export const runSubmit = async (run: SubmitRun): Promise<{ code: number | string; errors: string[] }> => {
  run.signal?.throwIfAborted()
  const env = { ...environmentOf(run.submit), ...run.env }
  const child = spawn(run.submit, run.words, { stdio: ['ignore', 'pipe', 'pipe'], env })
  const stop = () => child.kill('SIGTERM')
  run.signal?.addEventListener('abort', stop)
  const errors: string[] = []
  try {
    const [code] = await Promise.all([
      ended(child),
      eachLine(child.stdout, run.onLine),
      eachLine(child.stderr, (line) => {
        errors.push(line)
        if (errors.length > keptErrorLines) errors.shift()
      }),
    ])
    run.signal?.throwIfAborted()
    return { code, errors }
  } finally {
    run.signal?.removeEventListener('abort', stop)
  }
}

const eachLine = async (input: Readable, use: (line: string) => void): Promise<void> => {
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) use(line)
}

const ended = (child: ChildProcess): Promise<number | string> =>
  new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new SetupError(`Cannot start spark-submit: ${error.message}`)))
    child.on('close', (code, signal) => resolve(code ?? signal ?? 'unknown'))
  })

/** Packages with Hadoop's connectors by scheme; `{hadoop}` is the version of Spark's Hadoop. */
const connectors: Readonly<Record<string, string>> = {
  s3a: 'org.apache.hadoop:hadoop-aws:{hadoop}',
  abfs: 'org.apache.hadoop:hadoop-azure:{hadoop}',
  abfss: 'org.apache.hadoop:hadoop-azure:{hadoop}',
  wasb: 'org.apache.hadoop:hadoop-azure:{hadoop}',
  wasbs: 'org.apache.hadoop:hadoop-azure:{hadoop}',
  gs: 'com.google.cloud.bigdataoss:gcs-connector:hadoop3-2.2.26',
  oss: 'org.apache.hadoop:hadoop-aliyun:{hadoop}',
}

const hadoopVersion = (submit: string | undefined): string => {
  const jars = join(dirname(dirname(submit ?? '')), 'jars')
  const names = submit !== undefined && existsSync(jars) ? readdirSync(jars) : []
  return names.flatMap((name) => /^hadoop-client-api-([\d.]+)\.jar$/.exec(name)?.[1] ?? []).at(0) ?? 'VERSION'
}

/** What to give Spark where it has no class for a scheme; undefined for another fault. */
const missingConnector = (text: string, submit: string | undefined): string | undefined => {
  const [, named] = /No FileSystem for scheme:? "?([a-z][a-z0-9+.-]*)/i.exec(text) ?? []
  const scheme =
    named ?? (/Class(?:NotFoundException:)? org\.apache\.hadoop\.fs\.s3a\.S3AFileSystem/.test(text) ? 's3a' : undefined)
  if (scheme === undefined) return undefined
  const name = connectors[scheme]?.replace('{hadoop}', hadoopVersion(submit))
  const remedy =
    name === undefined
      ? "put the jar of its connector into Spark's folder jars, or name it in spark.jars"
      : `add \`--spark-conf spark.jars.packages=${name}\`, or put its jars into Spark's folder jars`
  return `Spark has no connector for addresses of ${scheme}: ${remedy}.`
}

/**
 * The reason in what Spark wrote to stderr: that of a worker, a missing connector, the first error, or the last line.
 * @param submit path of spark-submit, whose Hadoop names the version of a connector
 */
export const reasonOf = (lines: readonly string[], submit?: string): string => {
  const text = lines.join('\n')
  const connector = missingConnector(text, submit)
  if (connector !== undefined) return connector
  const worker = /Subprocess exited with status (\d+)\. Error: ?([^\n]*)/.exec(text)
  if (worker !== null) {
    const [, status, message] = worker
    return message === '' ? `a worker ended with exit code ${status}.` : `a worker failed: ${message}`
  }
  const named = firstFault(failures(lines)) ?? firstFault([lines])
  const last = lines.filter((line) => line.trim() !== '' && !/^\s+at /.test(line)).at(-1)
  return (named ?? last ?? 'no output.').replace(/^Exception in thread "[^"]*" /, '').slice(0, 700)
}

const faultLine =
  /^(?:Exception in thread|Error\b|(?:org\.apache|java)\.\S+(?:Exception|Error)|Caused by)|(?:ERROR|error): /

/** The records of a log without those of warnings: a connector warns, with the stack, whenever it tries again. */
const failures = (lines: readonly string[]): string[][] => {
  const records: string[][] = [[]]
  let isWarning = false
  for (const line of lines) {
    const [, level] = /^\d\d\/\d\d\/\d\d \d\d:\d\d:\d\d ([A-Z]+) /.exec(line) ?? []
    if (level !== undefined) {
      isWarning = level === 'WARN' || level === 'INFO'
      if (!isWarning) records.push([])
    }
    if (!isWarning || line.startsWith('Exception in thread')) records.at(-1)!.push(line)
  }
  return records
}

/** The first fault of the records, with its innermost cause. */
const firstFault = (records: readonly (readonly string[])[]): string | undefined => {
  for (const record of records) {
    const first = record.findIndex((line) => faultLine.test(line))
    if (first === -1) continue
    const cause = record.findLast((line, index) => index > first && line.startsWith('Caused by: '))
    const withoutPackage = (text: string) => text.replace(/\b(?:[a-z]\w*\.)+(?=[A-Z]\w*(?:Exception|Error)\b)/g, '')
    if (cause === undefined) return record[first]
    return `${record[first]!.slice(0, 350).trim()} Cause: ${withoutPackage(cause.slice('Caused by: '.length))}`
  }
  return undefined
}
