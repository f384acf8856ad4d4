// Files of bad and odd data for tests of reading, in a folder of their own.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TaskDefinition, type TaskType, taskConfig, tasks } from '../../src/tasks/index.ts'

export const folder = mkdtempSync(join(tmpdir(), 'bad-input-'))
export const removeFiles = () => rmSync(folder, { recursive: true, force: true })

export type Content = string | Uint8Array
export type Settings = { [name: string]: unknown }

export const file = (name: string, content: Content): string => {
  const path = join(folder, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
  return path
}
export const taskOf = (type: string) => tasks[type as TaskType] as unknown as TaskDefinition
export const read = (type: string, path: string, settings: Settings = {}) =>
  taskOf(type).read(path, taskConfig(taskOf(type), settings))

export const classes = 'sequence-classification'
export const tags = 'token-classification'
export const answers = 'extractive-qa'
export const choices = 'multiple-choice'
export const numbers = 'regression'

export const wide = (text: string) => Buffer.from(`\ufeff${text}`, 'utf16le')
export const latin = (text: string) => Buffer.from(text, 'latin1')
export const lines = (...rows: unknown[]) => rows.map((row) => JSON.stringify(row)).join('\n')
export const squad = (qa: object, context: unknown = 'a cat sat') =>
  JSON.stringify({ data: [{ paragraphs: [{ context, qas: [{ id: 'i', question: 'who?', ...qa }] }] }] })
export const answer = (text: string, start: unknown) => ({ answers: [{ text, answer_start: start }] })
