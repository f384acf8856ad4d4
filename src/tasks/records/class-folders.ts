// A folder per class with a file per text, as in the Large Movie Review Dataset, on disk or in a tar or zip archive, as rows with the
// columns `text`, `label` (the folder's name) and `id` (folder and file name).

import { stat } from 'node:fs/promises'
import { basename, dirname, extname, relative } from 'node:path'
import { byCodeUnits, DataError } from '../../core/index.ts'
import { expandFiles, strictText, tarFiles, wholeFile, zipFiles } from '../../files/index.ts'
import type { DataRow, RowContext, RowFormat } from './row.ts'

const textRow = (name: string, text: string, file: string): DataRow => {
  const label = basename(dirname(name))
  return { values: { text, label, id: `${label}/${basename(name, extname(name))}` }, file, line: undefined }
}

async function* rows(path: string, { folders, split, signal }: RowContext): AsyncGenerator<DataRow> {
  const wanted = (name: string) => {
    const parts = name.split(/[\\/]/)
    const isText = name.endsWith('.txt') && (folders === undefined || folders.includes(parts.at(-2) ?? ''))
    return isText && (split === undefined || parts.slice(0, -2).includes(split))
  }
  let any = false
  if ((await stat(path)).isDirectory()) {
    for (const file of await expandFiles(path, ['.txt'])) {
      // Splits are searched below the given path.
      if (!wanted(`./${relative(path, file)}`)) continue
      signal?.throwIfAborted()
      any = true
      yield textRow(file, strictText(await wholeFile(file, { signal }), file), file)
    }
  } else {
    const archive = await wholeFile(path, { signal })
    const inside = archive.toString('latin1', 0, 2) === 'PK' ? zipFiles(archive, path) : tarFiles(archive, path)
    const files = [...inside].filter(({ name }) => wanted(name))
    for (const { name, data } of files.sort((a, b) => byCodeUnits(a.name, b.name))) {
      any = true
      const file = `${path}:${name}`
      yield textRow(name, strictText(data, file), file)
    }
  }
  if (!any)
    throw new DataError(
      `Expected text files in ${folders === undefined ? 'a folder for each class' : `folders named ${folders.join(', ')}`}${split === undefined ? '' : ` under ${split}`}, got none. Check the path.`,
      path,
    )
}

export const classFolders: RowFormat = { extensions: ['.tar', '.tgz', '.zip'], rows }
