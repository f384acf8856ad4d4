// `npm run setup`: packages, libtorch, the addon, dist/. Does only what is missing, and runs in a fresh clone, so it uses
// nothing but Node itself.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildAddon, findTools } from './setup/addon.mjs'
import { digest, digestTree } from './setup/hashes.mjs'
import { acceptedVersions, findLibtorch, inspect } from './setup/libtorch.mjs'
import { withLock } from './setup/lock.mjs'
import { installPackages, packagesAreRight } from './setup/packages.mjs'
import { SetupFault, say, setQuiet } from './setup/report.mjs'
import { compileTypescript, sourceDigest } from './setup/typescript.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const build = join(root, 'build')
const recordPath = join(build, 'native.json')

const help = `Usage: npm run setup -- [--cuda] [--quiet] [--json]

Installs the npm packages of the lock, finds or fetches libtorch ${acceptedVersions}, builds the addon and compiles src to
dist. Quick when there is nothing to do. libtorch is looked for in this order: the folder in LIBTORCH; a copy fetched
earlier (in XDG_CACHE_HOME or ~/.cache); the torch of a Python on this machine; a wheel fetched with pip; the official
archive; Debian's libtorch-dev.

  --cuda    take a CUDA build
  --quiet   print warnings and errors only
  --json    print the result as JSON on stdout
  --help    print this

Example:
  $ npm run setup
`

async function main(args) {
  const known = ['--cuda', '--quiet', '--json', '--help']
  const unknown = args.find((arg) => !known.includes(arg))
  if (unknown !== undefined) throw new SetupFault(`Expected one of ${known.join(', ')}, got \`${unknown}\`.`)
  if (args.includes('--help')) return process.stdout.write(help)
  setQuiet(args.includes('--quiet'))
  const started = performance.now()
  const wishes = { cuda: args.includes('--cuda'), libtorch: process.env.LIBTORCH ?? '' }
  const before = readRecord()
  const ready = isReady(before, wishes)
  const record = ready ? before : await withLock(join(build, '.lock'), () => setUp(wishes))
  const seconds = (performance.now() - started) / 1000
  say(`${ready ? 'ready' : `done in ${seconds.toFixed(1)} s`}: libtorch ${record.version} (${record.source})`)
  if (args.includes('--json')) process.stdout.write(`${JSON.stringify(result(record, ready, seconds))}\n`)
}

function result(record, ready, seconds) {
  const { version, libtorch: folder, source, cuda, addon } = record
  return { libtorch: { version, folder, source, cuda }, addon, ready, seconds }
}

function readRecord() {
  try {
    return JSON.parse(readFileSync(recordPath, 'utf8'))
  } catch {
    return undefined
  }
}

/** True when every input is as it was and every output is still there. */
function isReady(record, wishes) {
  if (record === undefined || !sameWishes(record, wishes) || record.inputs !== inputsDigest()) return false
  const outputs = [record.addon, ...(existsSync(join(root, 'src')) ? [join(root, 'dist', 'cli', 'main.js')] : [])]
  const libtorch = inspect(record.root, record.source)
  return (
    outputs.every(existsSync) &&
    libtorch?.version === record.version &&
    libtorch.size === record.size &&
    packagesAreRight(root)
  )
}

function sameWishes(record, wishes) {
  return record.wishes?.cuda === wishes.cuda && record.wishes?.libtorch === wishes.libtorch
}

function inputsDigest() {
  const scripts = digestTree(root, [join(root, 'scripts', 'setup'), join(root, 'scripts', 'setup.mjs')])
  const native = digestTree(root, [join(root, 'native')])
  return digest(process.versions.modules, process.arch, scripts, native, sourceDigest(root))
}

async function setUp(wishes) {
  const before = readRecord()
  // Another set-up may have done all of it while this one waited for the lock.
  if (isReady(before, wishes)) return before
  await installPackages(root)
  const previous = before !== undefined && sameWishes(before, wishes) ? before : undefined
  if (previous === undefined) findTools()
  const libtorch = await findLibtorch({ cuda: wishes.cuda, previous })
  const inputs = inputsDigest()
  const addon = await buildAddon(root, libtorch, wishes.cuda)
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
  // The addon is of use before dist is compiled, so its record is written first, as not complete.
  writeRecord({ ...record, inputs: '' })
  await compileTypescript(root)
  writeRecord(record)
  return record
}

function writeRecord(record) {
  mkdirSync(build, { recursive: true })
  const temporary = `${recordPath}.${process.pid}.tmp`
  writeFileSync(temporary, `${JSON.stringify(record, null, 2)}\n`)
  renameSync(temporary, recordPath)
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof SetupFault)) throw error
  process.stderr.write(`error: ${error.message}\n`)
  process.exitCode = 1
}
