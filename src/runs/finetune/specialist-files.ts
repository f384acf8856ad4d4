// What a specialist needs beside its weights to be asked as it was taught: its task with all settings, how long examples may be, and the
// chat template in its tokenizer's files. Knows no task and runs no model.
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DataError } from '../../core/index.ts'
import type { TaskRecord, TaskResult } from '../../tasks/index.ts'

export const TASK_FILE = 'task.json'
export const SAMPLES_FILE = 'samples.json'

/** The content of task.json. */
export interface SpecialistTask {
  task: string
  /** Checked, with all defaults. */
  settings: { [setting: string]: unknown }
  /** Most tokens of an example, as it was trained and judged; files of earlier versions do not say it. */
  maxLength?: number
}

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`

export const writeTask = async (folder: string, task: SpecialistTask): Promise<void> =>
  writeFile(join(folder, TASK_FILE), json(task))

/** Undefined where a model is no specialist of ours. @throws DataError for a damaged file */
export const readTask = async (folder: string): Promise<SpecialistTask | undefined> => {
  const path = join(folder, TASK_FILE)
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    const { task, settings, maxLength } = JSON.parse(text) as Partial<SpecialistTask>
    const isLength = maxLength === undefined || (Number.isSafeInteger(maxLength) && maxLength > 0)
    if (typeof task === 'string' && typeof settings === 'object' && settings !== null && isLength)
      return { task, settings, ...(maxLength === undefined ? {} : { maxLength }) }
  } catch {
    // Said below.
  }
  throw new DataError('Expected the task of a specialist with its settings, got something else.', path)
}

/** Makes `template` the chat template of the tokenizer whose files are in `folder`, also for readers that know one of its two places. */
export const writeChatTemplate = async (folder: string, template: string): Promise<void> => {
  const path = join(folder, 'tokenizer_config.json')
  const fields = JSON.parse(await readFile(path, 'utf8').catch(() => '{}')) as object
  await writeFile(path, json({ ...fields, chat_template: template }))
  await rm(join(folder, 'chat_template.jinja'), { force: true })
  await writeFile(join(folder, 'chat_template.jinja'), template)
}

/** One held-out record, as the base answers it and as the specialist does. */
export interface SavedSample {
  id: string
  /** As the model sees it. */
  prompt: string
  reference: string
  /** Undefined where the base was not asked. */
  before?: string
  after: string
}

export interface SamplesInput {
  records: readonly (TaskRecord & { references?: readonly string[] })[]
  promptOf(record: TaskRecord): string
  before: TaskResult | undefined
  after: TaskResult
  count: number
}

const answerOf = (result: TaskResult | undefined, i: number): string | undefined =>
  (result?.predictions[i] as { answer?: string } | undefined)?.answer

export const samplesOf = ({ records, promptOf, before, after, count }: SamplesInput): SavedSample[] =>
  records.slice(0, count).flatMap((record, i) => {
    const answer = answerOf(after, i)
    if (answer === undefined) return []
    const earlier = answerOf(before, i)
    return [
      {
        id: record.id,
        prompt: promptOf(record),
        reference: record.references?.[0] ?? '',
        ...(earlier === undefined ? {} : { before: earlier }),
        after: answer,
      },
    ]
  })
