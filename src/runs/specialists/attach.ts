// How a specialist stands on a base that is in memory: as an adapter of it, or as a learner of its features. Knows no task, no method of
// adapting and no learner.
import { readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { adaptersOf, isAdapterFolder, loadAdapter } from '../../adapters/index.ts'
import { CheckpointError } from '../../core/index.ts'
import { isFeatureModel, modelFilesHash, openFeatureModel } from '../../features/index.ts'
import type { Model } from '../../models/index.ts'
import type { Tensor } from '../../tensor/index.ts'

/** A base that is in memory, with a head of its own. */
export interface SharedBase {
  model: Model
  /** Folder or file of it. */
  folder: string
}

export interface AttachedSpecialist {
  /** The base with the specialist's head. */
  model: Model
  /** Positions that it takes in front of every sequence. */
  virtualTokens: number
  /** Puts it on the base, in place of whoever stood there, and gives the model to ask. */
  enter(): Model
  /** All that it holds; some of it may be the base's. */
  tensors(): Tensor[]
  /** Takes it off the base and gives what it alone held. */
  leave(): Tensor[]
}

export interface SpecialistWay {
  /** Whether a folder holds such a specialist. */
  holds(folder: string): Promise<boolean>
  /** @throws CheckpointError for files that do not fit the base */
  open(folder: string, base: SharedBase, name: string, note: (line: string) => void): Promise<AttachedSpecialist>
}

/**
 * The adapter's own head stands in its model for good. A head that was drawn at random only to be replaced would be held for nothing;
 * a base's own head stays, since others use it.
 */
const settleHead = (model: Model, base: Model, copies: ReadonlyMap<string, Tensor>): void => {
  if (model === base) return
  const shared = new Set(base.parameters().values())
  const parameters = model.parameters()
  for (const [path, copy] of copies) {
    const drawn = parameters.get(path)
    if (!path.startsWith('head.') || drawn === undefined || drawn === copy || shared.has(drawn)) continue
    for (const [, module] of model.head.modules())
      for (const [name, value] of Object.entries(module))
        if (value === drawn) (module as unknown as Record<string, unknown>)[name] = copy
    drawn.free()
  }
}

/** An adapter means something on its own base only; shapes alone do not tell. */
const noteOtherBase = async (
  path: string,
  { folder }: SharedBase,
  name: string,
  note: (line: string) => void,
): Promise<void> => {
  const file = join(path, 'adapter_config.json')
  let named: unknown
  try {
    named = (JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>).base_model_name_or_path
  } catch (error) {
    throw new CheckpointError(`${file}: Expected JSON, got ${(error as Error).message}.`)
  }
  if (typeof named !== 'string') return
  const real = (one: string) => realpath(one).catch(() => one)
  if ((await real(named)) !== (await real(folder)))
    note(`${name} was trained on ${named}; it is asked on ${folder}. Its answers mean nothing on another base.`)
}

const asAdapter: SpecialistWay = {
  holds: isAdapterFolder,
  async open(path, base, name, note) {
    await noteOtherBase(path, base, name, note)
    const bank = adaptersOf(base.model)
    const { model, applied } = await loadAdapter(path, { base: base.model, name })
    bank.activate(undefined)
    settleHead(model, base.model, bank.get(name).copies)
    const ofHead = () => (model === base.model ? [] : [...model.head.parameters().values()])
    return {
      model,
      virtualTokens: applied.virtualTokens,
      enter: () => bank.activate(name),
      tensors: () => [...bank.tensorsOf(name).values(), ...ofHead()],
      leave() {
        const own = bank.tensorsOf(name)
        bank.remove(name)
        const kept = new Set(base.model.parameters().values())
        return [...new Set([...own.values(), ...ofHead()])].filter((tensor) => !kept.has(tensor))
      },
    }
  },
}

/** Of the files of a base, which do not change while it is in memory. */
const identities = new WeakMap<Model, Promise<string>>()

const asLearner: SpecialistWay = {
  holds: isFeatureModel,
  async open(path, base, name, note) {
    const files = identities.get(base.model) ?? modelFilesHash(base.folder)
    identities.set(base.model, files)
    const bank = adaptersOf(base.model)
    bank.activate(undefined)
    const { model, facts, tensors } = await openFeatureModel(path, { base: { ...base, files: await files } })
    const { dtype } = base.model.body.embedTokens.weight
    if (facts.precision !== dtype)
      note(`${name} learnt from features in ${facts.precision}; the base gives them in ${dtype}, a little off.`)
    return {
      model,
      virtualTokens: 0,
      // The features are those of the base alone.
      enter() {
        bank.activate(undefined)
        return model
      },
      tensors: () => [...tensors.values()],
      leave: () => [...tensors.values()],
    }
  },
}

export const specialistWays: readonly SpecialistWay[] = [asAdapter, asLearner]
