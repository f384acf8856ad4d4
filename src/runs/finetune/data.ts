// What a fine-tuning run begins with: its task, its tokenizer and the records that it learns and is judged by, and what they are down to
// their bits. Knows no task and no variant.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { loadTokenizer, resolveModel } from '../../checkpoint/index.ts'
import { sha256File } from '../../core/index.ts'
import type { Skipped, TaskDefinition, TaskRecord } from '../../tasks/index.ts'
import { type FinetuneRecipe, taskOf } from './recipe.ts'
import { countLearnt, splitRecords } from './task-examples.ts'

export const passedOver = (skipped: { readonly [reason: string]: Skipped } = {}): string[] =>
  Object.entries(skipped).map(
    ([reason, { count, first }]) =>
      `Passed over ${count} record${count === 1 ? '' : 's'}: ${reason}; the first: ${first}`,
  )

/** What makes scores of held-out records say less than they seem to. */
const learntAlready = (train: readonly TaskRecord[], heldOut: readonly TaskRecord[]): string[] => {
  const count = countLearnt(train, heldOut)
  if (count === 0) return []
  return [
    `${count} of ${heldOut.length} held-out records are among those to learn from too: scores of them say little of texts that are new.`,
  ]
}

const readSplits = async (recipe: FinetuneRecipe, task: TaskDefinition, config: object) => {
  const { records: all, report } = await task.read(recipe.data, config)
  const notes = passedOver(report.skipped)
  if (recipe.validation === undefined)
    return { ...splitRecords(all, recipe.validationShare), notes, files: report.files }
  const held = await task.read(recipe.validation, config)
  return {
    train: all,
    validation: held.records,
    notes: [...notes, ...passedOver(held.report.skipped), ...learntAlready(all, held.records)],
    files: [...report.files, ...held.report.files],
  }
}

export const readMaterial = async (recipe: FinetuneRecipe) => {
  const { task, config } = taskOf(recipe)
  const base = await resolveModel(recipe.base)
  const tokenizer = await loadTokenizer(recipe.tokenizer ?? base)
  const { notes, files, ...records } = await readSplits(recipe, task, config)
  // What is learnt from has to show differences by itself.
  const learnt = task.headOptions(records.train, config)
  const headOptions = task.headOptions([...records.train, ...records.validation], config)
  const unseen = (headOptions.labels ?? []).filter((label) => !learnt.labels?.includes(label))
  if (unseen.length > 0)
    notes.push(
      `Held-out records have labels that no record to learn from has: ${unseen.slice(0, 20).join(', ')}${unseen.length > 20 ? ', …' : ''}. Check that both write them alike.`,
    )
  return { task, config, base, tokenizer, records, files, headOptions, notes }
}

/** @param files that records were read from, whatever pattern or folder named them; a folder of a file for each text has no hash */
export const hashesOf = async (files: readonly string[], base: string): Promise<Record<string, string>> => {
  const hashes: Record<string, string> = {}
  for (const path of [...files, join(base, 'model.safetensors'), base])
    if ((await stat(path).catch(() => undefined))?.isFile()) hashes[path] = await sha256File(path)
  return hashes
}
