// Writes the events of a run to events.jsonl, and their numbers and texts to TensorBoard's files.
import { join } from 'node:path'
import type { TrainingEvent } from './event-types.ts'
import { eventScalars } from './event-types.ts'
import { type CutRecords, openEvents } from './events.ts'
import { runFiles } from './run-files.ts'
import { openTensorBoard, type TensorBoardWriter } from './tensorboard.ts'

/** Options of a tracker. */
export interface TrackerOptions {
  /** Whether to write event files for TensorBoard too (default: true). */
  tensorBoard?: boolean
  /** Continue from the checkpoint of this step: events after it are removed. */
  resumeAt?: number
}

/** The open records of a run. */
export interface RunTracker {
  /** What a resume removed; undefined for a new run. */
  readonly cut: CutRecords | undefined
  append(event: TrainingEvent): void
  flush(options?: { sync?: boolean }): void
  /** Closes the files; may be called twice. */
  close(): void
}

/** Opens the records of a run in its folder. */
export const trackRun = async (folder: string, options: TrackerOptions = {}): Promise<RunTracker> => {
  const { tensorBoard = true, resumeAt } = options
  const log = await openEvents(folder)
  try {
    const cut = resumeAt === undefined ? undefined : await log.truncateAfterStep(resumeAt)
    const purgeStep = resumeAt === undefined ? undefined : resumeAt + 1
    const board = tensorBoard ? openTensorBoard(join(folder, runFiles.tensorBoard), { purgeStep }) : undefined
    return {
      cut,
      append(event) {
        log.append(event)
        if (board === undefined) return
        writeToTensorBoard(board, event)
        if (event.type !== 'step') board.flush({ sync: event.type === 'checkpoint' })
      },
      flush(flushOptions) {
        log.flush(flushOptions)
        board?.flush(flushOptions)
      },
      close() {
        try {
          log.close()
        } finally {
          board?.close()
        }
      },
    }
  } catch (error) {
    log.close()
    throw error
  }
}

/** Writes an event as TensorBoard can show it. */
export const writeToTensorBoard = (board: TensorBoardWriter, event: TrainingEvent): void => {
  const { step } = event
  const wallTime = Date.parse(event.time) / 1000
  for (const [name, value] of Object.entries(eventScalars(event))) board.scalar(name, value, step, wallTime)
  if (event.type === 'sample') {
    const prompt = event.prompt === undefined ? '' : `${indented(event.prompt)}\n\n`
    board.text('sample', `${prompt}${indented(event.text)}`, step, wallTime)
  } else if (event.type === 'incident') {
    board.text('incident', `**${event.kind}** ${event.message}`, step, wallTime)
  } else if (event.type === 'note') board.text('note', event.message, step, wallTime)
}

/** As a Markdown code block, since model output is plain text. */
const indented = (text: string) => text.replace(/^/gm, '    ')
