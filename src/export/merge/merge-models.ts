// `mergeModels`: several whole models of one architecture become one, parameter by parameter in float32.
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { isAdapterFolder } from '../../adapters/index.ts'
import { loadModelWithReport, resolveModel } from '../../checkpoint/index.ts'
import { ConfigError, exists, parseConfig } from '../../core/index.ts'
import { expectFinite, type Model } from '../../models/index.ts'
import { fineTunedTask, publicName, type SpecialistTask } from '../../runs/index.ts'
import { keep, scope, type Tensor } from '../../tensor/index.ts'
import { renderModelCard } from '../../tracking/index.ts'
import { storedDtype } from '../open-source.ts'
import { saveMade } from '../save-into.ts'
import { type MergeMethod, type MergeSettings, mergeMethods, mergeParameter } from './merge-methods.ts'

const methodNames = mergeMethods.map(({ type }) => type)

/** Settings of a merge. */
export const mergeSchema = z.strictObject({
  method: z.enum(methodNames).describe('merge method'),
  base: z.string().optional().describe('model that the others were trained from: a folder, a run or a Hub id'),
  weights: z.array(z.number()).optional().describe('weight of each model (default: 1 each)'),
  density: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .describe('ties and dare: share of each difference that is kept (default: 0.5)'),
  scale: z.number().optional().describe('factor of the merged difference from the base (default: 1)'),
  seed: z.union([z.int(), z.string()]).optional().describe('dare: random seed of the dropped elements (default: 0)'),
})

/** Which models are merged, how, and where to. */
export interface MergeInput extends z.input<typeof mergeSchema> {
  /** Folders, runs or Hub ids of whole models, all of one architecture and size. */
  models: readonly string[]
  /** Folder of the merged model; it must not exist. */
  out: string
}

/** Progress and cancellation. */
export interface MergeHooks {
  signal?: AbortSignal | undefined
  onProgress?(line: string): void
}

/** What was merged. */
export interface MergeResult {
  out: string
  method: string
  models: string[]
  parameters: number
}

interface Opened {
  given: string
  model: Model
  folder?: string
}

const open = async (given: string): Promise<Opened> => {
  const { model, folder, report } = await loadModelWithReport(given, { dtype: 'float32', device: 'cpu' })
  if (report.newHead.length > 0)
    throw new ConfigError(`Expected models whose files hold their heads, got ${given} without ${report.newHead[0]}.`)
  expectFinite(model.parameters(), given)
  return { given, model: model.eval(), ...(folder === undefined ? {} : { folder }) }
}

/** @throws ConfigError where the parameters are not those of the first model */
const expectSameShape = (first: Opened, other: Opened): void => {
  const refuse = (what: string): never => {
    throw new ConfigError(`Expected models of one architecture and size to merge, got ${other.given} with ${what}.`)
  }
  if (other.model.definition !== first.model.definition) refuse(`the architecture ${other.model.definition.type}`)
  if (other.model.headType !== first.model.headType) refuse(`the head ${other.model.headType}`)
  const theirs = other.model.parameters()
  for (const [name, { shape }] of first.model.parameters()) {
    const found = theirs.get(name)
    if (found === undefined) refuse(`no ${name}`)
    if (found?.shape.join() !== shape.join()) refuse(`${name} of [${found?.shape}] instead of [${shape}]`)
  }
  for (const name of theirs.keys())
    if (!first.model.parameters().has(name)) refuse(`${name}, which ${first.given} lacks`)
}

/** @throws ConfigError where two models split texts in different ways */
const expectSameTokenizer = async (models: readonly Opened[]): Promise<void> => {
  const [first, ...others] = models
  // Neither the layout of the file nor how batches are cut and padded changes what tokens are.
  const contentOf = async ({ folder }: Opened): Promise<unknown> => {
    const path = join(folder ?? '', 'tokenizer.json')
    if (folder === undefined || !(await exists(path))) return undefined
    const { truncation: _, padding: __, ...rules } = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
    return rules
  }
  const expected = await contentOf(first)
  for (const other of others)
    if (!isDeepStrictEqual(await contentOf(other), expected))
      throw new ConfigError(
        `Expected models with one tokenizer.json to merge, got another in ${other.given} than in ${first.given}: their embeddings are of other tokens.`,
      )
}

/** @throws ConfigError for settings that the method does not use, or that it needs */
const settingsOf = (
  method: MergeMethod,
  { base, weights, ...given }: z.output<typeof mergeSchema>,
  models: readonly string[],
): MergeSettings => {
  const count = models.length
  if (method.models !== undefined && count !== method.models)
    throw new ConfigError(`Expected ${method.models} models for ${method.type}, got ${count}: ${models.join(', ')}.`)
  if (count < (method.needsBase ? 1 : 2)) throw new ConfigError(`Expected two or more models to merge, got ${count}.`)
  if (method.needsBase !== (base !== undefined))
    throw new ConfigError(
      method.needsBase
        ? `${method.type} needs the model that the others were trained from: set \`base\`.`
        : `\`base\` has no effect with ${method.type}: leave it out, or list it among the models.`,
    )
  for (const name of ['density', 'scale', 'seed'] as const)
    if (given[name] !== undefined && !method.uses.includes(name))
      throw new ConfigError(`\`${name}\` has no effect with ${method.type}: leave it out.`)
  if (weights !== undefined && weights.length !== count)
    throw new ConfigError(`Expected a weight for each of ${count} models, got ${weights.length}. Give one for each.`)
  const all = weights ?? Array<number>(count).fill(1)
  if (!method.needsBase && all.reduce((sum, weight) => sum + weight, 0) === 0)
    throw new ConfigError('Expected weights whose sum is not 0 for a mean, got 0.')
  return { weights: all, density: given.density ?? 0.5, scale: given.scale ?? 1, seed: given.seed ?? 0 }
}

/** The task that all models were fine-tuned on; undefined where there is none, or another. */
const commonTask = async (models: readonly string[]): Promise<SpecialistTask | undefined> => {
  const tasks = await Promise.all(models.map(async (model) => fineTunedTask(model, await resolveModel(model))))
  return tasks.every((task) => isDeepStrictEqual(task, tasks[0])) ? tasks[0] : undefined
}

const cardOf = async ({ models, base, method }: MergeInput, out: string): Promise<string> => {
  const names = await Promise.all(models.map(publicName))
  return renderModelCard({
    name: basename(out),
    summary: `${names.join(', ')} merged by ${method}.`,
    library: 'transformers',
    ...(base === undefined ? {} : { base: await publicName(base) }),
    relation: 'merge',
    limitations: ['A merge was not trained: evaluate it before you use it.'],
  })
}

/**
 * Merges whole models of one architecture, and writes the result as a folder of transformers in the dtype of the first.
 * @throws ConfigError for models that differ in architecture, size or tokenizer, and settings that the method does not use;
 *   CheckpointError for damaged files
 */
export const mergeModels = async (input: MergeInput, { signal, onProgress }: MergeHooks = {}): Promise<MergeResult> => {
  const { models, out, ...rest } = input
  const parsed = parseConfig(mergeSchema, rest, 'merge')
  const method = mergeMethods.find(({ type }) => type === parsed.method) as MergeMethod
  const settings = settingsOf(method, parsed, models)
  if (await exists(out)) throw new ConfigError(`Expected a folder that does not exist for \`out\`, got ${out}.`)
  const opened: Opened[] = []
  for (const given of [...(parsed.base === undefined ? [] : [parsed.base]), ...models]) {
    signal?.throwIfAborted()
    if (await isAdapterFolder(await resolveModel(given)))
      throw new ConfigError(`Expected whole models to merge, got the adapter ${given}. Export it to merged first.`)
    onProgress?.(`Opening ${given}`)
    opened.push(await open(given))
  }
  for (const other of opened.slice(1)) expectSameShape(opened[0], other)
  await expectSameTokenizer(opened)
  const base = parsed.base === undefined ? undefined : opened[0].model.parameters()
  const others = (base === undefined ? opened : opened.slice(1)).map(({ model }) => model.parameters())
  onProgress?.(`Merging ${models.length} models by ${method.type}`)
  const merged = new Map<string, Tensor>()
  for (const name of others[0].keys()) {
    signal?.throwIfAborted()
    const tensors = others.map((parameters) => parameters.get(name) as Tensor)
    merged.set(
      name,
      scope(() => keep(mergeParameter(method, { name, tensors, base: base?.get(name) }, settings))),
    )
  }
  const { model, folder } = opened[0]
  const parameters = model.parameterCount
  model.replaceParameters((name, parameter) => merged.get(name) ?? parameter)
  const task = await commonTask(models)
  onProgress?.(`Writing ${out}`)
  await saveMade(model, out, { folder, dtype: storedDtype(model), card: await cardOf(input, out), task })
  return { out, method: method.type, models: [...models], parameters }
}
