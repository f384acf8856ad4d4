// A MODEL of the command line, opened with its tokenizer; what was unusual is said. Knows no command and no architecture.

import { join } from 'node:path'
import { z } from 'zod'
import { isAdapterFolder, loadAdapter } from '../../adapters/index.ts'
import {
  describeModelLoad,
  type LoadedModel,
  type LoadModelOptions,
  loadModelWithReport,
  loadTokenizer,
  resolveModel,
} from '../../checkpoint/index.ts'
import { ConfigError, exists } from '../../core/index.ts'
import { isFeatureModel, openFeatureModel } from '../../features/index.ts'
import { LanguageHead, type Model, withHead } from '../../models/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import type { CommandContext } from '../command.ts'

/** The options that every command with a MODEL has. */
export const modelFields = {
  model: z.string().describe('a folder, the folder of a run, a .gguf file, or a Hub id'),
  revision: z.string().optional().describe('branch, tag or commit of a Hub id'),
  device: z.string().default('cpu').describe('cpu, cuda or cuda:0'),
}

export interface ModelChoice {
  model: string
  revision?: string
  device: string
}

export interface ReadyModel extends LoadedModel {
  tokenizer: Tokenizer
}

export const hasTokenizer = (folder: string) => exists(join(folder, 'tokenizer.json'))

/**
 * The specialist, or another head over its body where that learns nothing, as that of vectors does.
 * @throws ConfigError for a head whose values no file holds
 */
const headed = async (model: Model, baseFolder: string | undefined, head: LoadModelOptions['head']): Promise<Model> => {
  const wanted = head === undefined ? [] : [head].flat()
  if (wanted.length === 0 || wanted.includes(model.headType)) return model
  // How sentences become vectors stands beside the base.
  const options =
    baseFolder === undefined ? {} : (await loadModelWithReport(baseFolder, { head: wanted[0] })).model.headOptions
  const other = withHead(model, wanted[0], options)
  if (other.head.parameters().size === 0) return other.eval()
  throw new ConfigError(
    `Expected a specialist with the head ${wanted.join(' or ')}, got one that was taught with ${model.headType} and has no other. Choose another model.`,
  )
}

export const openForUse = async (
  { model, revision, device }: ModelChoice,
  context: Pick<CommandContext, 'warn' | 'log'>,
  options: LoadModelOptions = {},
): Promise<ReadyModel> => {
  const onProgress = (file: string) => context.log(`downloading ${file}`)
  const path = await resolveModel(model, { revision, onProgress })
  if (await isAdapterFolder(path)) {
    const { model: adapted, baseFolder } = await loadAdapter(path, { device })
    const report = { newHead: [], unused: [], notes: [] }
    const tokenizer = await loadTokenizer((await hasTokenizer(path)) ? path : (baseFolder ?? path))
    return { model: await headed(adapted, baseFolder, options.head), report, folder: path, tokenizer }
  }
  if (await isFeatureModel(path)) {
    const { model: specialist, baseFolder } = await openFeatureModel(path, { device })
    const report = { newHead: [], unused: [], notes: [] }
    const tokenizer = await loadTokenizer((await hasTokenizer(path)) ? path : baseFolder)
    return { model: await headed(specialist, baseFolder, options.head), report, folder: path, tokenizer }
  }
  const opened = await loadModelWithReport(model, { revision, device, onProgress, ...options })
  for (const line of describeModelLoad(opened.report)) context.warn(line)
  return { ...opened, tokenizer: await loadTokenizer(model, { revision, onProgress }) }
}

/**
 * A model that scores words: its files' own head where that does, else the one of its kind, where the files hold its values.
 * @throws ConfigError for files without such a head
 */
export const openLanguageModel = async (
  choice: ModelChoice,
  context: Pick<CommandContext, 'warn' | 'log'>,
): Promise<ReadyModel> => {
  const ready = await openForUse(choice, context)
  if (ready.model.head instanceof LanguageHead) return ready
  const head = ready.model.facts.causal ? 'causal-lm' : 'masked-lm'
  const again = await openForUse(choice, { log: context.log, warn: () => {} }, { head })
  if (again.report.newHead.length > 0)
    throw new ConfigError(
      `Expected a model that predicts words, got one with the head ${ready.model.headType} and no values for ${head}. Choose a language model.`,
    )
  return again
}
