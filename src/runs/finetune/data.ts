// Reads what a fine-tuning run starts from: task, tokenizer, and the records to train and to validate on. Independent of task and variant.
import { loadTokenizer, resolveModel } from '../../checkpoint/index.ts'
import type { HeadOptions, HeadType } from '../../models/index.ts'
import { type RecordStatistics, statisticsOf, type TaskDefinition, type TaskRecord } from '../../tasks/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { readSplits } from '../engine/data-splits.ts'
import { labelNotes } from './label-notes.ts'
import { type FinetuneRecipe, taskOf } from './recipe.ts'

/** The data of a fine-tuning run. */
export interface FinetuneData {
  task: TaskDefinition
  config: object
  /** Folder or file of the base. */
  base: string
  head: HeadType | readonly HeadType[]
  tokenizer: Tokenizer
  records: { train: TaskRecord[]; validation: TaskRecord[] }
  /** Statistics of the training records. */
  trained: RecordStatistics
  /** Files that records were read from. */
  files: readonly string[]
  headOptions: Partial<HeadOptions>
  notes: string[]
}

export const readFinetuneData = async (recipe: FinetuneRecipe): Promise<FinetuneData> => {
  const { task, config } = taskOf(recipe)
  const base = await resolveModel(recipe.base)
  const tokenizer = await loadTokenizer(recipe.tokenizer ?? base)
  const { notes, files, ...records } = await readSplits(recipe, (path) => task.read(path, config))
  // The training records alone must have what a task needs, such as two classes.
  const trained = statisticsOf(task, records.train)
  const { labels = [] } = task.headOptions(trained, config)
  notes.push(...labelNotes(task.labelCounts?.(trained) ?? new Map()))
  const headOptions = task.headOptions(statisticsOf(task, [...records.train, ...records.validation]), config)
  const unseen = (headOptions.labels ?? []).filter((label) => !labels.includes(label))
  if (unseen.length > 0)
    notes.push(
      `Validation records have labels that no training record has: ${unseen.slice(0, 20).join(', ')}${unseen.length > 20 ? ', …' : ''}. Check that both files spell them alike.`,
    )
  return { task, config, base, head: task.head, tokenizer, records, trained, files, headOptions, notes }
}
