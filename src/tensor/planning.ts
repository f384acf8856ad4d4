// Plans: real code run without arithmetic and without the memory of its tensors, to learn the memory and the FLOPs that it needs.
import { withTypedErrors } from './error-messages.ts'
import { native, type PlanRecord } from './native.ts'
import type { Tensor } from './tensor.ts'

/** What holds memory at the peak of a plan. */
export interface MemoryHolder {
  /** The label of the tensors, such as `weights`, or the phase that made them, such as `forward`. */
  label: string
  /** The operator that made them; empty for labelled tensors. */
  operator: string
  bytes: number
}

/** Floating-point operations of an operator in a phase. */
export interface PlannedOperations {
  phase: string
  operator: string
  /** As the kernels compute them: only the pairs that causal order leaves, and scores again in backward. */
  flops: number
  /** As a plain composition computes them: all pairs of queries and keys, none of them twice. */
  plainFlops: number
}

/** Memory and operations of planned code. */
export interface Plan<Result> {
  result: Result
  /** Largest memory of tensors at one time, in bytes. */
  peakBytes: number
  /** Largest memory of tensors and of freed blocks that the allocator keeps, in bytes. */
  heldBytes: number
  /** Where the peak occurs, and what holds it, largest first. */
  peak: { phase: string; operator: string; holders: MemoryHolder[] }
  /** The largest memory of tensors in each phase, in bytes, in the order of the phases. */
  phases: { phase: string; peakBytes: number }[]
  operations: PlannedOperations[]
}

/** Labels by block of the plan that is being made. */
let labels: Map<number, string> | undefined

/** Whether a plan is being made: values that follow from no known ones are unknown. */
export const isPlanning = (): boolean => labels !== undefined

/** Counts what follows for a phase of the plan that is being made, if one is. */
export const notePhase = (phase: string): void => {
  if (labels !== undefined) native.planPhase(phase)
}

/** Names what tensors are in the plan that is being made, if one is. */
export const noteTensors = (label: string, tensors: Iterable<Tensor>): void => {
  if (labels === undefined) return
  for (const tensor of tensors) {
    const block = native.plannedBlock(tensor.use())
    if (block !== 0) labels.set(block, label)
  }
}

/**
 * Runs `body` without arithmetic and without memory for its tensors. Values are unknown in it: reading one gives an invented number.
 * Integers and scalars that follow from known ones are computed. Tensors of a plan cannot be used after it.
 *
 * While it waits, nothing else in this thread may compute.
 * @throws NativeError within another plan, or for an operator whose shapes are unknown
 */
export const plan = async <Result>(body: () => Result | Promise<Result>): Promise<Plan<Result>> => {
  withTypedErrors('plan', () => native.beginPlan())
  labels = new Map()
  try {
    const result = await body()
    return { result, ...summarize(native.endPlan(), labels) }
  } catch (error) {
    native.endPlan()
    throw error
  } finally {
    labels = undefined
  }
}

/** The rows of four numbers of a table. */
function* rowsOf(table: Float64Array): Generator<[number, number, number, number]> {
  for (let i = 0; i < table.length; i += 4) yield [table[i], table[i + 1], table[i + 2], table[i + 3]]
}

const summarize = (record: PlanRecord, named: ReadonlyMap<number, string>): Omit<Plan<never>, 'result'> => {
  const { peak: peakBytes, peakHeld: heldBytes, names, phases } = record
  const peaks = phases.map(() => 0)
  let inUse = 0
  let most = 0
  let peakAt = 0
  let at = 0
  for (const [, bytes, , phase] of rowsOf(record.events)) {
    inUse += bytes
    peaks[phase] = Math.max(peaks[phase], inUse)
    if (inUse > most) [most, peakAt] = [inUse, at]
    at++
  }
  const operations = [...rowsOf(record.operations)].map(([phase, name, flops, plainFlops]) => ({
    phase: phases[phase],
    operator: names[name],
    flops,
    plainFlops,
  }))
  return {
    peakBytes,
    heldBytes,
    peak: describePeak(record, peakAt, named),
    phases: phases.map((phase, i) => ({ phase, peakBytes: peaks[i] })).filter((entry) => entry.peakBytes > 0),
    operations,
  }
}

/** What is alive after event number `peakAt`. */
const describePeak = (
  { events, names, phases }: PlanRecord,
  peakAt: number,
  named: ReadonlyMap<number, string>,
): Plan<never>['peak'] => {
  const alive = new Map<number, { label: string; operator: string; bytes: number }>()
  let [phase, operator] = ['', '']
  let at = 0
  for (const [block, bytes, name, number] of rowsOf(events)) {
    const label = named.get(block)
    if (bytes < 0) alive.delete(block)
    else alive.set(block, { label: label ?? phases[number], operator: label === undefined ? names[name] : '', bytes })
    ;[phase, operator] = [phases[number], names[name]]
    if (at++ === peakAt) break
  }
  const holders = new Map<string, MemoryHolder>()
  for (const one of alive.values()) {
    const key = `${one.label}/${one.operator}`
    const before = holders.get(key)
    if (before === undefined) holders.set(key, { ...one })
    else before.bytes += one.bytes
  }
  return { phase, operator, holders: [...holders.values()].sort((a, b) => b.bytes - a.bytes) }
}
