// What the processor used, in joules, where the system counts it (Linux, RAPL) and lets this user read it. Counts the whole
// package: other programs too, and no graphics card.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface EnergyMeter {
  /** Since the meter was started; undefined where nothing can be read. */
  joules(): number | undefined
  stop(): void
}

interface Zone {
  file: string
  /** Microjoules at which the counter begins anew. */
  range: number
  last: number
}

/** Counters of busy packages begin anew about once an hour or less; reading them this often misses no turn. */
const intervalMs = 60_000

/** Starts to count. `root` is where the system shows its counters. */
export function startEnergyMeter(root = '/sys/class/powercap'): EnergyMeter {
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

/** Packages only (`intel-rapl:0`): their parts (`intel-rapl:0:0`) are counted within them. */
function findPackages(root: string): Zone[] {
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

function readNumber(path: string): number | undefined {
  try {
    const value = Number(readFileSync(path, 'utf8').trim())
    return Number.isFinite(value) ? value : undefined
  } catch {
    return undefined
  }
}
