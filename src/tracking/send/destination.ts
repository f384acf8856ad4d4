// What a tracker of experiments gets of a run. Independent of the tracker.

/** Facts of a run that do not change. */
export interface SentRun {
  /** The same whenever the run is sent, so that a tracker finds what it has of it. */
  id: string
  name: string
  /** Milliseconds since 1970. */
  started: number
  /** Settings by the path of their key: `batch.tokens`. */
  settings: Record<string, string | number | boolean>
  /** Name of the sweep that the run belongs to. */
  group?: string
}

/** All numbers of one step. */
export interface SentStep {
  step: number
  /** Milliseconds since 1970. */
  time: number
  values: Record<string, number>
}

/** How a run stands when its events have been sent. */
export type SentState = 'running' | 'finished' | 'failed' | 'stopped'

/** A place that runs are sent to. One object takes one run. */
export interface RunDestination {
  /** Creates the run, or finds it where it was sent before. */
  begin(run: SentRun): Promise<void>
  /** Adds steps, in order. Those that are there already are left out. */
  add(steps: readonly SentStep[]): Promise<void>
  /** @returns where people find the run, and what they do next */
  end(state: SentState, time: number): Promise<string>
}
