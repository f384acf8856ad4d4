// A file system of HDFS over HTTP, as its REST interface describes it, over a local folder: what Spark's own client needs of it. Bytes are
// sent and received by a second request, as those of a data node are.
// @source hadoop.apache.org/docs/stable/hadoop-project-dist/hadoop-hdfs/WebHDFS.html
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'

/** A server that runs. */
export interface WebHdfsServer {
  /** Address of its root, such as webhdfs://127.0.0.1:1234. */
  address: string
  /** Requests by operation. */
  counts: ReadonlyMap<string, number>
  close(): Promise<void>
}

const statusOf = (path: string, pathSuffix: string) => {
  const { size, mtimeMs } = statSync(path)
  const isFolder = statSync(path).isDirectory()
  const time = Math.round(mtimeMs)
  return {
    ...{ pathSuffix, type: isFolder ? 'DIRECTORY' : 'FILE', length: isFolder ? 0 : size },
    ...{ owner: 'owner', group: 'group', permission: isFolder ? '755' : '644' },
    ...{ modificationTime: time, accessTime: time, blockSize: 134_217_728, replication: isFolder ? 0 : 1 },
    ...{ fileId: 1, childrenNum: 0, storagePolicy: 0 },
  }
}

const namesIn = (path: string): string[] => (statSync(path).isDirectory() ? readdirSync(path).sort() : [''])

/** Starts a server over a folder. */
export const startWebHdfs = async (folder: string): Promise<WebHdfsServer> => {
  const counts = new Map<string, number>()
  const json = (response: ServerResponse, value: unknown, code = 200) => {
    // Without a content type, as the jars of Hadoop 3.5.0 in Spark 4.3 lack the class that reads one.
    response.writeHead(code).end(JSON.stringify(value))
  }
  const missing = (response: ServerResponse, path: string) =>
    json(
      response,
      {
        RemoteException: {
          exception: 'FileNotFoundException',
          javaClassName: 'java.io.FileNotFoundException',
          message: `File does not exist: ${path}`,
        },
      },
      404,
    )
  const local = (path: string) => join(folder, decodeURIComponent(path))

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://server')
    const path = url.pathname.replace(/^\/webhdfs\/v1/, '') || '/'
    const file = local(path)
    const operation = url.searchParams.get('op')?.toUpperCase() ?? ''
    const isSecond = url.searchParams.has('node')
    counts.set(operation, (counts.get(operation) ?? 0) + 1)
    const secondStep = () => {
      url.searchParams.set('node', '1')
      const location = `http://${request.headers.host}${url.pathname}${url.search}`
      response.writeHead(307, { location }).end()
    }
    const needed = !['CREATE', 'MKDIRS', 'DELETE', 'RENAME', 'GETHOMEDIRECTORY'].includes(operation)
    if (needed && !existsSync(file)) return missing(response, path)
    switch (operation) {
      case 'GETFILESTATUS':
        return json(response, { FileStatus: statusOf(file, '') })
      case 'LISTSTATUS':
      case 'LISTSTATUS_BATCH': {
        const listing = { FileStatuses: { FileStatus: namesIn(file).map((name) => statusOf(join(file, name), name)) } }
        const batch = { DirectoryListing: { partialListing: listing, remainingEntries: 0 } }
        return json(response, operation === 'LISTSTATUS' ? listing : batch)
      }
      case 'GETFILEBLOCKLOCATIONS': {
        const places = { hosts: ['localhost'], names: ['localhost:1'], topologyPaths: ['/rack/localhost'] }
        const block = {
          offset: 0,
          length: statSync(file).size,
          corrupt: false,
          cachedHosts: [],
          storageTypes: ['DISK'],
        }
        return json(response, { BlockLocations: { BlockLocation: [{ ...block, ...places }] } })
      }
      case 'OPEN': {
        if (!isSecond) return secondStep()
        const start = Number(url.searchParams.get('offset') ?? 0)
        const { size } = statSync(file)
        const end = Math.min(size, start + Number(url.searchParams.get('length') ?? size))
        response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': end - start })
        if (end <= start) return void response.end()
        return pipeline(createReadStream(file, { start, end: end - 1 }), response)
      }
      case 'CREATE':
        if (!isSecond) return secondStep()
        mkdirSync(dirname(file), { recursive: true })
        await pipeline(request, createWriteStream(file))
        return void response.writeHead(201).end()
      case 'MKDIRS':
        mkdirSync(file, { recursive: true })
        return json(response, { boolean: true })
      case 'RENAME': {
        const target = local(url.searchParams.get('destination') ?? '')
        if (!existsSync(file)) return json(response, { boolean: false })
        const inside = existsSync(target) && statSync(target).isDirectory()
        renameSync(file, inside ? join(target, file.split('/').at(-1)!) : target)
        return json(response, { boolean: true })
      }
      case 'DELETE': {
        const was = existsSync(file)
        rmSync(file, { recursive: true, force: true })
        return json(response, { boolean: was })
      }
      case 'GETHOMEDIRECTORY':
        return json(response, { Path: '/' })
      case 'SETPERMISSION':
      case 'SETTIMES':
        return void response.writeHead(200).end()
      default:
        return json(
          response,
          {
            RemoteException: {
              exception: 'UnsupportedOperationException',
              javaClassName: 'java.lang.UnsupportedOperationException',
              message: `${operation} is not there`,
            },
          },
          400,
        )
    }
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error: Error) => {
      if (!response.headersSent) response.writeHead(500)
      response.end(error.message)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    address: `webhdfs://127.0.0.1:${port}`,
    counts,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}
