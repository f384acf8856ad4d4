// Downloads the files of a model into the cache that Hugging Face's tools use: blobs by hash, links by name under the
// commit, and the name of the revision last, so that the folder of a named revision is always complete.
import { createHash, randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rename, rm, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CheckpointError, exists, writeFileAtomic } from '../core/index.ts'
import { hubAccess } from './hub-access.ts'

/** Files of a model; other files of a repository are not downloaded. */
const wanted =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|modules|adapter_config|sentence_bert_config|config_sentence_transformers)\.json$|^(vocab|merges)\.txt$|^chat_template\.jinja$|^(model|adapter_model)(-\d+-of-\d+)?\.safetensors$|^model\.safetensors\.index\.json$|^(spiece|tokenizer|sentencepiece\.bpe)\.model$|^\d+_\w+\/config\.json$/
const isWeights = (path: string) => path.endsWith('.safetensors')

/** Options of `downloadModel`. */
export interface DownloadOptions {
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

/** The content of a downloaded file, as a stream that fails where its size or hash is not what the Hub reported. */
export const verifiedBlob = (content: Blob, path: string, expected: { size: number; sha256?: string }): Transform =>
  Readable.fromWeb(content.stream() as Parameters<typeof Readable.fromWeb>[0]).pipe(verified(path, expected))

/** Downloads missing files. @throws CheckpointError if the download fails */
export const downloadModel = async (id: string, revision: string, options: DownloadOptions): Promise<void> => {
  const { folder, onProgress } = options
  const { downloadFile, listFiles, modelInfo } = await import('@huggingface/hub')
  const hub = await hubAccess()
  const repo = { type: 'model', name: id } as const
  try {
    const { sha } = await modelInfo({ ...hub, name: id, revision, additionalFields: ['sha'] })
    if (!/^[0-9a-f]{40}$/.test(sha)) throw new Error(`the Hub gave no commit for ${revision}`)
    const files = []
    for await (const file of listFiles({ ...hub, repo, revision: sha, recursive: true }))
      if (file.type === 'file' && wanted.test(file.path)) files.push(file)
    if (!files.some(({ path }) => isWeights(path))) throw new Error('it has no safetensors weights')
    // Weights last: a snapshot with weights is then complete.
    files.sort((a, b) => Number(isWeights(a.path)) - Number(isWeights(b.path)))
    for (const { path, size, oid, lfs } of files) {
      const hash = (lfs?.oid ?? oid)?.replace(/[^\w-]/g, '')
      if (!hash) throw new Error(`the Hub gave no hash of ${path}`)
      const blob = join(folder, 'blobs', hash)
      const link = join(folder, 'snapshots', sha, path)
      if (await exists(link)) continue
      onProgress?.(path)
      await mkdir(dirname(blob), { recursive: true })
      await mkdir(dirname(link), { recursive: true })
      if (!(await exists(blob))) {
        const content = await downloadFile({ ...hub, repo, path, revision: sha })
        if (content === null) throw new Error(`it has no ${path}`)
        const partial = `${blob}.${randomBytes(4).toString('hex')}.incomplete`
        try {
          const source = Readable.fromWeb(content.stream() as Parameters<typeof Readable.fromWeb>[0])
          await pipeline(source, verified(path, { size, sha256: lfs?.oid }), createWriteStream(partial))
          await rename(partial, blob)
        } finally {
          await rm(partial, { force: true })
        }
      }
      await rm(link, { force: true })
      await symlink(relative(dirname(link), blob), link)
    }
    if (revision !== sha) await writeFileAtomic(join(folder, 'refs', revision), sha)
  } catch (error) {
    throw new CheckpointError(
      `Expected a folder \`${id}\` here, or the Hub model \`${id}\` at \`${revision}\`, found no folder, and the download failed: ${(error as Error).message}. Check the path, or the name, the network and HF_TOKEN.`,
    )
  }
}
