// Words and numbers of sweeps.
import type { SweepRow, SweepTrialRow } from '../../../src/serving/studio/types/sweep-types.ts'

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

/** `pruned at step 6`. */
export const statusText = ({ status, stoppedAt }: Pick<SweepTrialRow, 'status' | 'stoppedAt'>): string =>
  status === 'stopped' ? (stoppedAt === null ? 'pruned' : `pruned at step ${stoppedAt}`) : status
