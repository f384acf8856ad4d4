// For vitest, in `npm run test:costs`: writes what each test file costs (CPU seconds of its process and of the programs that it starts) and, with
// TUNESMITH_TEST_COVERAGE, which functions of src it calls; counting calls makes code that calls much several times slower, so costs are
// measured without. A file that runs in a shared process counts from the end of the file before it.
import { appendFileSync, readFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { join } from 'node:path'
import { afterAll, expect } from 'vitest'

const folder = process.env.TUNESMITH_TEST_COSTS
const ticksPerSecond = 100

/** CPU seconds of this process, and of its children that have ended (fields 16 and 17 of /proc/self/stat). */
const cpuSeconds = () => {
  const { user, system } = process.cpuUsage()
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ')
  return (user + system) / 1e6 + (Number(fields[13]) + Number(fields[14])) / ticksPerSecond
}

/** Functions with a name that were called, each as `file#offset#name` of the joined modules. */
const startCoverage = async () => {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
  return async () => {
    const { result } = await session.post('Profiler.takePreciseCoverage')
    session.disconnect()
    return result
      .filter(({ url }) => url.includes('/build/tested/'))
      .flatMap(({ url, functions }) =>
        functions
          .filter(({ ranges, functionName }) => ranges[0].count > 0 && functionName !== '')
          .map(({ functionName, ranges }) => [url.split('/build/tested/')[1], ranges[0].startOffset, functionName]),
      )
      .map((parts) => parts.join('#'))
  }
}

if (folder !== undefined) {
  const covered = process.env.TUNESMITH_TEST_COVERAGE === '1' ? await startCoverage() : undefined
  afterAll(async () => {
    const functions = await covered?.()
    const total = cpuSeconds()
    const cpu = total - (globalThis.cpuBeforeFile ?? 0)
    globalThis.cpuBeforeFile = total
    const line = {
      file: expect.getState().testPath,
      project: process.env.TUNESMITH_TEST_DEVICE ?? 'cpu',
      cpu,
      functions,
    }
    appendFileSync(join(folder, `${process.pid}.jsonl`), `${JSON.stringify(line)}\n`)
  })
}
