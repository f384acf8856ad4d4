// Set-up: npm packages, libtorch, the addon, dist/ with the studio's pages. Does only what is missing. It runs in a new clone, so it needs
// nothing but Node.
import { accessSync, constants, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { makeAddon, sourcesDigest } from './setup/addon.mjs'
import { digest, digestTree } from './setup/hashes.mjs'
import { acceptedVersions, findLibtorch, inspect } from './setup/libtorch.mjs'
import { withLock } from './setup/lock.mjs'
import { installPackages, packagesAreRight } from './setup/packages.mjs'
import { buildFolder, isDependency, setupCommand, writableCache } from './setup/places.mjs'
import { mayHavePrebuilt, prebuiltTarget, writePrebuilt } from './setup/prebuilt.mjs'
import { hasRecipeTypes, sourceDigest } from './setup/recipe-types.mjs'
import { SetupFault, say, setQuiet } from './setup/report.mjs'
import { findTools } from './setup/tools.mjs'
import { compileTypescript } from './setup/typescript.mjs'
import { buildWeb, webDigest } from './setup/web.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const command = isDependency(root) ? `${process.env.TUNESMITH_CALL ?? 'npx tunesmith'} setup` : 'npm run setup'
const separator = isDependency(root) ? '' : ' --'

const help = `Usage: ${command}${separator} [options]

Installs the npm packages of the lock file (in a clone), finds or fetches libtorch ${acceptedVersions}, builds the addon or
takes a prebuilt one, and compiles src and the pages of the studio to dist (in a clone). Takes seconds when nothing has changed.

libtorch is looked for in this order: the folder in LIBTORCH; an earlier download; the torch of a Python on this
machine; a wheel fetched with pip; the official archive; Debian's libtorch-dev.

Options:
  --cuda      use a CUDA build of libtorch
  --prebuild  also write the addon to prebuilds/ for other machines, with its SHA-256
  --quiet     print only warnings and errors
  --json      print the result as JSON on stdout
  --help      print this

Environment:
  LIBTORCH             folder of a libtorch to use
  TUNESMITH_CACHE      folder for downloads (default: ~/.cache/tunesmith, or build/ in the package where that is read-only)
  TUNESMITH_PREBUILDS  folder or URL with prebuilt addons (default: prebuilds/ in the package)

Example:
  $ ${command}
`

const main = async (args) => {
  const known = ['--cuda', '--prebuild', '--quiet', '--json', '--help']
  const unknown = args.find((arg) => !known.includes(arg))
  if (unknown !== undefined) throw new SetupFault(`Expected one of ${known.join(', ')}, got \`${unknown}\`.`)
  if (args.includes('--help')) return process.stdout.write(help)
  setQuiet(args.includes('--quiet'))
  const started = performance.now()
  const wishes = { cuda: args.includes('--cuda'), libtorch: process.env.LIBTORCH ?? '' }
  const build = buildFolder(root)
  const before = readRecord(build)
  const ready = isReady(before, wishes)
  const record = ready ? before : await withLock(join(build, '.lock'), () => setUp(build, wishes))
  const seconds = (performance.now() - started) / 1000
  say(`${ready ? 'ready' : `done in ${seconds.toFixed(1)} s`}: libtorch ${record.version} (${record.source})`)
  const prebuilt = args.includes('--prebuild') ? prebuild(record) : undefined
  if (args.includes('--json')) process.stdout.write(`${JSON.stringify(result(record, ready, seconds, prebuilt))}\n`)
}

const result = (record, ready, seconds, prebuilt) => {
  const { version, libtorch: folder, source, cuda, addon } = record
  return { libtorch: { version, folder, source, cuda }, addon, ready, seconds, prebuilt }
}

const prebuild = (record) => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const libtorch = inspect(record.root, record.source)
  const target = prebuiltTarget(libtorch, record.cuda, sourcesDigest(root))
  const path = writePrebuilt(join(root, 'prebuilds'), version, target, record.addon)
  say(`wrote ${relative(process.cwd(), path)}`)
  return path
}

const paths = ['addon', 'libtorch', 'root']

/** The record of the last set-up. Paths inside the package are stored relative to it, so the package can be moved. */
const readRecord = (build) => {
  try {
    const record = JSON.parse(readFileSync(join(build, 'native.json'), 'utf8'))
    for (const key of paths) record[key] = resolve(build, record[key])
    return record
  } catch {
    return undefined
  }
}

const writeRecord = (build, record) => {
  mkdirSync(build, { recursive: true })
  const inside = (path) => path.startsWith(dirname(build) + sep)
  const stored = { ...record }
  for (const key of paths) if (inside(record[key])) stored[key] = relative(build, record[key])
  const path = join(build, 'native.json')
  const temporary = `${path}.${process.pid}.tmp`
  writeFileSync(temporary, `${JSON.stringify(stored, null, 2)}\n`)
  renameSync(temporary, path)
}

/** True when every input is unchanged and every output is still there and readable. */
const isReady = (record, wishes) => {
  if (record === undefined || !sameWishes(record, wishes) || record.inputs !== inputsDigest()) return false
  const outputs = [record.addon, ...(existsSync(join(root, 'src')) ? [join(root, 'dist', 'cli', 'main.js')] : [])]
  const libtorch = inspect(record.root, record.source)
  return (
    outputs.every(isReadable) &&
    hasRecipeTypes(root) &&
    libtorch?.version === record.version &&
    libtorch.size === record.size &&
    packagesAreRight(root)
  )
}

const isReadable = (path) => {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch {
    return false
  }
}

const sameWishes = (record, wishes) =>
  record.wishes?.cuda === wishes.cuda && record.wishes?.libtorch === wishes.libtorch

const inputsDigest = () => {
  const scripts = digestTree(root, [join(root, 'scripts', 'setup'), join(root, 'scripts', 'setup.mjs')])
  const native = digestTree(root, [join(root, 'native')])
  return digest(process.versions.modules, process.arch, scripts, native, sourceDigest(root), webDigest(root))
}

const setUp = async (build, wishes) => {
  const before = readRecord(build)
  // Another set-up may have done all of it while this one waited for the lock.
  if (isReady(before, wishes)) return before
  await installPackages(root)
  const previous = before !== undefined && sameWishes(before, wishes) ? before : undefined
  const cache = writableCache(root)
  // A missing compiler is reported before libtorch is fetched.
  if (previous === undefined && !mayHavePrebuilt(root, cache, sourcesDigest(root)))
    await findTools(cache, setupCommand(root))
  const libtorch = await findLibtorch({ root, cuda: wishes.cuda, previous })
  const inputs = inputsDigest()
  const addon = await makeAddon({ root, build, cache, libtorch, cuda: wishes.cuda })
  const record = {
    addon,
    libtorch: libtorch.lib,
    version: libtorch.version,
    cuda: wishes.cuda,
    source: libtorch.source,
    root: libtorch.root,
    size: libtorch.size,
    wishes,
    inputs,
  }
  // The addon works before dist is compiled, so its record is written first and marked as incomplete.
  writeRecord(build, { ...record, inputs: '' })
  await compileTypescript(root)
  await buildWeb(root)
  writeRecord(build, record)
  return record
}

/** What the system refuses, as one line; anything else is our own fault and keeps its stack. */
const describeSystemError = (error) => {
  const reasons = {
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    EROFS: 'the file system is read-only',
    ENOSPC: 'the disk is full',
    EDQUOT: 'the disk quota is used up',
  }
  const reason = reasons[error?.code]
  if (reason === undefined) return undefined
  const place = error.path === undefined ? '' : ` \`${error.path}\``
  return `Cannot ${error.syscall ?? 'write'}${place}: ${reason}. Set TUNESMITH_CACHE to a folder that you can write to, or run set-up as the owner of \`${root}\`.`
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  const message = error instanceof SetupFault ? error.message : describeSystemError(error)
  if (message === undefined) throw error
  process.stderr.write(`error: ${message}\n`)
  process.exitCode = 1
}
