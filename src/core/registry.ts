// A registry: definitions by their `type`, the built-in ones written once as a list, and those that packages register at
// run time. Independent of what is defined.
import { ConfigError } from './errors.ts'

/** What every definition in a registry has: the name that recipes and flags use. */
export interface Definition {
  readonly type: string
}

/** Definitions by their `type`, each with its own literal name and its own TypeScript type. */
export type ByType<Entry extends Definition> = { readonly [Each in Entry as Each['type']]: Each }

const validName = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/

/** Holds the definitions of one kind, such as objectives. Schemas and flags read it when they are used, not when they are made. */
export class Registry<Entry extends Definition> {
  readonly #kind: string
  readonly #entries: Record<string, Entry> = {}

  /** @param kind a noun with its article, for errors: "an objective" */
  constructor(kind: string) {
    this.#kind = kind
  }

  /** Adds the built-in definitions. @returns all entries by type, a live view that registered definitions join */
  builtIn<const List extends readonly Entry[]>(list: List): ByType<List[number]> {
    for (const entry of list) this.register(entry)
    const entries: object = this.#entries
    return entries as ByType<List[number]>
  }

  /**
   * Adds a definition. Registering the same object again changes nothing.
   * @throws ConfigError for a name that is taken, or that no flag could have
   */
  register(entry: Entry): void {
    const { type } = entry
    if (this.find(type) === entry) return
    if (typeof type !== 'string' || !validName.test(type))
      throw new ConfigError(
        `Expected lower-case words joined by hyphens for the \`type\` of ${this.#kind}, got ${JSON.stringify(type)}. Rename it.`,
      )
    if (this.find(type) !== undefined)
      throw new ConfigError(
        `Expected a new \`type\` for ${this.#kind}, got \`${type}\`, which is registered. Rename it.`,
      )
    this.#entries[type] = entry
  }

  /** Names of all entries, in the order in which they were added. */
  get types(): string[] {
    return Object.keys(this.#entries)
  }

  /** All entries, in the order in which they were added. */
  get list(): Entry[] {
    return Object.values(this.#entries)
  }

  /** The entry of this name, if there is one. */
  find(type: string): Entry | undefined {
    return Object.hasOwn(this.#entries, type) ? this.#entries[type] : undefined
  }
}
