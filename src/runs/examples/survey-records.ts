// The first look at the records of a run, in a thread of its own: counts what the task needs of the training records, and keeps the
// validation records. The training records themselves are not kept.
import { closeSync, openSync, read } from 'node:fs'
import { open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { deserialize, serialize } from 'node:v8'
import { resolveData } from '../../checkpoint/index.ts'
import {
  findTask,
  isStreaming,
  type ReadReport,
  type RecordSource,
  type RecordStatistics,
  regrouped,
  type TaskDefinition,
  type TaskRecord,
} from '../../tasks/index.ts'
import { useModules } from '../use-modules.ts'
import { cacheEntry, codeHash, contentOf, keyOf } from './cache-entry.ts'
import { contentHash, expectBothParts, expectShare, isInShare, isValidation } from './run-data.ts'

/** How the records of a run are read. Plain data, for other threads. */
export interface RecordsRequest {
  task: string
  config: object
  data: string
  validation: string | undefined
  validationShare: number
  /** Share of the training records. */
  share: number
  /** Modules that register the task. */
  use: readonly string[]
  cache: string
  /** Counts the records read so far. */
  progress: Int32Array
}

interface Survey {
  /** Statistics of the training records, and of all. */
  trained: RecordStatistics
  all: RecordStatistics
  /** Training records in the data, of which a share is trained on. */
  available: number
  /** Validation records that are training records too; undefined where one file is split. */
  shared: number | undefined
  report: ReadReport
  validationReport: ReadReport | undefined
}

export interface SurveyResult extends Survey {
  key: string
  folder: string
  hashes: { [file: string]: string }
  built: boolean
  problem?: string | undefined
}

const surveyFile = 'survey.bin'
const validationFile = 'validation.bin'
const readBytes = promisify(read)
const chunkRecords = 500

export const streamRecords = async (
  task: TaskDefinition,
  path: string,
  config: object,
  onRecord: (record: TaskRecord) => void | Promise<void>,
): Promise<ReadReport> => {
  const { records, report } = await task.read(
    await resolveData(path),
    config,
    isStreaming(task.read) ? { onRecord } : {},
  )
  // Layouts that need all records at once return them.
  for (const record of records) {
    const wait = onRecord(record)
    if (wait !== undefined) await wait
  }
  return report
}

class ChunkWriter {
  readonly #file: Awaited<ReturnType<typeof open>>
  #chunk: TaskRecord[] = []

  constructor(file: Awaited<ReturnType<typeof open>>) {
    this.#file = file
  }

  add(record: TaskRecord): void | Promise<void> {
    this.#chunk.push(record)
    if (this.#chunk.length >= chunkRecords) return this.flush()
  }

  async flush(): Promise<void> {
    const bytes = serialize(this.#chunk)
    const length = Buffer.alloc(4)
    length.writeUInt32LE(bytes.length)
    await this.#file.writeFile(Buffer.concat([length, bytes]))
    this.#chunk = []
  }
}

/** The validation records of a survey, which are read from its file in each pass. It stays open, as another run may remove it. */
export class ValidationFile implements RecordSource {
  readonly length: number
  readonly #file: number
  #isOpen = true

  constructor(folder: string, length: number) {
    this.length = length
    this.#file = openSync(join(folder, validationFile), 'r')
  }

  chunks(size: number): AsyncIterable<readonly TaskRecord[]> {
    return regrouped(this.#lists(), size)
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    closeSync(this.#file)
  }

  async *#lists(): AsyncGenerator<TaskRecord[], void, undefined> {
    const bytesAt = async (bytes: number, at: number): Promise<Buffer> => {
      const buffer = Buffer.alloc(bytes)
      const { bytesRead } = await readBytes(this.#file, buffer, 0, bytes, at)
      return buffer.subarray(0, bytesRead)
    }
    for (let at = 0; ; ) {
      const length = await bytesAt(4, at)
      if (length.length < 4) return
      const size = length.readUInt32LE(0)
      yield deserialize(await bytesAt(size, at + 4)) as TaskRecord[]
      at += 4 + size
    }
  }
}

const lookAtRecords = async (request: RecordsRequest, folder: string): Promise<void> => {
  const { data, validation, validationShare, share, progress, config } = request
  const task = findTask(request.task)
  const trained = task.statistics.empty()
  const all = task.statistics.empty()
  const file = await open(join(folder, validationFile), 'wx')
  const chunks = new ChunkWriter(file)
  /** Hashes of the validation records, with how many have each, until a training record has it too. */
  const hashes = new Map<string, number>()
  let validated = 0
  let shared = 0
  let available = 0
  const validate = (record: TaskRecord): void | Promise<void> => {
    validated++
    Atomics.add(progress, 0, 1)
    task.statistics.add(all, record)
    if (validation !== undefined) {
      const hash = contentHash(record)
      hashes.set(hash, (hashes.get(hash) ?? 0) + 1)
    }
    return chunks.add(record)
  }
  const train = (record: TaskRecord): void => {
    Atomics.add(progress, 0, 1)
    available++
    if (!isInShare(record, share)) return
    task.statistics.add(trained, record)
    task.statistics.add(all, record)
    if (validation === undefined) return
    const hash = contentHash(record)
    shared += hashes.get(hash) ?? 0
    hashes.delete(hash)
  }
  try {
    const validationReport =
      validation === undefined ? undefined : await streamRecords(task, validation, config, validate)
    const report = await streamRecords(task, data, config, (record) =>
      validation === undefined && isValidation(record, validationShare) ? validate(record) : train(record),
    )
    expectBothParts(available, validated)
    expectShare(trained.records, share)
    await chunks.flush()
    const survey: Survey = {
      trained,
      all,
      available,
      shared: validation === undefined ? undefined : shared,
      report,
      validationReport,
    }
    await writeFile(join(folder, surveyFile), serialize(survey))
  } finally {
    await file.close()
  }
}

/** Looks at the records, or finds what an earlier run wrote down of the same files. */
export const surveyRecords = async (request: RecordsRequest): Promise<SurveyResult> => {
  const { task, config, data, validation, validationShare, share, use, cache } = request
  await useModules(use)
  const paths = await Promise.all(
    [data, ...(validation === undefined ? [] : [validation])].map((path) => resolveData(path)),
  )
  const hashes = Object.assign({}, ...(await Promise.all(paths.map(contentOf)))) as { [file: string]: string }
  const modules = await Promise.all(use.map(contentOf))
  const key = keyOf(task, config, data, validation, validationShare, share, hashes, modules, await codeHash())
  const { folder, built, problem } = await cacheEntry(cache, `records-${key}`, (target) =>
    lookAtRecords(request, target),
  )
  const survey = deserialize(await readFile(join(folder, surveyFile))) as Survey
  return { ...survey, key, folder, hashes, built, problem }
}
