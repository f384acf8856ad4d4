// events.jsonl of a run: appended to while it trains, read by reports, and cut back to a checkpoint when it is resumed.
import { closeSync, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { DataError, makeFolder } from '../core/index.ts'
import { eventFromLine, eventToLine, type TrainingEvent } from './event-types.ts'
import { runFiles } from './run-files.ts'
import { type StepOutline, stepOutlines } from './step-lines.ts'

/** A longer line is damaged. */
const maxLineBytes = 16 * 2 ** 20
const bufferBytes = 1 << 16
const readBytes = 1 << 18
/** Time that steps stay in memory at most, so that a dashboard is current and a kill loses little. */
const bufferMs = 1000

/** Events that are written immediately, and those that are brought to the disk with all before them. */
const flushed: ReadonlySet<TrainingEvent['type']> = new Set(['start', 'evaluation', 'sample', 'incident', 'note'])
const synced: ReadonlySet<TrainingEvent['type']> = new Set(['checkpoint', 'end'])

/** What cutting the events back to a checkpoint did. */
export interface CutRecords {
  /** Numbers of events that were kept and removed. */
  kept: number
  removed: number
  /** Whether the last event is the checkpoint of the step; if not, the run was killed before it wrote that event. */
  checkpointFound: boolean
}

/** The open events.jsonl of a run. */
export interface EventLog {
  readonly path: string
  append(event: TrainingEvent): void
  /**
   * Removes the events after the checkpoint of `step`, so that the file of a resumed run equals that of an uninterrupted one, except
   * for times.
   */
  truncateAfterStep(step: number): Promise<CutRecords>
  /** Writes what is in memory to the file; with `sync`, also to the disk. */
  flush(options?: { sync?: boolean }): void
  /** Closes the file; may be called twice. */
  close(): void
}

/** Opens or creates the events of a run's folder. An incomplete last line, which a killed run leaves, is removed. */
export const openEvents = async (folder: string): Promise<EventLog> => {
  const path = join(folder, runFiles.events)
  await makeFolder(folder, 'out')
  const file = openSync(path, 'a')
  let buffer: string[] = []
  let buffered = 0
  let oldest = 0
  let closed = false
  /** Size of the complete lines of the file. */
  let whole = 0
  let isTorn = false

  const cutTo = (bytes: number) => {
    ftruncateSync(file, bytes)
    fsyncSync(file)
    whole = bytes
    isTorn = false
  }
  const flush = ({ sync = false } = {}) => {
    if (buffer.length > 0) {
      const bytes = Buffer.from(buffer.join(''))
      buffer = []
      buffered = 0
      // A full disk took only a part of the last write: without its half line, the next one is a line of its own.
      if (isTorn) cutTo(whole)
      let done = 0
      try {
        while (done < bytes.length) done += writeSync(file, bytes, done)
      } finally {
        isTorn = done < bytes.length
        whole += bytes.subarray(0, done).lastIndexOf(10) + 1
      }
    }
    if (sync) fsyncSync(file)
  }

  try {
    const found = await wholeLines(path)
    whole = found.whole
    if (found.size > whole) cutTo(whole)
  } catch (error) {
    closeSync(file)
    throw error
  }

  return {
    path,
    append(event) {
      if (closed) throw new Error(`${path} was closed; no event can be added.`)
      const line = `${eventToLine(event)}\n`
      if (buffer.length === 0) oldest = performance.now()
      buffer.push(line)
      buffered += line.length
      if (synced.has(event.type)) flush({ sync: true })
      else if (flushed.has(event.type) || buffered >= bufferBytes || performance.now() - oldest >= bufferMs) flush()
    },
    async truncateAfterStep(step) {
      flush()
      const cut = await findCut(path, step)
      cutTo(cut.bytes)
      return { kept: cut.kept, removed: cut.removed, checkpointFound: cut.checkpointFound }
    },
    flush,
    close() {
      if (closed) return
      closed = true
      try {
        flush({ sync: true })
      } finally {
        closeSync(file)
      }
    },
  }
}

/**
 * The events of a file, oldest first. An incomplete last line is left out: the run is writing it, or was killed.
 * @throws DataError that names a damaged line
 */
export async function* readEvents(path: string): AsyncGenerator<TrainingEvent, void, undefined> {
  for await (const lines of readLines(path)) for (const { text, number } of lines) yield parse(text, path, number)
}

/** As `readEvents`, but with only some fields of most steps, which is several times as fast. */
export const outlineEvents = async (
  path: string,
  take: (event: TrainingEvent | StepOutline) => void,
): Promise<void> => {
  const steps = stepOutlines()
  for await (const lines of readLines(path))
    for (const { text, number } of lines) {
      const outline = steps.read(text)
      if (outline !== undefined) take(outline)
      else {
        const event = parse(text, path, number)
        steps.learn(event)
        take(event)
      }
    }
}

const parse = (text: string, path: string, number: number): TrainingEvent => {
  const read = eventFromLine(text)
  if ('event' in read) return read.event
  const shown = text.length > 60 ? `${text.slice(0, 59)}…` : text
  throw new DataError(
    `Expected ${read.fault}, got ${JSON.stringify(shown)}. The line is damaged: delete it to continue without it.`,
    path,
    number,
  )
}

/**
 * Where to cut: after the checkpoint of the step; or, if that event is missing, before the first event of a later step or the end of
 * the run. Lines after the checkpoint may be damaged.
 */
const findCut = async (path: string, step: number): Promise<CutRecords & { bytes: number }> => {
  const lines: { text: string; number: number; end: number }[] = []
  let cut = { bytes: 0, kept: 0, checkpointFound: false }
  let total = 0
  // Lines after the last checkpoint are kept until the next one shows whether they stay.
  for await (const some of readLines(path))
    for (const line of some) {
      total += 1
      const read = eventFromLine(line.text)
      const checkpoint = 'event' in read && read.event.type === 'checkpoint' ? read.event.step : -1
      if (cut.checkpointFound) continue
      if (checkpoint >= 0 && checkpoint <= step) {
        for (const { text, number } of lines) parse(text, path, number)
        lines.length = 0
        cut = { bytes: line.end, kept: line.number, checkpointFound: checkpoint === step }
      } else lines.push(line)
    }
  if (!cut.checkpointFound) {
    for (const { text, number, end } of lines) {
      const event = parse(text, path, number)
      if (event.step > step || event.type === 'end') break
      cut = { bytes: end, kept: number, checkpointFound: false }
    }
  }
  return { ...cut, removed: total - cut.kept }
}

/** One line of events.jsonl. */
export interface Line {
  text: string
  /** 1-based */
  number: number
  /** Bytes of the file up to the end of the line. */
  end: number
}

/** Where reading begins: the end of a line, and the number of lines before it. */
interface Start {
  end: number
  number: number
}

/** The complete lines of a file, in chunks; an incomplete last line is left out. */
export async function* readLines(
  path: string,
  from: Start = { end: 0, number: 0 },
): AsyncGenerator<Line[], void, undefined> {
  let handle: Awaited<ReturnType<typeof open>>
  try {
    handle = await open(path, 'r')
  } catch (error) {
    throw new DataError(
      `Expected the events of a run, got ${(error as NodeJS.ErrnoException).code}. Check the path.`,
      path,
    )
  }
  try {
    const chunk = Buffer.allocUnsafe(readBytes)
    let parts: Buffer[] = []
    let partBytes = 0
    let position = from.end
    let { number } = from
    for (;;) {
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, position)
      if (bytesRead === 0) return
      const filled = chunk.subarray(0, bytesRead)
      const lines: Line[] = []
      let start = 0
      for (let end: number; (end = filled.indexOf(10, start)) >= 0; start = end + 1) {
        const own = filled.subarray(start, end)
        const text = (parts.length === 0 ? own : Buffer.concat([...parts, own])).toString('utf8')
        parts = []
        partBytes = 0
        lines.push({ text, number: ++number, end: position + end + 1 })
      }
      yield lines
      position += bytesRead
      partBytes += bytesRead - start
      if (partBytes > maxLineBytes) {
        throw new DataError(`Expected lines of at most ${maxLineBytes} bytes, got a longer one.`, path, number + 1)
      }
      if (start < bytesRead) parts.push(Buffer.from(chunk.subarray(start, bytesRead)))
    }
  } finally {
    await handle.close()
  }
}

/** The size of a file, and the size of its complete lines. */
const wholeLines = async (path: string): Promise<{ size: number; whole: number }> => {
  const handle = await open(path, 'r')
  try {
    const { size } = await handle.stat()
    const chunk = Buffer.allocUnsafe(bufferBytes)
    for (let end = size; end > 0; ) {
      const start = Math.max(0, end - chunk.length)
      const { bytesRead } = await handle.read(chunk, 0, end - start, start)
      const last = chunk.subarray(0, bytesRead).lastIndexOf(10)
      if (last >= 0) return { size, whole: start + last + 1 }
      end = start
    }
    return { size, whole: 0 }
  } finally {
    await handle.close()
  }
}
