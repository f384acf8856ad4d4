// What a fine-tuning run begins with: its task, its tokenizer and the records that it learns and is judged by, and what they are down to
// their bits. Knows no task and no variant.
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { loadTokenizer, resolveModel } from '../checkpoint/index.ts'
import { sha256File } from '../core/index.ts'
import type { Skipped, TaskDefinition } from '../tasks/index.ts'
import { type FinetuneRecipe, taskOf } from './finetune-recipe.ts'
import { splitRecords } from './task-examples.ts'

export const passedOver = (skipped: { readonly [reason: string]: Skipped } = {}): string[] =>
  Object.entries(skipped).map(
    ([reason, { count, first }]) =>
      `Passed over ${count} record${count === 1 ? '' : 's'}: ${reason}; the first: ${first}`,
  )

const readSplits = async (recipe: FinetuneRecipe, task: TaskDefinition, config: object) => {
  const { records: all, report } = await task.read(recipe.data, config)
  const notes = passedOver(report.skipped)
  if (recipe.validation === undefined) return { ...splitRecords(all, recipe.validationShare), notes }
  const held = await task.read(recipe.validation, config)
  return { train: all, validation: held.records, notes: [...notes, ...passedOver(held.report.skipped)] }
}

export const readMaterial = async (recipe: FinetuneRecipe) => {
  const { task, config } = taskOf(recipe)
  const base = await resolveModel(recipe.base)
  const tokenizer = await loadTokenizer(recipe.tokenizer ?? base)
  const { notes, ...records } = await readSplits(recipe, task, config)
  const headOptions = task.headOptions([...records.train, ...records.validation], config)
  return { task, config, base, tokenizer, records, headOptions, notes }
}

export const hashesOf = async (recipe: FinetuneRecipe, base: string): Promise<Record<string, string>> => {
  const hashes: Record<string, string> = {}
  const files = [recipe.data, recipe.validation, join(base, 'model.safetensors'), base]
  for (const path of files)
    if (path !== undefined && (await stat(path).catch(() => undefined))?.isFile()) hashes[path] = await sha256File(path)
  return hashes
}
