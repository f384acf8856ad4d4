// The process that sends a run to a tracker while it trains, which `follow-run.ts` starts. Ctrl-C and signals to the group of the terminal are for
// the run: this process ends after it, also when the run is killed.
import { setTimeout } from 'node:timers/promises'
import { faultText } from '../../core/index.ts'
import { runOwner } from '../run-requests.ts'
import type { FollowMessage, FollowRequest } from './follow-run.ts'
import { openDestination } from './open-destination.ts'
import { sendRun } from './send-run.ts'

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1'] as const) process.on(signal, () => undefined)

const secondsBetweenTries = 15
const over = new AbortController()

const send = (message: FollowMessage): Promise<void> =>
  new Promise((resolve) => {
    // The run may have been killed.
    if (!process.connected) return resolve()
    process.send?.(message, undefined, {}, () => resolve())
  })

const follow = async ({ folder, tracker }: FollowRequest): Promise<void> => {
  const { signal } = new AbortController()
  for (let failed = false; ; failed = true) {
    const isLast = over.signal.aborted || (failed && (await runOwner(folder)) === undefined)
    try {
      await send({
        sent: await sendRun(folder, openDestination(tracker, signal), { follow: true, signal: over.signal }),
      })
      return
    } catch (error) {
      // A tracker that is away may come back.
      if (!failed) await send({ fault: faultText(error) })
      if (isLast) return
      await setTimeout(1000 * secondsBetweenTries, undefined, { signal: over.signal }).catch(() => undefined)
    }
  }
}

process.on('message', async (request: FollowRequest | 'over') => {
  if (request === 'over') {
    over.abort()
    return
  }
  await follow(request)
  process.exit(0)
})
