// One set-up at a time in one place: two test runs that start together must not build into the same folder.
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SetupFault, say } from './report.mjs'

const patienceMs = 30 * 60_000

/** Runs `work` while this process holds the lock folder; waits for a holder that is alive, takes over from a dead one. */
export async function withLock(folder, work) {
  await acquire(folder)
  try {
    return await work()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function acquire(folder) {
  mkdirSync(dirname(folder), { recursive: true })
  const started = Date.now()
  for (let told = false; ; ) {
    try {
      mkdirSync(folder)
      writeFileSync(join(folder, 'pid'), String(process.pid))
      return
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (isStale(folder)) {
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

function isStale(folder) {
  try {
    const pid = Number(readFileSync(join(folder, 'pid'), 'utf8'))
    if (!Number.isInteger(pid) || pid <= 0) return ageMs(folder) > 10_000
    process.kill(pid, 0)
    return false
  } catch (error) {
    if (error.code === 'ESRCH') return true
    // The holder is another user's process (EPERM), or it has not written its number yet (ENOENT).
    return error.code === 'ENOENT' && ageMs(folder) > 10_000
  }
}

function ageMs(folder) {
  try {
    return Date.now() - statSync(folder).mtimeMs
  } catch {
    return 0
  }
}
