// The process that reads records for the studio, which `data-session.ts` starts: one request, its progress, its result.
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { basename } from 'node:path'
import { packError } from '../../../core/index.ts'
import { inspectRecipeRecords, readRecipeRecords } from '../../../runs/index.ts'
import type { TaskRecord } from '../../../tasks/index.ts'
import type { ReaderMessage, ReaderRequest, ReaderResult } from './data-session.ts'

process.on('disconnect', () => process.exit(1))

const send = (message: ReaderMessage): Promise<void> =>
  new Promise((resolve) => {
    process.send?.(message, undefined, {}, () => resolve())
  })

/** Records between two messages of progress. */
const progressStep = 1000

const spill = async ({ path, reading, file, maxBytes }: Extract<ReaderRequest, { work: 'spill' }>) => {
  const out = createWriteStream(file)
  let records = 0
  let bytes = 0
  const add = async (record: TaskRecord): Promise<void> => {
    const { id: _, file: from, line, ...all } = record
    // Other columns of a row, where it has none, are no column.
    const fields = Object.fromEntries(Object.entries(all).filter(([, value]) => JSON.stringify(value) !== '{}'))
    const place = `${basename(from)}${line === undefined ? '' : `:${line}`}`
    const text = `${JSON.stringify({ place, record: fields })}\n`
    bytes += text.length
    if (bytes > maxBytes) throw new Error(`Only the first ${records} records are shown, as there are too many.`)
    records++
    if (!out.write(text)) await once(out, 'drain')
    if (records % progressStep === 0) void send({ progress: records })
  }
  try {
    return await readRecipeRecords(path, reading, add)
  } finally {
    // The records before a fault are shown.
    out.end()
    await once(out, 'close')
  }
}

const answer = async (request: ReaderRequest): Promise<ReaderResult> => {
  if (request.work === 'spill') return { report: await spill(request) }
  const { path, validation, reading } = request
  const onProgress = (records: number) => void send({ progress: records })
  return { inspection: await inspectRecipeRecords(path, validation, reading, { onProgress }) }
}

process.on('message', async (request: ReaderRequest) => {
  try {
    await send({ result: await answer(request) })
  } catch (error) {
    await send({ error: packError(error) })
  }
  process.exit(0)
})
