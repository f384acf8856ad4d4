// One run while it trains: a version that rises when there is something new to read.
import { type Signal, useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { RunEventMessage } from '../../../src/serving/studio/types/api-types.ts'
import { follow, runPath } from '../../api.ts'

/** Milliseconds between two readings of a page that follows a run. */
const interval = 500

interface LiveRun {
  /** Rises when there is something new to read. */
  version: Signal<number>
  /** Whether the folder of the run was deleted meanwhile. */
  removed: Signal<boolean>
}

/** Follows the events of a run from an offset; undefined waits until it is known. */
export const useLiveRun = (id: string, from: number | undefined): LiveRun => {
  const version = useSignal(0)
  const removed = useSignal(false)
  const known = from !== undefined
  useEffect(() => {
    if (from === undefined) return
    let timer: ReturnType<typeof setTimeout> | undefined
    const stop = follow<RunEventMessage>(
      runPath(id, '/events'),
      (message) => {
        if ('removed' in message) {
          removed.value = true
          clearTimeout(timer)
          // The server would refuse every further try.
          return stop()
        }
        timer ??= setTimeout(() => {
          timer = undefined
          version.value += 1
        }, interval)
      },
      from,
    )
    return () => {
      clearTimeout(timer)
      stop()
    }
    // The offset only says where to begin; later ones are the stream's own.
  }, [id, known])
  return { version, removed }
}
