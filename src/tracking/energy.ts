// Energy of the processor in joules, if the system counts it (Linux, RAPL) and this user may read it. It includes other programs on the
// same processor, and no graphics card.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Measures the energy of the processor. */
export interface EnergyMeter {
  /** Energy since the meter was started; undefined if it cannot be read. */
  joules(): number | undefined
  stop(): void
}

interface Zone {
  file: string
  /** Microjoules at which the counter wraps around. */
  range: number
  last: number
}

/** Counters of busy processors wrap around about once an hour; reading them this often misses no wrap. */
const intervalMs = 60_000

/** Starts a meter. `root` is the folder of the system's counters. */
export const startEnergyMeter = (root = '/sys/class/powercap'): EnergyMeter => {
  const zones = findPackages(root)
  let microjoules = 0
  const read = () => {
    for (const zone of zones) {
      const now = readNumber(zone.file)
      if (now === undefined) continue
      microjoules += now >= zone.last ? now - zone.last : now + zone.range - zone.last
      zone.last = now
    }
  }
  const timer = zones.length === 0 ? undefined : setInterval(read, intervalMs).unref()
  return {
    joules() {
      if (zones.length === 0) return undefined
      read()
      return microjoules / 1e6
    },
    stop() {
      clearInterval(timer)
    },
  }
}

/** Whole processors (`intel-rapl:0`), which include their parts (`intel-rapl:0:0`). */
const findPackages = (root: string): Zone[] => {
  let names: string[]
  try {
    names = readdirSync(root)
  } catch {
    return []
  }
  return names
    .filter((name) => /^intel-rapl:\d+$/.test(name))
    .flatMap((name) => {
      const file = join(root, name, 'energy_uj')
      const last = readNumber(file)
      const range = readNumber(join(root, name, 'max_energy_range_uj'))
      return last === undefined || range === undefined ? [] : [{ file, range, last }]
    })
}

const readNumber = (path: string): number | undefined => {
  try {
    const value = Number(readFileSync(path, 'utf8').trim())
    return Number.isFinite(value) ? value : undefined
  } catch {
    return undefined
  }
}
