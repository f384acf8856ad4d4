// Training that begins with an adapter: a method beside the base trains the adapter further, and a method that trains the base itself
// begins with the adapter merged into it.
import {
  type AdapterConfig,
  type AdapterDefinition,
  AppliedAdapter,
  type ApplyOptions,
  adapterName,
  adapters,
  adaptersOf,
  applyAdapter,
  isAdapterFolder,
  loadAdapter,
} from '../../adapters/index.ts'
import { resolveModel } from '../../checkpoint/index.ts'
import { ConfigError } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import { noGrad } from '../../tensor/index.ts'
import type { BaseRecipe } from './base-settings.ts'

/** Name of the adapter as it was, which is kept as a reference, and of one that got another head. */
const startName = 'start'
const movedName = 'start-with-this-head'

/** The adapter that training begins with. */
export interface StartChoice {
  folder: string
  /**
   * What becomes of its head: `needed` refuses an adapter with another head than the model's, `used` takes it where it predicts the same
   * labels, and `left` keeps the model's.
   */
  head: 'needed' | 'used' | 'left'
}

interface LoadedStart {
  applied: AppliedAdapter
  /** Whether the model has the head that was trained with the adapter. */
  hasHead: boolean
}

/** Whether a head predicts what another of its type does; a file of PEFT has the number of labels only. */
const fitsHead = ({ headType, headOptions: { labels } }: Model, { headType: type, headOptions }: Model): boolean =>
  headType === type &&
  labels.length === headOptions.labels.length &&
  labels.every((label, i) => label === headOptions.labels[i] || label === `LABEL_${i}`)

/** Puts an adapter that has a head of its own on a model, with the values of its head where `keepsHead`. */
const moveToHead = (model: Model, applied: AppliedAdapter, keepsHead: boolean): AppliedAdapter => {
  const { bank, name } = applied
  bank.activate(undefined)
  if (keepsHead)
    noGrad(() => {
      const own = model.parameters()
      for (const [path, tensor] of bank.get(name).copies)
        if (path.startsWith('head.')) own.get(path)?.detach().copy_(tensor)
    })
  bank.duplicate(name, movedName, { model })
  bank.remove(name)
  return new AppliedAdapter(bank, movedName)
}

const loadStart = async (model: Model, { folder, head }: StartChoice): Promise<LoadedStart> => {
  const { model: own, applied } = await loadAdapter(folder, { base: model, name: startName })
  const isSame = own === model
  if (head === 'needed' && !isSame)
    throw new ConfigError(
      `Expected an adapter of a model with the head ${model.headType} for \`base\`, got one with ${own.headType} of its own: ${folder}. Choose an adapter that was trained for this.`,
    )
  const trained = [...applied.bank.get(startName).copies.keys()].some((path) => path.startsWith('head.'))
  const hasHead = head !== 'left' && trained && (isSame || fitsHead(own, model))
  if (isSame && (head !== 'left' || !trained)) return { applied, hasHead }
  return { applied: moveToHead(model, applied, hasHead), hasHead }
}

/**
 * Adds the change of an adapter to the matrices of the base for good.
 * @returns whether the model has the adapter's head now
 * @throws ConfigError for a method or a base that does not allow it
 */
export const mergeStart = async (model: Model, start: StartChoice): Promise<boolean> => {
  const { applied, hasHead } = await loadStart(model, start)
  applied.enable(false)
  const before = model.parameters()
  applied.merge()
  const changed = [...model.parameters()].filter(([path, tensor]) => tensor !== before.get(path))
  applied.enable(false)
  noGrad(() => {
    for (const [path, tensor] of changed) before.get(path)?.detach().copy_(tensor)
  })
  applied.remove()
  return hasHead
}

/**
 * Gives a model the head that was trained with an adapter.
 * @returns whether it predicts the same
 */
export const takeStartHead = async (model: Model, folder: string): Promise<boolean> => {
  const { applied, hasHead } = await loadStart(model, { folder, head: 'used' })
  if (hasHead) applied.enable()
  return hasHead
}

/** The adapter of a folder as what is trained, with a frozen copy of it. @throws ConfigError for another method or other settings */
const continueStart = async (model: Model, { variant, adapter: settings }: BaseRecipe, choice: StartChoice) => {
  const { applied: loaded, hasHead } = await loadStart(model, choice)
  const { type } = loaded.definition
  if (type !== variant)
    throw new ConfigError(
      `Expected ${type} for \`variant\`, the method of the adapter in \`base\`, or one that trains the base itself, such as full, got ${variant}.`,
    )
  const given = Object.keys(settings)
  if (given.length > 0)
    throw new ConfigError(
      `Expected no \`adapter\` settings with an adapter as \`base\`, which keeps its own, got ${given.join(', ')}. Remove them.`,
    )
  const name = 'default'
  const bank = adaptersOf(model)
  bank.activate(undefined)
  model.requireGrad(false)
  bank.duplicate(loaded.name, name)
  bank.setTrainable(name, true)
  bank.activate(name)
  return { applied: new AppliedAdapter(bank, name, { start: loaded.name }), hasHead }
}

/**
 * Loads the adapters of a recipe's stack onto its base.
 * @param apart each on the base alone, in place of on those before it
 * @returns their names
 */
const loadStack = async (model: Model, stack: readonly string[], apart: boolean): Promise<string[]> => {
  const bank = adaptersOf(model)
  const names: string[] = []
  for (const choice of stack) {
    const folder = await resolveModel(choice)
    if (!(await isAdapterFolder(folder)))
      throw new ConfigError(
        `Expected folders of adapters for \`stack\`, got ${choice} without adapter_config.json. Check the path.`,
      )
    const name = bank.unusedName(adapterName(choice))
    await loadAdapter(folder, { base: model, name, below: apart ? [] : names.slice(-1) })
    names.push(name)
  }
  bank.activate(undefined)
  return names
}

/**
 * Puts what a recipe trains on its base.
 * @param start adapter that training begins with
 * @returns what is trained, and whether the model has the head of that adapter
 */
export const applyVariant = async (
  model: Model,
  recipe: BaseRecipe,
  start: StartChoice | undefined,
  options: Pick<ApplyOptions, 'encode' | 'original'>,
): Promise<LoadedStart> => {
  const { variant, adapter, seed, stack = [] } = recipe
  if (stack.length > 0 && start !== undefined)
    throw new ConfigError(
      `\`stack\` needs a whole model for \`base\`, got the adapter ${recipe.base}. Name its base, and the adapter in \`stack\`.`,
    )
  const { inPlace = false, fuses = false } =
    (adapters as Record<string, Pick<AdapterDefinition, 'inPlace' | 'fuses'> | undefined>)[variant] ?? {}
  if (start !== undefined && !inPlace) return continueStart(model, recipe, start)
  const hasHead = start !== undefined && (await mergeStart(model, start))
  if (stack.length > 0 && inPlace)
    throw new ConfigError(
      `\`stack\` needs a variant beside the base, got ${variant}, which trains the base itself. Choose another, such as lora.`,
    )
  const below = await loadStack(model, stack, fuses)
  const applied = applyAdapter(model, { ...adapter, type: variant } as AdapterConfig, { seed, below, ...options })
  return { applied, hasHead }
}
