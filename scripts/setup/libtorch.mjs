// Finds libtorch: what the user names, what an earlier set-up fetched, what a Python has, what the system has; then fetches
// it. Gives back where the headers and libraries are, and builds nothing.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { fetchArchive } from './archive.mjs'
import { verifyCopy } from './cache.mjs'
import { runProgram } from './programs.mjs'
import { pythons } from './pythons.mjs'
import { SetupFault, say } from './report.mjs'
import { fetchWheel } from './wheel.mjs'

const oldest = [2, 6]
const newest = [2, 13]
export const acceptedVersions = `${oldest.join('.')} to ${newest.join('.')}`
export const wheelRequirement = `torch>=${oldest.join('.')},<${newest[0]}.${newest[1] + 1}`
const library = process.platform === 'darwin' ? 'dylib' : 'so'

/**
 * The first libtorch that will do: { root, includes, lib, version, cuda, cxx11Abi, source }.
 * `previous` is the choice of an earlier set-up with the same wishes; it is kept while it still holds.
 */
export async function findLibtorch({ cuda, previous }) {
  const named = process.env.LIBTORCH
  if (named) return fromUser(resolve(named), cuda)
  if (previous !== undefined) {
    const again = inspect(previous.root, previous.source)
    if (again !== undefined && again.version === previous.version && isAccepted(again.version) && (again.cuda || !cuda))
      return again
  }
  const found = (await fromCache(cuda)) ?? (await fromPython(cuda)) ?? fromSystem(cuda, { only: 'local' })
  if (found !== undefined) return found
  const reasons = []
  for (const fetch of [fetchWheel, fetchArchive]) {
    const folder = await fetch(
      { cuda, cacheFolder: cacheFolder(), requirement: wheelRequirement, newest: `${newest.join('.')}.0` },
      reasons,
    )
    const fetched =
      folder && inspect(folder, fetch === fetchWheel ? 'a wheel fetched with pip' : 'the official archive')
    if (fetched === undefined) continue
    if (!isAccepted(fetched.version)) reasons.push(`${fetched.version} was fetched, which is not ${acceptedVersions}`)
    else return fetched
  }
  const system = fromSystem(cuda, { only: 'distribution' })
  if (system !== undefined) return system
  throw new SetupFault(
    `Found no libtorch ${acceptedVersions} and could not fetch one (${reasons.join('; ')}). Any of these helps: a network; ` +
      '`pip install torch`; LIBTORCH=/folder/of/libtorch; on Debian and Ubuntu `sudo apt-get install libtorch-dev`.',
  )
}

export function cacheFolder() {
  const base = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  return join(base, 'tunesmith')
}

function fromUser(root, cuda) {
  const found = inspect(root, 'LIBTORCH')
  if (found === undefined) {
    throw new SetupFault(
      `Expected a libtorch with include/ and lib/ in LIBTORCH, got \`${root}\`. Name its folder, or unset LIBTORCH to let set-up look.`,
    )
  }
  if (!isAccepted(found.version)) {
    throw new SetupFault(
      `Expected libtorch ${acceptedVersions} in LIBTORCH, got ${found.version} in \`${root}\`. Name another one.`,
    )
  }
  if (cuda && !found.cuda)
    throw new SetupFault(`Expected a CUDA build in LIBTORCH for --cuda, got a CPU build in \`${root}\`.`)
  return found
}

async function fromCache(cuda) {
  const folder = cacheFolder()
  if (!existsSync(folder)) return undefined
  const names = readdirSync(folder).filter(
    (name) => /^libtorch-[\d.]+[^-]*-(cpu|cuda)$/.test(name) && name.endsWith(cuda ? '-cuda' : '-cpu'),
  )
  for (const name of names.sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))) {
    const place = join(folder, name)
    const root = existsSync(join(place, 'torch')) ? join(place, 'torch') : place
    const found = accept(inspect(root, 'the cache'), cuda)
    if (found === undefined) continue
    const fault = await verifyCopy(place)
    if (fault === undefined) return found
    say(`the cached copy \`${place}\` is damaged (${fault}); passing it over`)
  }
  return undefined
}

/** Asks each Python where torch is without importing it, which would take seconds. */
async function fromPython(cuda) {
  const question =
    'import importlib.util as u\ns = u.find_spec("torch")\nprint(s.submodule_search_locations[0] if s and s.submodule_search_locations else "")'
  for (const python of pythons()) {
    const { code, stdout } = await runProgram(python, ['-c', question], { timeoutMs: 20_000 })
    const root = stdout.trim().split('\n').at(-1)
    if (code !== 0 || !root) continue
    const found = accept(inspect(root, `the torch of ${python}`), cuda)
    if (found !== undefined) return found
  }
  return undefined
}

/** `local`: /opt and /usr/local, put there by hand; `distribution`: Debian's libtorch-dev, the last resort by age. */
function fromSystem(cuda, { only }) {
  const roots = only === 'local' ? ['/opt/libtorch', '/usr/local/libtorch', '/opt/homebrew/opt/pytorch'] : ['/usr']
  for (const root of roots) {
    const found = accept(inspect(root, only === 'local' ? root : 'the libtorch-dev package'), cuda)
    if (found !== undefined) return found
  }
  return undefined
}

function accept(found, cuda) {
  if (found === undefined) return undefined
  if (!isAccepted(found.version)) {
    say(`passing over libtorch ${found.version} of ${found.source}: only ${acceptedVersions} will do`)
    return undefined
  }
  return cuda && !found.cuda ? undefined : found
}

function isAccepted(version) {
  const [major, minor] = version.split('.').map(Number)
  return major === oldest[0] && minor >= oldest[1] && minor <= newest[1]
}

/** What lies in a folder, or undefined when it is no libtorch with its headers. */
export function inspect(root, source) {
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

function readVersion(root, include) {
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

function readIfThere(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

/** libstdc++ has two forms of std::string; libc10's own symbols tell which one libtorch was built with. */
function usesCxx11Abi(path) {
  const bytes = readFileSync(path)
  return (
    bytes.includes('_ZN3c105ErrorC1ENS_14SourceLocationENSt7__cxx11') ||
    !bytes.includes('_ZN3c105ErrorC1ENS_14SourceLocationESs')
  )
}
