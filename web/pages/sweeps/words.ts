// Words and numbers of sweeps.
import type { SweepRow, SweepTrialRow } from '../../../src/serving/studio/types/api-types.ts'

/** A sweep whose folder is the studio's own has no path below it. */
export const nameOf = (id: string): string => (id === '.' ? 'this folder' : id)

const classes: Record<SweepRow['state'] | SweepTrialRow['status'], string> = {
  running: 'running',
  finished: 'finished',
  unfinished: 'interrupted',
  stopped: 'pruned',
  interrupted: 'interrupted',
  failed: 'failed',
  waiting: 'pruned',
}

/** Class of a state, for its colour. */
export const stateClass = (state: SweepRow['state'] | SweepTrialRow['status']): string => classes[state]

/** `pruned at step 6`, `1 of 2 runs failed`. */
export const statusText = ({
  status,
  stoppedAt,
  failed,
  of,
}: Pick<SweepTrialRow, 'status' | 'stoppedAt' | 'failed' | 'of'>): string => {
  if (status === 'stopped') return stoppedAt === null ? 'pruned' : `pruned at step ${stoppedAt}`
  return status === 'failed' && of > 1 ? `${failed} of ${of} runs failed` : status
}
