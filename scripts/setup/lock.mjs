// One set-up at a time in one folder: two test runs that start together must not build into the same place.
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SetupFault, say } from './report.mjs'

const patienceMs = 30 * 60_000

/** Runs `work` while this process holds the lock folder. Waits for a live holder and takes over from a dead one. */
export const withLock = async (folder, work) => {
  await acquire(folder)
  try {
    return await work()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const acquire = async (folder) => {
  mkdirSync(dirname(folder), { recursive: true })
  const started = Date.now()
  for (let told = false; ; ) {
    try {
      mkdirSync(folder)
      writeFileSync(join(folder, 'pid'), processName(process.pid))
      return
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (isStale(folder)) {
      say('an earlier set-up was interrupted; continuing from what it left')
      rmSync(folder, { recursive: true, force: true })
      continue
    }
    if (!told) say('another set-up is running; waiting for it')
    told = true
    if (Date.now() - started > patienceMs) {
      throw new SetupFault(`Another set-up has held \`${folder}\` for half an hour. Stop it, or delete that folder.`)
    }
    await sleep(200)
  }
}

const isStale = (folder) => {
  let text
  try {
    text = readFileSync(join(folder, 'pid'), 'utf8')
  } catch {
    // The holder may have made the folder and not yet written its file.
    return ageMs(folder) > 10_000
  }
  const pid = Number(text.split(' ')[0])
  if (!Number.isInteger(pid) || pid <= 0) return ageMs(folder) > 10_000
  const alive = isAlive(text)
  return alive === false || (alive === undefined && ageMs(folder) > patienceMs)
}

/** Process id, host and start time: an id alone may by now belong to another process, or to one of another container. */
export const processName = (pid) => `${pid} ${hostname()} ${startTime(pid)}`

/** Whether the process with this name runs; undefined where that cannot be told, as on another host of a shared disk. */
export const isAlive = (name) => {
  const [pid, host, started] = name.trim().split(' ')
  if (host !== undefined && host !== hostname()) return undefined
  try {
    process.kill(Number(pid), 0)
  } catch (error) {
    // EPERM: the process exists and belongs to another user.
    if (error.code === 'ESRCH') return false
  }
  return started === undefined || started === startTime(pid)
}

/** Linux counts it in clock ticks since boot (field 22 of /proc/PID/stat); other systems give no answer without a program. */
const startTime = (pid) => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return '0'
  }
}

const ageMs = (folder) => {
  try {
    return Date.now() - statSync(folder).mtimeMs
  } catch {
    return 0
  }
}
