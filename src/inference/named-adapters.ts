// Several named adapters on one base in memory, and the switch between them. Independent of adapter methods.
import { basename } from 'node:path'
import { adaptersOf, isAdapterFolder, loadAdapter } from '../adapters/index.ts'
import { loadTokenizer, resolveModel } from '../checkpoint/index.ts'
import { CheckpointError, ConfigError, didYouMean } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { defaultDevice } from '../tensor/index.ts'
import type { Tokenizer } from '../tokenizers/index.ts'
import { hasTokenizer, type InferenceModel, type LoadHooks } from './load.ts'

/** The name of the base without an adapter. */
const baseName = 'base'

/** An adapter by name; `folder` is a folder, a run or a Hub id, and undefined for the base itself. */
export interface NamedAdapter {
  name: string
  folder: string | undefined
}

/**
 * Parses `NAME=FOLDER`, a folder alone (named after the folder), or `base`.
 * @throws ConfigError for a repeated or reserved name
 */
export const parseAdapters = (given: readonly string[]): NamedAdapter[] => {
  const named = given.map((text): NamedAdapter => {
    if (text === baseName) return { name: baseName, folder: undefined }
    const [, name, folder] = /^([A-Za-z][\w-]*)=(.+)$/.exec(text) ?? []
    if (folder !== undefined) return { name, folder }
    const own = basename(text).replace(/[^\w-]+/g, '-')
    return { name: /^[A-Za-z]/.test(own) ? own : `adapter-${own}`, folder: text }
  })
  const names = named.map(({ name }) => name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined)
    throw new ConfigError(`Expected a different name for each \`--adapter\`, got ${twice} twice. Write NAME=FOLDER.`)
  const reserved = named.find(({ name, folder }) => name === baseName && folder !== undefined)
  if (reserved !== undefined)
    throw new ConfigError(
      `Expected another name for \`--adapter\`, got ${baseName}, which is the model without an adapter. Write NAME=FOLDER.`,
    )
  return named
}

/** A base with named adapters in memory, of which at most one is active. */
export class AdapterSwitch {
  readonly #loaded: InferenceModel
  readonly #templates = new Map<string, string | undefined>()
  #active: string

  private constructor(loaded: InferenceModel) {
    this.#loaded = loaded
    // A model loaded from an adapter's folder starts with that adapter active.
    this.#active = adaptersOf(loaded.model).active.at(-1) ?? baseName
  }

  /**
   * Loads adapters onto a base; the first one becomes active.
   * @throws CheckpointError for a folder without an adapter, or an adapter that does not fit the base
   */
  static async load(
    loaded: InferenceModel,
    adapters: readonly NamedAdapter[],
    { device = defaultDevice(), onDownload }: { device?: string } & LoadHooks = {},
  ): Promise<AdapterSwitch> {
    const adapterSwitch = new AdapterSwitch(loaded)
    for (const { name, folder } of adapters) {
      if (folder === undefined) continue
      const path = await resolveModel(folder, { onProgress: onDownload })
      if (!(await isAdapterFolder(path)))
        throw new CheckpointError(
          `${folder}: Expected the folder of an adapter, got a folder without adapter_config.json. Check the path.`,
        )
      await loadAdapter(path, { base: loaded.model, name, device })
      const own = (await hasTokenizer(path)) ? await loadTokenizer(path) : undefined
      adapterSwitch.#templates.set(name, own?.chatTemplate)
    }
    adapterSwitch.use(adapters[0]?.name ?? adapterSwitch.#active)
    return adapterSwitch
  }

  /** `base` and the names of all adapters. */
  get names(): string[] {
    return [baseName, ...adaptersOf(this.#loaded.model).names]
  }

  /** The active adapter, or `base`. */
  get active(): string {
    return this.#active
  }

  /** The chat template that the active adapter was fine-tuned with, else that of the base. */
  get template(): string | undefined {
    return this.#templates.get(this.#active) ?? this.tokenizer.chatTemplate
  }

  get tokenizer(): Tokenizer {
    return this.#loaded.tokenizer
  }

  /** Activates an adapter, or `base`, and gives the model to use. @throws ConfigError for an unknown name */
  use(name: string): Model {
    if (!this.names.includes(name))
      throw new ConfigError(
        `Expected one of ${this.names.join(', ')} for the adapter, got "${name}".${didYouMean(name, this.names)}`,
      )
    this.#active = name
    return adaptersOf(this.#loaded.model).activate(name === baseName ? [] : name)
  }
}
