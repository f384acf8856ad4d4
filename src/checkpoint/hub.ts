// Where a model's files are: a local folder or file, or a Hub id through the cache that Hugging Face's own tools use. Knows
// nothing of what the files hold.
import { readdir, readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { CheckpointError } from '../core/index.ts'

export interface ResolveOptions {
  /** Branch, tag or commit of a Hub id; `main` unless given. */
  revision?: string
  /** Never ask the network; also with HF_HUB_OFFLINE=1. */
  offline?: boolean
  /** The cache; as HF_HUB_CACHE, HF_HOME and XDG_CACHE_HOME say unless given. */
  cacheDir?: string
  onProgress?(file: string): void
}

const idPattern = /^[\w][\w.-]*(\/[\w][\w.-]*)?$/
const commitPattern = /^[0-9a-f]{40}$/
/** What a model consists of; other files of a repository stay where they are. */
const wanted =
  /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|modules|preprocessor_config|adapter_config|sentence_bert_config)\.json$|^(vocab|merges)\.txt$|^chat_template\.jinja$|\.safetensors$|\.safetensors\.index\.json$|^(spiece|tokenizer|sentencepiece\.bpe)\.model$|^1_Pooling\/config\.json$/

const cacheFolder = (): string => {
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME } = process.env
  const home = HF_HOME ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface')
  return HF_HUB_CACHE ?? HUGGINGFACE_HUB_CACHE ?? join(home, 'hub')
}

/** The folder of a snapshot that is in the cache with a config and weights, or undefined. */
const cachedSnapshot = async (id: string, revision: string, cache: string): Promise<string | undefined> => {
  const repository = join(cache, `models--${id.replace('/', '--')}`)
  const commit = commitPattern.test(revision)
    ? revision
    : (await readFile(join(repository, 'refs', revision), 'utf8').catch(() => '')).trim()
  if (!commitPattern.test(commit)) return undefined
  const folder = join(repository, 'snapshots', commit)
  const files: string[] = await readdir(folder).catch(() => [])
  const index = files.find((file) => file.endsWith('.safetensors.index.json'))
  const weights =
    index === undefined ? files.filter((file) => file.endsWith('.safetensors')) : await shardsOf(folder, index)
  const whole = weights.length > 0 && weights.every((file) => files.includes(file))
  return whole && files.some((file) => /^(adapter_)?config\.json$/.test(file)) ? folder : undefined
}

const shardsOf = async (folder: string, index: string): Promise<string[]> => {
  const { weight_map: map = {} } = JSON.parse(await readFile(join(folder, index), 'utf8')) as {
    weight_map?: Record<string, string>
  }
  return [...new Set(Object.values(map))]
}

const download = async (id: string, revision: string, cacheDir: string, onProgress?: (file: string) => void) => {
  const { downloadFileToCacheDir, listFiles, modelInfo } = await import('@huggingface/hub')
  const accessToken = process.env.HF_TOKEN
  const repo = { type: 'model', name: id } as const
  try {
    const { sha } = await modelInfo({ name: id, revision, additionalFields: ['sha'], accessToken })
    const files: string[] = []
    for await (const { path, type } of listFiles({ repo, revision: sha, recursive: true, accessToken }))
      if (type === 'file' && wanted.test(path)) files.push(path)
    for (const path of files) {
      onProgress?.(path)
      // The name of the revision, so that the cache remembers which commit it was.
      await downloadFileToCacheDir({ repo, path, revision, cacheDir, accessToken })
    }
  } catch (error) {
    throw new CheckpointError(
      `Expected to download \`${id}\` at \`${revision}\` from the Hub, got: ${(error as Error).message}. Check the name, the network and HF_TOKEN, or give a folder.`,
    )
  }
}

/**
 * The folder or file that a MODEL names. A Hub id that is in the cache is used without asking the network.
 * @throws CheckpointError when there is neither a path nor a Hub model of that name
 */
export const resolveModel = async (model: string, options: ResolveOptions = {}): Promise<string> => {
  const { revision = 'main', offline = /^(1|true|yes|on)$/i.test(process.env.HF_HUB_OFFLINE ?? '') } = options
  if ((await stat(model).catch(() => undefined)) !== undefined) return model
  if (!idPattern.test(model))
    throw new CheckpointError(
      `Expected a folder, a .gguf file or a Hub id for the model, found nothing at \`${model}\`. Check the path.`,
    )
  const cache = options.cacheDir ?? cacheFolder()
  const cached = await cachedSnapshot(model, revision, cache)
  if (cached !== undefined) return cached
  if (offline)
    throw new CheckpointError(
      `Expected \`${model}\` at \`${revision}\` in the Hub cache, because the network is switched off, and it is not there. Download it once with the network on.`,
    )
  await download(model, revision, cache, options.onProgress)
  const folder = await cachedSnapshot(model, revision, cache)
  if (folder === undefined)
    throw new CheckpointError(
      `Expected safetensors weights and a config.json in \`${model}\`, and it has none. Choose a revision that has, or convert it where you trust it.`,
    )
  return folder
}
