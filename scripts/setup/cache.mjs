// Copies of libtorch in the user's cache folder: put there whole or not at all, and checked again before each build.
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { mkdir, readdir, rename, rm, statfs, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { digestFile, listFiles } from './hashes.mjs'
import { SetupFault } from './report.mjs'

const manifestName = 'manifest.json'

/** Fails early, in one line, when the disk cannot hold what is to come. */
export async function requireSpace(folder, bytes) {
  await mkdir(folder, { recursive: true })
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize < bytes) {
    const gib = (value) => (value / 2 ** 30).toFixed(1)
    throw new SetupFault(
      `Expected ${gib(bytes)} GiB free for \`${folder}\`, got ${gib(bavail * bsize)}. Free some space, or set XDG_CACHE_HOME to another disk.`,
    )
  }
}

/** A folder of its own beside the copies, removed after `work`, whatever happens. */
export async function withTemporaryFolder(cache, work) {
  await mkdir(cache, { recursive: true })
  await removeAbandoned(cache)
  const folder = join(cache, `.fetch-${process.pid}-${randomBytes(4).toString('hex')}`)
  await mkdir(folder)
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function removeAbandoned(cache) {
  for (const name of await readdir(cache)) {
    const pid = /^\.fetch-(\d+)-/.exec(name)?.[1]
    if (pid === undefined) continue
    try {
      process.kill(Number(pid), 0)
    } catch (error) {
      if (error.code === 'ESRCH') await rm(join(cache, name), { recursive: true, force: true })
    }
  }
}

/** Writes the digests of all libraries into `folder`, then moves it to its lasting name in one step. */
export async function installCopy(folder, target, { origin, sha256 }) {
  const files = {}
  for (const path of listFiles([folder], (name) => /\.(so|dylib)(\.|$)/.test(name))) {
    files[relative(folder, path)] = { bytes: statSync(path).size, sha256: await digestFile(path) }
  }
  await writeFile(join(folder, manifestName), `${JSON.stringify({ origin, sha256, files }, null, 2)}\n`)
  await rm(target, { recursive: true, force: true })
  await rename(folder, target)
}

/** What is wrong with a copy, or undefined. Hashes every library: called before a build, not at each start. */
export async function verifyCopy(folder) {
  const path = join(folder, manifestName)
  if (!existsSync(path)) return 'it has no manifest'
  const { files } = JSON.parse(readFileSync(path, 'utf8'))
  for (const [name, { bytes, sha256 }] of Object.entries(files)) {
    const file = join(folder, name)
    if (!existsSync(file) || statSync(file).size !== bytes) return `${name} is missing or cut short`
    if ((await digestFile(file)) !== sha256) return `${name} has another checksum`
  }
  return undefined
}
