// A specialist that learnt from features, as a folder: feature_model.json says what is read from which base, learner.safetensors holds what
// was learnt. Knows no learner and no task.
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { loadModelWithReport, openSafetensors, resolveModel, saveSafetensors } from '../checkpoint/index.ts'
import { CheckpointError, exists, parseConfig, sha256, sha256File, writeFolderAtomic } from '../core/index.ts'
import { type HeadType, headEntry, headOptionsSchema, headTypes, type Model } from '../models/index.ts'
import { Generator, type Tensor } from '../tensor/index.ts'
import { modelWithLearner, type Scaler } from './feature-head.ts'
import { layerField, poolings } from './layers.ts'
import { expectTensor, type FittedLearner } from './learner.ts'
import { learners } from './learners/index.ts'
import { findLearner } from './settings.ts'

const FEATURE_FILE = 'feature_model.json'
const LEARNER_FILE = 'learner.safetensors'
const scalerPrefix = 'scaler.'

const fileSchema = z.strictObject({
  version: z.literal(1).describe('of this format'),
  base: z.string().describe('folder or Hub id of the base'),
  baseIdentity: z.string().describe('SHA-256 of its files'),
  initSeed: z.int().optional().describe('seed of a base with random weights'),
  precision: z.enum(['float32', 'bfloat16']).default('float32').describe('of the base while it gave features'),
  task: z.string().describe('what was learnt'),
  head: z.enum(headTypes),
  headOptions: headOptionsSchema.partial(),
  layer: layerField,
  pooling: z.enum(poolings),
  apart: z.boolean().describe('rows are u, v, |u-v| and u*v of two texts'),
  width: z.int().positive().describe('features of a row'),
  kind: z.enum(['class', 'labels', 'number', 'choice']),
  outputs: z.int().positive(),
  standardize: z.boolean(),
  learner: z.enum(Object.keys(learners) as [string, ...string[]]),
  settings: z.record(z.string(), z.unknown()).describe("the learner's own"),
})
export type FeatureModelFacts = z.output<typeof fileSchema>

export interface BaseOptions {
  base: string
  initSeed?: number
  precision?: 'float32' | 'bfloat16'
  device?: string
}

export interface OpenBase {
  model: Model
  /** Folder or file of the base. */
  folder: string
  /** Hash of everything that its features depend on. */
  identity: string
}

/** A base that is in memory already, with whatever head. */
export interface LoadedBase extends Omit<OpenBase, 'identity'> {
  /** SHA-256 of its files, as `identityOf` gives it. */
  files: string
}

/** What a base is, down to the bits of its features. */
const featureIdentity = (files: string, { initSeed, precision }: Pick<BaseOptions, 'initSeed' | 'precision'>): string =>
  sha256(JSON.stringify({ files, initSeed, precision }))

/** A base to take features from: without a head of its own, frozen. */
export const openBase = async ({
  base,
  initSeed,
  precision = 'float32',
  device = 'cpu',
}: BaseOptions): Promise<OpenBase> => {
  const folder = await resolveModel(base)
  const { model } = await loadModelWithReport(folder, { head: 'embedding', dtype: 'float32' })
  if (initSeed !== undefined)
    model.initialize({ std: model.facts.initializerRange, generator: new Generator(initSeed) })
  if (precision !== 'float32' || device !== 'cpu') model.to({ dtype: precision, device })
  model.requireGrad(false)
  return { model, folder, identity: featureIdentity(await modelFilesHash(folder), { initSeed, precision }) }
}

/** SHA-256 over the weights and the config of a model's folder, or of its one file. */
export const modelFilesHash = async (path: string): Promise<string> => {
  if ((await stat(path)).isFile()) return sha256File(path)
  const names = (await readdir(path)).filter((name) => name.endsWith('.safetensors') || name.endsWith('config.json'))
  const hashes = await Promise.all(names.sort().map(async (name) => `${name} ${await sha256File(join(path, name))}`))
  return sha256(hashes.join('\n'))
}

/** Two files and more, whole or not at all. */
export const saveFeatureModel = async (
  facts: Omit<FeatureModelFacts, 'version'>,
  { fitted, scaler }: { fitted: FittedLearner; scaler: Scaler | undefined },
  folder: string,
  also?: (folder: string) => Promise<void>,
): Promise<void> => {
  await mkdir(dirname(folder), { recursive: true })
  await writeFolderAtomic(folder, async (target) => {
    await writeFile(join(target, FEATURE_FILE), `${JSON.stringify({ version: 1, ...facts }, null, 2)}\n`)
    const tensors = new Map(fitted.tensors)
    if (scaler !== undefined)
      for (const [name, tensor] of Object.entries(scaler)) tensors.set(`${scalerPrefix}${name}`, tensor as Tensor)
    await saveSafetensors(join(target, LEARNER_FILE), tensors)
    await also?.(target)
  })
}

/** Whether a folder holds a specialist that learnt from features. */
export const isFeatureModel = async (folder: string): Promise<boolean> => exists(join(folder, FEATURE_FILE))

export interface OpenedFeatureModel {
  model: Model
  facts: FeatureModelFacts
  /** Folder or file of the base. */
  baseFolder: string
  /** What it holds besides the base. */
  tensors: ReadonlyMap<string, Tensor>
}

/** @throws CheckpointError for a base in memory that cannot give the features */
const openLoaded = (
  { model, folder, files }: LoadedBase,
  { initSeed, precision }: FeatureModelFacts,
  path: string,
): OpenBase => {
  const entry = (head: HeadType) => headEntry(model.definition, model.config, head)
  const fault =
    initSeed !== undefined
      ? 'a base of random weights'
      : (entry(model.headType).encoderOnly ?? false) !== (entry('embedding').encoderOnly ?? false)
        ? 'an encoder without its decoder'
        : undefined
  if (fault !== undefined)
    throw new CheckpointError(
      `${path}: Expected ${fault}, which the features were taken from, got the base in memory from ${folder}. Open this model by itself.`,
    )
  return { model, folder, identity: featureIdentity(files, { precision }) }
}

/**
 * @param options.base in place of the one that the files name: a folder or Hub id, or one in memory, which is left as it is
 * @throws CheckpointError where the files do not fit each other or the base is another one
 */
export const openFeatureModel = async (
  folder: string,
  { device, base }: { device?: string; base?: string | LoadedBase } = {},
): Promise<OpenedFeatureModel> => {
  const path = join(folder, FEATURE_FILE)
  let fields: unknown
  try {
    fields = JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    throw new CheckpointError(`${path}: Expected JSON, got something else (${(error as Error).message}).`)
  }
  const facts = parseConfig(fileSchema, fields, path)
  const opened =
    typeof base === 'object'
      ? openLoaded(base, facts, path)
      : await openBase({ ...facts, base: base ?? facts.base, device })
  if (opened.identity !== facts.baseIdentity)
    throw new CheckpointError(
      `${path}: Expected the base that the features were taken from at ${opened.folder}, found another one. What was learnt means nothing on it: learn again.`,
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
  const fitted = definition.open(own, config, { kind, outputs })
  const { layer, pooling, apart } = facts
  const model = modelWithLearner(opened.model, facts.head, facts.headOptions, {
    layer,
    pooling,
    separatePairs: apart,
    kind: facts.kind,
    fitted,
    scaler,
  })
  return { model: model.eval(), facts, baseFolder: opened.folder, tensors }
}
