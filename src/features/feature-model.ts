// A feature-based specialist as a folder: feature_model.json names the base, the layer and the task, learner.safetensors has the fitted
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
import { CheckpointError, exists, openEnum, parseConfig, sha256, sha256File, writeFolderAtomic } from '../core/index.ts'
import { type HeadType, headEntry, headOptionsSchema, headTypes, type Model } from '../models/index.ts'
import { defaultDevice, expectPlacement, Generator, type Tensor } from '../tensor/index.ts'
import { modelWithLearner, type Scaler } from './feature-head.ts'
import { layerField, poolings } from './layers.ts'
import { expectTensor, type FittedLearner } from './learner.ts'
import { findLearner, learnerTypes } from './learners/index.ts'

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
