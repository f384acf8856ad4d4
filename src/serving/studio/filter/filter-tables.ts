// The table of runs and the settings of their recipes in a DuckDB in memory that reaches no file, and conditions over them.
import {
  BOOLEAN,
  DOUBLE,
  type DuckDBConnection,
  DuckDBTimestampValue,
  type DuckDBType,
  DuckDBTypeId,
  type DuckDBValue,
  LIST,
  listValue,
  TIMESTAMP,
  VARCHAR,
} from '@duckdb/node-api'
import { ConfigError, didYouMean } from '../../../core/index.ts'
import { openSandbox, quoteSettings, type SqlColumn, writeTable } from '../../sql/sandbox.ts'
import type { FilterFields, RunRow } from '../types/api-types.ts'

/** More different settings are left out. */
const maxSettings = 1500

const texts = (values: readonly string[]): DuckDBValue => listValue([...values])

const time = (iso: string | null): DuckDBValue =>
  iso === null ? null : new DuckDBTimestampValue(BigInt(Date.parse(iso)) * 1000n)

const column = (name: string, type: DuckDBType, value: (row: RunRow) => DuckDBValue): SqlColumn<RunRow> => ({
  name,
  type,
  value,
})

/** The fields of the table of runs. */
export const runColumns: readonly SqlColumn<RunRow>[] = [
  column('run', VARCHAR, ({ id }) => id),
  column('state', VARCHAR, ({ state }) => state),
  column('command', VARCHAR, ({ command }) => command),
  column('trains', VARCHAR, ({ title }) => title),
  column('tags', LIST(VARCHAR), ({ tags }) => texts(tags)),
  column('step', DOUBLE, ({ step }) => step),
  column('steps', DOUBLE, ({ totalSteps }) => totalSteps),
  column('progress', DOUBLE, ({ step, totalSteps }) => (totalSteps ? step / totalSteps : null)),
  column('loss', DOUBLE, ({ loss }) => loss),
  column('best', DOUBLE, ({ best }) => best?.value ?? null),
  column('metric', VARCHAR, ({ best }) => best?.metric ?? null),
  column('tokens', DOUBLE, ({ tokens }) => tokens),
  column('speed', DOUBLE, ({ tokensPerSecond }) => tokensPerSecond),
  column('seconds', DOUBLE, ({ seconds }) => seconds),
  column('seconds_left', DOUBLE, ({ secondsLeft }) => secondsLeft),
  column('cost', DOUBLE, ({ cost }) => cost?.amount ?? null),
  column('checkpoint', DOUBLE, ({ checkpoint }) => checkpoint),
  column('incidents', DOUBLE, ({ incidents }) => incidents),
  column('message', VARCHAR, ({ message }) => message),
  column('started', TIMESTAMP, ({ started }) => time(started)),
  column('updated', TIMESTAMP, ({ updated }) => time(updated)),
]

type Recipe = Record<string, unknown>

/** Keys that say nothing about a setting, or that a field of the table has already. */
const leftOut = new Set(['command', 'out', 'use', ...runColumns.map(({ name }) => name)])

/** The settings of a recipe by their dotted names. */
const flatten = (value: unknown, name: string, into: Map<string, unknown>): void => {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    for (const [key, inner] of Object.entries(value)) flatten(inner, name === '' ? key : `${name}.${key}`, into)
  else if (name !== '' && value !== null && !leftOut.has(name)) into.set(name, value)
}

const isText = (value: unknown): value is string => typeof value === 'string'

/** The type that fits every value of a setting. */
const typeOf = (values: readonly unknown[]): DuckDBType => {
  if (values.every((value) => typeof value === 'number')) return DOUBLE
  if (values.every((value) => typeof value === 'boolean')) return BOOLEAN
  return values.every((value) => Array.isArray(value) && value.every(isText)) ? LIST(VARCHAR) : VARCHAR
}

const valueFor = (value: unknown, type: DuckDBType): DuckDBValue => {
  if (value === undefined) return null
  if (type.typeId === DuckDBTypeId.LIST) return texts(value as string[])
  if (type.typeId !== DuckDBTypeId.VARCHAR) return value as DuckDBValue
  return isText(value) ? value : JSON.stringify(value)
}

type Settings = { run: string; values: Map<string, unknown> }

/** One column for each setting that a recipe has. Names that differ in case alone are one for SQL: the first is kept. */
const settingColumns = (rows: readonly Settings[]): SqlColumn<Settings>[] => {
  const found = new Map<string, { name: string; values: unknown[] }>()
  for (const { values } of rows)
    for (const [name, value] of values) {
      const key = name.toLowerCase()
      const known = found.get(key)
      if (known === undefined) found.set(key, { name, values: [value] })
      else if (known.name === name) known.values.push(value)
    }
  return [...found.values()].slice(0, maxSettings).map(({ name, values }) => {
    const type = typeOf(values)
    return { name, type, value: (row) => valueFor(row.values.get(name), type) }
  })
}

const settingsTable = 'recipe_settings'

/** What is filtered: the rows, and the recipes by the id of their run. */
export interface FilteredRuns {
  rows: RunRow[]
  /** Left out when they are as before. */
  recipes?: [id: string, recipe: Recipe][]
}

/** The tables. */
export class FilterTables {
  readonly #connection: DuckDBConnection
  #settings: SqlColumn<Settings>[] = []

  private constructor(connection: DuckDBConnection) {
    this.#connection = connection
  }

  static async open(): Promise<FilterTables> {
    return new FilterTables(await openSandbox())
  }

  /** Replaces the tables. */
  async load({ rows, recipes }: FilteredRuns): Promise<void> {
    if (recipes !== undefined) {
      const settings = recipes.map(([run, recipe]) => {
        const values = new Map<string, unknown>()
        flatten(recipe, '', values)
        return { run, values }
      })
      this.#settings = settingColumns(settings)
      const key: SqlColumn<Settings> = { name: 'run', type: VARCHAR, value: ({ run }) => run }
      await writeTable(this.#connection, settingsTable, [key, ...this.#settings], settings)
    }
    await writeTable(this.#connection, 'runs', runColumns, rows)
  }

  /** The fields that conditions may use. */
  get fields(): FilterFields {
    const describe = <Row>({ name, type }: SqlColumn<Row>) => ({ name, type: String(type) })
    return { runs: runColumns.map(describe), settings: this.#settings.map(describe) }
  }

  /** Ids of the runs that fulfil a condition. @throws ConfigError that says what is wrong with it */
  async find(condition: string): Promise<string[]> {
    const where = quoteSettings(condition, new Set(this.#settings.map(({ name }) => name.toLowerCase())))
    try {
      const result = await this.#connection.runAndReadAll(
        `select run from runs left join ${settingsTable} using (run) where (\n${where}\n)`,
      )
      return result.getRows().map(([run]) => String(run))
    } catch (error) {
      throw new ConfigError(this.#explain((error as Error).message))
    }
  }

  /** What is wrong with a condition, from the message of DuckDB. */
  #explain(message: string): string {
    const [line] = message.split('\n')
    const [, kind = '', text = line] = /^(\w+(?: \w+)*) Error: (.*)$/.exec(line) ?? []
    if (kind === 'Permission') return 'A condition sees the runs alone: it cannot read files.'
    const column = /^Referenced column "(.*)" not found/.exec(text)?.[1]
    if (column !== undefined) {
      const names = [...runColumns, ...this.#settings].map(({ name }) => name)
      return `There is no field ${column}.${didYouMean(column, names) || " The help has all fields; text is written as 'text'."}`
    }
    if (kind === 'Parser' && /near "\)"/.test(text))
      return 'The condition is incomplete: something is missing at its end.'
    return `This condition cannot be used: ${text}${/[.!]$/.test(text) ? '' : '.'}`
  }
}
