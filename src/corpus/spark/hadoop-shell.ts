// File commands on addresses such as s3a://bucket/folder, by the shell of Hadoop that Spark has: its connectors and settings are Spark's.

import { existsSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { DataError, SetupError } from '../../core/index.ts'
import { reasonOf, runSubmit, type SparkRun } from './submit.ts'

const shellClass = 'org.apache.hadoop.fs.FsShell'

/** A file or folder at an address. */
export interface ListedPath {
  path: string
  isFolder: boolean
  bytes: number
}

export interface HadoopShellOptions extends Pick<SparkRun, 'submit' | 'conf' | 'signal'> {
  /** Local folder for the settings of Hadoop. */
  folder: string
}

/** Scheme and host of an address, and the path on it. */
export const splitAddress = (address: string): { prefix: string; path: string } => {
  const [prefix = ''] = /^[a-z][a-z0-9+.-]*:(?:\/\/[^/]*)?/i.exec(address) ?? []
  return { prefix, path: address.slice(prefix.length) }
}

const listedLine = /^([-d])\S* +\S+ .*?(\d+) \d{4}-\d\d-\d\d \d\d:\d\d (.*)$/

/** The entries in the output of `-ls`. */
export const parseListing = (lines: readonly string[]): ListedPath[] =>
  lines.flatMap((line) => {
    const [, kind, bytes, path] = listedLine.exec(line) ?? []
    return path === undefined ? [] : [{ path, isFolder: kind === 'd', bytes: Number(bytes) }]
  })

const missingLine = /^\S+: `(.*)': No such file or directory$/

/** Settings of Hadoop in the settings of Spark, as `spark.hadoop.NAME`. */
const hadoopSettings = (conf: Readonly<Record<string, string>>): [string, string][] =>
  Object.entries(conf).flatMap(([name, value]) =>
    name.startsWith('spark.hadoop.') ? [[name.slice('spark.hadoop.'.length), value]] : [],
  )

/** The settings in Spark's configuration file, which spark-submit itself reads for other classes only. */
const defaultSettings = (submit: string): Record<string, string> => {
  const folder = process.env.SPARK_CONF_DIR ?? join(dirname(dirname(submit)), 'conf')
  const path = join(folder, 'spark-defaults.conf')
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : []
  return Object.fromEntries(
    lines.flatMap((line) => {
      const [, name, value] = /^\s*([^\s#=:]+)[\s=:]+(.*?)\s*$/.exec(line) ?? []
      return name === undefined ? [] : [[name, value]]
    }),
  )
}

const escapeXml = (text: string): string =>
  text.replace(/[&<>]/g, (character) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[character] ?? character)

const settingsFile = (settings: readonly (readonly [string, string])[]): string =>
  [
    '<configuration>',
    ...settings.map(
      ([name, value]) => `<property><name>${escapeXml(name)}</name><value>${escapeXml(value)}</value></property>`,
    ),
    '</configuration>',
    '',
  ].join('\n')

/**
 * Files of settings that the shell insists on when their file system or framework is loaded, which `spark.jars` alone does. Spark's jars
 * have none of them, nor has a machine without a Hadoop.
 */
const settingsNames = [
  ...['hdfs-default.xml', 'hdfs-rbf-default.xml', 'hdfs-site.xml', 'hdfs-rbf-site.xml'],
  ...['mapred-site.xml', 'yarn-site.xml'],
]

/** The environment that puts a folder behind all others of the class path: settings and jars of a Hadoop go first. */
const behindClassPath = (folder: string): Record<string, string> => {
  const { SPARK_DIST_CLASSPATH: before = '' } = process.env
  return { SPARK_DIST_CLASSPATH: before === '' ? folder : `${before}${delimiter}${folder}` }
}

/** Runs file commands; each starts a JVM, so paths are given together. */
export class HadoopShell {
  readonly #options: HadoopShellOptions

  constructor(options: HadoopShellOptions) {
    this.#options = options
  }

  /**
   * What is at the addresses: files, and all that is in folders. An address where nothing is has no entry.
   * @throws SetupError with Spark's reason
   */
  async list(addresses: readonly string[]): Promise<ListedPath[]> {
    if (addresses.length === 0) return []
    const { code, lines, errors } = await this.#run(['-ls', '-R', ...addresses])
    // The shell ends with 1 where one of them does not exist, and lists the others.
    if (code !== 0 && !errors.some((line) => missingLine.test(line))) throw this.#fault(errors)
    // One address may be inside another.
    return [...new Map(parseListing(lines).map((one) => [one.path, one])).values()]
  }

  /** The text of a file. @throws DataError when it cannot be read */
  async read(address: string): Promise<string> {
    const { code, lines, errors } = await this.#run(['-cat', address])
    if (code !== 0) throw new DataError(`Cannot read the file: ${this.#fault(errors).message}`, address)
    return `${lines.join('\n')}\n`
  }

  /** Copies local files into a folder, which is made unless it exists; a file that is there is replaced once the copy is complete. */
  async put(files: readonly string[], folder: string, { exists = false }: { exists?: boolean } = {}): Promise<void> {
    if (!exists) await this.#expectDone(['-mkdir', '-p', folder])
    await this.#expectDone(['-put', '-f', ...files, folder])
  }

  /** Removes files and folders that exist. */
  async remove(addresses: readonly string[]): Promise<void> {
    if (addresses.length > 0) await this.#expectDone(['-rm', '-r', '-f', '-skipTrash', ...addresses])
  }

  async #expectDone(words: readonly string[]): Promise<void> {
    const { code, errors } = await this.#run(words)
    if (code !== 0) throw this.#fault(errors)
  }

  #fault(errors: readonly string[]): SetupError {
    const { submit } = this.#options
    return new SetupError(`Spark's file system failed: ${reasonOf(errors, submit)}`)
  }

  async #run(words: readonly string[]): Promise<{ code: number | string; lines: string[]; errors: string[] }> {
    const { submit, conf, folder, signal } = this.#options
    const own = join(folder, 'hadoop')
    await mkdir(own, { recursive: true })
    const settings = hadoopSettings({ ...defaultSettings(submit), ...conf })
    const core = join(own, 'core-site.xml')
    // They may be keys of an account.
    await writeFile(core, settingsFile(settings), { mode: 0o600 })
    for (const name of settingsNames) await writeFile(join(own, name), settingsFile([]))
    const submitted = Object.entries(conf).filter(([name]) => !name.startsWith('spark.hadoop.'))
    const lines: string[] = []
    const { code, errors } = await runSubmit({
      submit,
      // Commands run in this process, wherever the build runs.
      words: [
        ...['--master', 'local'],
        ...submitted.flatMap(([name, value]) => ['--conf', `${name}=${value}`]),
        ...['--class', shellClass, 'spark-internal', '-conf', core, ...words],
      ],
      env: behindClassPath(own),
      onLine: (line) => lines.push(line),
      signal,
    })
    return { code, lines, errors }
  }
}
