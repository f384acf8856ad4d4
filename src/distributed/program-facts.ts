// What must be the same in the programs of all processes of a group.
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { packageVersion, sha256 } from '../core/index.ts'
import { buildFacts, productsLabel, readNativeBuild } from '../tensor/index.ts'

/** A short hash of plain data, as messages show it. */
export const shortHash = (value: unknown): string => sha256(JSON.stringify(value)).slice(0, 12)

/** The package's own code, sources or built. */
const codeHash = async (): Promise<string> => {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const files = (await readdir(root, { recursive: true })).filter((name) => /\.[jt]s$/.test(name)).sort()
  const texts = await Promise.all(files.map((name) => readFile(join(root, name))))
  return shortHash(files.map((name, i) => [name, sha256(texts[i])]))
}

/** Version, code, libtorch, addon and products of this process, for `ProcessGroup.expectEqual`. */
export const programFacts = async (): Promise<Record<string, string>> => ({
  version: packageVersion(),
  code: await codeHash(),
  libtorch: buildFacts().torchVersion,
  addon: basename(dirname(readNativeBuild().addon)),
  'matrix products': productsLabel(),
})
