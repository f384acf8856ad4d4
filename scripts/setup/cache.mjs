// Copies of libtorch in the cache folder: written whole or not at all, and checked again before each build.
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { mkdir, readdir, rename, rm, statfs, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { digestFile, listFiles } from './hashes.mjs'
import { isAlive, processName } from './lock.mjs'
import { SetupFault } from './report.mjs'

const manifestName = 'manifest.json'
const ownerName = 'owner'

/** Fails before the download when the disk cannot hold it. */
export const requireSpace = async (folder, bytes) => {
  await mkdir(folder, { recursive: true })
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize < bytes) {
    const gib = (value) => (value / 2 ** 30).toFixed(1)
    throw new SetupFault(
      `Expected ${gib(bytes)} GiB of free disk for \`${folder}\`, got ${gib(bavail * bsize)}. ` +
        'Free some space, or set TUNESMITH_CACHE to a folder on another disk.',
    )
  }
}

/** Calls `work` with a new folder beside the copies and removes it afterwards, also when `work` throws. */
export const withTemporaryFolder = async (cache, work) => {
  await mkdir(cache, { recursive: true })
  await removeAbandoned(cache)
  const folder = join(cache, `.fetch-${process.pid}-${randomBytes(4).toString('hex')}`)
  await mkdir(folder)
  writeFileSync(join(folder, ownerName), processName(process.pid))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What a killed set-up left behind. */
const removeAbandoned = async (cache) => {
  for (const name of await readdir(cache)) {
    if (!name.startsWith('.fetch-')) continue
    const folder = join(cache, name)
    const owner = existsSync(join(folder, ownerName))
      ? readFileSync(join(folder, ownerName), 'utf8')
      : name.split('-')[1]
    if (isAlive(owner) === false) await rm(folder, { recursive: true, force: true })
  }
}

/** Writes the SHA-256 of every library into `folder`, then renames it to `target`. */
export const installCopy = async (folder, target, { origin, sha256 }) => {
  const files = {}
  for (const path of listFiles([folder], (name) => /\.(so|dylib)(\.|$)/.test(name))) {
    files[relative(folder, path)] = { bytes: statSync(path).size, sha256: await digestFile(path) }
  }
  await writeFile(join(folder, manifestName), `${JSON.stringify({ origin, sha256, files }, null, 2)}\n`)
  await rm(target, { recursive: true, force: true })
  await rename(folder, target)
}

/** The fault of a copy, or undefined. Hashes every library, so it is called before a build and not at each start. */
export const verifyCopy = async (folder) => {
  const path = join(folder, manifestName)
  if (!existsSync(path)) return 'it has no manifest'
  const { files } = JSON.parse(readFileSync(path, 'utf8'))
  for (const [name, { bytes, sha256 }] of Object.entries(files)) {
    const file = join(folder, name)
    if (!existsSync(file) || statSync(file).size !== bytes) return `${name} is missing or truncated`
    if ((await digestFile(file)) !== sha256) return `${name} has a different checksum`
  }
  return undefined
}
