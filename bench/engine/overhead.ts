// What one call of a tiny operator costs from TypeScript; prints one JSON line.
import { ones, scope, setThreads } from '../../src/tensor/index.ts'

setThreads(1)
const x = ones([2, 2])
const y = ones([2, 2])
const w = ones([2, 2])
w.requiresGrad = true
const cases = {
  add: () => x.add(y),
  view: () => x.view([4]),
  matmul: () => x.matmul(y),
  'add, recorded': () => x.add(w),
}
const result: Record<string, number> = {}
for (const [name, call] of Object.entries(cases)) {
  const runs: number[] = []
  for (let run = 0; run < 7; run++) {
    const started = performance.now()
    for (let batch = 0; batch < 200; batch++)
      scope(() => {
        for (let i = 0; i < 100; i++) call()
      })
    runs.push(((performance.now() - started) / 20000) * 1e6)
  }
  result[name] = Math.min(...runs)
}
console.log(JSON.stringify(result))
