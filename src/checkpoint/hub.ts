// Finds the files of a model: a local folder or file, the folder of one task of several, or a Hub model in the cache that Hugging Face's
// tools use. Independent of the contents of the files.
import { readdir, readFile, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { CheckpointError, ConfigError, didYouMean, exists, programCall, suggest } from '../core/index.ts'
import { modelFiles, runFiles } from '../tracking/index.ts'
import { downloadModel } from './hub-download.ts'

interface TaskFolders {
  folder: string
  names: string[]
}

const namesIn = async (folder: string): Promise<string[] | undefined> => {
  const path = join(folder, modelFiles.tasks)
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    const { tasks } = JSON.parse(text) as { tasks: { name: string }[] }
    // Names become folders: one with a separator leads elsewhere.
    if (tasks.every(({ name }) => /^[A-Za-z][\w-]*$/.test(name))) return tasks.map(({ name }) => name)
  } catch {
    // Reported below.
  }
  throw new CheckpointError(`${path}: Expected a list of tasks, got something else. The file is damaged.`)
}

/** The tasks of the model in a folder, or of the run in it; undefined for a model without tasks of its own. @throws CheckpointError */
export const taskFolders = async (path: string): Promise<TaskFolders | undefined> => {
  for (const folder of [path, join(path, runFiles.model)]) {
    const names = await namesIn(folder)
    if (names !== undefined) return { folder, names }
  }
  return undefined
}

/**
 * The folder of the model of one task of several.
 * @param model folder of a run of several tasks, or of its model
 * @throws ConfigError for a task that it does not have, or a model without tasks, CheckpointError for a path that leads nowhere
 */
export const modelOfTask = async (model: string, task: string): Promise<string> => {
  const found = await taskFolders(model)
  if (found === undefined && !(await exists(model)))
    throw new CheckpointError(
      `Expected the folder of a run of several tasks, found nothing at \`${model}\`. Check the path.`,
    )
  if (found === undefined)
    throw new ConfigError(
      `\`task\` needs a model of several tasks, which \`multitask\` makes, got ${model}. Leave it out.`,
    )
  const { folder, names } = found
  if (names.includes(task)) return join(folder, task)
  throw new ConfigError(`Expected a task of ${model} (${names.join(', ')}), got "${task}".${didYouMean(task, names)}`)
}

/** @throws ConfigError for a folder of several tasks, which is no model by itself */
const expectOneTask = async (path: string): Promise<void> => {
  const found = await taskFolders(path)
  if (found === undefined) return
  const { folder, names } = found
  throw new ConfigError(
    `Expected one of the tasks ${names.join(', ')} for the model in ${path}, which has several. Set \`task\`, or name the folder of the task: ${join(folder, names[0])}.`,
  )
}

/** Where and how a Hub model is looked up. */
export interface ResolveOptions {
  /** Branch, tag or commit of a Hub model (default: `main`). */
  revision?: string | undefined
  /** Never use the network (default: HF_HUB_OFFLINE). */
  offline?: boolean | undefined
  /** Folder of the cache (default: from HF_HUB_CACHE, HF_HOME or XDG_CACHE_HOME). */
  cacheDir?: string | undefined
  /** Called with each file before it is downloaded. */
  onProgress?: ((file: string) => void) | undefined
}

/** A branch or tag, which is a file's name below `refs`. */
export const revisionPattern = /^(?!.*\.\.)[\w][\w./-]*$/
/** The Hub's rule for `name` and `owner/name`. */
export const idPattern = /^(?!.*(--|\.\.))[\w]([\w.-]{0,94}\w)?(\/[\w]([\w.-]{0,94}\w)?)?$/
const fileName = /\.(gguf|safetensors)$/

/**
 * Whether a name that leads to nothing was meant as a path and must not be asked of the Hub: it is written as a path,
 * names a file of weights, or begins with a folder that is here.
 */
const isPath = async (name: string): Promise<boolean> => {
  const [first, ...rest] = name.split('/')
  return !idPattern.test(name) || fileName.test(name) || (rest.length > 0 && (await exists(first)))
}

const nothingAt = async (name: string): Promise<CheckpointError> => {
  const beside = await readdir(dirname(name)).catch((): string[] => [])
  const nearest = name === '' ? undefined : suggest(basename(name), beside)
  const hint = nearest === undefined ? 'Check the path.' : `Did you mean \`${join(dirname(name), nearest)}\`?`
  return new CheckpointError(
    `Expected a folder, a .gguf file or a Hub id for the model, found nothing at \`${name}\`, seen from ${process.cwd()}. ${hint}`,
  )
}

/** Where the path of a base was read. */
interface NamedBase {
  /** What was trained on the base, in words: `the adapter`. */
  of: string
  folder: string
  /** File in the folder, and its field with the path. */
  file: string
  field: string
}

/** @throws CheckpointError where a path that a file names as a base leads to nothing, as when the base was moved */
export const expectBaseAt = async (base: string, { of, folder, file, field }: NamedBase): Promise<void> => {
  if ((await exists(base)) || !(await isPath(base))) return
  throw new CheckpointError(
    `Expected a model for the base of ${of} \`${folder}\`, found nothing at \`${base}\`. Move the base back there, or set \`${field}\` in ${join(folder, file)} to where it is now.`,
  )
}

export const commitPattern = /^[0-9a-f]{40}$/

/** Folder of the cache: from HF_HUB_CACHE, HF_HOME or XDG_CACHE_HOME. */
export const cacheFolder = (): string => {
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME } = process.env
  const home = HF_HOME ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface')
  return HF_HUB_CACHE ?? HUGGINGFACE_HUB_CACHE ?? join(home, 'hub')
}

/** Whether HF_HUB_OFFLINE switches the network off. */
export const isOffline = (): boolean => /^(1|true|yes|on)$/i.test(process.env.HF_HUB_OFFLINE ?? '')

/** Folder of a complete snapshot in the cache, with config and weights, or undefined. */
const cachedSnapshot = async (repository: string, revision: string): Promise<string | undefined> => {
  const commit = commitPattern.test(revision)
    ? revision
    : (await readFile(join(repository, 'refs', revision), 'utf8').catch(() => '')).trim()
  if (!commitPattern.test(commit)) return undefined
  const folder = join(repository, 'snapshots', commit)
  const files: string[] = await readdir(folder).catch(() => [])
  const index = files.find((file) => file.endsWith('.safetensors.index.json'))
  const weights =
    index === undefined ? files.filter((file) => file.endsWith('.safetensors')) : await shardsOf(folder, index)
  // A link in the cache may be broken.
  const present = await Promise.all(weights.map((file) => stat(join(folder, file)).catch(() => undefined)))
  const whole = weights.length > 0 && present.every((file) => file !== undefined)
  return whole && files.some((file) => /^(adapter_)?config\.json$/.test(file)) ? folder : undefined
}

/** Names of the shards; none if the index cannot be read, so that the snapshot counts as incomplete. */
const shardsOf = async (folder: string, index: string): Promise<string[]> => {
  try {
    const { weight_map: map } = JSON.parse(await readFile(join(folder, index), 'utf8')) as { weight_map: object }
    return [...new Set(Object.values(map))].filter((file) => typeof file === 'string')
  } catch {
    return []
  }
}

/** The model folder of a run, for the folder of a run; otherwise the path itself. */
const modelOfRun = async (path: string): Promise<string> => {
  const has = (...names: string[]) => exists(join(path, ...names))
  const isModel = async (...folder: string[]) =>
    (await has(...folder, 'config.json')) ||
    (await has(...folder, 'adapter_config.json')) ||
    (await has(...folder, 'feature_model.json'))
  if (await isModel()) return path
  if (await isModel('model')) return join(path, 'model')
  await expectOneTask(path)
  if (await has(runFiles.recipe)) throw await unfinishedRun(path)
  return path
}

const unfinishedRun = async (path: string): Promise<CheckpointError> => {
  const folder = join(path, runFiles.checkpoints)
  const names = await readdir(folder).catch(() => [] as string[])
  const newest = names
    .filter((name) => /^step-\d+$/.test(name))
    .sort()
    .at(-1)
  const other = newest === undefined ? '' : `, or use the model of its checkpoint ${join(folder, newest)}`
  return new CheckpointError(
    `${path}: Expected a model, found a run that has not finished: it was stopped or is still training. Finish it with \`${programCall('resume', path)}\`${other}.`,
  )
}

/** @throws ConfigError for what a caller without types may pass: nothing, or an empty text */
export const expectModelName = (model: unknown): void => {
  if (typeof model === 'string' && model !== '') return
  const given = model === '' ? 'an empty text' : (JSON.stringify(model) ?? String(model))
  throw new ConfigError(`Expected a folder, a .gguf file or a Hub id for \`model\`, got ${given}.`)
}

/**
 * Folder or file of a model, given as a path, the folder of a run, or a Hub id. A name that exists here is always the
 * path; other names are Hub ids only if the Hub's rule allows them and their first part is not a folder here. A Hub
 * model in the cache is used without the network, others are downloaded.
 * @throws CheckpointError for a name that is neither a path nor a Hub model, ConfigError for a folder of several tasks and
 *   for a revision of a path
 */
export const resolveModel = async (model: string, options: ResolveOptions = {}): Promise<string> => {
  expectModelName(model)
  const { revision = 'main', offline = isOffline() } = options
  if (await exists(model)) {
    if (options.revision !== undefined)
      throw new ConfigError(`\`revision\` has no effect on ${model}, which is no model of the Hub: leave it out.`)
    return modelOfRun(model)
  }
  if (await isPath(model)) throw await nothingAt(model)
  if (!revisionPattern.test(revision))
    throw new CheckpointError(`Expected a branch, tag or commit for \`revision\`, got ${JSON.stringify(revision)}.`)
  const cache = options.cacheDir ?? cacheFolder()
  const repository = join(cache, `models--${model.replace('/', '--')}`)
  const cached = await cachedSnapshot(repository, revision)
  if (cached !== undefined) return cached
  if (offline)
    throw new CheckpointError(
      `Expected a folder \`${model}\` here, or the Hub model \`${model}\` at \`${revision}\` in the cache, because the network is switched off, found neither. Check the path, or download the model once with the network on.`,
    )
  await downloadModel(model, revision, { folder: repository, onProgress: options.onProgress })
  const folder = await cachedSnapshot(repository, revision)
  if (folder === undefined)
    throw new CheckpointError(
      `Expected safetensors weights and a config.json in \`${model}\`, found none. Choose a revision with safetensors weights, or convert the model if you trust it.`,
    )
  return folder
}
