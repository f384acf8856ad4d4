// A fitted learner as a model's head, so that the base with it predicts like any other model, and that specialist as a folder: feature_model.json names the base, the layer and the task, learner.safetensors has the fitted
// learner.
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import {
  expectBaseAt,
  loadModelWithReport,
  openSafetensors,
  resolveModel,
  saveSafetensors,
} from '../checkpoint/index.ts'
import {
  CheckpointError,
  ConfigError,
  exists,
  openEnum,
  parseConfig,
  sha256,
  sha256File,
  writeFolderAtomic,
} from '../core/index.ts'
import {
  type BodyInputs,
  type BodyOutputs,
  Head,
  type HeadOptions,
  type HeadType,
  headEntry,
  headOptionsSchema,
  headTypes,
  Model,
} from '../models/index.ts'
import type { TargetKind } from '../tasks/index.ts'
import { cat, defaultDevice, expectPlacement, Generator, noGradScope, scope, type Tensor } from '../tensor/index.ts'
import { bodyInputsFor, type FeaturePooling, layerField, layerVectors, poolFeatures, poolings } from './layers.ts'
import { expectTensor, type FittedLearner } from './learner.ts'
import { findLearner, learnerTypes } from './learners/index.ts'

/** Means and standard deviations of features. */
export interface Scaler {
  mean: Tensor
  deviation: Tensor
}

/** What a feature head reads, and the learner behind it. */
interface FeatureHeadOptions {
  layer: string | number
  pooling: FeaturePooling
  /** Rows are pairs of separately encoded sequences. */
  separatePairs: boolean
  kind: TargetKind
  fitted: FittedLearner
  scaler: Scaler | undefined
}

/** u, v, |u-v|, u*v of consecutive rows: [2N,C] -> [N,4C]. */
export const pairFeatures = (rows: Tensor): Tensor => {
  const [count, width] = rows.shape
  if (count % 2 !== 0)
    throw new ConfigError('Expected pairs of texts for pair features, got a single text. Give `pair`.')
  return scope(() => {
    const both = rows.reshape([count / 2, 2, width])
    const [u, v] = [both.select(1, 0), both.select(1, 1)]
    return cat([u, v, u.sub(v).abs(), u.mul(v)], 1)
  })
}

/** Features with the scaler applied, if there is one. */
export const standardized = (features: Tensor, scaler: Scaler | undefined): Tensor =>
  scaler === undefined ? features : features.sub(scaler.mean).div(scaler.deviation)

/**
 * The learner's scores of rows as logits, in the form of the task's own head: [N,outputs], or [N,1] for choices. Learners work on
 * the CPU; the result is on the device of the features.
 */
export const scoreRows = (
  features: Tensor,
  { fitted, scaler, kind }: Pick<FeatureHeadOptions, 'fitted' | 'scaler' | 'kind'>,
): Tensor =>
  noGradScope(() => {
    const rows = features.to({ dtype: 'float32', device: 'cpu' })
    const scores = fitted.scores(standardized(rows, scaler)).to({ device: features.device })
    // The score of a choice: right minus wrong.
    return kind === 'choice' ? scores.narrow(1, 1, 1).sub(scores.narrow(1, 0, 1)) : scores
  })

class FeatureHead extends Head {
  readonly #options: FeatureHeadOptions

  constructor(options: FeatureHeadOptions) {
    super()
    this.#options = options
  }

  override bodyInputs(inputs: BodyInputs): BodyInputs {
    const { layer, pooling } = this.#options
    return bodyInputsFor(flatRows(inputs), layer, pooling)
  }

  /** [rows,outputs]; [B,T,outputs] for tokens; [1,rows] for choices. */
  forward(outputs: BodyOutputs, inputs: BodyInputs): Tensor {
    const { layer, pooling, separatePairs, kind } = this.#options
    if (pooling === 'tokens') {
      const hidden = layerVectors(outputs, layer)
      const scores = scoreRows(hidden.flatten(0, 1), this.#options)
      return scores.view([hidden.shape[0], hidden.shape[1], scores.shape[1]])
    }
    const rows = poolFeatures(outputs, flatRows(inputs), { layer, pooling })
    const scores = scoreRows(separatePairs ? pairFeatures(rows) : rows, this.#options)
    return kind === 'choice' ? scores.t() : scores
  }
}

/** Choices [B,N,T] as rows [B*N,T]; packed ones are [1,1,tokens]. */
const flatRows = (inputs: BodyInputs): BodyInputs => {
  if (inputs.inputIds.ndim < 3) return inputs
  const flat = (x: Tensor | undefined) => x?.flatten(0, 1)
  return {
    ...inputs,
    inputIds: inputs.inputIds.flatten(0, 1),
    attentionMask: flat(inputs.attentionMask),
    typeIds: flat(inputs.typeIds),
    positionIds: flat(inputs.positionIds),
  }
}

/** The base with a fitted learner as its head. */
const modelWithLearner = (
  { definition, config, body }: Model,
  headType: HeadType,
  headOptions: Partial<HeadOptions>,
  options: FeatureHeadOptions,
): Model =>
  new Model(
    {
      definition,
      config,
      headType,
      headOptions: parseConfig(headOptionsSchema, headOptions, 'head options'),
      entry: headEntry(definition, config, 'embedding'),
    },
    body,
    new FeatureHead(options),
  )

const FEATURE_FILE = 'feature_model.json'
const LEARNER_FILE = 'learner.safetensors'
const scalerPrefix = 'scaler.'

const fileSchema = z.strictObject({
  version: z.literal(1).describe('version of this format'),
  base: z.string().describe('folder or Hub id of the base'),
  baseIdentity: z.string().describe('SHA-256 of the files of the base'),
  initSeed: z.int().optional().describe('seed of a randomly initialised base'),
  precision: z.enum(['float32', 'bfloat16']).default('float32').describe('dtype of the base during feature extraction'),
  task: z.string().describe('task'),
  head: z.enum(headTypes),
  headOptions: headOptionsSchema.partial(),
  layer: layerField,
  pooling: z.enum(poolings),
  separatePairs: z.boolean().describe('features are u, v, |u-v| and u*v of two separately encoded texts'),
  width: z.int().positive().describe('features per row'),
  kind: z.enum(['class', 'labels', 'number', 'choice']),
  outputs: z.int().positive(),
  standardize: z.boolean(),
  learner: openEnum<string>(learnerTypes),
  settings: z.record(z.string(), z.unknown()).describe("the learner's own settings"),
})
/** The content of feature_model.json. */
export type FeatureModelFacts = z.output<typeof fileSchema>

/** The base that features are extracted from. */
export interface BaseOptions {
  base: string
  initSeed?: number
  precision?: 'float32' | 'bfloat16'
  device?: string
}

/** A frozen base in memory, ready for feature extraction. */
export interface FeatureBase {
  model: Model
  /** Folder or file of the base. */
  folder: string
  /** Hash of the weights, the initialisation seed and the precision: everything that features depend on. */
  identity: string
}

/** A base that is already in memory, with any head. */
export interface LoadedBase extends Omit<FeatureBase, 'identity'> {
  /** SHA-256 of its files, from `modelFilesHash`. */
  files: string
}

/** Hash of a base with its initialisation and precision. */
const featureIdentity = (files: string, { initSeed, precision }: Pick<BaseOptions, 'initSeed' | 'precision'>): string =>
  sha256(JSON.stringify({ files, initSeed, precision }))

/** Loads a frozen base for feature extraction. */
export const loadBase = async ({
  base,
  initSeed,
  precision = 'float32',
  device = defaultDevice(),
}: BaseOptions): Promise<FeatureBase> => {
  expectPlacement({ device, dtype: precision })
  const folder = await resolveModel(base)
  const { model } = await loadModelWithReport(folder, { head: 'embedding', dtype: 'float32', device: 'cpu' })
  if (initSeed !== undefined)
    model.initialize({ std: model.facts.initializerRange, generator: new Generator(initSeed) })
  if (precision !== 'float32' || device !== 'cpu') model.to({ dtype: precision, device })
  model.requireGrad(false)
  return { model, folder, identity: featureIdentity(await modelFilesHash(folder), { initSeed, precision }) }
}

/** SHA-256 over the weights and configs of a model's folder, or of its single file. */
export const modelFilesHash = async (path: string): Promise<string> => {
  if ((await stat(path)).isFile()) return sha256File(path)
  const names = (await readdir(path)).filter((name) => name.endsWith('.safetensors') || name.endsWith('config.json'))
  const hashes = await Promise.all(names.sort().map(async (name) => `${name} ${await sha256File(join(path, name))}`))
  return sha256(hashes.join('\n'))
}

/** Writes a specialist's folder atomically. @param also writes further files into the folder */
export const saveFeatureModel = async (
  facts: Omit<FeatureModelFacts, 'version'>,
  { fitted, scaler }: { fitted: FittedLearner; scaler: Scaler | undefined },
  folder: string,
  also?: (folder: string) => Promise<void>,
): Promise<void> => {
  await writeFolderAtomic(folder, async (target) => {
    await writeFile(join(target, FEATURE_FILE), `${JSON.stringify({ version: 1, ...facts }, null, 2)}\n`)
    const tensors = new Map(fitted.tensors)
    if (scaler !== undefined)
      for (const [name, tensor] of Object.entries(scaler)) tensors.set(`${scalerPrefix}${name}`, tensor as Tensor)
    await saveSafetensors(join(target, LEARNER_FILE), tensors)
    await also?.(target)
  })
}

/** Whether a folder has a feature-based specialist. */
export const isFeatureModel = async (folder: string): Promise<boolean> => exists(join(folder, FEATURE_FILE))

/** A feature-based specialist in memory. */
export interface LoadedFeatureModel {
  model: Model
  facts: FeatureModelFacts
  /** Folder or file of the base. */
  baseFolder: string
  /** Its tensors besides the base. */
  tensors: ReadonlyMap<string, Tensor>
}

/** Uses a base in memory. @throws CheckpointError where its features would differ from those of the fit */
const featureBaseOf = (
  { model, folder, files }: LoadedBase,
  { initSeed, precision }: FeatureModelFacts,
  path: string,
): FeatureBase => {
  const entry = (head: HeadType) => headEntry(model.definition, model.config, head)
  const fault =
    initSeed !== undefined
      ? 'a randomly initialised base'
      : (entry(model.headType).encoderOnly ?? false) !== (entry('embedding').encoderOnly ?? false)
        ? 'an encoder without its decoder'
        : undefined
  if (fault !== undefined)
    throw new CheckpointError(
      `${path}: Expected ${fault}, as in the fit, got the base in memory from ${folder}. Load this model on its own.`,
    )
  return { model, folder, identity: featureIdentity(files, { precision }) }
}

/**
 * Loads a feature-based specialist.
 * `base` replaces the base that the files name: a folder, a Hub id, or a base in memory, which stays unchanged.
 * @throws CheckpointError for inconsistent files or another base
 */
export const loadFeatureModel = async (
  folder: string,
  { device, base }: { device?: string; base?: string | LoadedBase } = {},
): Promise<LoadedFeatureModel> => {
  expectPlacement({ device })
  const path = join(folder, FEATURE_FILE)
  let fields: unknown
  try {
    fields = JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    throw new CheckpointError(`${path}: Expected JSON, got something else (${(error as Error).message}).`)
  }
  const facts = parseConfig(fileSchema, fields, path)
  if (base === undefined)
    await expectBaseAt(facts.base, { of: 'the feature-based specialist', folder, file: FEATURE_FILE, field: 'base' })
  const opened =
    typeof base === 'object'
      ? featureBaseOf(base, facts, path)
      : await loadBase({ ...facts, base: base ?? facts.base, device })
  if (opened.identity !== facts.baseIdentity)
    throw new CheckpointError(
      `${path}: Expected the base of the fit at ${opened.folder}, found a model with other weights. Fine-tune again on this base.`,
    )
  const file = await openSafetensors(join(folder, LEARNER_FILE))
  const own = new Map<string, Tensor>()
  for (const name of file.tensors.keys()) own.set(name, file.tensor(name))
  const tensors = new Map(own)
  const scaler = facts.standardize
    ? {
        mean: expectTensor(own, `${scalerPrefix}mean`, [facts.width]),
        deviation: expectTensor(own, `${scalerPrefix}deviation`, [facts.width]),
      }
    : undefined
  for (const name of [...own.keys()]) if (name.startsWith(scalerPrefix)) own.delete(name)
  const definition = findLearner(facts.learner)
  const config = parseConfig(definition.config, facts.settings, `${path}: settings`)
  const kind = facts.kind === 'choice' ? 'class' : facts.kind
  const outputs = facts.kind === 'choice' ? 2 : facts.outputs
  const fitted = definition.restore(own, config, { kind, outputs })
  const { layer, pooling, separatePairs } = facts
  const model = modelWithLearner(opened.model, facts.head, facts.headOptions, {
    layer,
    pooling,
    separatePairs,
    kind: facts.kind,
    fitted,
    scaler,
  })
  return { model: model.eval(), facts, baseFolder: opened.folder, tensors }
}
