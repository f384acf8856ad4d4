// Fetches a CUDA build of libtorch: the wheel of torch and NVIDIA's wheels that it needs, without Python's own and without triton, which
// only torch.compile uses. The size is printed before the download, and every file is compared with the hash that the index states.
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { installCopy } from './cache.mjs'
import { digestFile } from './hashes.mjs'
import { faultLine, findProgram, runProgram } from './programs.mjs'
import { isQuiet, SetupFault, say } from './report.mjs'
import { checkRecord, unzip } from './zip.mjs'

/** PyTorch's builds for CUDA 12, for drivers that know no CUDA 13. */
const olderIndex = ['--index-url', 'https://download.pytorch.org/whl/cu126']
/** The first drivers for CUDA 13, which PyPI's wheels need, and for CUDA 12. */
const firstDrivers = { newest: 580, oldest: 525 }

/** The version of NVIDIA's driver, such as 550.54.15; undefined without one. */
const readDriver = async () => {
  if (findProgram('nvidia-smi') === undefined) return undefined
  const query = ['--query-gpu=driver_version', '--format=csv,noheader']
  const { code, stdout } = await runProgram('nvidia-smi', query, { timeoutMs: 20_000 })
  const version = stdout.trim().split('\n')[0]
  return code === 0 && /^\d+(\.\d+)+$/.test(version) ? version : undefined
}

/**
 * Flags of pip by which it finds a build that the driver supports, in the order in which they are tried.
 * @throws SetupFault for a driver that no supported libtorch runs with
 */
export const indexesFor = (driver) => {
  if (driver === undefined) {
    say('no NVIDIA driver is here: fetching the newest CUDA build, which computes on the CPU until there is one')
    return [[], olderIndex]
  }
  const major = Number(driver.split('.')[0])
  if (major < firstDrivers.oldest)
    throw new SetupFault(
      `Expected an NVIDIA driver ${firstDrivers.oldest} or newer for --cuda, got ${driver}. Update it, or set up without --cuda.`,
    )
  if (major >= firstDrivers.newest) return [[], olderIndex]
  say(`the NVIDIA driver ${driver} is older than ${firstDrivers.newest}: looking for a build for CUDA 12`)
  return [olderIndex]
}

/** What pip would install, as its report names it. */
const resolve = async (python, requirement, flags) => {
  const args = ['-m', 'pip', 'install', '--dry-run', '--ignore-installed', '--quiet', '--report', '-']
  const more = ['--only-binary=:all:', '--disable-pip-version-check', '--no-input', '--retries', '1', '--timeout', '20']
  const { code, stdout, output } = await runProgram(python, [...args, ...more, ...flags, requirement])
  if (code !== 0) return { fault: `pip: ${faultLine(output).replace(/^ERROR: /, '')}` }
  return { install: JSON.parse(stdout).install }
}

/** The wheels of a CUDA build: { name, version, url, sha256 }. A CPU build that the index prefers is left out of the next try. */
export const resolveCuda = async (python, requirement, flags) => {
  let wanted = requirement
  // An index may have CPU builds of several versions.
  for (let tries = 0; tries < 6; tries++) {
    const { install, fault } = await resolve(python, wanted, flags)
    if (fault !== undefined) return { fault }
    const { version } = install.find(({ metadata }) => metadata.name === 'torch').metadata
    if (!/\+cpu$/.test(version)) {
      const wheels = install.flatMap(({ metadata, download_info: { url, archive_info } }) =>
        metadata.name === 'torch' || /^nvidia[-_]/.test(metadata.name)
          ? [{ name: metadata.name, version: metadata.version, url, sha256: archive_info?.hashes?.sha256 }]
          : [],
      )
      return wheels.length > 1
        ? { wheels }
        : { fault: `torch ${version} needs no libraries of NVIDIA: it is no CUDA build` }
    }
    wanted += `,!=${version}`
  }
  return { fault: 'the configured package index has only CPU builds' }
}

/** Bytes of the files, as their server states them; undefined where it does not. */
export const sizeOf = async (wheels) => {
  let bytes = 0
  for (const { url } of wheels) {
    const response = await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(20_000) }).catch(() => undefined)
    const length = Number(response?.headers.get('content-length') ?? 0)
    if (response?.ok !== true || !(length > 0)) return undefined
    bytes += length
  }
  return bytes
}

/** Files of a wheel that a program in another language needs. */
const isNeeded = (name) =>
  /^torch\/(lib\/(?!libtorch_python|libshm)|include\/|version\.py$)/.test(name) ||
  /^nvidia\/.*\/lib\/[^/]*\.so/.test(name) ||
  /\.dist-info\/(RECORD|licenses\/|LICENSE|License)/.test(name)

/** A wheel that was downloaded and unpacked into `site`. @throws SetupFault for one with another hash than the index stated */
const fetchOne = async (python, { name, version, sha256 }, folder, site, flags) => {
  await mkdir(folder, { recursive: true })
  const args = ['-m', 'pip', 'download', '--no-deps', '--only-binary=:all:', '--no-input', '--progress-bar', 'off']
  const more = ['--disable-pip-version-check', '--dest', folder, ...flags]
  // A version without a local part also means those with one: `===` means itself alone.
  const { code, output } = await runProgram(python, [...args, ...more, `${name}===${version}`], { show: !isQuiet() })
  const file = readdirSync(folder).find((one) => one.endsWith('.whl'))
  if (code !== 0 || file === undefined) return { fault: `pip: ${faultLine(output).replace(/^ERROR: /, '')}` }
  const path = join(folder, file)
  const digest = await digestFile(path)
  if (sha256 !== undefined && digest !== sha256)
    throw new SetupFault(
      `Expected ${file} with SHA-256 ${sha256}, got ${digest}. The download is damaged: run set-up again.`,
    )
  const names = await unzip(path, site, (entry) => (isNeeded(entry) ? entry : undefined))
  await checkRecord(site, names, file)
  return {}
}

/** The folder with torch's include/ and lib/, or undefined with reasons added. */
export const fetchCuda = async (python, requirement, temporary, cacheFolder, reasons) => {
  for (const [i, flags] of indexesFor(await readDriver()).entries()) {
    const { wheels, fault } = await resolveCuda(python, requirement, flags)
    if (wheels === undefined) {
      reasons.push(fault)
      continue
    }
    const { version } = wheels.find(({ name }) => name === 'torch')
    const bytes = await sizeOf(wheels)
    const size = bytes === undefined ? 'several GB' : `${(bytes / 1e9).toFixed(1)} GB`
    say(`fetching the CUDA build of torch ${version}: ${wheels.length} files, ${size}`)
    const site = join(temporary, `site-${i}`)
    const faults = []
    for (const [at, wheel] of wheels.entries()) {
      const { fault: failed } = await fetchOne(python, wheel, join(temporary, `wheel-${i}-${at}`), site, flags)
      if (failed !== undefined) faults.push(failed)
    }
    if (faults.length === 0 && !readdirSync(join(site, 'torch', 'lib')).includes('libtorch_cuda.so'))
      faults.push('pip fetched a build without CUDA')
    reasons.push(...faults)
    if (faults.length > 0) continue
    const text = readFileSync(join(site, 'torch', 'version.py'), 'utf8')
    const plain = (/__version__ = '([^']+)'/.exec(text)?.[1] ?? version).replace(/\+.*/, '')
    const target = join(cacheFolder, `libtorch-${plain}-cuda`)
    const [{ sha256 = null }] = wheels.filter(({ name }) => name === 'torch')
    await installCopy(site, target, { origin: `pip: torch ${version}`, sha256 })
    return join(target, 'torch')
  }
  return undefined
}
