// Trackers that listen to a run while it trains. Each has a process of its own, which reads the events of the run's folder as `send` does: a tracker
// that is slow, hangs or is away costs the run no step, and what it did not get is in the folder.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { programCall, startProcess } from '../../core/index.ts'
import type { FollowMessage, FollowRequest } from './follow-messages.ts'
import { openDestination, type TrackerChoice } from './open-destination.ts'
import type { SentResult } from './send-run.ts'

/** Called about trackers. */
export interface TrackingHooks {
  /** A tracker does not take the run; once for each. */
  onWarning(line: string): void
  /** A tracker has all of the run. */
  onSent?(tracker: TrackerChoice['to'], sent: SentResult): void
}

/** A run that trackers listen to. */
export interface RunTracking {
  /** Begins to follow the run in a folder, which is locked by it. */
  start(folder: string): void
  /** After the run: waits for what is still to be sent, but not long. */
  end(): Promise<void>
}

/** Time that the end of a run waits for trackers, which a finished run of many steps may need. */
const secondsToEnd = 10

/**
 * Prepares the trackers of a run.
 * @throws ConfigError for settings that a tracker does not have; whether it answers shows when the run trains
 */
export const followRun = (trackers: readonly TrackerChoice[], { onWarning, onSent }: TrackingHooks): RunTracking => {
  for (const tracker of trackers) openDestination(tracker, new AbortController().signal)
  const followers: { tracker: TrackerChoice; child: ChildProcess; state: 'following' | 'warned' | 'sent' }[] = []
  let folder = ''
  const later = ({ to }: TrackerChoice) => `\`${programCall('send', folder, '--to', to)}\``
  return {
    start(path) {
      if (followers.length > 0) return
      folder = path
      for (const tracker of trackers) {
        const child = startProcess(new URL('./follow-process.ts', import.meta.url), { stdio: 'ignore' })
        const follower: (typeof followers)[number] = { tracker, child, state: 'following' }
        followers.push(follower)
        const warn = (fault: string): void => {
          if (follower.state !== 'following') return
          follower.state = 'warned'
          onWarning(
            `${tracker.to} does not get the run: ${fault} Training goes on. What it lacks is sent when it answers, or afterwards: ${later(tracker)}.`,
          )
        }
        child.on('error', (error) => warn(`${error.message}.`))
        child.on('message', (message: FollowMessage) => {
          if ('fault' in message) return warn(message.fault)
          follower.state = 'sent'
          onSent?.(tracker.to, message.sent)
        })
        child.send({ folder, tracker } satisfies FollowRequest, () => undefined)
        child.unref()
        child.channel?.unref()
      }
    },
    async end() {
      await Promise.all(
        followers.map(async (follower) => {
          const { child, tracker } = follower
          if (child.exitCode !== null || child.signalCode !== null) return
          child.ref()
          child.channel?.ref()
          const ended = once(child, 'exit').then(() => true)
          if (child.connected) child.send('over', () => undefined)
          const limit = new Promise<false>((resolve) => setTimeout(() => resolve(false), 1000 * secondsToEnd).unref())
          if (await Promise.race([ended, limit])) return
          child.kill('SIGKILL')
          if (follower.state === 'following')
            onWarning(`${tracker.to} has not taken all of the run in time. Send the rest: ${later(tracker)}.`)
        }),
      )
    },
  }
}
