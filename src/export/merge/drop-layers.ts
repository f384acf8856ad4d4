// `dropAdapterLayers`: a trained adapter without its parts in the first layers, which is faster. @source arXiv:2010.11918
import { cp, readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { AppliedAdapter, baseOfAdapter, isAdapterFolder, loadAdapter, saveAdapter } from '../../adapters/index.ts'
import { resolveModel } from '../../checkpoint/index.ts'
import { ConfigError, exists, parseConfig } from '../../core/index.ts'

/** Settings of `dropAdapterLayers`. */
export const dropLayersSchema = z.strictObject({
  layers: z.int().positive().describe('number of first layers that the adapter leaves'),
})

/** Which adapter, how many layers, and where to. */
export interface DropInput extends z.input<typeof dropLayersSchema> {
  /** Folder, run or Hub id of a bottleneck adapter, or of a stack with one. */
  adapter: string
  /** Folder of the result; it must not exist. */
  out: string
}

/** What was written. */
export interface DropResult {
  out: string
  /** Parameters of the adapters before and after. */
  before: number
  after: number
}

/**
 * Writes an adapter without its parts in the first layers; of a stack, all bottlenecks lose them.
 * @throws ConfigError for a method that cannot lose layers, or a number that leaves none
 */
export const dropAdapterLayers = async ({ adapter, out, ...rest }: DropInput): Promise<DropResult> => {
  const { layers } = parseConfig(dropLayersSchema, rest, 'drop-layers')
  if (await exists(out)) throw new ConfigError(`Expected a folder that does not exist for \`out\`, got ${out}.`)
  const folder = await resolveModel(adapter)
  if (!(await isAdapterFolder(folder)))
    throw new ConfigError(`Expected the folder of an adapter, got ${adapter} without adapter_config.json.`)
  const { applied } = await loadAdapter(folder)
  const { bank, name } = applied
  const all = bank.stackOf(name).map((one) => new AppliedAdapter(bank, one))
  const count = () => all.reduce((sum, { parameterCount }) => sum + parameterCount, 0)
  const before = count()
  const losing = all.filter(({ definition }) => definition.dropLayers !== undefined)
  // A stack without any says which method its top has.
  for (const one of losing.length > 0 ? losing : [applied]) one.dropLayers(layers)
  const base = await baseOfAdapter(folder)
  await saveAdapter(applied, out, {
    base: (await exists(base)) ? resolve(base) : base,
    addFiles: async (target) => {
      for (const entry of await readdir(folder, { withFileTypes: true }))
        if (entry.isFile() && !/^adapter[_.]|^tunesmith\.json$/.test(entry.name))
          await cp(join(folder, entry.name), join(target, entry.name))
    },
  })
  return { out, before, after: count() }
}
