// How the Hub is reached: its address, the token of the user, which goes into requests only, and failed requests in words. Downloads the
// files of a model into the cache that Hugging Face's tools use: blobs by hash, links by name under the commit, and the name of the
// revision last, so that the folder of a named revision is always complete.

import { createHash, randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, readFile, rename, rm, symlink } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, relative, sep } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CheckpointError, exists, writeFileAtomic } from '../core/index.ts'

/** Address of the Hub where HF_ENDPOINT names no other. */
export const defaultHub = 'https://huggingface.co'

/** Address and token for the functions of @huggingface/hub. */
export interface HubAccess {
  hubUrl?: string
  accessToken?: string
}

/** The token in HF_TOKEN, or in the file that Hugging Face's tools write at login. */
const readToken = async (): Promise<string | undefined> => {
  const { HF_TOKEN, HF_TOKEN_PATH, HF_HOME, XDG_CACHE_HOME } = process.env
  if (HF_TOKEN) return HF_TOKEN.trim()
  const home = HF_HOME ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface')
  const text = await readFile(HF_TOKEN_PATH ?? join(home, 'token'), 'utf8').catch(() => '')
  return text.trim() || undefined
}

/** Reads HF_ENDPOINT, and the token from HF_TOKEN or the file of HF_TOKEN_PATH. */
export const hubAccess = async (): Promise<HubAccess> => {
  const accessToken = await readToken()
  const { HF_ENDPOINT } = process.env
  return {
    ...(accessToken === undefined ? {} : { accessToken }),
    ...(HF_ENDPOINT ? { hubUrl: HF_ENDPOINT.replace(/\/+$/, '') } : {}),
  }
}

interface Failure extends Error {
  statusCode?: number
  cause?: { message?: string; code?: string }
}

const remedies: Record<number, string> = {
  401: 'Check the name, and that HF_TOKEN is a valid token: names that do not exist look like this too.',
  403: 'Check that HF_TOKEN may do this: it needs write access to upload, and accepted conditions of gated repositories.',
  404: 'Check the name: there is no such repository, or HF_TOKEN may not see it.',
  409: 'It exists already: choose another name.',
  429: 'Wait: too many requests were made.',
}

/** Why a request failed, and what to do about it where that is known. */
interface HubFailure {
  reason: string
  remedy?: string
}

/** Explains an error of a request. @param access whose token is not shown */
export const hubFailure = (error: unknown, { accessToken, hubUrl = defaultHub }: HubAccess): HubFailure => {
  const { message, statusCode, cause } = error as Failure
  // The address of the request follows the Hub's words.
  const words = message.replace(/\. (URL|Request ID): .*$/s, '')
  const text = accessToken === undefined ? words : words.replaceAll(accessToken, '…')
  if (statusCode !== undefined) {
    const reason = text.includes(String(statusCode)) ? text : `${text} (${statusCode})`
    return { reason, remedy: remedies[statusCode] ?? 'Try again later.' }
  }
  if (error instanceof TypeError && cause !== undefined) {
    const why = cause.code ?? cause.message
    return { reason: `no answer from ${hubUrl} (${why})`, remedy: 'Check the network and HF_ENDPOINT.' }
  }
  if (error instanceof SyntaxError)
    return { reason: `${hubUrl} did not answer as a Hub does`, remedy: 'Check HF_ENDPOINT.' }
  return { reason: text }
}

/** Files of a model; other files of a repository are not downloaded. */
const wanted =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|modules|adapter_config|sentence_bert_config|config_sentence_transformers)\.json$|^(vocab|merges)\.txt$|^chat_template\.jinja$|^(model|adapter_model)(-\d+-of-\d+)?\.safetensors$|^model\.safetensors\.index\.json$|^(spiece|tokenizer|sentencepiece\.bpe)\.model$|^\d+_\w+\/config\.json$/
const isWeights = (path: string) => path.endsWith('.safetensors')

interface DownloadOptions {
  /** Folder of the repository in the cache. */
  folder: string
  onProgress?(file: string): void
}

/** Passes bytes through, and fails at the end if their number or hash is not what the Hub reported. */
const verified = (path: string, { size, sha256 }: { size: number; sha256?: string }): Transform => {
  const hash = createHash('sha256')
  let seen = 0
  return new Transform({
    transform(chunk: Buffer, _, done) {
      seen += chunk.length
      hash.update(chunk)
      done(null, chunk)
    },
    flush(done) {
      const digest = hash.digest('hex')
      if (seen === size && (sha256 === undefined || digest === sha256)) return done()
      done(
        new Error(
          `${path} arrived with ${seen} bytes and SHA-256 ${digest} instead of ${size} bytes and ${sha256 ?? 'any'}`,
        ),
      )
    },
  })
}

/**
 * Writes the content of a downloaded file to `target`, and fails where the connection ends early or its size or hash is
 * not what the Hub reported. What was written until then stays.
 */
export const saveDownload = async (
  content: Blob,
  target: string,
  { path, size, sha256 }: Pick<RemoteFile, 'path' | 'size' | 'sha256'>,
  signal?: AbortSignal,
): Promise<void> => {
  const source = Readable.fromWeb(content.stream() as Parameters<typeof Readable.fromWeb>[0])
  await pipeline(source, verified(path, { size, sha256 }), createWriteStream(target), { signal })
}

export interface HubRepository {
  type: 'model' | 'dataset'
  name: string
}

/** A file of a repository, as the Hub lists it. */
export interface RemoteFile {
  path: string
  size: number
  /** Name of its blob in the cache. */
  hash: string
  /** Of large files. */
  sha256?: string
}

/** The commit of a revision, and the files of it. */
export const listRepository = async (
  repo: HubRepository,
  revision: string,
): Promise<{ commit: string; files: RemoteFile[] }> => {
  const { datasetInfo, listFiles, modelInfo } = await import('@huggingface/hub')
  const hub = await hubAccess()
  const asked = { ...hub, name: repo.name, revision, additionalFields: ['sha' as const] }
  const { sha: commit } = await (repo.type === 'model' ? modelInfo(asked) : datasetInfo(asked))
  if (!/^[0-9a-f]{40}$/.test(commit)) throw new Error(`the Hub gave no commit for ${revision}`)
  const files: RemoteFile[] = []
  for await (const { type, path, size, oid, lfs } of listFiles({ ...hub, repo, revision: commit, recursive: true })) {
    if (type !== 'file') continue
    const hash = (lfs?.oid ?? oid)?.replace(/[^\w-]/g, '')
    if (!hash) throw new Error(`the Hub gave no hash of ${path}`)
    files.push({ path, size, hash, ...(lfs === undefined ? {} : { sha256: lfs.oid }) })
  }
  return { commit, files }
}

export const cachedFile = (folder: string, commit: string, path: string): string =>
  join(folder, 'snapshots', commit, path)

/** Downloads those of the files that the cache does not have. */
export const downloadFiles = async (
  repo: HubRepository,
  commit: string,
  files: readonly RemoteFile[],
  { folder, onProgress }: DownloadOptions,
): Promise<void> => {
  const { downloadFile } = await import('@huggingface/hub')
  const hub = await hubAccess()
  const snapshot = join(folder, 'snapshots', commit)
  for (const { path, size, hash, sha256 } of files) {
    const blob = join(folder, 'blobs', hash)
    const link = cachedFile(folder, commit, path)
    if (!link.startsWith(`${snapshot}${sep}`)) throw new Error(`it has a file outside its folder: ${path}`)
    if (await exists(link)) continue
    onProgress?.(path)
    await mkdir(dirname(blob), { recursive: true })
    await mkdir(dirname(link), { recursive: true })
    if (!(await exists(blob))) {
      const content = await downloadFile({ ...hub, repo, path, revision: commit })
      if (content === null) throw new Error(`it has no ${path}`)
      const partial = `${blob}.${randomBytes(4).toString('hex')}.incomplete`
      try {
        await saveDownload(content, partial, { path, size, sha256 })
        await rename(partial, blob)
      } finally {
        await rm(partial, { force: true })
      }
    }
    await rm(link, { force: true })
    await symlink(relative(dirname(link), blob), link)
  }
}

/** Names the commit of a revision, once all that is wanted of it is in the cache. */
export const nameRevision = async (folder: string, revision: string, commit: string): Promise<void> => {
  if (revision !== commit) await writeFileAtomic(join(folder, 'refs', revision), commit)
}

/** Downloads missing files. @throws CheckpointError if the download fails */
export const downloadModel = async (id: string, revision: string, options: DownloadOptions): Promise<void> => {
  const repo = { type: 'model', name: id } as const
  try {
    const { commit, files: all } = await listRepository(repo, revision)
    const files = all.filter(({ path }) => wanted.test(path))
    if (!files.some(({ path }) => isWeights(path))) throw new Error('it has no safetensors weights')
    // Weights last: a snapshot with weights is then complete.
    files.sort((a, b) => Number(isWeights(a.path)) - Number(isWeights(b.path)))
    await downloadFiles(repo, commit, files, options)
    await nameRevision(options.folder, revision, commit)
  } catch (error) {
    throw new CheckpointError(
      `Expected a folder \`${id}\` here, or the Hub model \`${id}\` at \`${revision}\`, found no folder, and the download failed: ${hubFailure(error, await hubAccess()).reason}. Check the path, or the name, the network and HF_TOKEN.`,
    )
  }
}
