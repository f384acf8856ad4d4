// The splits of a data set of the Hub: as its card declares them, else by the names of files and folders.
import { filePattern, splitOfPath, splitWords } from '../files/index.ts'

/** A split and its files. */
export interface DatasetSplit {
  /** `train`, or `subset/train` where the card declares several subsets. */
  name: string
  files: string[]
}

/** Data files, the formats that are preferred first. */
const endings = ['parquet', 'jsonl', 'ndjson', 'json', 'csv', 'tsv']
export const dataFile = new RegExp(`\\.(${endings.join('|')})(\\.(gz|bz2|zst))?$`, 'i')
const endingOf = (path: string): string => dataFile.exec(path)?.[1].toLowerCase() ?? ''

/** Files of one format, since some data sets have the same rows in several. */
const ofOneFormat = (files: readonly string[]): string[] => {
  const ending = endings.find((one) => files.some((file) => endingOf(file) === one))
  return files.filter((file) => endingOf(file) === ending).sort()
}

const byNames = (files: readonly string[]): DatasetSplit[] => {
  const bySplit = new Map<string, string[]>()
  for (const file of files) {
    const number = splitOfPath(file)
    if (number < 0) continue
    const [split] = splitWords[number]
    bySplit.set(split, [...(bySplit.get(split) ?? []), file])
  }
  if (bySplit.size === 0) return [{ name: 'train', files: ofOneFormat(files) }]
  return [...bySplit].map(([name, own]) => ({ name, files: ofOneFormat(own) }))
}

interface DeclaredConfig {
  config_name?: unknown
  data_files?: unknown
  data_dir?: unknown
}

const asList = (value: unknown): unknown[] => (value === undefined || value === null ? [] : [value].flat())

const matching = (files: readonly string[], patterns: unknown): string[] => {
  const tests = asList(patterns).map((pattern) => filePattern(String(pattern)))
  return files.filter((file) => tests.some((test) => test.test(file)))
}

/** The splits of one subset. */
const ofConfig = (files: readonly string[], { data_files, data_dir }: DeclaredConfig): DatasetSplit[] => {
  const folder = typeof data_dir === 'string' ? `${data_dir.replace(/^\.?\/|\/$/g, '')}/` : ''
  const own = files.filter((file) => file.startsWith(folder))
  if (data_files === undefined) return byNames(own)
  const declared = asList(data_files)
  const named = declared.filter(
    (one): one is { split: unknown; path: unknown } => typeof one === 'object' && one !== null,
  )
  if (named.length === 0) return byNames(matching(own, declared))
  return named.map(({ split, path }) => ({ name: String(split), files: matching(own, path).sort() }))
}

/** What the card of a data set declares in its front matter. */
const declaredConfigs = async (card: string): Promise<DeclaredConfig[]> => {
  const front = /^---\r?\n([\s\S]*?)\r?\n---/.exec(card)?.[1]
  if (front === undefined) return []
  const { parse } = await import('yaml')
  try {
    const { configs } = (parse(front) ?? {}) as { configs?: unknown }
    return asList(configs).filter((one): one is DeclaredConfig => typeof one === 'object' && one !== null)
  } catch {
    // A card that cannot be read declares nothing: names of files decide.
    return []
  }
}

/** The splits of data files. @param card the text of README.md */
export const splitsOf = async (files: readonly string[], card: string): Promise<DatasetSplit[]> => {
  const configs = await declaredConfigs(card)
  const splits = configs.flatMap((config) =>
    ofConfig(files, config).map(({ name, files: own }) => ({
      name: configs.length === 1 ? name : `${String(config.config_name)}/${name}`,
      files: own,
    })),
  )
  const usable = splits.filter((split) => split.files.length > 0)
  return usable.length > 0 ? usable : byNames(files)
}
