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

/** Name of the adapter as it was, which is kept as a reference. */
const startName = 'start'

const loadStart = async (model: Model, folder: string): Promise<AppliedAdapter> => {
  const { model: own, applied } = await loadAdapter(folder, { base: model, name: startName })
  if (own !== model)
    throw new ConfigError(
      `Expected an adapter of a model with the head ${model.headType} for \`base\`, got one with ${own.headType} of its own: ${folder}. Choose an adapter that was trained for this.`,
    )
  return applied
}

/** Adds the change of an adapter to the matrices of the base for good. @throws ConfigError for a method or a base that does not allow it */
export const mergeStart = async (model: Model, folder: string): Promise<void> => {
  const applied = await loadStart(model, folder)
  applied.enable(false)
  const before = model.parameters()
  applied.merge()
  const changed = [...model.parameters()].filter(([path, tensor]) => tensor !== before.get(path))
  applied.enable(false)
  noGrad(() => {
    for (const [path, tensor] of changed) before.get(path)?.detach().copy_(tensor)
  })
  applied.remove()
}

/** The adapter of a folder as what is trained, with a frozen copy of it. @throws ConfigError for another method or other settings */
const continueStart = async (model: Model, { variant, adapter: settings }: BaseRecipe, folder: string) => {
  const loaded = await loadStart(model, folder)
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
  bank.duplicate(startName, name)
  bank.setTrainable(name, true)
  bank.activate(name)
  return new AppliedAdapter(bank, name, { start: startName })
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

/** Puts what a recipe trains on its base. @param start folder of an adapter that training begins with */
export const applyVariant = async (
  model: Model,
  recipe: BaseRecipe,
  start: string | undefined,
  options: Pick<ApplyOptions, 'encode' | 'original'>,
): Promise<AppliedAdapter> => {
  const { variant, adapter, seed, stack = [] } = recipe
  if (stack.length > 0 && start !== undefined)
    throw new ConfigError(
      `\`stack\` needs a whole model for \`base\`, got the adapter ${recipe.base}. Name its base, and the adapter in \`stack\`.`,
    )
  const { inPlace = false, fuses = false } =
    (adapters as Record<string, Pick<AdapterDefinition, 'inPlace' | 'fuses'> | undefined>)[variant] ?? {}
  if (start !== undefined && !inPlace) return continueStart(model, recipe, start)
  if (start !== undefined) await mergeStart(model, start)
  if (stack.length > 0 && inPlace)
    throw new ConfigError(
      `\`stack\` needs a variant beside the base, got ${variant}, which trains the base itself. Choose another, such as lora.`,
    )
  const below = await loadStack(model, stack, fuses)
  return applyAdapter(model, { ...adapter, type: variant } as AdapterConfig, { seed, below, ...options })
}
