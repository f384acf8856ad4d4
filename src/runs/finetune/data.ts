// Reads what a fine-tuning run starts from: task, tokenizer, and the records to train and to validate on. Independent of task and variant.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { loadTokenizer, resolveModel } from '../../checkpoint/index.ts'
import { sha256File } from '../../core/index.ts'
import type { HeadOptions } from '../../models/index.ts'
import type { ReadReport, Skipped, TaskDefinition, TaskRecord } from '../../tasks/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { type FinetuneRecipe, taskOf } from './recipe.ts'
import { countShared, splitRecords } from './task-examples.ts'

/** The data of a fine-tuning run. */
export interface FinetuneData {
  task: TaskDefinition
  config: object
  /** Folder or file of the base. */
  base: string
  tokenizer: Tokenizer
  records: { train: TaskRecord[]; validation: TaskRecord[] }
  /** Files that records were read from. */
  files: readonly string[]
  headOptions: Partial<HeadOptions>
  notes: string[]
}

/** One line for each reason for which records were skipped. */
export const describeSkipped = (skipped: { readonly [reason: string]: Skipped } = {}): string[] =>
  Object.entries(skipped).map(
    ([reason, { count, first }]) => `Skipped ${count} record${count === 1 ? '' : 's'}: ${reason}; the first: ${first}`,
  )

/** Columns of the data that no setting reads. */
const describeUnread = ({ unreadColumns = [] }: ReadReport): string[] =>
  unreadColumns.length === 0
    ? []
    : [
        `Columns that no setting reads: ${unreadColumns.slice(0, 20).join(', ')}${unreadColumns.length > 20 ? ', …' : ''}.`,
      ]

const describeOverlap = (train: readonly TaskRecord[], validation: readonly TaskRecord[]): string[] => {
  const count = countShared(train, validation)
  if (count === 0) return []
  return [
    `${count} of ${validation.length} validation records are in the training data too: their scores do not show how the model does on new texts.`,
  ]
}

const readSplits = async (recipe: FinetuneRecipe, task: TaskDefinition, config: object) => {
  const { records: all, report } = await task.read(recipe.data, config)
  const notes = [...describeUnread(report), ...describeSkipped(report.skipped)]
  if (recipe.validation === undefined)
    return { ...splitRecords(all, recipe.validationShare), notes, files: report.files }
  const validation = await task.read(recipe.validation, config)
  return {
    train: all,
    validation: validation.records,
    notes: [...notes, ...describeSkipped(validation.report.skipped), ...describeOverlap(all, validation.records)],
    files: [...report.files, ...validation.report.files],
  }
}

export const readFinetuneData = async (recipe: FinetuneRecipe): Promise<FinetuneData> => {
  const { task, config } = taskOf(recipe)
  const base = await resolveModel(recipe.base)
  const tokenizer = await loadTokenizer(recipe.tokenizer ?? base)
  const { notes, files, ...records } = await readSplits(recipe, task, config)
  // The training records alone must have what a task needs, such as two classes.
  const trained = task.headOptions(records.train, config)
  const headOptions = task.headOptions([...records.train, ...records.validation], config)
  const unseen = (headOptions.labels ?? []).filter((label) => !trained.labels?.includes(label))
  if (unseen.length > 0)
    notes.push(
      `Validation records have labels that no training record has: ${unseen.slice(0, 20).join(', ')}${unseen.length > 20 ? ', …' : ''}. Check that both files spell them alike.`,
    )
  return { task, config, base, tokenizer, records, files, headOptions, notes }
}

/** SHA-256 of the records' files and of the base. A folder with a file for each text has no hash. */
export const hashesOf = async (files: readonly string[], base: string): Promise<Record<string, string>> => {
  const hashes: Record<string, string> = {}
  for (const path of [...files, join(base, 'model.safetensors'), base])
    if ((await stat(path).catch(() => undefined))?.isFile()) hashes[path] = await sha256File(path)
  return hashes
}
