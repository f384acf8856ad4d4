// Data sets of the Hub, as paths of data: `hub:owner/name@revision:split`. Their files go into the cache that Hugging Face's tools use, and
// are read from there. Does not know what is in the files.
import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { CheckpointError, ConfigError, didYouMean, exists, parseJson, writeFileAtomic } from '../core/index.ts'
import { cacheFolder, commitPattern, idPattern, isOffline, type ResolveOptions, revisionPattern } from './hub.ts'
import { hubAccess } from './hub-access.ts'
import {
  cachedFile,
  downloadFiles,
  type HubRepository,
  listRepository,
  nameRevision,
  type RemoteFile,
} from './hub-download.ts'
import { hubFailure } from './hub-failure.ts'
import { type DatasetSplit, dataFile, splitsOf } from './hub-splits.ts'

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
