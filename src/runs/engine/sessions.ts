// The sessions of a run: each lasts from a start or a resume to its end. A run's time is the sum over all of them.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '../../core/index.ts'
import { runFiles, startEnergyMeter } from '../../tracking/index.ts'

/** Time and energy of one session. */
export interface Session {
  /** ISO time. */
  started: string
  wallSeconds: number
  /** User and system time of all threads. */
  cpuSeconds: number
  energyJoules?: number
}

/** The open session of a run and those before it. */
export interface Sessions {
  /** Writes what this session took so far; a killed session counts up to its last checkpoint. */
  note(): Promise<void>
  /** The sum over all sessions. */
  total(): { count: number; wallSeconds: number; cpuSeconds: number; energyJoules?: number }
  stop(): void
}

/** Begins a session. */
export const openSessions = async (out: string, { first }: { first: boolean }): Promise<Sessions> => {
  const path = join(out, runFiles.sessions)
  const earlier = first ? [] : await readSessions(path)
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

/** Wall time of all sessions of a run, in seconds, as far as they have noted it. */
export const sessionSeconds = async (out: string): Promise<number> =>
  (await readSessions(join(out, runFiles.sessions))).reduce((sum, { wallSeconds }) => sum + wallSeconds, 0)

/** A missing or damaged file counts as no sessions: it must not prevent a resume. */
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
