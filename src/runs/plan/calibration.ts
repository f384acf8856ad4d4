// What plans know of this machine: the speed of training steps, and the memory of the process that no plan sees. Kept in the user's cache.
import { readFile } from 'node:fs/promises'
import { processorName, userCache, writeFileAtomic } from '../../core/index.ts'
import { deviceMemory, getThreads, processMemory } from '../../tensor/index.ts'
import type { Speed } from './costs.ts'

/** What a run on this machine showed. */
export interface Calibration {
  processor: string
  threads: number
  precision: string
  flopsPerSecond: number
  /** Operations of a token: runs of models of similar size have similar speeds. */
  flopsPerToken?: number
  /** Memory of the process beside what a plan counts, in bytes. */
  marginBytes?: number
  /** The finished run that it was learned from; undefined for steps that `measure` timed. */
  run?: string
  time: string
}

/** Calibrations that are kept. */
const mostKept = 200

const calibrationFile = (): string => userCache('plan-calibrations.json')

const readCalibrations = async (): Promise<Calibration[]> => {
  try {
    const list = JSON.parse(await readFile(calibrationFile(), 'utf8')) as unknown
    return Array.isArray(list) ? list : []
  } catch {
    // A missing or damaged file of the cache counts as nothing known.
    return []
  }
}

/** Stores what runs on this machine showed, in place of what the same runs showed before. Keeps the last 200. */
export const rememberCalibrations = async (
  learned: readonly Omit<Calibration, 'processor' | 'time'>[],
): Promise<void> => {
  const path = calibrationFile()
  const time = new Date().toISOString()
  const runs = new Set(learned.map(({ run }) => run).filter((run) => run !== undefined))
  const earlier = (await readCalibrations()).filter(({ run }) => run === undefined || !runs.has(run))
  const all = [...earlier, ...learned.map((one) => ({ processor: processorName(), ...one, time }))]
  await writeFileAtomic(path, `${JSON.stringify(all.slice(-mostKept), null, 2)}\n`)
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)]

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`

/** Calibrations that a speed is taken from: those of the most similar models. */
const neighbours = 5

/** How many times more or less work for a token two models have. */
const ratioOf = (a: number, b: number): number => Math.max(a / b, b / a)

/** The speed that earlier runs had on this machine, by those with models of similar size; undefined where none is known. */
export const rememberedSpeed = async (precision: string, flopsPerToken: number): Promise<Speed | undefined> => {
  const here = (await readCalibrations()).filter(
    (one) => one.processor === processorName() && one.threads === getThreads() && one.precision === precision,
  )
  if (here.length === 0) return undefined
  const distance = (one: Calibration) => ratioOf(one.flopsPerToken ?? flopsPerToken, flopsPerToken)
  // Of equally similar ones the latest.
  const nearest = [...here]
    .reverse()
    .sort((a, b) => distance(a) - distance(b))
    .slice(0, neighbours)
  const speeds = nearest.map(({ flopsPerSecond }) => flopsPerSecond)
  const speed = median(speeds)
  const spread = Math.max(Math.max(...speeds) / speed, speed / Math.min(...speeds)) - 1
  // Small models are slower: the speed of one does not carry far.
  const far = distance(nearest[0]) > 4 ? 0.5 : 0
  const finished = nearest.filter(({ run }) => run !== undefined).length
  const [runs, timed] = [plural(finished, 'finished run'), plural(nearest.length - finished, 'measurement')]
  const what = finished === 0 ? timed : finished === nearest.length ? runs : `${runs} and ${timed}`
  return {
    flopsPerSecond: speed,
    tolerance: Math.max(0.15, spread, far),
    basis: 'calibrated',
    source: `${what} on this machine`,
  }
}

/** Memory that code and buffers of the kernels take once they have run, where nothing is known. */
const usualMargin = 20e6

/** Memory of the process that plans do not see, by finished runs on this machine. */
const rememberedMargin = async (): Promise<number> => {
  const known = (await readCalibrations())
    .filter(({ processor }) => processor === processorName())
    .flatMap(({ marginBytes }) => (marginBytes === undefined ? [] : [marginBytes]))
  return known.length === 0 ? usualMargin : median(known)
}

/** Memory that a run takes on its device beside the tensors of its plan. */
export interface UnplannedMemory {
  /** What this process holds already. */
  processBytes: number
  /** What code and buffers of the kernels take later; 0 for an accelerator. */
  marginBytes: number
}

/** What a run in this process takes beside its tensors, while it holds none of them. */
export const unplannedMemory = async (device: string): Promise<UnplannedMemory> => ({
  processBytes: processMemory(device),
  marginBytes: deviceMemory(device) === undefined ? await rememberedMargin() : 0,
})
