// Adapters of other models on the base of the policy, so that the base is in memory once: reward models, judges and critics.
import { realpath } from 'node:fs/promises'
import { adaptersOf, baseOfAdapter, loadAdapter } from '../adapters/index.ts'
import { resolveModel } from '../checkpoint/index.ts'
import type { Model } from '../models/index.ts'

/** A base in memory with the folder that it was loaded from. */
export interface SharedBase {
  model: Model
  folder: string
}

const realFolder = async (folder: string): Promise<string> =>
  realpath(await resolveModel(folder).catch(() => folder)).catch(() => folder)

/** Whether an adapter was trained on this base. */
export const isOnBase = async (adapter: string, { folder }: SharedBase): Promise<boolean> => {
  const own = await baseOfAdapter(adapter).catch(() => undefined)
  return own !== undefined && (await realFolder(own)) === (await realFolder(folder))
}

/** Puts an adapter on a base in memory, without gradients; the adapters that are active stay so. @param name used as it is, or with a number */
export const putOnBase = async (
  adapter: string,
  base: Model,
  name: string,
): Promise<{ model: Model; name: string }> => {
  const bank = adaptersOf(base)
  const active = bank.active
  const merged = active.filter((one) => bank.isMerged(one))
  const own = bank.unusedName(name)
  try {
    return { model: (await loadAdapter(adapter, { base, name: own })).model, name: own }
  } finally {
    bank.activate(active, { merged })
  }
}
