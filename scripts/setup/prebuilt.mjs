// Prebuilt addons: one tar.gz for each platform, Node ABI and libtorch version, with its SHA-256 beside it. Set-up takes
// one from the package's prebuilds/ folder or from the folder or URL in TUNESMITH_PREBUILDS, so no compiler is needed.
// What it builds itself it keeps in the cache the same way, by the digest of native/, for the next clone of the same sources.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { faultLine, runProgram } from './programs.mjs'
import { SetupFault, say, warn } from './report.mjs'
import { packTar, unpackTar } from './tar.mjs'

// The addon has about 3 MB; the limit keeps a wrong file from filling memory.
const largest = 256 * 2 ** 20

/** The C library: an addon linked against glibc does not load with musl. */
const libc = () => {
  if (process.platform !== 'linux') return undefined
  return process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'
}

/** What an addon must agree on with this machine and this package. */
export const prebuiltTarget = (libtorch, cuda, sources) => ({
  platform: process.platform,
  arch: process.arch,
  libc: libc() ?? null,
  nodeAbi: process.versions.modules,
  libtorch: libtorch.version.replace(/\+.*/, ''),
  cxx11Abi: libtorch.cxx11Abi,
  cuda,
  sources,
})

/** `tunesmith-0.1.0-linux-x64-glibc-node115-libtorch2.13.0-cpu.tar.gz`. */
export const prebuiltName = (version, target) => {
  const { platform, arch, libc: library, nodeAbi, libtorch, cuda } = target
  const parts = ['tunesmith', version, platform, arch, library, `node${nodeAbi}`, `libtorch${libtorch}`]
  return `${[...parts, cuda ? 'cuda' : 'cpu'].filter(Boolean).join('-')}.tar.gz`
}

/** Writes the archive and its `.sha256` (in the format of sha256sum) into `folder`. Returns the archive's path. */
export const writePrebuilt = (folder, version, target, addon) => {
  const data = readFileSync(addon)
  const manifest = { version, ...target, sha256: sha256(data) }
  const archive = packTar({
    'manifest.json': Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`),
    'tunesmith.node': data,
  })
  const name = prebuiltName(version, target)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, name), archive)
  writeFileSync(join(folder, `${name}.sha256`), `${sha256(archive)}  ${name}\n`)
  return join(folder, name)
}

/** The folder of addons that were built on this machine from `sources`, a digest of native/. */
const keptFolder = (cache, sources) => join(cache, 'addons', sources.slice(0, 16))
const keptBuilds = 4

/** Keeps an addon that was built here, and removes all but the newest few. */
export const keepBuilt = (cache, version, target, addon) => {
  const folder = keptFolder(cache, target.sources)
  writePrebuilt(folder, version, target, addon)
  const all = join(cache, 'addons')
  const older = readdirSync(all)
    .map((name) => join(all, name))
    .filter((other) => other !== folder)
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)
  for (const other of older.slice(keptBuilds - 1)) rmSync(other, { recursive: true, force: true })
}

/** Whether there may be a prebuilt addon for this machine; whether it fits is known once libtorch is found. */
export const mayHavePrebuilt = (root, cache, sources) => {
  if (process.env.TUNESMITH_PREBUILDS || existsSync(keptFolder(cache, sources))) return true
  const folder = join(root, 'prebuilds')
  return (
    existsSync(folder) && readdirSync(folder).some((name) => name.includes(`-${process.platform}-${process.arch}-`))
  )
}

/**
 * Puts a prebuilt addon at `path`, tried with `load`, and returns true; false where none fits, with the reason printed.
 * A wrong checksum is an error: the file is not what was published.
 */
export const installPrebuilt = async (root, cache, target, path, load) => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const name = prebuiltName(version, target)
  const kept = keptFolder(cache, target.sources)
  for (const place of [process.env.TUNESMITH_PREBUILDS, join(root, 'prebuilds'), kept].filter(Boolean)) {
    const archive = await read(place, name)
    if (archive === undefined) continue
    const stated = (await read(place, `${name}.sha256`))?.toString('utf8').trim().split(/\s+/)[0]
    if (stated !== sha256(archive)) {
      throw new SetupFault(
        `Expected SHA-256 ${stated ?? 'in a file beside it'} for the prebuilt addon \`${join(place, name)}\`, ` +
          `got ${sha256(archive)}. Remove or replace that file.`,
      )
    }
    const reason = await take(archive, target, path, load)
    if (reason === undefined) {
      say(`using the prebuilt addon ${name} from ${place}`)
      return true
    }
    warn(`skipping the prebuilt addon ${name}: ${reason}`)
  }
  return false
}

const take = async (archive, target, path, load) => {
  const files = unpackTar(archive, largest)
  const data = files['tunesmith.node']
  const manifest = JSON.parse(files['manifest.json']?.toString('utf8') ?? '{}')
  if (data === undefined || manifest.sha256 !== sha256(data)) return 'its addon differs from its manifest'
  for (const [key, value] of Object.entries(target)) {
    if (manifest[key] === value) continue
    if (key === 'sources') return 'it was built from other sources than those of this package'
    return `it was built for ${key} ${manifest[key]}, and this machine has ${value}`
  }
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, data)
  renameSync(temporary, path)
  return load(path)
}

/** Loads an addon in a process of its own. Returns the reason why it does not load, or undefined. */
export const tryAddon = async (path) => {
  const script = `process.dlopen({ exports: {} }, ${JSON.stringify(path)})`
  const env = { UCX_MEM_EVENTS: 'n', UCX_HANDLE_ERRORS: 'none' }
  const { code, signal, output } = await runProgram(process.execPath, ['-e', script], { env, timeoutMs: 300_000 })
  if (signal === 'SIGILL')
    return 'it does not load here: this processor lacks instructions that libtorch was built with'
  return code === 0 ? undefined : `it does not load here: ${faultLine(output).replace(/^Error: /, '')}`
}

/** A file of a folder or of a web address, or undefined where there is none. */
const read = async (place, name) => {
  if (!/^https?:\/\//.test(place)) {
    const path = join(place, name)
    return existsSync(path) ? readFileSync(path) : undefined
  }
  const url = `${place.replace(/\/$/, '')}/${encodeURIComponent(name)}`
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(300_000) })
    if (response.ok) return Buffer.from(await response.arrayBuffer())
    if (response.status !== 404) warn(`${url}: HTTP ${response.status}`)
  } catch (error) {
    warn(`${url}: ${error.cause?.code ?? error.message}`)
  }
  return undefined
}

const sha256 = (data) => createHash('sha256').update(data).digest('hex')
