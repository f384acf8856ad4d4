// Builds the addon against the chosen libtorch with CMake. The build folder stays, so a changed file alone is compiled
// again; each result gets a name of its own, so a running process never loses the library it uses.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, freemem } from 'node:os'
import { dirname, join } from 'node:path'
import { digest, digestTree, listFiles } from './hashes.mjs'
import { faultLine, findProgram, runProgram } from './programs.mjs'
import { isQuiet, SetupFault, say } from './report.mjs'

const isSource = (path) => /\.(cpp|h|cmake|cu)$|CMakeLists\.txt$/.test(path)
const kept = 4

/** Checks for the tools before anything large is fetched. Gives their paths. */
export function findTools() {
  const install = process.platform === 'darwin' ? 'xcode-select --install; brew install' : 'sudo apt-get install'
  const compiler = [process.env.CXX, 'c++', 'g++', 'clang++']
    .filter(Boolean)
    .map((name) => findProgram(name.split(' ')[0]))
    .find(Boolean)
  if (compiler === undefined)
    throw new SetupFault(
      `Expected a C++ compiler (g++ 10 or newer, or clang 12), found none. Install one: ${install} g++`,
    )
  const cmake = findProgram('cmake')
  if (cmake === undefined) throw new SetupFault(`Expected cmake, found none. Install it: ${install} cmake`)
  const ninja = findProgram('ninja')
  if (ninja === undefined && findProgram('make') === undefined) {
    throw new SetupFault(`Expected ninja or make, found neither. Install one: ${install} ninja-build`)
  }
  return { cmake, ninja }
}

/** A name for everything that goes into the addon. */
export function addonKey(root, libtorch) {
  const sources = digestTree(root, [join(root, 'native')], isSource)
  const parts = [
    libtorch.version,
    String(libtorch.cxx11Abi),
    String(libtorch.cuda),
    libtorch.lib,
    String(libtorch.size),
  ]
  const { modules } = process.versions
  const tag = `${libtorch.version.replace(/\+.*/, '')}-${libtorch.cuda ? 'cuda' : 'cpu'}-node${modules}`
  return { tag: `${tag}-${digest(...parts).slice(0, 8)}`, name: `${tag}-${digest(sources, ...parts).slice(0, 12)}` }
}

/** The path of tunesmith.node, built if need be. */
export async function buildAddon(root, libtorch, cuda) {
  const key = addonKey(root, { ...libtorch, cuda })
  const named = join(root, 'build', key.name, 'tunesmith.node')
  if (existsSync(named)) {
    const now = new Date()
    utimesSync(dirname(named), now, now)
    return named
  }
  const { cmake, ninja } = findTools()
  const folder = join(root, 'build', `cmake-${key.tag}`)
  mkdirSync(folder, { recursive: true })
  const configure = [
    ['-S', join(root, 'native'), '-B', folder],
    ninja === undefined ? [] : ['-G', 'Ninja', `-DCMAKE_MAKE_PROGRAM=${ninja}`],
    [
      '-DCMAKE_BUILD_TYPE=Release',
      `-DTORCH_INCLUDES=${libtorch.includes.join(';')}`,
      `-DTORCH_LIBRARIES_FOLDER=${libtorch.lib}`,
      `-DTORCH_CXX11_ABI=${libtorch.cxx11Abi ? 1 : 0}`,
      `-DTUNESMITH_CUDA=${cuda ? 'ON' : 'OFF'}`,
      `-DNODE_API_INCLUDE=${join(dirname(createRequire(join(root, 'package.json')).resolve('node-api-headers/package.json')), 'include')}`,
    ],
  ].flat()
  say(`building the addon against libtorch ${libtorch.version} (about a minute)`)
  const configured = await runProgram(cmake, configure)
  if (configured.code !== 0) {
    // A folder that was configured for another place or generator cannot be mended, only made anew.
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    const again = await runProgram(cmake, configure)
    if (again.code !== 0) throw failure('configuring', again.output, folder)
  }
  const built = await runProgram(cmake, ['--build', folder, '--parallel', String(jobs())], { show: !isQuiet() })
  if (built.code !== 0) throw failure('compiling', built.output, folder)
  // Sources that changed meanwhile made a mixture; its name is never looked for, so the next set-up builds again.
  const stable = addonKey(root, { ...libtorch, cuda }).name === key.name
  const target = stable ? named : join(root, 'build', `${key.tag}-mixed`, 'tunesmith.node')
  mkdirSync(dirname(target), { recursive: true })
  const temporary = `${target}.${process.pid}.tmp`
  copyFileSync(join(folder, 'tunesmith.node'), temporary)
  renameSync(temporary, target)
  prune(join(root, 'build'), dirname(target))
  return target
}

function failure(stage, output, folder) {
  const log = join(folder, 'setup.log')
  writeFileSync(log, output)
  return new SetupFault(
    `${stage[0].toUpperCase()}${stage.slice(1)} the addon failed: ${faultLine(output)} (all of it: ${log})`,
  )
}

/** One compiler takes up to about 1.2 GB on the dispatcher's headers. */
function jobs() {
  return Math.max(1, Math.min(availableParallelism(), Math.floor(freemem() / 1.2e9)))
}

/** Old builds go, the newest few stay: other checkouts of the history need not compile again. */
function prune(build, current) {
  const folders = readdirSync(build)
    .map((name) => join(build, name))
    .filter(
      (folder) => folder !== current && listFiles([folder], (path) => path.endsWith('/tunesmith.node')).length > 0,
    )
    .filter((folder) => existsSync(join(folder, 'tunesmith.node')) && !/\/cmake-[^/]*$/.test(folder))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)
  for (const folder of folders.slice(kept)) rmSync(folder, { recursive: true, force: true })
}
