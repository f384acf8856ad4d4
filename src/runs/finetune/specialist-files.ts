// What a specialist needs beside its weights to be used as it was trained: its task with all settings, the maximum length of examples, and
// the chat template in its tokenizer's files. Independent of the task; runs no model.

import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ModelTokenizer } from '../../checkpoint/index.ts'
import { DataError } from '../../core/index.ts'
import type { TaskPrediction, TaskRecord } from '../../tasks/index.ts'
import { modelFiles } from '../../tracking/index.ts'
import type { PredictedRecord } from './write-evaluation.ts'

/** The content of task.json. */
export interface SpecialistTask {
  task: string
  /** Checked, with every default filled in. */
  settings: { [setting: string]: unknown }
  /** Maximum tokens per example, as in training and evaluation. */
  maxLength?: number
}

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`

export const writeTask = async (folder: string, task: SpecialistTask): Promise<void> =>
  writeFile(join(folder, modelFiles.task), json(task))

/** The task of the model in a folder; undefined if Tunesmith did not fine-tune it. @throws DataError for a damaged file */
export const readTask = async (folder: string): Promise<SpecialistTask | undefined> => {
  const path = join(folder, modelFiles.task)
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    const { task, settings, maxLength } = JSON.parse(text) as Partial<SpecialistTask>
    const isLength = maxLength === undefined || (Number.isSafeInteger(maxLength) && maxLength > 0)
    if (typeof task === 'string' && typeof settings === 'object' && settings !== null && isLength)
      return { task, settings, ...(maxLength === undefined ? {} : { maxLength }) }
  } catch {
    // Reported below.
  }
  throw new DataError(
    'Expected a task with its settings, got something else. The file is damaged: fine-tune again, or name the task.',
    path,
  )
}

/** Writes the chat template into both places where readers look for it: tokenizer_config.json and chat_template.jinja. */
const writeChatTemplate = async (folder: string, template: string): Promise<void> => {
  const path = join(folder, 'tokenizer_config.json')
  const fields = JSON.parse(await readFile(path, 'utf8').catch(() => '{}')) as object
  await writeFile(path, json({ ...fields, chat_template: template }))
  await rm(join(folder, 'chat_template.jinja'), { force: true })
  await writeFile(join(folder, 'chat_template.jinja'), template)
}

/**
 * Writes what a model that writes texts needs beside its weights: the chat template that it was trained with, and for an adapter, which
 * otherwise has its base's tokenizer, the tokenizer that takes it.
 */
export const writeTextFiles = async (
  folder: string,
  { tokenizer, template, own }: { tokenizer: Pick<ModelTokenizer, 'save'>; template: string | undefined; own: boolean },
): Promise<void> => {
  if (own) await tokenizer.save(folder)
  if (template !== undefined) await writeChatTemplate(folder, template)
}

/** A validation record with the answers of the base and of the specialist. */
export interface SavedSample {
  id: string
  /** The prompt as the model sees it. */
  prompt: string
  reference: string
  /** Undefined if the base did not answer. */
  before?: string
  after: string
}

interface SamplesInput {
  promptOf(record: TaskRecord): string
  /** Predictions of the base for the same records. */
  before: readonly TaskPrediction[] | undefined
  after: readonly PredictedRecord[]
}

const answerOf = (prediction: TaskPrediction | undefined): string | undefined =>
  (prediction as { answer?: string } | undefined)?.answer

export const samplesOf = ({ promptOf, before, after }: SamplesInput): SavedSample[] =>
  after.flatMap(({ record, prediction }, i) => {
    const answer = answerOf(prediction)
    if (answer === undefined) return []
    const earlier = answerOf(before?.[i])
    return [
      {
        id: record.id,
        prompt: promptOf(record),
        reference: (record as { references?: readonly string[] }).references?.[0] ?? '',
        ...(earlier === undefined ? {} : { before: earlier }),
        after: answer,
      },
    ]
  })
