// The rows of all runs, kept current by one stream for all pages.
import { computed, signal } from '@preact/signals'
import type { RunChanges, RunList, RunRow } from '../src/serving/studio/types/api-types.ts'
import { follow } from './api.ts'
import { sharedAnswer, sharedFile } from './shared-file.ts'

const rows = signal<ReadonlyMap<string, RunRow>>(new Map())

/** Whether every run has been read once. */
export const runsLoaded = signal(false)

/** Runs that were found, including those that the server has not read yet. */
export const runTotal = signal(0)

/** All runs, newest first. */
export const runRows = computed(() =>
  [...rows.value.values()].sort((a, b) => (b.updated ?? '').localeCompare(a.updated ?? '') || a.id.localeCompare(b.id)),
)

/** One run; undefined for an unknown one. */
export const runRow = (id: string): RunRow | undefined => rows.value.get(id)

/** The runs that have every word of a text in their name, title, tags or state. */
export const withWords = (runs: readonly RunRow[], text: string): readonly RunRow[] => {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  if (words.length === 0) return runs
  return runs.filter(({ id, title, tags, state, command }) => {
    const own = [id, title, state, command, ...tags].join('\n').toLowerCase()
    return words.every((word) => own.includes(word))
  })
}

/** Whether the studio has said that it ends, with the run that it shows. */
export const studioEnded = signal(false)

let started = false

/** Begins to follow the runs; later calls do nothing. */
export const followRuns = (): void => {
  if (started) return
  started = true
  if (sharedFile !== undefined) {
    const { runs } = sharedAnswer('/api/runs') as RunList
    rows.value = new Map(runs.map((run) => [run.id, run]))
    runTotal.value = runs.length
    runsLoaded.value = true
  }
  follow<RunChanges>('/api/changes', ({ runs, removed, total, all, ended }) => {
    studioEnded.value = ended === true
    const next = new Map(rows.value)
    for (const run of runs) next.set(run.id, run)
    for (const id of removed) next.delete(id)
    if (all !== undefined) {
      const known = new Set(all)
      for (const id of next.keys()) if (!known.has(id)) next.delete(id)
      runsLoaded.value = true
    }
    rows.value = next
    runTotal.value = total
  })
}
