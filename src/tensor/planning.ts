// Plans: real code run without arithmetic and without the memory of its tensors, to learn the memory and the FLOPs that it needs.
import { AsyncLocalStorage, createHook } from 'node:async_hooks'
import { NativeError } from '../core/index.ts'
import { cardBytes } from './card-memory.ts'
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

/** Something that happens in planned code, at a place that `noteMark` set. */
export interface PlanMark<Mark> {
  mark: Mark
  /** FLOPs of the planned code before it. */
  flops: number
}

/** Memory and operations of planned code. */
export interface Plan<Result, Mark = never> {
  result: Result
  /** What `noteMark` was told, in order. */
  marks: PlanMark<Mark>[]
  /** Largest memory of tensors at one time, in bytes. */
  peakBytes: number
  /** Largest memory of tensors and of freed blocks that the allocator keeps, in bytes. */
  heldBytes: number
  /** What a card would have for them, with CUDA's allocator and its context, in bytes. */
  cardBytes(): number
  /** Where the peak occurs, and what holds it, largest first. */
  peak: { phase: string; operator: string; holders: MemoryHolder[] }
  /** The largest memory of tensors in each phase, in bytes, in the order of the phases. */
  phases: { phase: string; peakBytes: number }[]
  operations: PlannedOperations[]
}

/** The plan that is being made. */
interface OpenPlan {
  /** Labels by block. */
  labels: Map<number, string>
  phase: string
  marks: unknown[]
}

/** The plan that is being made in this thread, whatever else the thread does meanwhile. */
let current: OpenPlan | undefined
/** Whether what runs now belongs to it. */
let inside = false
/** The plan that asynchronous work belongs to: that of the code which began the work. */
const planOf = new AsyncLocalStorage<OpenPlan>()
/** What to return to after the callbacks that run now: they may call others of another origin. */
const outer: boolean[] = []

const setInside = (now: boolean): void => {
  if (inside === now) return
  inside = now
  native.setPlanning(now)
}

/** While planned code waits, this thread does other work, which computes: each callback has the mode of its origin. */
const callbacks = createHook({
  before: () => {
    outer.push(inside)
    setInside(planOf.getStore() === current)
  },
  after: () => setInside(outer.pop() ?? false),
})

/** Whether the code that runs belongs to a plan: values that follow from no known ones are unknown. */
export const isPlanning = (): boolean => inside

/** The plan that the code belongs to which runs now. */
const planHere = (): OpenPlan | undefined => (inside ? current : undefined)

/** Between the name of a phase and the number of marks before it: operations are counted by phase, and so between marks too. */
const divider = '\n'

const beginPhase = ({ phase, marks }: OpenPlan): void =>
  native.planPhase(marks.length === 0 ? phase : `${phase}${divider}${marks.length}`)

/** Counts what follows for a phase of the plan that is being made, if one is. */
export const notePhase = (phase: string): void => {
  const open = planHere()
  if (open === undefined) return
  open.phase = phase
  beginPhase(open)
}

/** Notes that something happens here in the plan that is being made, if one is. */
export const noteMark = (mark: unknown): void => {
  const open = planHere()
  if (open === undefined) return
  open.marks.push(mark)
  beginPhase(open)
}

/** Names what tensors are in the plan that is being made, if one is. */
export const noteTensors = (label: string, tensors: Iterable<Tensor>): void => {
  const open = planHere()
  if (open === undefined) return
  for (const tensor of tensors) {
    const block = native.plannedBlock(tensor.use())
    if (block !== 0) open.labels.set(block, label)
  }
}

/** The end of the plans that were asked for so far: they are made one after the other. */
let last: Promise<unknown> = Promise.resolve()

/**
 * Runs `body` without arithmetic and without memory for its tensors. Values are unknown in it: reading one gives an invented number.
 * Integers and scalars that follow from known ones are computed. Tensors of a plan cannot be used after it.
 *
 * Only `body` and what it begins is planned. While it waits, other code of this thread computes as always; another plan waits for it.
 * @throws NativeError within another plan, or for an operator whose shapes are unknown
 */
export const plan = async <Result, Mark = never>(body: () => Result | Promise<Result>): Promise<Plan<Result, Mark>> => {
  if (isPlanning())
    throw new NativeError('Expected code that makes no plan for `plan`, got another plan in it. Make them one by one.')
  const before = last
  let end = () => {}
  last = new Promise<void>((resolve) => {
    end = resolve
  })
  try {
    await before
    return await planAlone<Result, Mark>(body)
  } finally {
    end()
  }
}

const planAlone = async <Result, Mark>(body: () => Result | Promise<Result>): Promise<Plan<Result, Mark>> => {
  withTypedErrors('plan', () => native.beginPlan())
  const open: OpenPlan = { labels: new Map(), phase: '', marks: [] }
  current = open
  callbacks.enable()
  try {
    // The first part of `body`, until it waits, runs in the callback of this function's caller.
    const started = planOf.run(open, () => {
      setInside(true)
      try {
        return body()
      } finally {
        setInside(false)
      }
    })
    const result = await started
    return { result, ...summarize<Mark>(native.endPlan(), open) }
  } catch (error) {
    native.endPlan()
    throw error
  } finally {
    callbacks.disable()
    outer.length = 0
    current = undefined
  }
}

/** The rows of four numbers of a table. */
function* rowsOf(table: Float64Array): Generator<[number, number, number, number]> {
  for (let i = 0; i < table.length; i += 4) yield [table[i], table[i + 1], table[i + 2], table[i + 3]]
}

/** The names of phases, each once, with the number in that list and the number of marks before for each phase of the record. */
const namedPhases = (phases: readonly string[]) => {
  const names = [...new Set(phases.map((phase) => phase.split(divider)[0]))]
  const numbers = new Map(names.map((name, i) => [name, i]))
  const places = phases.map((phase) => {
    const [name, marks = '0'] = phase.split(divider)
    return { number: numbers.get(name) as number, marks: Number(marks) }
  })
  return { names, places }
}

const summarize = <Mark>(record: PlanRecord, { labels, marks }: OpenPlan): Omit<Plan<never, Mark>, 'result'> => {
  const { peak: peakBytes, peakHeld: heldBytes, names } = record
  const { names: phases, places } = namedPhases(record.phases)
  const peaks = phases.map(() => 0)
  let inUse = 0
  let most = 0
  let peakAt = 0
  let at = 0
  for (const [, bytes, , phase] of rowsOf(record.events)) {
    inUse += bytes
    const { number } = places[phase]
    peaks[number] = Math.max(peaks[number], inUse)
    if (inUse > most) [most, peakAt] = [inUse, at]
    at++
  }
  const operations = new Map<string, PlannedOperations>()
  const between = new Array<number>(marks.length + 1).fill(0)
  for (const [place, name, flops, plainFlops] of rowsOf(record.operations)) {
    const { number, marks: before } = places[place]
    between[before] += flops
    const key = `${number}${divider}${name}`
    const known = operations.get(key)
    if (known === undefined) operations.set(key, { phase: phases[number], operator: names[name], flops, plainFlops })
    else {
      known.flops += flops
      known.plainFlops += plainFlops
    }
  }
  let before = 0
  return {
    marks: marks.map((mark, i) => {
      before += between[i]
      return { mark: mark as Mark, flops: before }
    }),
    peakBytes,
    heldBytes,
    cardBytes: () => cardBytes(record.events),
    peak: describePeak(record, peakAt, labels, (place) => phases[places[place].number]),
    phases: phases.map((phase, i) => ({ phase, peakBytes: peaks[i] })).filter((entry) => entry.peakBytes > 0),
    operations: [...operations.values()],
  }
}

/** What is alive after event number `peakAt`. */
const describePeak = (
  { events, names }: PlanRecord,
  peakAt: number,
  named: ReadonlyMap<number, string>,
  phaseOf: (place: number) => string,
): Plan<never>['peak'] => {
  const alive = new Map<number, { label: string; operator: string; bytes: number }>()
  let [phase, operator] = ['', '']
  let at = 0
  for (const [block, bytes, name, number] of rowsOf(events)) {
    const label = named.get(block)
    if (bytes < 0) alive.delete(block)
    else alive.set(block, { label: label ?? phaseOf(number), operator: label === undefined ? names[name] : '', bytes })
    ;[phase, operator] = [phaseOf(number), names[name]]
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
