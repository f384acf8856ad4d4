// The Spark of a build: its spark-submit, its settings, and the shell of Hadoop for addresses.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HadoopShell } from './hadoop-shell.ts'
import { parseSparkConf, type SparkOptions } from './spark-conf.ts'
import { findSparkSubmit } from './submit.ts'

export interface OpenSpark {
  /** Path of spark-submit. */
  submit: string
  /** URL of the cluster (default: that of Spark's configuration). */
  master?: string
  /** Settings by name. */
  conf: Readonly<Record<string, string>>
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
    ...(master === undefined ? {} : { master }),
    conf,
    folder,
    shell: new HadoopShell({ submit, conf, folder, signal }),
    close: () => rm(folder, { recursive: true, force: true }),
  }
}
