// What a run and the process that sends it to a tracker say to each other.
import type { TrackerChoice } from './open-destination.ts'
import type { SentResult } from './send-run.ts'

/** Which run is sent, and where. */
export interface FollowRequest {
  folder: string
  tracker: TrackerChoice
}

/** All of the run was sent; or why it is not, once. */
export type FollowMessage = { sent: SentResult } | { fault: string }
