// Fetches the official libtorch archive over HTTPS, for machines without pip. An interrupted download is resumed.
import { createWriteStream, existsSync, statSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { installCopy, requireSpace, withTemporaryFolder } from './cache.mjs'
import { digestFile } from './hashes.mjs'
import { SetupFault, say } from './report.mjs'
import { unzip } from './zip.mjs'

const host = 'https://download.pytorch.org/libtorch'
const attempts = 4

/** The folder with include/ and lib/, or undefined with a reason added to `reasons`. */
export const fetchArchive = async ({ cuda, cacheFolder, newest }, reasons, base = host) => {
  const names = archiveNames(newest, cuda)
  if (names.length === 0) {
    reasons.push(`no official archive for ${process.platform} ${process.arch}`)
    return undefined
  }
  await requireSpace(cacheFolder, cuda ? 12 * 2 ** 30 : 1.5 * 2 ** 30)
  // The part that arrived is kept, so the next set-up resumes from it, also after this process is killed.
  const downloads = join(cacheFolder, 'downloads')
  await mkdir(downloads, { recursive: true })
  for (const name of names) {
    const url = `${base}/${name.folder}/${encodeURIComponent(name.file)}`
    const path = join(downloads, name.file)
    let stated
    try {
      stated = await download(url, path)
    } catch (error) {
      if (error instanceof SetupFault) throw error
      reasons.push(`${new URL(url).host}: ${error.cause?.code ?? error.message}`)
      continue
    }
    return await install(path, url, stated, { cuda, cacheFolder, newest })
  }
  return undefined
}

const install = async (path, url, stated, { cuda, cacheFolder, newest }) => {
  const sha256 = await digestFile(path)
  if (stated !== undefined && stated !== sha256) {
    await rm(path)
    throw new SetupFault(
      `Expected SHA-256 ${stated} for ${url}, got ${sha256}. The download is damaged: run set-up again.`,
    )
  }
  return withTemporaryFolder(cacheFolder, async (temporary) => {
    const folder = join(temporary, 'unpacked')
    const wanted = /^libtorch\/((lib|include)\/|build-version$)/
    try {
      await unzip(path, folder, (name) => (wanted.test(name) ? name.slice('libtorch/'.length) : undefined))
    } catch (error) {
      await rm(path, { force: true })
      throw error
    }
    const target = join(cacheFolder, `libtorch-${newest}-${cuda ? 'cuda' : 'cpu'}`)
    await installCopy(folder, target, { origin: url, sha256 })
    await rm(path)
    return target
  })
}

const archiveNames = (version, cuda) => {
  const platform = `${process.platform}-${process.arch}`
  const tag = cuda ? 'cu126' : 'cpu'
  if (platform === 'linux-x64') {
    // Releases up to 2.7 have the C++ ABI in the name.
    return ['libtorch-shared-with-deps', 'libtorch-cxx11-abi-shared-with-deps'].map((name) => ({
      folder: tag,
      file: `${name}-${version}+${tag}.zip`,
    }))
  }
  if (platform === 'darwin-arm64' && !cuda) return [{ folder: 'cpu', file: `libtorch-macos-arm64-${version}.zip` }]
  return []
}

/** Downloads `url` into `path`, resuming a partial file. Returns the SHA-256 that the server states, if it does. */
const download = async (url, path) => {
  for (let attempt = 1; ; attempt++) {
    const have = existsSync(path) ? statSync(path).size : 0
    say(have > 0 ? `resuming ${url} after ${(have / 2 ** 20).toFixed(0)} MiB` : `fetching ${url}`)
    try {
      const response = await fetch(url, {
        headers: have > 0 ? { range: `bytes=${have}-` } : {},
        signal: AbortSignal.timeout(3_600_000),
      })
      const checksum = response.headers.get('x-amz-meta-checksum-sha256') ?? undefined
      // 416: the file is complete.
      if (response.status === 416) return checksum
      if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status}`)
      const append = response.status === 206
      await pipeline(Readable.fromWeb(response.body), createWriteStream(path, { flags: append ? 'a' : 'w' }))
      const expected = Number(response.headers.get('content-length') ?? Number.NaN) + (append ? have : 0)
      if (Number.isFinite(expected) && statSync(path).size !== expected) throw new Error('the connection ended early')
      return checksum
    } catch (error) {
      const lasting =
        /^HTTP 4/.test(error.message) ||
        ['ENOTFOUND', 'ECONNREFUSED', 'ENOSPC'].includes(error.cause?.code ?? error.code)
      if (lasting || attempt === attempts) throw error
    }
  }
}
