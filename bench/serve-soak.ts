// `npm run bench -- serve-soak`: 10,000 requests of random kinds and lengths against a small random model with adapters, one of which is
// replaced all the time, while a fifth of the clients leaves early. It fails if an answer differs from that of the same request alone, if a
// request is lost, or if tensors are left. Options: --requests N, --clients N, --seed N.

import { formatBytes } from '../src/core/index.ts'
import { makeFolders, startServer } from '../tests/serving/fixture.ts'
import type { BenchOptions } from './main.ts'
import { soak } from './serving/soak.ts'

const option = (rest: readonly string[], name: string, otherwise: number): number => {
  const at = rest.indexOf(`--${name}`)
  return at < 0 ? otherwise : Number(rest[at + 1])
}

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const folders = await makeFolders()
  const reported: unknown[] = []
  const settings = {
    ...{ model: folders.base, specialists: { low: folders.low, other: folders.other }, adapterFolder: folders.folder },
    // As the command `serve` does.
    ...{ maxRows: 8, prefixCacheBytes: 2 ** 21, replaceGlobals: true },
  }
  const { server } = await startServer(settings, (error) => reported.push(error))
  try {
    const requests = option(rest, 'requests', smoke ? 100 : 10_000)
    const report = await soak(
      server,
      { writers: ['base', 'low', 'other'], swapped: { name: 'swapped', folders: ['low', 'other'] } },
      {
        ...{ requests, clients: option(rest, 'clients', 24), seed: option(rest, 'seed', 0) },
        onProgress: (done) => done % Math.ceil(requests / 20) === 0 && console.log(`${done} of ${requests} requests`),
      },
    )
    const { answered, left, refused, seconds, tensors, memory, faults } = report
    console.log(`${answered} answered, ${refused} refused, ${left} left, in ${seconds.toFixed(0)} s`)
    console.log(
      `Live tensors: ${tensors.join(' before, ')} after. Resident memory: ${memory.map(formatBytes).join(', ')}`,
    )
    for (const fault of [...faults, ...reported]) console.error(fault)
    if (reported.length > 0) throw new Error(`The server reported ${reported.length} faults of its own.`)
    if (faults.length > 0) throw new Error(`${faults.length} answers were wrong or lost.`)
    if (tensors[1] > tensors[0]) throw new Error(`${tensors[1] - tensors[0]} tensors were left.`)
  } finally {
    await server.close()
    folders.remove()
  }
}
