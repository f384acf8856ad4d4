// The time of a step on one process of several: it computes, and what it sends is on its way meanwhile, until it must wait.
import type { CollectiveKind, CollectiveLibrary } from '../../distributed/index.ts'
import type { PlanMark } from '../../tensor/index.ts'
import type { StepMark } from '../../training/index.ts'
import { type Network, ringCost, ringSeconds } from './machines.ts'
import type { Speed } from './speed.ts'

/** Collectives of one kind in a step. */
export interface PlannedCollectives {
  kind: CollectiveKind
  calls: number
  /** Bytes of the tensors, each as a whole. */
  bytes: number
  /** Bytes that the process sends. */
  sentBytes: number
}

/** A step as one process of several takes it. */
export interface ProcessPlan {
  count: number
  rank: number
  library: CollectiveLibrary
  /** Mean rows and tokens of a step that it computes. */
  rows: number
  tokens: number
  /** FLOPs that it computes in a step. */
  flopsPerStep: number
  collectives: PlannedCollectives[]
}

/** What happens in some steps, with the FLOPs of the process before it. */
export interface Timeline {
  steps: number
  marks: readonly PlanMark<StepMark>[]
}

/** The whole steps that a plan has noted, without the first one: only the others send gradients during the backward pass. */
export const timelineOf = (marks: readonly PlanMark<StepMark>[], scale: number): Timeline => {
  const ends = marks.flatMap(({ mark }, i) => (mark.type === 'step' ? [i] : []))
  const [first, last] = ends.length > 1 ? [ends[0], ends[ends.length - 1]] : [-1, ends[0] ?? -1]
  const from = first < 0 ? 0 : marks[first].flops
  const own = marks.slice(first + 1, last + 1)
  return {
    steps: Math.max(1, ends.length - 1),
    marks: own.map(({ mark, flops }) => ({ mark, flops: scale * (flops - from) })),
  }
}

/** The collectives of a step, by kind. */
export const collectivesOf = (
  { steps, marks }: Timeline,
  group: { size: number; library: CollectiveLibrary },
): PlannedCollectives[] => {
  const kinds = new Map<CollectiveKind, PlannedCollectives>()
  for (const { mark } of marks) {
    if (mark.type !== 'begin') continue
    const { kind, bytes } = mark
    const sums = kinds.get(kind) ?? { kind, calls: 0, bytes: 0, sentBytes: 0 }
    sums.calls++
    sums.bytes += bytes
    sums.sentBytes += ringCost(mark, group).sentBytes
    kinds.set(kind, sums)
  }
  return [...kinds.values()].map(({ kind, calls, bytes, sentBytes }) => ({
    ...{ kind, calls: calls / steps, bytes: bytes / steps, sentBytes: sentBytes / steps },
  }))
}

/** Time of a step. */
export interface StepTime {
  seconds: number
  /** Seconds in which something is on its way. */
  communicating: number
  /** Seconds of these in which the process waits, as it has nothing else to compute. */
  waiting: number
}

/**
 * Runs the timeline: collectives take place one after the other, beside what the process computes.
 * @param flopsPerSecond of one process
 */
export const timeOf = (
  { steps, marks }: Timeline,
  { count: size, library }: Pick<ProcessPlan, 'count' | 'library'>,
  flopsPerSecond: number,
  network: Network,
): StepTime => {
  let [computed, now, free, communicating, waiting] = [0, 0, 0, 0, 0]
  const ends = new Map<number, number>()
  for (const { mark, flops } of marks) {
    now += (flops - computed) / flopsPerSecond
    computed = flops
    if (mark.type === 'begin') {
      const seconds = ringSeconds(ringCost(mark, { size, library }), network)
      free = Math.max(free, now) + seconds
      communicating += seconds
      ends.set(mark.number, free)
    } else if (mark.type === 'wait') {
      const end = Math.max(now, ends.get(mark.number) ?? now)
      waiting += end - now
      now = end
    }
  }
  return { seconds: now / steps, communicating: communicating / steps, waiting: waiting / steps }
}

/** The time of a step of a planned run; undefined where its processes have a network of unknown speed. */
export const stepTime = (
  plan: { flopsPerStep: number; processes?: ProcessPlan | undefined; timeline?: Timeline | undefined },
  speed: Speed,
  network: Network | undefined,
): StepTime | undefined => {
  const { processes, timeline, flopsPerStep } = plan
  const each = speed.flopsPerSecond / (speed.count ?? 1)
  if (processes === undefined || timeline === undefined)
    return { seconds: flopsPerStep / each, communicating: 0, waiting: 0 }
  if (network === undefined) return undefined
  const { communicating, waiting } = timeOf(timeline, processes, each, network)
  return { seconds: processes.flopsPerStep / each + waiting, communicating, waiting }
}
