// Metrics of runs by SQL: every number of every step, over as many runs as the caller names.
import { DOUBLE, INTEGER, VARCHAR } from '@duckdb/node-api'
import { z } from 'zod'
import { ConfigError } from '../../../core/index.ts'
import { openSandbox, queryWithin, type SqlColumn, writeTable } from '../../sql/sandbox.ts'
import { runColumns } from '../../studio/filter/filter-tables.ts'
import type { Columns } from '../../studio/runs/columns.ts'
import { defineTool } from '../tool.ts'

const timeLimit = 10_000
const maxRows = 500
/** Numbers that the tables of one query may have, which bounds its memory. */
const maxNumbers = 4_000_000

interface Metric {
  run: string
  step: number
  name: string
  value: number
}

const metricColumns: readonly SqlColumn<Metric>[] = [
  { name: 'run', type: VARCHAR, value: ({ run }) => run },
  { name: 'step', type: INTEGER, value: ({ step }) => step },
  { name: 'name', type: VARCHAR, value: ({ name }) => name },
  { name: 'value', type: DOUBLE, value: ({ value }) => (Number.isFinite(value) ? value : null) },
]

const metricsOf = (run: string, columns: Columns): Metric[] =>
  columns.names.flatMap((name) => columns.entries(name).map(([step, value]) => ({ run, step, name, value })))

export const queryMetrics = defineTool({
  name: 'query_metrics',
  title: 'Query metrics',
  description:
    'Run one SELECT of DuckDB SQL over the metrics of runs. Tables: metrics(run, step, name, value), with names such as loss, learningRate, evaluation/accuracy, rollout/reward; ' +
    `runs(${runColumns.map(({ name }) => name).join(', ')}).`,
  input: z.strictObject({
    sql: z.string().min(1).max(20_000).describe('one SELECT'),
    runs: z.array(z.string()).min(1).max(50).describe('runs whose metrics the table has, as list_runs names them'),
  }),
  async run({ sql, runs: ids }, { runs }) {
    await runs.refresh({ scan: true })
    const metrics: Metric[] = []
    for (const id of new Set(ids)) {
      const { columns } = await runs.getWithColumns(id)
      if (metrics.length + columns.size > maxNumbers)
        throw new ConfigError(`These runs have more than ${maxNumbers} numbers. Name fewer of them in \`runs\`.`)
      metrics.push(...metricsOf(id, columns))
    }
    const connection = await openSandbox({ memory: '1GB' })
    try {
      await writeTable(connection, 'runs', runColumns, runs.rows)
      await writeTable(connection, 'metrics', metricColumns, metrics)
      // As a part of another query it can be nothing but one SELECT.
      const found = await queryWithin(
        connection,
        `select * from (\n${sql.replace(/;\s*$/, '')}\n) limit ${maxRows + 1}`,
        timeLimit,
      )
      const rows = found.getRowsJson()
      return { columns: found.columnNames(), rows: rows.slice(0, maxRows), truncated: rows.length > maxRows }
    } catch (error) {
      const [line] = (error as Error).message.split('\n')
      throw new ConfigError(
        line.startsWith('INTERRUPT')
          ? `The query took more than ${timeLimit / 1000} seconds and was stopped. Write a simpler one.`
          : `The query cannot be run: ${line}`,
      )
    } finally {
      connection.closeSync()
    }
  },
})
