// Trains the small transformer in this process and prints what its memory did: `training-child.ts MODE STEPS THREADS`.
// MODE: scope or none (does the loop wrap its steps?), then sync or async (does it yield to the event loop?).
import { sha256 } from '../../src/core/index.ts'
import { liveTensors, memoryStatistics, scope, setThreads } from '../../src/tensor/index.ts'
import { createSmallTransformer, flatParameters } from './small-transformer.ts'

export interface Sample {
  step: number
  rssMb: number
  liveTensors: number
  inUseMb: number
}

const main = async () => {
  setThreads(Number(process.argv[4] ?? 1))
  const [scoped, loop] = process.argv[2].split('-')
  const steps = Number(process.argv[3])
  const samples: Sample[] = []
  const losses: number[] = []
  const model = createSmallTransformer(1, 96)
  for (let step = 1; step <= steps; step++) {
    losses.push(scoped === 'scope' ? scope(() => model.step()) : model.step())
    if (loop === 'async') await new Promise((resume) => setImmediate(resume))
    if (step % 50 === 0)
      samples.push({
        step,
        rssMb: Math.round(process.memoryUsage.rss() / 1e6),
        liveTensors: liveTensors(),
        inUseMb: Math.round(memoryStatistics().inUse / 1e6),
      })
  }
  console.log(JSON.stringify({ samples, losses, weights: sha256(new Uint8Array(flatParameters(model).buffer)) }))
}
main()
