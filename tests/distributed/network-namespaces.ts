// Two network namespaces of this machine with a cable between them, for tests that cut the network of processes. Linux and root only.
import { spawnSync } from 'node:child_process'

/** Name of the interface in both namespaces. */
const device = 'cluster0'
const addresses = ['10.213.0.1', '10.213.0.2'] as const

const run = (words: readonly string[]): { status: number | null; reason: string } => {
  const { status, stderr, error } = spawnSync(words[0], words.slice(1), { encoding: 'utf8' })
  return { status, reason: error?.message ?? (stderr ?? '').trim() }
}

const expectRun = (...words: string[]): void => {
  const { status, reason } = run(words)
  if (status !== 0) throw new Error(`${words.join(' ')} ended with ${status}: ${reason}`)
}

/** One of the two sides. */
export type Side = 0 | 1

/** Two namespaces and their cable. */
export interface Namespaces {
  /** Words in front of a command that runs on a side. */
  on(side: Side): string[]
  /** Address of a side, as the other one reaches it. */
  addressOf(side: Side): string
  /** Name of the interface on each side. */
  device: string
  /** Unplugs the cable at a side: that one loses its interface, and the other one sends into nothing. */
  cut(side: Side): void
  mend(): void
  dispose(): void
}

/** @throws Error where the system makes no namespaces */
const makeNamespaces = (prefix: string): Namespaces => {
  const names = [`${prefix}-a`, `${prefix}-b`] as const
  const dispose = () => {
    for (const name of names) run(['ip', 'netns', 'del', name])
  }
  try {
    for (const name of names) expectRun('ip', 'netns', 'add', name)
    const [first, second] = names
    const peer = ['peer', 'name', device, 'netns', second]
    expectRun('ip', 'link', 'add', device, 'netns', first, 'type', 'veth', ...peer)
    for (const [i, name] of names.entries()) {
      expectRun('ip', '-n', name, 'address', 'add', `${addresses[i]}/24`, 'dev', device)
      for (const link of ['lo', device]) expectRun('ip', '-n', name, 'link', 'set', link, 'up')
    }
  } catch (error) {
    dispose()
    throw error
  }
  const set = (side: Side, state: string) => expectRun('ip', '-n', names[side], 'link', 'set', device, state)
  return {
    on: (side) => ['ip', 'netns', 'exec', names[side]],
    addressOf: (side) => addresses[side],
    device,
    cut: (side) => set(side, 'down'),
    mend: () => {
      for (const side of [0, 1] as const) set(side, 'up')
    },
    dispose,
  }
}

/** Namespaces of this process, or why there can be none. */
export const openNamespaces = (): Namespaces | { reason: string } => {
  try {
    return makeNamespaces(`tunesmith-${process.pid}`)
  } catch (error) {
    return { reason: `needs root and \`ip netns\`: ${(error as Error).message}` }
  }
}
