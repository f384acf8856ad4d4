// Loads any MODEL together with its tokenizer: a pretrained or fine-tuned folder, a run, an adapter, a feature-based specialist, a GGUF
// file or a Hub id. Independent of architectures and of the command line.
import { join } from 'node:path'
import { isAdapterFolder, loadAdapter } from '../adapters/index.ts'
import {
  describeModelLoad,
  expectModelName,
  expectTokenizerOf,
  expectWeightForm,
  type LoadedModel,
  type LoadModelOptions,
  loadModelWithReport,
  loadTokenizer,
  type ModelTokenizer,
  modelOfTask,
  quantizedFormat,
  resolveModel,
  type WeightForm,
} from '../checkpoint/index.ts'
import { ConfigError, exists } from '../core/index.ts'
import { isFeatureModel, loadFeatureModel } from '../features/index.ts'
import { keepPackedBlocksOf, LanguageHead, type Model, withHead } from '../models/index.ts'
import { blockFormats } from '../nn/index.ts'
import { useModulesOf } from '../runs/index.ts'
import { checkGpu, defaultDevice, deviceNotice, expectPlacement } from '../tensor/index.ts'

/** Which model to load, and onto which device. */
export interface ModelChoice {
  /** A folder, the folder of a run, a .gguf file or a Hub id. */
  model: string
  /** Task of a model of several, as `multitask` makes it. */
  task?: string
  /** Branch, tag or commit of a Hub id. */
  revision?: string
  /** `cpu` (the default), `cuda` or `cuda:0`. */
  device?: string
  /**
   * Quantised matrices of a .gguf file: multiplied as they lie in the mapped file (`packed`), or converted to float32 (`unpacked`;
   * default: packed where no dtype is set). `q8_0` and `int8` quantise the matrices of a folder to 8 bits while it is loaded, with a scale
   * for 32 elements or for a row.
   */
  weights?: WeightForm
}

/** Names of the fields of `ModelChoice`, for checks of options. */
export const modelChoiceNames = { model: true, task: true, revision: true, device: true, weights: true } as const

/** Called while a model is loaded. */
export interface LoadHooks {
  /** A file of the Hub is about to be downloaded. */
  onDownload?(file: string): void
  /** Something about the files is unusual, such as weights that no part of the model uses. */
  onNote?(line: string): void
}

/** A model in memory with its tokenizer. */
export interface InferenceModel extends LoadedModel {
  tokenizer: ModelTokenizer
}

/** Whether a folder has a tokenizer of its own. */
export const hasTokenizer = (folder: string): Promise<boolean> => exists(join(folder, 'tokenizer.json'))

/**
 * The specialist itself, or its body with another head when that head has no parameters (such as the embedding head).
 * @throws ConfigError for a head whose weights are in no file
 */
const withRequestedHead = async (
  model: Model,
  baseFolder: string | undefined,
  head: LoadModelOptions['head'],
): Promise<Model> => {
  const wanted = head === undefined ? [] : [head].flat()
  if (wanted.length === 0 || wanted.includes(model.headType)) return model
  // The pooling of sentence embeddings is configured in the base's folder.
  const options =
    baseFolder === undefined ? {} : (await loadModelWithReport(baseFolder, { head: wanted[0] })).model.headOptions
  const other = withHead(model, wanted[0], options)
  if (other.head.parameters().size === 0) return other.eval()
  throw new ConfigError(
    `Expected a specialist with the head ${wanted.join(' or ')}, got one with the head ${model.headType} only. Choose another model.`,
  )
}

/** Converts weights that files have in float16, which the CPU does not compute in, to float32, unless a dtype was chosen. */
const inComputedDtype = (model: Model, device: string, dtype: LoadModelOptions['dtype']): Model => {
  if (dtype === undefined && device === 'cpu' && model.body.embedTokens.dtype === 'float16')
    model.to({ dtype: 'float32' })
  return model
}

let noticed = false

/** Says once in a process that its device is one that no release has been run on. */
const noteDevice = (device: string, onNote: LoadHooks['onNote']): void => {
  const notice = deviceNotice(device)
  if (notice === undefined || noticed || onNote === undefined) return
  noticed = true
  onNote(notice)
}

/**
 * Loads a MODEL with its tokenizer, in evaluation mode. Weights keep the dtype of the files, but for float16 on the CPU.
 * @throws CheckpointError for damaged or unsupported files; ConfigError for a head that the files do not have, and for a device or dtype
 *   that cannot be used
 */
export const loadForInference = async (
  { model: choice, task, revision, device = defaultDevice(), weights: given }: ModelChoice,
  options: Pick<LoadModelOptions, 'head' | 'dtype'> & LoadHooks = {},
): Promise<InferenceModel> => {
  expectModelName(choice)
  expectPlacement({ device, dtype: options.dtype })
  checkGpu(device)
  const { onDownload: onProgress, onNote, ...opening } = options
  noteDevice(device, onNote)
  await useModulesOf(choice)
  const model = task === undefined ? choice : await modelOfTask(choice, task)
  const path = await resolveModel(model, { revision, onProgress })
  expectWeightForm(path, given)
  if (quantizedFormat(given) !== undefined && ((await isAdapterFolder(path)) || (await isFeatureModel(path))))
    throw new ConfigError(
      `\`weights: ${given}\` quantises a whole model, got ${path}, which is an adapter on a base. Serve it as a specialist of that base.`,
    )
  if (await isAdapterFolder(path)) {
    const { model: adapted, baseFolder } = await loadAdapter(path, { device, dtype: opening.dtype })
    const report = { newHead: [], unused: [], notes: [] }
    const tokenizer = await loadTokenizer((await hasTokenizer(path)) ? path : (baseFolder ?? path))
    await expectTokenizerOf(baseFolder, tokenizer, adapted.facts.vocabSize)
    const whole = await withRequestedHead(inComputedDtype(adapted, device, opening.dtype), baseFolder, options.head)
    return { model: whole, report, folder: path, tokenizer }
  }
  if (await isFeatureModel(path)) {
    const { model: specialist, baseFolder } = await loadFeatureModel(path, { device })
    const report = { newHead: [], unused: [], notes: [] }
    const tokenizer = await loadTokenizer((await hasTokenizer(path)) ? path : baseFolder)
    await expectTokenizerOf(baseFolder, tokenizer, specialist.facts.vocabSize)
    return { model: await withRequestedHead(specialist, baseFolder, options.head), report, folder: path, tokenizer }
  }
  const packs = path.endsWith('.gguf') && opening.dtype === undefined
  const weights = given ?? (packs ? 'packed' : undefined)
  const opened = await loadModelWithReport(model, { revision, device, weights, onProgress, ...opening })
  inComputedDtype(opened.model, device, opening.dtype)
  if (given === 'packed' && [...opened.model.modules()].every(([, module]) => module.quantizedCount === 0))
    throw new ConfigError(
      `\`weights: packed\` needs matrices in ${blockFormats.join(', ')}, got none in ${path}. Leave it out.`,
    )
  if (weights === 'packed' || quantizedFormat(weights) !== undefined) keepPackedBlocksOf(opened.model)
  for (const line of describeModelLoad(opened.report)) onNote?.(line)
  const tokenizer = await loadTokenizer(model, { revision, onProgress })
  await expectTokenizerOf(opened.folder, tokenizer, opened.model.facts.vocabSize)
  return { ...opened, tokenizer }
}

/**
 * Loads a language model: with the head of its files when that predicts tokens, else with the language head of its kind when the files
 * hold its weights.
 * @throws ConfigError for files without a language head
 */
export const loadLanguageModel = async (
  choice: ModelChoice,
  options: Pick<LoadModelOptions, 'dtype'> & LoadHooks = {},
): Promise<InferenceModel> => {
  const loaded = await loadForInference(choice, options)
  if (loaded.model.head instanceof LanguageHead) return loaded
  const head = loaded.model.facts.causal ? 'causal-lm' : 'masked-lm'
  const again = await loadForInference(choice, { ...options, onNote: undefined, head })
  if (again.report.newHead.length > 0)
    throw new ConfigError(
      `Expected a language model, got one with the head ${loaded.model.headType} and no weights for ${head}. Choose a model that predicts tokens.`,
    )
  return again
}
