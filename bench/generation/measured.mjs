// What the programs of the benchmark of quantised files measure of themselves. Plain JavaScript, as a loader of TypeScript would be in
// the memory that is compared.
import { readFileSync } from 'node:fs'

/**
 * Runs something several times over.
 * @returns seconds and CPU seconds of each, and the result of the last one
 */
export const timed = async (run, runs) => {
  const seconds = []
  const cpuSeconds = []
  let result
  for (let i = 0; i < runs; i++) {
    const cpu = process.cpuUsage()
    const start = performance.now()
    result = await run()
    seconds.push((performance.now() - start) / 1000)
    const { user, system } = process.cpuUsage(cpu)
    cpuSeconds.push((user + system) / 1e6)
  }
  return { seconds, cpuSeconds, result }
}

/** Resident memory of this process on Linux, in megabytes: all of it, and the part that no file on disk holds. */
export const residentMegabytes = () => {
  const status = readFileSync('/proc/self/status', 'utf8')
  const of = (field) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) / 1024
  return { residentMegabytes: of('VmRSS'), anonymousMegabytes: of('RssAnon') }
}
