// Finds libtorch: the folder in LIBTORCH, an earlier download, the torch of a Python, or a system package; else fetches it.
// Returns the folders of the headers and libraries, and builds nothing.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fetchArchive } from './archive.mjs'
import { verifyCopy } from './cache.mjs'
import { cacheFolders, writableCache } from './places.mjs'
import { runProgram } from './programs.mjs'
import { pythons } from './pythons.mjs'
import { SetupFault, say } from './report.mjs'
import { fetchWheel } from './wheel.mjs'

const oldest = [2, 6]
const newest = [2, 15]
/** The newest version that set-up fetches: the one that every suite runs with. */
const newestFetched = [2, 13]
export const acceptedVersions = `${oldest.join('.')} to ${newest.join('.')}`
export const wheelRequirement = `torch>=${oldest.join('.')},<${newestFetched[0]}.${newestFetched[1] + 1}`
const library = process.platform === 'darwin' ? 'dylib' : 'so'

/**
 * The first libtorch that fits: { root, includes, lib, version, cuda, cxx11Abi, source }. `root` is the package's folder.
 * `previous` is the choice of an earlier set-up with the same options; it is kept while it is still there.
 */
export const findLibtorch = async ({ root, cuda, previous }) => {
  const named = process.env.LIBTORCH
  if (named) return fromUser(resolve(named), cuda)
  if (previous !== undefined) {
    const again = inspect(previous.root, previous.source)
    if (again !== undefined && again.version === previous.version && isAccepted(again.version) && (again.cuda || !cuda))
      return again
  }
  const found = (await fromCache(root, cuda)) ?? (await fromPython(cuda)) ?? fromSystem(cuda, { only: 'local' })
  if (found !== undefined) return found
  const reasons = []
  const cacheFolder = writableCache(root)
  for (const fetch of [fetchWheel, fetchArchive]) {
    const folder = await fetch(
      { cuda, cacheFolder, requirement: wheelRequirement, newest: `${newestFetched.join('.')}.0` },
      reasons,
    )
    const fetched =
      folder && inspect(folder, fetch === fetchWheel ? 'a wheel fetched with pip' : 'the official archive')
    if (fetched === undefined) continue
    if (!isAccepted(fetched.version)) reasons.push(`got version ${fetched.version}, which is not supported`)
    else return fetched
  }
  const system = fromSystem(cuda, { only: 'distribution' })
  if (system !== undefined) return system
  throw new SetupFault(
    `Building the addon needs libtorch ${acceptedVersions}. None is on this machine, and it could not be fetched ` +
      `(${[...new Set(reasons)].join('; ')}). Connect to the network and run set-up again, or name a copy from another ` +
      'machine in LIBTORCH=/path/to/libtorch (on Debian and Ubuntu also: sudo apt-get install libtorch-dev).',
  )
}

const fromUser = (root, cuda) => {
  const found = inspect(root, 'LIBTORCH')
  if (found === undefined) {
    throw new SetupFault(
      `Expected a libtorch with include/ and lib/ in LIBTORCH, got \`${root}\`. Name its folder, or unset LIBTORCH to let set-up find one.`,
    )
  }
  if (!isAccepted(found.version)) {
    throw new SetupFault(
      `Expected libtorch ${acceptedVersions} in LIBTORCH, got ${found.version} in \`${root}\`. Name another copy.`,
    )
  }
  if (cuda && !found.cuda)
    throw new SetupFault(
      `Expected a CUDA build in LIBTORCH for --cuda, got a CPU build in \`${root}\`. Name another copy.`,
    )
  return found
}

const fromCache = async (root, cuda) => {
  for (const folder of cacheFolders(root)) {
    const names = readable(folder).filter(
      (name) => /^libtorch-[\d.]+[^-]*-(cpu|cuda)$/.test(name) && name.endsWith(cuda ? '-cuda' : '-cpu'),
    )
    for (const name of names.sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))) {
      const place = join(folder, name)
      const top = existsSync(join(place, 'torch')) ? join(place, 'torch') : place
      const found = accept(inspect(top, 'an earlier download'), cuda)
      if (found === undefined) continue
      const fault = await verifyCopy(place)
      if (fault === undefined) return found
      say(`skipping the damaged copy \`${place}\`: ${fault}`)
    }
  }
  return undefined
}

const readable = (folder) => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** Finds the torch of each Python without importing it, which would take seconds. */
const fromPython = async (cuda) => {
  const script =
    'import importlib.util as u\ns = u.find_spec("torch")\nprint(s.submodule_search_locations[0] if s and s.submodule_search_locations else "")'
  for (const python of pythons()) {
    const { code, stdout } = await runProgram(python, ['-c', script], { timeoutMs: 20_000 })
    const root = stdout.trim().split('\n').at(-1)
    if (code !== 0 || !root) continue
    const found = accept(inspect(root, `the torch of ${python}`), cuda)
    if (found !== undefined) return found
  }
  return undefined
}

/** `local`: installed by hand in /opt or /usr/local. `distribution`: Debian's libtorch-dev, last because it is old. */
const fromSystem = (cuda, { only }) => {
  const roots = only === 'local' ? ['/opt/libtorch', '/usr/local/libtorch', '/opt/homebrew/opt/pytorch'] : ['/usr']
  for (const root of roots) {
    const found = accept(inspect(root, only === 'local' ? root : 'the libtorch-dev package'), cuda)
    if (found !== undefined) return found
  }
  return undefined
}

const accept = (found, cuda) => {
  if (found === undefined) return undefined
  if (!isAccepted(found.version)) {
    say(`skipping libtorch ${found.version} (${found.source}): supported are ${acceptedVersions}`)
    return undefined
  }
  return cuda && !found.cuda ? undefined : found
}

const isAccepted = (version) => {
  const [major, minor] = version.split('.').map(Number)
  return major === oldest[0] && minor >= oldest[1] && minor <= newest[1]
}

/** The libtorch in a folder, or undefined when the libraries or headers are missing. */
export const inspect = (root, source) => {
  const include = join(root, 'include')
  const lib = ['lib', 'lib64', 'lib/x86_64-linux-gnu', 'lib/aarch64-linux-gnu']
    .map((name) => join(root, name))
    .find(
      (folder) => existsSync(join(folder, `libtorch_cpu.${library}`)) && existsSync(join(folder, `libc10.${library}`)),
    )
  if (lib === undefined || !existsSync(join(include, 'ATen', 'core', 'Tensor.h'))) return undefined
  const version = readVersion(root, include)
  if (version === undefined) return undefined
  return {
    root,
    includes: [include, join(include, 'torch', 'csrc', 'api', 'include')],
    lib,
    version,
    cuda: existsSync(join(lib, `libtorch_cuda.${library}`)),
    cxx11Abi: usesCxx11Abi(join(lib, `libc10.${library}`)),
    size: statSync(join(lib, `libtorch_cpu.${library}`)).size,
    source,
  }
}

const readVersion = (root, include) => {
  const python = readIfThere(join(root, 'version.py')).match(/__version__\s*=\s*'([^']+)'/)?.[1]
  if (python !== undefined) return python
  const plain = readIfThere(join(root, 'build-version')).trim()
  if (/^\d+\.\d+/.test(plain)) return plain
  for (const header of ['torch/headeronly/version.h', 'torch/csrc/api/include/torch/version.h']) {
    const text = readIfThere(join(include, header))
    const part = (name) => text.match(new RegExp(`#define TORCH_VERSION_${name} (\\d+)`))?.[1]
    if (part('MAJOR') !== undefined) return [part('MAJOR'), part('MINOR') ?? 0, part('PATCH') ?? 0].join('.')
  }
  return undefined
}

const readIfThere = (path) => {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

/** libstdc++ has two layouts of std::string. The symbols of libc10 tell which one libtorch was built with. */
const usesCxx11Abi = (path) => {
  const bytes = readFileSync(path)
  return (
    bytes.includes('_ZN3c105ErrorC1ENS_14SourceLocationENSt7__cxx11') ||
    !bytes.includes('_ZN3c105ErrorC1ENS_14SourceLocationESs')
  )
}
