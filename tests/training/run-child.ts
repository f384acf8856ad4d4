// A run in a process of its own, to be killed: `run-child.ts RECIPE.json` begins it, or goes on with it. Writes a line a
// step, and at the end how it ended.
import '../../scripts/test-device.mjs'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type PretrainInput, pretrain, type RunListener, resume } from '../../src/runs/index.ts'
import { setThreads } from '../../src/tensor/index.ts'

setThreads(1)
const recipe = JSON.parse(readFileSync(process.argv[2], 'utf8')) as PretrainInput
const aborter = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => aborter.abort())
const listener: RunListener = {
  signal: aborter.signal,
  onEvent: (event) => {
    if (event.type === 'step') console.log(`step ${event.step}`)
    if (event.type === 'incident') console.log(`incident ${event.message}`)
  },
  onNote: (line) => console.log(`note ${line}`),
}
try {
  const begun = existsSync(join(recipe.out, 'run.json'))
  const { reason } = begun ? await resume(recipe.out, listener) : await pretrain(recipe, listener)
  console.log(`ended ${reason}`)
} catch (error) {
  console.log(`failed ${(error as Error).name}: ${(error as Error).message}`)
  process.exitCode = 1
}
