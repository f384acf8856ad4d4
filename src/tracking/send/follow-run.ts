// Trackers that listen to a run while it trains. Each has a process of its own, which reads the events of the run's folder as `send` does: a tracker
// that is slow, hangs or is away costs the run no step, and what it did not get is in the folder.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { programCall, startProcess } from '../../core/index.ts'
import { openDestination, type TrackerChoice } from './open-destination.ts'
import type { SentResult } from './send-run.ts'

/** Called about trackers. */
export interface TrackingHooks {
  /** A tracker does not take the run; once for each. */
  onWarning(line: string): void
  /** A tracker has all of the run. */
  onSent?(tracker: TrackerChoice['to'], sent: SentResult): void
}

/** Runs that trackers listen to. */
export interface RunTracking {
  /** Begins to follow the run in a folder, which is locked by it, unless it is followed already. Runs of a sweep follow each other. */
  start(folder: string): void
  /** After the last run: waits for what is still to be sent, but not long. */
  end(): Promise<void>
}

interface Follower {
  folder: string
  tracker: TrackerChoice
  child: ChildProcess
  isSent: boolean
}

/** Time that the end of a run waits for trackers, which a finished run of many steps may need. */
const secondsToEnd = 10

const hasEnded = ({ child }: Follower): boolean => child.exitCode !== null || child.signalCode !== null

/**
 * Prepares the trackers of a run, or of the runs of a sweep.
 * @param sweep its folder, which `send` takes as it takes that of a run
 * @throws ConfigError for settings that a tracker does not have; whether it answers shows when the run trains
 */
export const followRun = (
  trackers: readonly TrackerChoice[],
  { onWarning, onSent }: TrackingHooks,
  sweep?: string,
): RunTracking => {
  for (const tracker of trackers) openDestination(tracker, new AbortController().signal)
  const followers: Follower[] = []
  const warned = new Set<TrackerChoice>()
  const warn = ({ tracker, folder, isSent }: Follower, line: (send: string) => string): void => {
    // What lacks from one run of a sweep may lack from all.
    if (isSent || warned.has(tracker)) return
    warned.add(tracker)
    onWarning(line(`\`${programCall('send', sweep ?? folder, '--to', tracker.to)}\``))
  }
  const follow = (tracker: TrackerChoice, folder: string): Follower => {
    const child = startProcess(new URL('./follow-process.ts', import.meta.url), { stdio: 'ignore' })
    const follower: Follower = { folder, tracker, child, isSent: false }
    const fail = (fault: string): void =>
      warn(
        follower,
        (send) =>
          `${tracker.to} does not get the run: ${fault} Training goes on. What it lacks is sent when it answers, or afterwards: ${send}.`,
      )
    child.on('error', (error) => fail(`${error.message}.`))
    child.on('message', (message: FollowMessage) => {
      if ('fault' in message) return fail(message.fault)
      follower.isSent = true
      onSent?.(tracker.to, message.sent)
    })
    child.send({ folder, tracker } satisfies FollowRequest, () => undefined)
    child.unref()
    child.channel?.unref()
    return follower
  }
  return {
    start(folder) {
      for (const tracker of trackers) {
        const isFollowed = followers.some(
          (one) => one.folder === folder && one.tracker === tracker && !one.isSent && !hasEnded(one),
        )
        if (!isFollowed) followers.push(follow(tracker, folder))
      }
    },
    async end() {
      await Promise.all(
        followers.map(async (follower) => {
          const { child, tracker } = follower
          if (hasEnded(follower)) return
          child.ref()
          child.channel?.ref()
          const ended = once(child, 'exit').then(() => true)
          if (child.connected) child.send('over', () => undefined)
          const limit = new Promise<false>((resolve) => setTimeout(() => resolve(false), 1000 * secondsToEnd).unref())
          if (await Promise.race([ended, limit])) return
          child.kill('SIGKILL')
          warn(follower, (send) => `${tracker.to} has not taken all of the run in time. Send the rest: ${send}.`)
        }),
      )
    },
  }
}

/** Which run is sent, and where. */
export interface FollowRequest {
  folder: string
  tracker: TrackerChoice
}

/** All of the run was sent; or why it is not, once. */
export type FollowMessage = { sent: SentResult } | { fault: string }
