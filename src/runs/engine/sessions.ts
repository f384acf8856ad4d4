// The sessions that a run took, each from a start or a resumption to its end, with what each cost: a run's time is the sum of them all.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '../../core/index.ts'
import { startEnergyMeter } from '../../tracking/index.ts'

export const SESSIONS_FILE = 'sessions.json'

export interface Session {
  /** ISO time. */
  started: string
  wallSeconds: number
  /** User and system time of all threads. */
  cpuSeconds: number
  energyJoules?: number
}

export interface Sessions {
  /** Writes what this session cost so far; a killed one counts up to its last checkpoint. */
  note(): Promise<void>
  /** Of all sessions. */
  total(): { count: number; wallSeconds: number; cpuSeconds: number; energyJoules?: number }
  stop(): void
}

/** Begins a session, the first of the run when it is fresh. */
export const openSessions = async (out: string, { fresh }: { fresh: boolean }): Promise<Sessions> => {
  const path = join(out, SESSIONS_FILE)
  const earlier = fresh ? [] : await readSessions(path)
  const started = { time: new Date().toISOString(), wall: performance.now(), cpu: process.cpuUsage() }
  const energy = startEnergyMeter()
  const all = (): Session[] => {
    const cpu = process.cpuUsage(started.cpu)
    const energyJoules = energy.joules()
    const own = {
      started: started.time,
      wallSeconds: (performance.now() - started.wall) / 1000,
      cpuSeconds: (cpu.user + cpu.system) / 1e6,
      ...(energyJoules === undefined ? {} : { energyJoules }),
    }
    return [...earlier, own]
  }
  return {
    note: () => writeFileAtomic(path, `${JSON.stringify(all(), null, 2)}\n`),
    total() {
      const sessions = all()
      const sum = (of: (session: Session) => number) => sessions.reduce((total, session) => total + of(session), 0)
      const metered = sessions.every(({ energyJoules }) => energyJoules !== undefined)
      return {
        count: sessions.length,
        wallSeconds: sum(({ wallSeconds }) => wallSeconds),
        cpuSeconds: sum(({ cpuSeconds }) => cpuSeconds),
        ...(metered ? { energyJoules: sum(({ energyJoules = 0 }) => energyJoules) } : {}),
      }
    },
    stop: () => energy.stop(),
  }
}

/** None where the run is from before they were kept; a file that is damaged must not keep a run from going on. */
const readSessions = async (path: string): Promise<Session[]> => {
  try {
    const sessions = JSON.parse(await readFile(path, 'utf8')) as unknown
    const isSession = (one: unknown): one is Session =>
      typeof (one as Session)?.wallSeconds === 'number' && typeof (one as Session).cpuSeconds === 'number'
    return Array.isArray(sessions) ? sessions.filter(isSession) : []
  } catch {
    return []
  }
}
