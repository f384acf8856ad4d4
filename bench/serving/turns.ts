// Servers that take turns: all of them run, one is measured at a time, and the next round begins with the first again. Then what else the
// machine does meets all of them.
import { median } from '../side-by-side.ts'
import { type Load, percentile } from './load.ts'
import type { PeerServer } from './servers.ts'

/** A server of a comparison. */
export interface Side {
  name: string
  start(): Promise<PeerServer>
}

/** What was measured of one server at one number of clients, in all rounds. */
export interface Turns {
  name: string
  clients: number
  loads: Load[]
  /** CPU seconds of the server for each token or request, by round. */
  cpu: number[]
}

/** How servers are measured. */
export interface TurnSettings {
  clients: readonly number[]
  rounds: number
  /** Requests before anything is measured. */
  warm(url: string): Promise<unknown>
  measure(url: string, clients: number): Promise<Load>
  /** Tokens of an answer; 1 to count requests. */
  tokens: number
}

/** Starts all servers, measures them in turns, and stops them. One that was cut off is started again, since it still computes. */
export const takeTurns = async (sides: readonly Side[], settings: TurnSettings): Promise<Turns[]> => {
  const { clients, rounds, warm, measure, tokens } = settings
  const running = new Map<Side, PeerServer>()
  const all: Turns[] = []
  const serverOf = async (side: Side): Promise<PeerServer> => {
    const known = running.get(side)
    if (known !== undefined) return known
    const server = await side.start()
    running.set(side, server)
    await warm(server.url)
    return server
  }
  try {
    for (const count of clients) {
      const turns = sides.map(({ name }): Turns => ({ name, clients: count, loads: [], cpu: [] }))
      all.push(...turns)
      for (let round = 0; round < rounds; round++)
        for (const [i, side] of sides.entries()) {
          // A server that needs more than its time has shown enough.
          if (turns[i].loads.some(({ cut }) => cut)) continue
          const server = await serverOf(side)
          const before = server.cpuSeconds()
          const load = await measure(server.url, count)
          const after = server.cpuSeconds()
          turns[i].loads.push(load)
          if (before !== undefined && after !== undefined && load.answered > 0)
            turns[i].cpu.push((after - before) / (load.answered * tokens))
          console.log(
            `  ${side.name}, ${count} clients: ${load.rate.toFixed(1)} per second${load.cut ? ', cut off' : ''}`,
          )
          if (!load.cut) continue
          running.delete(side)
          await server.stop()
        }
    }
  } finally {
    await Promise.all([...running.values()].map((server) => server.stop()))
  }
  return all
}

const milliseconds = (values: readonly number[], share: number): string =>
  values.length === 0 ? '' : (1000 * percentile(values, share)).toFixed(0)

/** Tokens or requests in a second, the median of the rounds. */
export const rateOf = ({ loads }: Turns): number => median(loads.map(({ rate }) => rate))

/** The median ratio of two rates over the rounds in which both were measured. */
export const ratioOf = (ours: Turns, theirs: Turns): number =>
  median(theirs.loads.map(({ rate }, round) => (ours.loads[round] ?? ours.loads[0]).rate / rate))

/** A table of all turns, and below it the ratios of the first sides to the others. @param ours number of sides that are ours */
export const turnTables = (turns: readonly Turns[], ours: number): string[][][] => {
  const head = [
    'server',
    'clients',
    'per second',
    'CPU ms each',
    'first p50 ms',
    'first p99 ms',
    'all p50 ms',
    'all p99 ms',
  ]
  const rows = turns.map((turn): string[] => {
    const firsts = turn.loads.flatMap(({ firstToken }) => firstToken)
    const latencies = turn.loads.flatMap(({ latency }) => latency)
    const cut = turn.loads.some((load) => load.cut) ? ' (cut off)' : ''
    return [
      ...[turn.name, String(turn.clients), `${rateOf(turn).toFixed(1)}${cut}`],
      turn.cpu.length === 0 ? '' : (1000 * median(turn.cpu)).toFixed(1),
      ...[milliseconds(firsts, 0.5), milliseconds(firsts, 0.99)],
      ...[milliseconds(latencies, 0.5), milliseconds(latencies, 0.99)],
    ]
  })
  const names = [...new Set(turns.map(({ name }) => name))]
  const clients = [...new Set(turns.map((turn) => turn.clients))]
  const find = (name: string, count: number) => turns.find((turn) => turn.name === name && turn.clients === count)
  const ratios = names.slice(0, ours).flatMap((own) =>
    names.slice(ours).map((peer) => [
      `${own} / ${peer}`,
      ...clients.map((count) => {
        const [a, b] = [find(own, count), find(peer, count)]
        return a === undefined || b === undefined ? '' : ratioOf(a, b).toFixed(2)
      }),
    ]),
  )
  return [
    [head, ...rows],
    [['ratio of rates, by clients', ...clients.map(String)], ...ratios],
  ]
}
