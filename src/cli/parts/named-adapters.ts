// Adapters of one base that the command line names, in memory at once, and the switch between them. Knows no method.
import { basename } from 'node:path'
import { adaptersOf, isAdapterFolder, loadAdapter } from '../../adapters/index.ts'
import { loadTokenizer, resolveModel } from '../../checkpoint/index.ts'
import { CheckpointError, ConfigError, didYouMean } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import type { CommandContext } from '../command.ts'
import { hasTokenizer, type ReadyModel } from './open-model.ts'

/** The name of the base without an adapter. */
const baseName = 'base'

export interface NamedAdapter {
  name: string
  /** A folder, the folder of a run, or a Hub id; undefined for the base itself. */
  folder: string | undefined
}

/** Reads `NAME=FOLDER`, a folder alone, whose own name is then the name, or `base`. @throws ConfigError for a name that comes twice */
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
    throw new ConfigError(`Expected \`--adapter\` with names that differ, got ${twice} twice. Write NAME=FOLDER.`)
  const taken = named.find(({ name, folder }) => name === baseName && folder !== undefined)
  if (taken !== undefined)
    throw new ConfigError(`Expected another name than ${baseName}, which is that of the model without an adapter.`)
  return named
}

/** A base with its adapters; exactly one of these, or none, is active. */
export class AdapterChoice {
  readonly #ready: ReadyModel
  readonly #templates = new Map<string, string | undefined>()
  #active: string

  private constructor(ready: ReadyModel) {
    this.#ready = ready
    // A model that was opened from the folder of an adapter has that one.
    this.#active = adaptersOf(ready.model).active.at(-1) ?? baseName
  }

  /** @throws CheckpointError for a folder without an adapter, or one that does not fit */
  static async open(
    ready: ReadyModel,
    adapters: readonly NamedAdapter[],
    device: string,
    context: Pick<CommandContext, 'log'>,
  ): Promise<AdapterChoice> {
    const choice = new AdapterChoice(ready)
    for (const { name, folder } of adapters) {
      if (folder === undefined) continue
      const path = await resolveModel(folder, { onProgress: (file) => context.log(`downloading ${file}`) })
      if (!(await isAdapterFolder(path)))
        throw new CheckpointError(`${folder}: Expected the folder of an adapter for \`--adapter\`, got another one.`)
      await loadAdapter(path, { base: ready.model, name, device })
      const own = (await hasTokenizer(path)) ? await loadTokenizer(path) : undefined
      choice.#templates.set(name, own?.chatTemplate)
    }
    choice.use(adapters[0]?.name ?? choice.#active)
    return choice
  }

  get names(): string[] {
    return [baseName, ...adaptersOf(this.#ready.model).names]
  }

  get active(): string {
    return this.#active
  }

  /** The base's, with the template that the active adapter was trained with. */
  get template(): string | undefined {
    return this.#templates.get(this.#active) ?? this.tokenizer.chatTemplate
  }

  get tokenizer(): Tokenizer {
    return this.#ready.tokenizer
  }

  /** @throws ConfigError for a name that is not known */
  use(name: string): Model {
    if (!this.names.includes(name))
      throw new ConfigError(
        `Expected one of ${this.names.join(', ')} for the adapter, got "${name}".${didYouMean(name, this.names)}`,
      )
    this.#active = name
    return adaptersOf(this.#ready.model).use(name === baseName ? [] : name)
  }
}
