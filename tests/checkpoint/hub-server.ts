// A local server that imitates the Hub for one repository, org/name: its revisions, its tree, and its files with ranges.
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What the server has. */
export interface ServedRepository {
  kind: 'models' | 'datasets'
  commit: string
  /** Names that lead to the commit. */
  revisions: readonly string[]
  /** Read again for every request. */
  files: ReadonlyMap<string, Uint8Array>
  /** Gets the path of every request. */
  asked?: string[]
  /** What is sent in place of a file. */
  damage?(path: string, bytes: Uint8Array): Uint8Array
  /** What happens in the middle of files: the connection is dropped, or nothing more is sent. */
  breaks?: 'drop' | 'stall'
  /** Called when the middle of a file was sent that `breaks`. */
  onBreak?(): void
}

/** Starts the server, whose address is for HF_ENDPOINT. */
export const startHub = async ({
  kind,
  commit,
  revisions,
  files,
  asked = [],
  damage,
  breaks,
  onBreak,
}: ServedRepository) => {
  const repository = kind === 'models' ? '' : `/${kind}`
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    asked.push(pathname)
    const json = (value: unknown, status = 200) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(value))
    }
    const revision = new RegExp(`^/api/${kind}/org/name/revision/(.+)$`).exec(pathname)?.[1]
    if (revision !== undefined && [...revisions, commit].includes(revision))
      return json({ id: 'org/name', sha: commit })
    if (pathname === `/api/${kind}/org/name/tree/${commit}`)
      return json(
        [...files].map(([path, bytes]) => {
          const oid = createHash('sha1').update(bytes).digest('hex')
          const sha256 = createHash('sha256').update(bytes).digest('hex')
          const isLarge = /\.(safetensors|parquet)$/.test(path)
          const lfs = isLarge ? { lfs: { oid: sha256, size: bytes.length, pointerSize: 1 } } : {}
          return { type: 'file', path, size: bytes.length, oid, ...lfs }
        }),
      )
    const bytes = files.get(decodeURIComponent(pathname.replace(`${repository}/org/name/resolve/${commit}/`, '')))
    if (bytes === undefined) return json({ error: 'not found' }, 404)
    const [from, to] = (/bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? []).slice(1).map(Number)
    const sent = (damage?.(pathname, bytes) ?? bytes).subarray(
      from ?? 0,
      from === undefined || (!to && to !== 0) ? undefined : to + 1,
    )
    const range =
      from === undefined ? {} : { 'content-range': `bytes ${from}-${from + sent.length - 1}/${bytes.length}` }
    response.writeHead(from === undefined ? 200 : 206, { etag: '"x"', 'content-length': sent.length, ...range })
    // The first byte is asked for alone, to learn about the file: it always arrives.
    if (breaks !== undefined && sent.length > 1)
      response.write(sent.subarray(0, sent.length >> 1), () => {
        if (breaks === 'drop') response.destroy()
        onBreak?.()
      })
    else response.end(sent)
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => new Promise<unknown>((closed) => server.close(closed)),
  }
}
