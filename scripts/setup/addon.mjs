// The addon for the chosen libtorch: a prebuilt one where it fits, else built with CMake. Each result has a folder of its
// own, so a running process never loses the library that it uses.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism, freemem, loadavg } from 'node:os'
import { dirname, join, relative, sep } from 'node:path'
import { digest, digestTree } from './hashes.mjs'
import { isDependency, setupCommand } from './places.mjs'
import { installPrebuilt, keepBuilt, prebuiltTarget, tryAddon } from './prebuilt.mjs'
import { faultLine, runProgram } from './programs.mjs'
import { isQuiet, SetupFault, say } from './report.mjs'
import { findTools } from './tools.mjs'

const isSource = (path) => /\.(cpp|h|cmake|cu)$|CMakeLists\.txt$/.test(path)
const kept = 4
/** Measured on a server core of 2023 with g++ 12, libtorch 2.13 and the precompiled header. */
const buildCpuSeconds = 200

/** One digest of the addon's sources. */
export const sourcesDigest = (root) => digestTree(root, [join(root, 'native')], isSource)

/** A name for everything that goes into the addon. */
export const addonKey = (root, libtorch) => {
  const parts = [
    libtorch.version,
    String(libtorch.cxx11Abi),
    String(libtorch.cuda),
    libtorch.lib,
    String(libtorch.size),
  ]
  const { modules } = process.versions
  const tag = `${libtorch.version.replace(/\+.*/, '')}-${libtorch.cuda ? 'cuda' : 'cpu'}-node${modules}`
  const sources = sourcesDigest(root)
  return { tag: `${tag}-${digest(...parts).slice(0, 8)}`, name: `${tag}-${digest(sources, ...parts).slice(0, 12)}` }
}

/** The path of tunesmith.node below the folder `build`, made if need be. `cache` is where build tools are fetched to. */
export const makeAddon = async ({ root, build, cache, libtorch, cuda }) => {
  const key = addonKey(root, { ...libtorch, cuda })
  const folder = join(build, key.name)
  const addon = join(folder, 'tunesmith.node')
  mkdirSync(folder, { recursive: true })
  linkLibtorch(folder, build, libtorch.lib)
  if (existsSync(addon)) {
    const now = new Date()
    utimesSync(folder, now, now)
    return addon
  }
  const target = prebuiltTarget(libtorch, cuda, sourcesDigest(root))
  if (await installPrebuilt(root, cache, target, addon, tryAddon)) return addon
  const built = await compile({ root, build, cache, libtorch, cuda, tag: key.tag })
  // Sources that changed meanwhile made a mixture. Its name is never looked for, so the next set-up builds again.
  const stable = addonKey(root, { ...libtorch, cuda }).name === key.name
  const result = stable ? addon : join(build, `${key.tag}-mixed`, 'tunesmith.node')
  mkdirSync(dirname(result), { recursive: true })
  linkLibtorch(dirname(result), build, libtorch.lib)
  const temporary = `${result}.${process.pid}.tmp`
  copyFileSync(built, temporary)
  renameSync(temporary, result)
  const fault = await tryAddon(result)
  if (fault !== undefined) {
    rmSync(result)
    throw new SetupFault(
      `The addon is built, but ${fault}. Name a libtorch that suits this machine in LIBTORCH, and run set-up again.`,
    )
  }
  prune(build, dirname(result))
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  if (stable) keepBuilt(cache, version, target, addon)
  // The precompiled header has hundreds of megabytes, and only a clone compiles again.
  if (isDependency(root)) rmSync(dirname(built), { recursive: true, force: true })
  return result
}

/** The addon looks for libtorch in the folder `libtorch` beside it, so one prebuilt file fits every place. */
const linkLibtorch = (folder, build, lib) => {
  const link = join(folder, 'libtorch')
  // A copy inside the package moves with it, as into the next stage of an image.
  const target = lib.startsWith(dirname(build) + sep) ? relative(folder, lib) : lib
  try {
    if (readlinkSync(link) === target) return
  } catch {
    // There is no link yet.
  }
  rmSync(link, { recursive: true, force: true })
  symlinkSync(target, link)
}

const compile = async ({ root, build, cache, libtorch, cuda, tag }) => {
  const { cmake, ninja } = await findTools(cache, setupCommand(root))
  const folder = join(build, `cmake-${tag}`)
  mkdirSync(folder, { recursive: true })
  const headers = dirname(createRequire(join(root, 'package.json')).resolve('node-api-headers/package.json'))
  const configure = [
    ['-S', join(root, 'native'), '-B', folder],
    ninja === undefined ? [] : ['-G', 'Ninja', `-DCMAKE_MAKE_PROGRAM=${ninja}`],
    [
      '-DCMAKE_BUILD_TYPE=Release',
      `-DTORCH_INCLUDES=${libtorch.includes.join(';')}`,
      `-DTORCH_LIBRARIES_FOLDER=${libtorch.lib}`,
      `-DTORCH_CXX11_ABI=${libtorch.cxx11Abi ? 1 : 0}`,
      `-DTUNESMITH_CUDA=${cuda ? 'ON' : 'OFF'}`,
      `-DNODE_API_INCLUDE=${join(headers, 'include')}`,
    ],
  ].flat()
  const parallel = jobs()
  say(`building the addon against libtorch ${libtorch.version}: ${estimate(parallel)}`)
  const configured = await runProgram(cmake, configure)
  if (configured.code !== 0) {
    // CMake cannot reconfigure a folder for another place or generator, so it starts in an empty one.
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    const again = await runProgram(cmake, configure)
    if (again.code !== 0) throw failure('Configuring', again.output, folder)
  }
  const onOutput = buildProgress()
  const built = await runProgram(cmake, ['--build', folder, '--parallel', String(parallel)], { onOutput })
  if (built.code !== 0) throw failure('Compiling', built.output, folder)
  return join(folder, 'tunesmith.node')
}

/** An honest guess before the first file is compiled: other work on the machine takes its share of the cores. */
const estimate = (parallel) => {
  const cores = availableParallelism()
  const busy = loadavg()[0]
  const share = Math.min(parallel, Math.max(cores - busy, (cores * parallel) / (busy + parallel)))
  const minutes = Math.max(1, Math.round(buildCpuSeconds / share / 60))
  const jobsText = `${parallel} ${parallel === 1 ? 'job' : 'jobs'} in parallel`
  return `about ${minutes} ${minutes === 1 ? 'minute' : 'minutes'} with ${jobsText}, once for each version`
}

/** Reads the progress of Ninja (`[3/40]`) or make (`[ 12%]`) and prints a line every ten seconds. */
const buildProgress = () => {
  const started = Date.now()
  let last = started
  return (text) => {
    const ninja = [...text.matchAll(/^\[(\d+)\/(\d+)\]/gm)].at(-1)
    const make = [...text.matchAll(/^\[ *(\d+)%\]/gm)].at(-1)
    if (isQuiet() || (ninja === undefined && make === undefined) || Date.now() - last < 10_000) return
    last = Date.now()
    const done = ninja === undefined ? Number(make[1]) / 100 : Number(ninja[1]) / Number(ninja[2])
    const left = ((last - started) / 1000) * (1 / done - 1)
    const rest = left < 90 ? `${Math.ceil(left / 10) * 10} s` : `${Math.ceil(left / 60)} min`
    say(`compiling the addon: ${Math.round(done * 100)} %, about ${rest} left`)
  }
}

const failure = (stage, output, folder) => {
  const log = join(folder, 'setup.log')
  writeFileSync(log, output)
  return new SetupFault(`${stage} the addon failed: ${faultLine(output)} (full log: ${log})`)
}

/** One compiler takes up to about 1.2 GB on the dispatcher's headers. */
const jobs = () => Math.max(1, Math.min(availableParallelism(), Math.floor(freemem() / 1.2e9)))

/** Removes old builds except the newest few: switching between branches then needs no compiler. */
const prune = (build, current) => {
  const folders = readdirSync(build)
    .map((name) => join(build, name))
    .filter(
      (folder) =>
        folder !== current && !/\/cmake-[^/]*$/.test(folder) && !folder.endsWith('-cpu') && !folder.endsWith('-cuda'),
    )
    .filter((folder) => existsSync(join(folder, 'tunesmith.node')))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)
  for (const folder of folders.slice(kept)) rmSync(folder, { recursive: true, force: true })
}
