// Uploads a folder to a repository of the Hub as one commit, and downloads the files of one.
import { openAsBlob } from 'node:fs'
import { mkdir, readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { CheckpointError, ConfigError, exists, writeFolderAtomic } from '../core/index.ts'
import { defaultHub, type HubAccess, hubAccess, hubFailure, saveDownload } from './hub-download.ts'

/** A file that is uploaded or was downloaded. */
export interface HubFile {
  /** Path in the repository. */
  path: string
  bytes: number
}

/** What is uploaded, and where to. */
export interface PushInput {
  /** A folder: an export, a model, or a run, whose finished model is uploaded. */
  folder: string
  /** `owner/name`. */
  name: string
  /** Branch that the commit goes to (default: `main`). */
  revision?: string
  /** Make a new repository public (default: private). An existing one stays as it is. */
  public?: boolean
  /** Title of the commit. */
  message?: string
  /** List the files only (default: false). */
  dryRun?: boolean
}

/** Progress and cancellation. */
export interface HubHooks {
  signal?: AbortSignal | undefined
  onProgress?(line: string): void
}

/** What was uploaded. */
export interface PushResult {
  name: string
  files: HubFile[]
  bytes: number
  /** Address of the repository; undefined in a dry run. */
  url?: string
  /** Commit id; undefined in a dry run. */
  commit?: string
  dryRun: boolean
}

const namePattern = /^(?!.*(--|\.\.))[\w][\w.-]{0,95}\/[\w]([\w.-]{0,94}\w)?$/

const expectName = (name: string): void => {
  if (!namePattern.test(name))
    throw new ConfigError(`Expected owner/name for the repository, got ${JSON.stringify(name)}. Use an id of the Hub.`)
}

/** Hidden files and folders are settings of other programs, and may hold secrets. */
const listFolder = async (root: string, folder = root): Promise<HubFile[]> => {
  const files: HubFile[] = []
  for (const entry of (await readdir(folder, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith('.') || entry.name === 'node_modules') continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) files.push(...(await listFolder(root, path)))
    else files.push({ path: relative(root, path).split(sep).join('/'), bytes: (await stat(path)).size })
  }
  return files
}

/** The folder itself, or the finished model of a run. @throws ConfigError for anything else */
const folderToPush = async (given: string): Promise<string> => {
  const folder = resolve(given)
  const found = await stat(folder).catch(() => undefined)
  if (!found?.isDirectory()) throw new ConfigError(`Expected a folder to upload, got ${given}. Check the path.`)
  if (!(await exists(join(folder, 'run.json')))) return folder
  if (await exists(join(folder, 'model'))) return join(folder, 'model')
  throw new ConfigError(`Expected a finished run to upload, got ${given} without a model. Resume it first.`)
}

/** Text files up to this size are searched for tokens. */
const searchedBytes = 4 << 20
const tokenPattern = /\bhf_[A-Za-z0-9]{30,}\b/

/** @throws ConfigError for a file that holds a token of the Hub */
const refuseSecrets = async (folder: string, files: readonly HubFile[], token: string | undefined): Promise<void> => {
  for (const { path, bytes } of files) {
    if (bytes > searchedBytes) continue
    const text = await readFile(join(folder, path), 'latin1')
    if (tokenPattern.test(text) || (token !== undefined && token.length > 7 && text.includes(token)))
      throw new ConfigError(
        `Expected files without tokens to upload, got one in ${path}. Remove it, and revoke the token.`,
      )
  }
}

/** What failed, what is left, why and what to do. */
const failed = (error: unknown, access: HubAccess, what: string): CheckpointError => {
  const { reason, remedy } = hubFailure(error, access)
  return new CheckpointError(`${what}: ${reason}.${remedy === undefined ? '' : ` ${remedy}`}`)
}

const commitFiles = async (
  folder: string,
  files: readonly HubFile[],
  { name, revision = 'main', message, public: visible = false }: PushInput,
  access: HubAccess & { accessToken: string },
  { signal, onProgress }: HubHooks,
): Promise<string> => {
  const { commitIter, createRepo, repoExists } = await import('@huggingface/hub')
  const repo = { type: 'model', name } as const
  if (!(await repoExists({ ...access, repo }))) {
    onProgress?.(`Creating the ${visible ? 'public' : 'private'} repository ${name}`)
    await createRepo({ ...access, repo, private: !visible })
  }
  const operations = await Promise.all(
    files.map(async ({ path }) => ({
      operation: 'addOrUpdate' as const,
      path,
      content: await openAsBlob(join(folder, path)),
    })),
  )
  const title = message ?? 'Upload with Tunesmith'
  const commit = commitIter({
    ...access,
    repo,
    branch: revision,
    title,
    operations,
    abortSignal: signal,
    useXet: false,
  })
  for (;;) {
    const { done, value } = await commit.next()
    if (done) return value?.commit.oid ?? ''
    if (value.event === 'phase') onProgress?.(`Uploading: ${value.phase}`)
    else if (value.state === 'uploading' && value.progress === 1) onProgress?.(`Uploaded ${value.path}`)
  }
}

/**
 * Uploads a folder to the Hub as one commit; large and binary files go to its LFS storage. A new repository is private.
 * The token is read from HF_TOKEN or the file of Hugging Face's login.
 * @throws ConfigError for a folder, name or token that cannot be used; CheckpointError if the upload fails
 */
export const pushFolder = async (input: PushInput, hooks: HubHooks = {}): Promise<PushResult> => {
  const { name, dryRun = false } = input
  expectName(name)
  const folder = await folderToPush(input.folder)
  const files = await listFolder(folder)
  if (files.length === 0) throw new ConfigError(`Expected files to upload in ${input.folder}, got none.`)
  const access = await hubAccess()
  await refuseSecrets(folder, files, access.accessToken)
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
  if (dryRun) return { name, files, bytes, dryRun }
  const { accessToken, hubUrl = defaultHub } = access
  if (accessToken === undefined)
    throw new ConfigError('Uploading needs a token of the Hub with write access: set HF_TOKEN.')
  try {
    const commit = await commitFiles(folder, files, input, { ...access, accessToken }, hooks)
    return { name, files, bytes, url: `${hubUrl}/${name}`, commit, dryRun }
  } catch (error) {
    if (hooks.signal?.aborted) throw error
    throw failed(error, access, `Uploading to ${name} failed, and nothing was committed`)
  }
}

/** What is downloaded. */
export interface PullInput {
  /** `owner/name`. */
  name: string
  /** Folder for the files; it appears when all have arrived. */
  out: string
  /** Branch, tag or commit (default: `main`). */
  revision?: string
}

/**
 * Downloads all files of a repository of the Hub into a folder, with their sizes and hashes checked.
 * @throws ConfigError for a name or folder that cannot be used; CheckpointError if the download fails
 */
export const pullFolder = async (
  { name, out, revision = 'main' }: PullInput,
  { signal, onProgress }: HubHooks = {},
): Promise<{ out: string; files: HubFile[] }> => {
  expectName(name)
  if (await exists(out)) throw new ConfigError(`Expected a folder that does not exist for \`out\`, got ${out}.`)
  const access = await hubAccess()
  const { downloadFile, listFiles } = await import('@huggingface/hub')
  const repo = { type: 'model', name } as const
  const files: HubFile[] = []
  try {
    await writeFolderAtomic(resolve(out), async (folder) => {
      for await (const { type, path, size, lfs } of listFiles({ ...access, repo, revision, recursive: true })) {
        if (type !== 'file') continue
        signal?.throwIfAborted()
        const target = resolve(folder, path)
        if (!target.startsWith(`${resolve(folder)}${sep}`)) throw new Error(`it has a file outside its folder: ${path}`)
        onProgress?.(`Downloading ${path}`)
        const content = await downloadFile({ ...access, repo, path, revision })
        if (content === null) throw new Error(`it has no ${path}`)
        await mkdir(dirname(target), { recursive: true })
        await saveDownload(content, target, { path, size, sha256: lfs?.oid }, signal)
        files.push({ path, bytes: size })
      }
      if (files.length === 0) throw new Error('it has no files')
    })
  } catch (error) {
    if (signal?.aborted) throw error
    throw failed(error, access, `Downloading ${name} failed, and nothing was left at ${out}`)
  }
  return { out, files }
}
