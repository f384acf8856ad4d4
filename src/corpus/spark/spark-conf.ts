// Settings of Spark: those of the user, and those of every script of a build.

import { ConfigError } from '../../core/index.ts'

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
