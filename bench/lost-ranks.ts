// What a run of several processes loses when one of them ends, is stopped, or loses its network: starts a small pretraining of four processes,
// disturbs it at random moments, starts it again after each, and compares it with an undisturbed one. Rank 0 serves the store, as where no
// launcher does. Options: --kinds SIGKILL,SIGSTOP,network --count 10 --processes 4. The network needs root and `ip netns`.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createRandom, type Random, sha256 } from '../src/core/index.ts'
import { openNamespaces, type Side } from '../tests/distributed/network-namespaces.ts'
import {
  type RunningProgram,
  recordedSteps,
  startRanks,
  startRanksOn,
  until,
} from '../tests/distributed/rank-processes.ts'
import { makeSmallData, smallRecipe } from '../tests/training/small-run.ts'
import type { BenchOptions } from './main.ts'
import { chosenParts, printTable } from './side-by-side.ts'

const interval = 5
const heartbeatSeconds = 4
/** Seconds in which the others must have ended: the heartbeat, and what a loaded machine needs. */
const deadlineSeconds = 15
const env = { TUNESMITH_HEARTBEAT_SECONDS: String(heartbeatSeconds), TUNESMITH_CONNECT_SECONDS: '120' }

/** One way to lose some ranks. */
interface Disturbance {
  start(words: readonly string[]): RunningProgram[]
  /** Disturbs the ranks. @returns those that are lost to the others, in sets that cannot reach each other */
  act(ranks: readonly RunningProgram[], random: Random): { what: string; parts: number[][] }
  mend(): void
  dispose(): void
}

const bySignal =
  (signal: 'SIGKILL' | 'SIGSTOP') =>
  (count: number): Disturbance => {
    let port = 28_600
    return {
      start: (words) => startRanks(count, words, { address: '127.0.0.1', port: port++, env }),
      act: (ranks, random) => {
        const rank = random.integer(count)
        ranks[rank].child.kill(signal)
        return { what: `rank ${rank}`, parts: [ranks.map((_, i) => i).filter((i) => i !== rank), [rank]] }
      },
      mend: () => {},
      dispose: () => {},
    }
  }

const byNetwork = (count: number): Disturbance => {
  const namespaces = openNamespaces()
  if ('reason' in namespaces) throw new Error(`Losing the network ${namespaces.reason}`)
  const sides = Array.from({ length: count }, (_, rank): Side => (rank < Math.ceil(count / 2) ? 0 : 1))
  const ranksOn = (side: Side) => [...sides.keys()].filter((rank) => sides[rank] === side)
  return {
    start: (words) => startRanksOn(namespaces, sides, words, env),
    act: (_, random) => {
      const side = random.integer(2) as Side
      namespaces.cut(side)
      return { what: `the interface of ranks ${ranksOn(side).join(' and ')}`, parts: [ranksOn(0), ranksOn(1)] }
    },
    mend: () => namespaces.mend(),
    dispose: () => namespaces.dispose(),
  }
}

const disturbances: Record<string, (count: number) => Disturbance> = {
  SIGKILL: bySignal('SIGKILL'),
  SIGSTOP: bySignal('SIGSTOP'),
  network: byNetwork,
}

const lossesOf = (out: string): number[] => {
  const losses = new Map<number, number>()
  for (const line of readFileSync(join(out, 'events.jsonl'), 'utf8').split('\n'))
    if (line.includes('"type":"step"')) losses.set(JSON.parse(line).step, JSON.parse(line).loss)
  return [...losses.values()]
}
const weightsOf = (out: string): string => sha256(readFileSync(join(out, 'model', 'model.safetensors')))
const savedStep = (out: string): number =>
  Math.max(0, ...readdirSync(join(out, 'checkpoints')).map((name) => Number(/^step-(\d+)$/.exec(name)?.[1] ?? 0)))
const haveEnded = (ranks: readonly RunningProgram[]): boolean =>
  ranks.every(({ child }) => child.exitCode !== null || child.signalCode !== null)
const endedWith = async (ranks: readonly RunningProgram[]): Promise<(number | null)[]> =>
  Promise.all(ranks.map(({ exitCode }) => exitCode))

/** What the processes that are left wrote: whether each names one that is lost to it. */
const namesLost = (ranks: readonly RunningProgram[], own: readonly number[], lost: readonly number[]): boolean =>
  own.every((rank) => lost.some((other) => ranks[rank].stderr().includes(`Rank ${other} (`)))

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({
    args: rest,
    options: {
      kinds: { type: 'string', default: Object.keys(disturbances).join(',') },
      count: { type: 'string', default: smoke ? '1' : '10' },
      processes: { type: 'string', default: smoke ? '2' : '4' },
    },
  })
  const [times, count] = [Number(values.count), Number(values.processes)]
  const random = createRandom('lost ranks')
  const data = await makeSmallData()
  const steps = interval * (3 * times + 2)
  const table = [
    ['lost by', 'times', 'others ended after, s', 'all named the lost', 'checkpoints lost', 'losses, weights'],
  ]
  const recipeOf = (out: string): string => {
    const more = { batch: { sequences: 8 }, budget: { steps }, checkpoint: { steps: interval }, evaluate: {}, keep: {} }
    writeFileSync(`${out}.json`, JSON.stringify(smallRecipe(data, out, { ...more, shard: 'gradients' })))
    return `${out}.json`
  }
  try {
    const whole = join(data.root, 'whole')
    const alone = bySignal('SIGKILL')(count).start(['pretrain', '--recipe', recipeOf(whole)])
    const codes = await endedWith(alone)
    if (codes.some((code) => code !== 0)) throw new Error(`The undisturbed run failed: ${alone[0].stderr()}`)
    for (const kind of chosenParts(values.kinds, Object.keys(disturbances))) {
      const out = join(data.root, kind)
      const disturbance = disturbances[kind](count)
      let ranks = disturbance.start(['pretrain', '--recipe', recipeOf(out)])
      let [named, lostCheckpoints] = [0, 0]
      const ends: number[] = []
      try {
        for (let time = 0; time < times; time++) {
          // Past the newest checkpoint, so that the run gets on; then at any moment of a step.
          const from = recordedSteps(out)
          await until(
            () => haveEnded(ranks) || recordedSteps(out) >= from + interval + random.integer(interval),
            300,
            'steps',
          )
          await setTimeout(random.integer(300))
          if (haveEnded(ranks))
            throw new Error(`The run ended by itself: ${ranks.map((one) => one.stderr()).join('\n')}`)
          const saved = savedStep(out)
          const began = performance.now()
          const { what, parts } = disturbance.act(ranks, random)
          const left = kind === 'network' ? parts.flat() : parts[0]
          await until(
            () => haveEnded(left.map((rank) => ranks[rank])),
            120,
            `the end of the others, after ${kind} of ${what}`,
          )
          const seconds = (performance.now() - began) / 1000
          ends.push(seconds)
          const bothWays = kind === 'network' ? [parts, [parts[1], parts[0]]] : [parts]
          const all = bothWays.every(([own, lost]) => namesLost(ranks, own, lost))
          if (all) named++
          else
            for (const [rank, one] of ranks.entries())
              console.info(`rank ${rank}: ${one.stderr().split('\n').slice(-4).join(' | ')}`)
          for (const { child } of ranks) child.kill('SIGKILL')
          await endedWith(ranks)
          disturbance.mend()
          if (savedStep(out) < saved) lostCheckpoints++
          console.info(
            `${time + 1}: ${kind} of ${what} at step ${recordedSteps(out)}: the others ended after ${seconds.toFixed(1)} s, ${all ? 'and named it' : 'NOT NAMED'}`,
          )
          ranks = disturbance.start(['resume', out])
          await until(() => haveEnded(ranks) || /Resuming from step/.test(ranks[0].stderr()), 300, 'the resumed run')
          const resumed = Number(/Resuming from step (\d+)/.exec(ranks[0].stderr())?.[1] ?? -1)
          if (resumed < saved) lostCheckpoints++
        }
        const ended = await endedWith(ranks)
        if (ended.some((code) => code !== 0)) console.info(ranks.map((one) => one.stderr()).join('\n'))
        const [own, one] = [lossesOf(out), lossesOf(whole)]
        const same =
          own.length === one.length && own.every((loss, i) => loss === one[i]) && weightsOf(out) === weightsOf(whole)
        if (!same || lostCheckpoints > 0 || named < times || Math.max(...ends) > deadlineSeconds) process.exitCode = 1
        const range = `${Math.min(...ends).toFixed(1)} to ${Math.max(...ends).toFixed(1)}`
        table.push([
          kind,
          String(times),
          range,
          `${named} of ${times}`,
          String(lostCheckpoints),
          same ? 'equal bit by bit' : 'DIFFER',
        ])
      } finally {
        for (const { child } of ranks) child.kill('SIGKILL')
        await endedWith(ranks)
        disturbance.dispose()
      }
    }
  } finally {
    data.dispose()
  }
  printTable(table)
}
