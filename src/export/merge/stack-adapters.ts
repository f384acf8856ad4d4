// `stackAdapters`: several adapters in one folder, each on those before it. Their files stay as they are.
import { cp, mkdir, readdir, realpath } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { z } from 'zod'
import {
  adapterFolders,
  adapterName,
  baseOfAdapter,
  isAdapterFolder,
  loadAdapter,
  writeStackFile,
} from '../../adapters/index.ts'
import { resolveModel } from '../../checkpoint/index.ts'
import { ConfigError, exists, parseConfig, writeFolderAtomic } from '../../core/index.ts'

/** Settings of a stack. */
export const stackAdaptersSchema = z.strictObject({
  base: z.string().optional().describe('base of the adapters: a folder or Hub id (default: the one that they name)'),
  topOnly: z
    .boolean()
    .default(false)
    .describe('top adapter alone of the last one, which is a stack itself: it gets others below it'),
})

/** Which adapters are stacked, and where to. */
export interface StackInput extends z.input<typeof stackAdaptersSchema> {
  /** Folders, runs or Hub ids of adapters, lowest first. A stack among them counts as its adapters. */
  adapters: readonly string[]
  /** Folder of the stack; it must not exist. */
  out: string
}

/** A stack that was written. */
export interface StackResult {
  out: string
  /** Folder or Hub id of the base. */
  base: string
  /** Names of the adapters, lowest first. */
  adapters: string[]
}

/** One adapter of the stack. */
interface Part {
  name: string
  folder: string
}

/** The adapters in a folder by name. @throws ConfigError for a folder without one */
const partsOf = async (choice: string): Promise<{ root: string; parts: Part[] }> => {
  const root = await resolveModel(choice)
  if (!(await isAdapterFolder(root)))
    throw new ConfigError(`Expected folders of adapters to stack, got ${choice} without adapter_config.json.`)
  const folders = await adapterFolders(root)
  const parts = folders.map((folder) => ({ folder, name: folder === root ? adapterName(choice) : basename(folder) }))
  return { root, parts }
}

const identityOf = async (base: string): Promise<string> => realpath(base).catch(() => base)

/** The base of all adapters. @throws ConfigError for adapters of different bases */
const commonBase = async (all: readonly Part[]): Promise<string> => {
  const bases = await Promise.all(all.map(({ folder }) => baseOfAdapter(folder)))
  const identities = await Promise.all(bases.map(identityOf))
  const other = identities.findIndex((one) => one !== identities[0])
  if (other > 0)
    throw new ConfigError(
      `Expected adapters of one base to stack, got ${all[0].name} on ${bases[0]} and ${all[other].name} on ${bases[other]}. Set \`base\` if both are copies of one model.`,
    )
  return bases[0]
}

/** A folder as an absolute path; a Hub id as it is. */
const settledBase = async (base: string): Promise<string> => ((await exists(base)) ? resolve(base) : base)

/** The names with a number where one comes again. */
const distinct = (parts: readonly Part[]): Part[] => {
  const taken = new Set<string>()
  return parts.map(({ name, folder }) => {
    let own = name
    for (let i = 2; taken.has(own); i++) own = `${name}-${i}`
    taken.add(own)
    return { name: own, folder }
  })
}

/**
 * Writes a folder with several adapters of one base, each of which acts on what those before it give. It opens as one
 * adapter; the head and the files of the task are those of the last one.
 * @throws ConfigError for fewer than two adapters, for different bases, and for methods that cannot be active together;
 *   CheckpointError for an adapter that does not fit the base
 */
export const stackAdapters = async ({ adapters, out, ...rest }: StackInput): Promise<StackResult> => {
  const { base: given, topOnly } = parseConfig(stackAdaptersSchema, rest, 'stack')
  if (await exists(out)) throw new ConfigError(`Expected a folder that does not exist for \`out\`, got ${out}.`)
  const found = await Promise.all(adapters.map(partsOf))
  const last = found.at(-1)
  if (topOnly && last !== undefined && last.parts.length < 2)
    throw new ConfigError(`\`topOnly\` needs a stack as the last adapter, got ${adapters.at(-1)}. Leave it out.`)
  const taken = found.map(({ parts }, i) => (topOnly && i === found.length - 1 ? parts.slice(-1) : parts))
  const all = distinct(taken.flat())
  if (last === undefined || all.length < 2)
    throw new ConfigError(`Expected two or more adapters to stack, got ${all.length}. Name the lowest first.`)
  const base = await settledBase(given ?? (await commonBase(all)))
  await writeFolderAtomic(out, async (target) => {
    for (const { name, folder } of all) {
      await mkdir(join(target, name))
      for (const file of await readdir(folder))
        if (/^(adapter_.*|tunesmith\.json)$/.test(file)) await cp(join(folder, file), join(target, name, file))
    }
    for (const entry of await readdir(last.root, { withFileTypes: true }))
      if (entry.isFile() && !/^adapter_|^tunesmith\.json$/.test(entry.name))
        await cp(join(last.root, entry.name), join(target, entry.name))
    await writeStackFile(
      target,
      base,
      all.map(({ name }) => name),
    )
    // What does not fit the base, or each other, is refused before the folder has its name.
    const { applied } = await loadAdapter(target)
    if (applied.definition.fuses)
      throw new ConfigError(
        `A stack cannot have ${adapters.at(-1)} on others: its ${applied.definition.type} was trained for its own adapters. Train one with \`finetune\`.`,
      )
  })
  return { out, base, adapters: all.map(({ name }) => name) }
}
