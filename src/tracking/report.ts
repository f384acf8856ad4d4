// Writes the reports of a run beside its events.
import { readFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { parseJson, writeFileAtomic } from '../core/index.ts'
import { readHistory } from './history.ts'
import { renderHtmlReport } from './html-report.ts'
import type { RunCard } from './run-card.ts'
import { runFiles } from './run-files.ts'
import { renderTextReport } from './text-report.ts'

/** Writes report.txt and report.html into a run's folder, with its run card if there is one. Returns their paths. */
export const writeReports = async (folder: string, { name = basename(resolve(folder)) } = {}): Promise<string[]> => {
  const history = await readHistory(folder)
  const card = await readRunCard(folder)
  const paths = [join(folder, runFiles.report), join(folder, runFiles.reportPage)]
  await writeFileAtomic(paths[0], renderTextReport(history, { name, card }))
  await writeFileAtomic(paths[1], renderHtmlReport(history, { name, card }))
  return paths
}

/** The run card of a folder; undefined if there is none. @throws DataError for a damaged card */
export const readRunCard = async (folder: string): Promise<RunCard | undefined> => {
  const path = join(folder, runFiles.card)
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  return parseJson(text, { path, advice: () => 'Delete the file to report without it.' }) as RunCard
}
