// One run while it trains: a version that rises when there is something new to read.
import { type Signal, useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { RunEventMessage } from '../../../src/serving/studio/types/api-types.ts'
import { follow, runPath } from '../../api.ts'

/** Milliseconds between two readings of a page that follows a run. */
const interval = 500

/** Follows the events of a run from an offset; undefined waits until it is known. */
export const useVersion = (id: string, from: number | undefined): Signal<number> => {
  const version = useSignal(0)
  const known = from !== undefined
  useEffect(() => {
    if (from === undefined) return
    let timer: ReturnType<typeof setTimeout> | undefined
    const stop = follow<RunEventMessage>(
      runPath(id, '/events'),
      () => {
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
  return version
}
