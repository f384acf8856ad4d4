// The process that scores all specialists on all tasks, which `matrix-work.ts` starts: it runs their models.
import { packError } from '../../../core/index.ts'
import { compareMatrix, type MatrixCell } from '../../../inference/index.ts'
import { intervalOf } from '../shown-values.ts'
import type { MatrixScore } from '../types/compare-types.ts'
import type { MatrixMessage, MatrixRequest } from './matrix-work.ts'

process.on('disconnect', () => process.exit(1))
// Ctrl-C in the terminal of the studio reaches this process too: the studio ends it.
process.on('SIGINT', () => {})

const send = (message: MatrixMessage): Promise<void> =>
  new Promise((resolve) => {
    process.send?.(message, undefined, {}, () => resolve())
  })

const scoreOf = (cell: MatrixCell): MatrixScore => ('missing' in cell ? { missing: cell.missing } : intervalOf(cell))

process.on('message', async ({ folders, limit }: MatrixRequest) => {
  try {
    const { columns, rows } = await compareMatrix(
      { runs: folders, limit },
      { onProgress: ({ label, unit, done, of }) => void send({ progress: { label, unit, done, of: of ?? null } }) },
    )
    const shown = rows.map(({ name, kind, cells }) => ({ name, kind, cells: cells.map(scoreOf) }))
    await send({ matrix: { columns, rows: shown, limit } })
  } catch (error) {
    await send({ error: packError(error) })
  }
  process.exit(0)
})
