// Sentences of SST-2 with their labels, from the shared data.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { dataFolder } from '../side-by-side.ts'

/** A sentence; its label is 0 or 1. */
export interface LabelledText {
  text: string
  label: number
}

/** All sentences of a split, in the order of the file. */
export const sst2 = (split: 'train' | 'dev'): LabelledText[] => {
  const folder = join(dataFolder(), 'sst2')
  const text =
    split === 'train'
      ? gunzipSync(readFileSync(join(folder, 'train.tsv.gz'))).toString('utf8')
      : readFileSync(join(folder, 'dev.tsv'), 'utf8')
  return text
    .split('\n')
    .slice(1)
    .filter((line) => line.includes('\t'))
    .map((line) => ({
      text: line.slice(0, line.lastIndexOf('\t')).trim(),
      label: Number(line.slice(line.lastIndexOf('\t') + 1)),
    }))
}
