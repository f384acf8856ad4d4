// Fetches libtorch as a PyTorch wheel with pip and unpacks only the libraries and headers. Python is needed for the
// download alone.
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { installCopy, requireSpace, withTemporaryFolder } from './cache.mjs'
import { fetchCuda } from './cuda.mjs'
import { digestFile } from './hashes.mjs'
import { faultLine, runProgram } from './programs.mjs'
import { pythons } from './pythons.mjs'
import { isQuiet, SetupFault, say } from './report.mjs'
import { checkRecord, listZip, unzip } from './zip.mjs'

const officialCpuIndex = 'https://download.pytorch.org/whl/cpu'
// The wheel, its unpacked form, and a reserve. CUDA wheels come with gigabytes of NVIDIA's libraries.
const cpuBytes = 1.5 * 2 ** 30
const cudaBytes = 12 * 2 ** 30

/** The folder with torch's include/ and lib/, or undefined with a reason added to `reasons`. */
export const fetchWheel = async ({ cuda, cacheFolder, requirement }, reasons) => {
  const python = await pythonWithPip()
  if (python === undefined) {
    reasons.push('no Python with pip')
    return undefined
  }
  await requireSpace(cacheFolder, cuda ? cudaBytes : cpuBytes)
  return withTemporaryFolder(cacheFolder, async (temporary) => {
    if (cuda) return fetchCuda(python, requirement, temporary, cacheFolder, reasons)
    const wheel =
      (await download(python, requirement, join(temporary, 'official'), ['--index-url', officialCpuIndex], reasons)) ??
      (await downloadFromOwnIndex(python, requirement, join(temporary, 'own'), reasons))
    if (wheel === undefined) return undefined
    return unpack(wheel, temporary, cacheFolder)
  })
}

const pythonWithPip = async () => {
  for (const python of pythons()) {
    const { code } = await runProgram(python, ['-m', 'pip', '--version'], { timeoutMs: 30_000 })
    if (code === 0) return python
  }
  return undefined
}

const pipFlags = [
  '--no-deps',
  '--only-binary=:all:',
  '--disable-pip-version-check',
  '--no-input',
  '--retries',
  '1',
  '--timeout',
  '20',
]

/** pip compares the file with the checksum that the index states. */
const download = async (python, requirement, folder, flags, reasons) => {
  await mkdir(folder, { recursive: true })
  const from = flags.at(-1)?.startsWith('http') ? flags.at(-1) : 'the configured package index'
  say(`fetching ${requirement} with pip from ${from} (about 200 MB)`)
  const args = ['-m', 'pip', 'download', ...pipFlags, '--progress-bar', 'off', '--dest', folder, ...flags, requirement]
  const { code, output } = await runProgram(python, args, { show: !isQuiet() })
  const name = readdirSync(folder).find((file) => file.endsWith('.whl'))
  if (code === 0 && name !== undefined) {
    const path = join(folder, name)
    if (!(await isCuda(path))) return { path, origin: `pip: ${name}`, sha256: await digestFile(path) }
    await rm(path)
    reasons.push(`${from} has only a CUDA wheel; take it with --cuda`)
    return undefined
  }
  reasons.push(`pip: ${faultLine(output).replace(/^ERROR: /, '')}`)
  return undefined
}

/** Reads pip's choice before the download: PyPI's wheels for Linux are CUDA builds of many gigabytes. */
const downloadFromOwnIndex = async (python, requirement, folder, reasons) => {
  const args = [
    '-m',
    'pip',
    'install',
    '--dry-run',
    '--ignore-installed',
    '--quiet',
    '--report',
    '-',
    ...pipFlags,
    requirement,
  ]
  const { code, stdout, output } = await runProgram(python, args)
  if (code !== 0) {
    reasons.push(`pip: ${faultLine(output).replace(/^ERROR: /, '')}`)
    return undefined
  }
  const [choice] = JSON.parse(stdout).install
  const needs = choice.metadata.requires_dist ?? []
  if (needs.some((need) => /^(nvidia-|cuda-)/.test(need)) || /\+(cu|rocm)/.test(choice.metadata.version)) {
    reasons.push('the configured package index has only a CUDA wheel; take it with --cuda')
    return undefined
  }
  const stated = choice.download_info.archive_info?.hashes?.sha256
  const wheel = await download(python, `torch==${choice.metadata.version}`, folder, [], reasons)
  if (wheel !== undefined && stated !== undefined && wheel.sha256 !== stated) {
    throw new SetupFault(
      `Expected a wheel with SHA-256 ${stated}, got ${wheel.sha256}. The download is damaged: run set-up again.`,
    )
  }
  return wheel
}

const isCuda = async (wheel) => {
  return (await listZip(wheel)).some((name) => /^torch\/lib\/libtorch_(cuda|hip)\.so$/.test(name))
}

const unpack = async (wheel, temporary, cacheFolder) => {
  const folder = join(temporary, 'unpacked')
  const wanted =
    /^torch\/(lib\/(?!libtorch_python|libshm)|include\/|version\.py$)|^torch-[^/]*\.dist-info\/(RECORD|licenses\/|LICENSE)/
  const names = await unzip(wheel.path, folder, (name) => (wanted.test(name) ? name : undefined))
  await checkRecord(folder, names, 'the wheel of torch')
  const version = /__version__ = '([^']+)'/.exec(readFileSync(join(folder, 'torch', 'version.py'), 'utf8'))?.[1]
  if (version === undefined)
    throw new SetupFault('Expected a version in the wheel of torch, found none. Use another wheel.')
  const target = join(cacheFolder, `libtorch-${version.replace(/\+.*/, '')}-cpu`)
  await installCopy(folder, target, wheel)
  return join(target, 'torch')
}
