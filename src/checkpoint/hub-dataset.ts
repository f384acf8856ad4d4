// Data sets of the Hub, as paths of data: `hub:owner/name@revision:split`. Their splits are those of the card, else the names of files and
// folders say them. Files go into the cache that Hugging Face's tools use, and are read from there. Does not know what is in the files.

import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { CheckpointError, ConfigError, didYouMean, exists, parseJson, writeFileAtomic } from '../core/index.ts'
import { filePattern, splitOfPath, splitWords } from '../files/index.ts'
import { cacheFolder, commitPattern, idPattern, isOffline, type ResolveOptions, revisionPattern } from './hub.ts'
import {
  cachedFile,
  downloadFiles,
  type HubRepository,
  hubAccess,
  hubFailure,
  listRepository,
  nameRevision,
  type RemoteFile,
} from './hub-download.ts'

interface DatasetSplit {
  /** `train`, or `subset/train` where the card declares several subsets. */
  name: string
  files: string[]
}

/** Data files, the formats that are preferred first. */
const endings = ['parquet', 'jsonl', 'ndjson', 'json', 'csv', 'tsv']
const dataFile = new RegExp(`\\.(${endings.join('|')})(\\.(gz|bz2|zst))?$`, 'i')
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
const splitsOf = async (files: readonly string[], card: string): Promise<DatasetSplit[]> => {
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

const scheme = 'hub:'

/** Whether a path of data names a data set of the Hub. */
export const isHubData = (path: string): boolean => path.startsWith(scheme)

/** Where and how a data set of the Hub is looked up. */
export type ResolveDataOptions = Omit<ResolveOptions, 'revision'>

interface HubData {
  repo: HubRepository
  revision: string
  /** With the subset before a slash where the data set has several. */
  split: string | undefined
}

/** @throws ConfigError for a path that names no data set */
const parseHubData = (path: string): HubData => {
  const found = /^hub:(?<name>[^@:]+)(?:@(?<revision>[^:]+))?(?::(?<split>.+))?$/.exec(path)?.groups
  if (found === undefined || !idPattern.test(found.name) || !revisionPattern.test(found.revision ?? 'main'))
    throw new ConfigError(
      `Expected hub:owner/name@revision:split for a data set of the Hub, got ${JSON.stringify(path)}. Revision and split may be left out.`,
    )
  return { repo: { type: 'dataset', name: found.name }, revision: found.revision ?? 'main', split: found.split }
}

/** What is known of a commit of a data set. */
interface Listing {
  commit: string
  files: RemoteFile[]
  splits: DatasetSplit[]
}

const listingPath = (folder: string, commit: string) => join(folder, 'tunesmith', `${commit}.json`)

/** The listing of a commit, or of a branch or tag, that was looked up before. */
const knownListing = async (folder: string, revision: string): Promise<Listing | undefined> => {
  const commit = commitPattern.test(revision)
    ? revision
    : (await readFile(join(folder, 'refs', revision), 'utf8').catch(() => '')).trim()
  const path = listingPath(folder, commit)
  const text = await readFile(path, 'utf8').catch(() => undefined)
  return text === undefined ? undefined : (parseJson(text, { path, advice: () => 'Delete the file.' }) as Listing)
}

/** Looks a revision up, and downloads the card, which may say what splits there are. */
const findListing = async (
  { repo, revision }: HubData,
  folder: string,
  onProgress: ResolveOptions['onProgress'],
): Promise<Listing> => {
  const { commit, files: all } = await listRepository(repo, revision)
  const card = all.filter(({ path }) => path === 'README.md')
  await downloadFiles(repo, commit, card, { folder, onProgress })
  const text = await readFile(cachedFile(folder, commit, 'README.md'), 'utf8').catch(() => '')
  const files = all.filter(({ path }) => dataFile.test(path))
  if (files.length === 0)
    throw new Error('it has no Parquet, JSON, CSV or TSV files (data that a script makes is not read)')
  const splits = await splitsOf(
    files.map(({ path }) => path),
    text,
  )
  const listing = { commit, files, splits }
  await mkdir(dirname(listingPath(folder, commit)), { recursive: true })
  await writeFileAtomic(listingPath(folder, commit), JSON.stringify(listing))
  await nameRevision(folder, revision, commit)
  return listing
}

const most = 30
const listed = (names: readonly string[]): string =>
  `${names.slice(0, most).join(', ')}${names.length > most ? ', …' : ''}`

/** @throws CheckpointError that names the splits that there are */
const chooseSplit = ({ repo: { name }, split }: HubData, splits: readonly DatasetSplit[]): DatasetSplit => {
  const names = splits.map((one) => one.name)
  const example = `hub:${name}:${names.includes('train') ? 'train' : names[0]}`
  if (split === undefined) {
    if (splits.length === 1) return splits[0]
    throw new CheckpointError(
      `Expected a split of the data set ${name}, which has ${listed(names)}. Name one, as in \`${example}\`.`,
    )
  }
  const found = splits.find((one) => one.name === split)
  if (found !== undefined) return found
  const inSubsets = names.filter((one) => one.endsWith(`/${split}`))
  const hint =
    inSubsets.length > 0 ? ` Name the subset too, as in \`hub:${name}:${inSubsets[0]}\`.` : didYouMean(split, names)
  throw new CheckpointError(
    `Expected a split of the data set ${name}, which has ${listed(names)}, got "${split}".${hint}`,
  )
}

interface FoundData {
  folder: string
  listing: Listing
  split: DatasetSplit
  /** With the commit, and the split that was left out. */
  pinned: string
}

/** Finds the files of a data set, in the cache or on the Hub. */
const findData = async (path: string, options: ResolveDataOptions): Promise<FoundData> => {
  const wanted = parseHubData(path)
  const { repo, revision } = wanted
  const { offline = isOffline(), cacheDir = cacheFolder(), onProgress } = options
  const folder = join(cacheDir, `datasets--${repo.name.replace('/', '--')}`)
  const failed = async (error: unknown) =>
    new CheckpointError(
      `Downloading the data set ${repo.name} at ${revision} failed: ${hubFailure(error, await hubAccess()).reason}. Check the name, the network and HF_TOKEN.`,
    )
  const known = await knownListing(folder, revision)
  if (known === undefined && offline)
    throw new CheckpointError(
      `Expected the data set ${repo.name} at ${revision} in the cache, because the network is switched off, found none. Download it once with the network on.`,
    )
  const listing =
    known ??
    (await findListing(wanted, folder, onProgress).catch(async (error: unknown) => {
      throw await failed(error)
    }))
  const split = chooseSplit(wanted, listing.splits)
  const isHere = async (file: string) => exists(cachedFile(folder, listing.commit, file))
  const missing: string[] = []
  for (const file of split.files) if (!(await isHere(file))) missing.push(file)
  if (missing.length > 0 && offline) {
    const here: string[] = []
    for (const { name, files } of listing.splits)
      if ((await Promise.all(files.map(isHere))).every(Boolean)) here.push(name)
    throw new CheckpointError(
      `Expected the split ${split.name} of the data set ${repo.name} in the cache, because the network is switched off, found ${here.length === 0 ? 'none of its splits' : listed(here)}. Download it once with the network on.`,
    )
  }
  const files = listing.files.filter((file) => missing.includes(file.path))
  await downloadFiles(repo, listing.commit, files, { folder, onProgress }).catch(async (error: unknown) => {
    throw await failed(error)
  })
  return { folder, listing, split, pinned: `${scheme}${repo.name}@${listing.commit}:${split.name}` }
}

/**
 * A path of data with the commit of a data set of the Hub, so that it means the same later; downloads what is missing. Other paths stay
 * as they are.
 * @throws ConfigError for a path that names no data set, CheckpointError for one that cannot be had, or a split that it does not have
 */
export const pinData = async (path: string, options: ResolveDataOptions = {}): Promise<string> =>
  isHubData(path) ? (await findData(path, options)).pinned : path

/**
 * The local path of data: for a data set of the Hub a list of the files of its split in the cache, which are downloaded where they are
 * missing. Other paths stay as they are.
 * @throws as `pinData`
 */
export const resolveData = async (path: string, options: ResolveDataOptions = {}): Promise<string> => {
  if (!isHubData(path)) return path
  const { folder, listing, split } = await findData(path, options)
  const list = join(folder, 'tunesmith', listing.commit, `${split.name.replace(/[^\w.-]/g, '-')}.txt`)
  const files = split.files.map((file) => relative(dirname(list), cachedFile(folder, listing.commit, file)))
  if (!(await exists(list))) {
    await mkdir(dirname(list), { recursive: true })
    await writeFileAtomic(list, files.join('\n'))
  }
  return `@${list}`
}
