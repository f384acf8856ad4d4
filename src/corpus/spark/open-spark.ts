// The Spark of a build: its spark-submit, its settings, and the shell of Hadoop for addresses.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ConfigError } from '../../core/index.ts'
import { HadoopShell } from './hadoop-shell.ts'
import { findSparkSubmit, type SparkRun } from './submit.ts'

export interface OpenSpark extends Pick<SparkRun, 'submit' | 'master' | 'conf'> {
  /** Local folder that is removed afterwards. */
  folder: string
  shell: HadoopShell
  close(): Promise<void>
}

/** @throws SetupError without a Spark, ConfigError for settings that are not NAME=VALUE */
export const openSpark = async ({ master, conf: settings }: SparkOptions, signal?: AbortSignal): Promise<OpenSpark> => {
  const conf = parseSparkConf(settings)
  const submit = findSparkSubmit()
  const folder = await mkdtemp(join(tmpdir(), 'tunesmith-spark-'))
  return {
    submit,
    master,
    conf,
    folder,
    shell: new HadoopShell({ submit, conf, folder, signal }),
    close: () => rm(folder, { recursive: true, force: true }),
  }
}

export interface SparkOptions {
  /** URL of the cluster (default: that of Spark's configuration). */
  master?: string | undefined
  /** Settings of Spark, as NAME=VALUE. */
  conf: readonly string[]
}

/** Settings by name. @throws ConfigError for one that is not NAME=VALUE */
export const parseSparkConf = (settings: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    settings.map((setting, index) => {
      const equals = setting.indexOf('=')
      if (equals > 0 && setting.startsWith('spark.')) return [setting.slice(0, equals), setting.slice(equals + 1)]
      throw new ConfigError(
        `Expected NAME=VALUE for \`sparkConf[${index}]\`, got \`${setting}\`. Write for example spark.executor.memory=8g.`,
      )
    }),
  )

/** Settings of Spark for scripts; those of the user win. */
export const scriptConf = (conf: Readonly<Record<string, string>>): Record<string, string> => ({
  // Tables have no catalogue that would outlive the build.
  'spark.sql.catalogImplementation': 'in-memory',
  'spark.sql.legacy.createHiveTableByDefault': 'false',
  'spark.ui.showConsoleProgress': 'false',
  // Inputs are no output of a stream: Spark would look for its metadata below their names, and warn.
  'spark.sql.streaming.fileStreamSink.ignoreMetadata': 'true',
  ...conf,
})
