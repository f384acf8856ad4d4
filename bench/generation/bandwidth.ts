// Speed of a plain read of memory, GB/s: the sum of a tensor far larger than the caches, the best of some runs. Argument: threads.
import { randn, scope, setThreads } from '../../src/tensor/index.ts'

setThreads(Number(process.argv[2]))
const values = randn([64 * 1024 * 1024])
let best = Number.POSITIVE_INFINITY
for (let i = 0; i < 10; i++) {
  const start = performance.now()
  scope(() => values.sum().item())
  best = Math.min(best, performance.now() - start)
}
console.log(JSON.stringify({ gigabytes: (values.size * 4) / best / 1e6 }))
