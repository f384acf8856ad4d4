// Texts for commands that process one after another: a line each, or a column of a file with columns. Files may be compressed.
import { DataError } from '../../core/index.ts'
import { shortHash } from '../../distributed/index.ts'
import { modelFilesHash } from '../../features/index.ts'
import { openBytes, strictText, wholeStream } from '../../files/index.ts'
import { hasColumns, readTextColumn } from '../../tasks/index.ts'
import type { CommandContext } from '../command.ts'

// Such files are kept in memory, with the results.
const maxBytes = 2 ** 30

/** The path that stands for standard input. */
const STDIN = '-'

const blankLines = (numbers: readonly number[]): string =>
  numbers.length === 1
    ? `a blank line (line ${numbers[0]})`
    : `${numbers.length} blank lines (the first is line ${numbers[0]})`

/**
 * The texts of a file or of standard input (`-`), in order.
 * @param column column of the texts, in files with columns
 * @param note called with a sentence about skipped blank lines of plain text
 * @throws DataError that names the line
 */
export const readTexts = async (path: string, column: string, note: (line: string) => void): Promise<string[]> => {
  if (path !== STDIN && hasColumns(path)) return readTextColumn(path, column)
  const input = path === STDIN ? process.stdin : openBytes({ path })
  const lines = strictText(await wholeStream(input, path, maxBytes), path).split(/\r?\n/)
  while (lines.length > 0 && lines[lines.length - 1].trim() === '') lines.pop()
  const texts = lines.filter((line) => line.trim() !== '')
  if (texts.length === 0) throw new DataError('Expected texts, got an empty file.', path)
  const blank = lines.flatMap((line, i) => (line.trim() === '' ? [i + 1] : []))
  if (blank.length > 0) note(`${path}: Skipped ${blankLines(blank)}: texts are numbered without them.`)
  return texts
}

/**
 * The texts of a file, as `readTexts` gives them. Standard input is that of the first process.
 * @throws ConfigError for processes with other texts
 */
export const readSharedTexts = async (
  path: string,
  column: string,
  { group, warn }: Pick<CommandContext, 'group' | 'warn'>,
): Promise<string[]> => {
  const read = () => readTexts(path, column, warn)
  if (group !== undefined && path === STDIN) return group.fromFirst(read)
  const texts = await read()
  await group?.expectEqual({ texts: shortHash(texts) })
  return texts
}

/** @throws ConfigError for processes with other files of a model */
export const expectSameModel = async (
  { group }: Pick<CommandContext, 'group'>,
  folder: string | undefined,
): Promise<void> => {
  if (group !== undefined && folder !== undefined) await group.expectEqual({ model: await modelFilesHash(folder) })
}
