// Attaches a specialist to a base in memory: as an adapter, or as an estimator of its features. Independent of task, adapter and estimator.
import { readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { adaptersOf, isAdapterFolder, loadAdapter } from '../../adapters/index.ts'
import { CheckpointError } from '../../core/index.ts'
import { isFeatureModel, loadFeatureModel, modelFilesHash } from '../../features/index.ts'
import { type Model, quantizationOf } from '../../models/index.ts'
import type { Tensor } from '../../tensor/index.ts'

/** A base in memory, with a head of its own. */
export interface SharedBase {
  model: Model
  /** Its folder or file. */
  folder: string
}

/** A specialist on a base. */
export interface AttachedSpecialist {
  /** The base with the specialist's head. */
  model: Model
  /** Virtual tokens in front of every sequence. */
  virtualTokens: number
  /** Activates it on the base instead of the one before, and returns the model. */
  activate(): Model
  /** All tensors that it uses; some may be the base's. */
  tensors(): Tensor[]
  /** Removes it from the base and returns the tensors that it alone uses. */
  detach(): Tensor[]
}

/** A kind of specialists: adapter or feature model. */
export interface SpecialistKind {
  /** Whether a folder has such a specialist. */
  matches(folder: string): Promise<boolean>
  /** @throws CheckpointError for files that do not fit the base */
  open(folder: string, base: SharedBase, name: string, note: (line: string) => void): Promise<AttachedSpecialist>
}

/**
 * Replaces a randomly initialised head by the adapter's own, so that it takes no memory; a base's own head stays, since others use it.
 */
const replaceHead = (model: Model, base: Model, copies: ReadonlyMap<string, Tensor>): void => {
  if (model === base) return
  const shared = new Set(base.parameters().values())
  const parameters = model.parameters()
  for (const [path, copy] of copies) {
    const initial = parameters.get(path)
    if (!path.startsWith('head.') || initial === undefined || initial === copy || shared.has(initial)) continue
    for (const [, module] of model.head.modules())
      for (const [name, value] of Object.entries(module)) if (value === initial) Reflect.set(module, name, copy)
    initial.free()
  }
}

/** Warns of an adapter that was trained on another base, which the shapes alone do not show. */
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
    note(`${name} was trained on ${named}, not on ${folder}: its answers mean nothing on another base.`)
}

const asAdapter: SpecialistKind = {
  matches: isAdapterFolder,
  async open(path, base, name, note) {
    await noteOtherBase(path, base, name, note)
    const bank = adaptersOf(base.model)
    const { model, applied } = await loadAdapter(path, { base: base.model, name })
    bank.activate(undefined)
    replaceHead(model, base.model, bank.get(name).copies)
    const ofStack = () => bank.stackOf(name).flatMap((one) => [...bank.tensorsOf(one).values()])
    const ofHead = () => (model === base.model ? [] : [...model.head.parameters().values()])
    return {
      model,
      virtualTokens: applied.virtualTokens,
      activate: () => bank.activate(name),
      tensors: () => [...ofStack(), ...ofHead()],
      detach() {
        const own = ofStack()
        bank.remove(name)
        const kept = new Set(base.model.parameters().values())
        return [...new Set([...own, ...ofHead()])].filter((tensor) => !kept.has(tensor))
      },
    }
  },
}

/** Hashes of the files of bases in memory, which do not change meanwhile. */
const identities = new WeakMap<Model, Promise<string>>()

const asFeatureModel: SpecialistKind = {
  matches: isFeatureModel,
  async open(path, base, name, note) {
    const files = identities.get(base.model) ?? modelFilesHash(base.folder)
    identities.set(base.model, files)
    const bank = adaptersOf(base.model)
    bank.activate(undefined)
    const { model, facts, tensors } = await loadFeatureModel(path, { base: { ...base, files: await files } })
    const computed = quantizationOf(base.model) ?? base.model.body.embedTokens.dtype
    if (facts.precision !== computed)
      note(
        `${name} was fitted to features in ${facts.precision}; the base computes them in ${computed}, which differ slightly.`,
      )
    return {
      model,
      virtualTokens: 0,
      // Features are computed by the base alone.
      activate() {
        bank.activate(undefined)
        return model
      },
      tensors: () => [...tensors.values()],
      detach: () => [...tensors.values()],
    }
  },
}

const specialistKinds: readonly SpecialistKind[] = [asAdapter, asFeatureModel]

/** The kind of the specialist in a folder; undefined for a whole model. */
export const specialistKindOf = async (path: string): Promise<SpecialistKind | undefined> => {
  const matches = await Promise.all(specialistKinds.map((kind) => kind.matches(path)))
  return specialistKinds[matches.indexOf(true)]
}
