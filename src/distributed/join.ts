// Joins the processes that a launcher started: finds the store, waits for all of them, and makes the group.
import { stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { NativeError } from '../core/index.ts'
import { ProcessStore } from '../tensor/index.ts'
import { ConnectedGroup } from './connected-group.ts'
import { exchangeSettings, numberFrom } from './exchange-settings.ts'
import { type Launch, readLaunch } from './launch-environment.ts'
import { addressTowards, isListening, isLoopback, ownAddress } from './network-address.ts'
import type { ProcessGroup } from './process-group.ts'

/** Facts of a process, as it writes them to the store. */
interface Member {
  host: string
  pid: number
  address: string
}

const beatMs = 500
const urgentMs = 3000
const graceMs = 2000
/** A collective that takes longer than this is a hang: the others wait in it while one computes. */
const collectiveSeconds = 30 * 60

/** Stores that this process has opened. One that it serves stays open between groups, as the others may come back first. */
const stores = new Map<string, ProcessStore>()

/** @throws NativeError for a file that this process cannot make or open */
const openFile = async (path: string, { rank, size }: Launch, seconds: number): Promise<ProcessStore> => {
  try {
    // libtorch waits for a folder that is not there.
    await stat(dirname(path))
    const store = ProcessStore.inFile(path, size, seconds * 1000)
    store.get('tunesmith')
    return store
  } catch (error) {
    throw new NativeError(
      `Rank ${rank} cannot open the store ${path}: ${(error as Error).message.replace(/\.?$/, '.')} Give MASTER_ADDR a file in a folder that all processes can write to.`,
    )
  }
}

const openStore = async (launch: Launch, seconds: number): Promise<ProcessStore> => {
  const { rank, host, port, file, agentStore, launcher } = launch
  const place = file ?? `${host}:${port}`
  const known = stores.get(place)
  if (known !== undefined) return known
  if (file !== undefined) {
    const opened = await openFile(file, launch, seconds)
    stores.set(place, opened)
    return opened
  }
  const server = rank === 0 && !agentStore
  if (!server && !(await isListening(host, port, seconds * 1000))) {
    // A name that is not known says more than that nothing listens there.
    await addressTowards(host, port)
    throw new NativeError(
      `Rank ${rank} found no store at ${place} within ${seconds} s: ${agentStore ? `the agent of ${launcher} has ended` : 'rank 0 has not started, or the address is not its own'}. Check MASTER_ADDR and MASTER_PORT.`,
    )
  }
  let store: ProcessStore
  try {
    // Its own name need not be known on the machine that serves it, such as that of a pod that has just started.
    store = ProcessStore.overTcp(server ? '127.0.0.1' : host, port, { server, timeoutMs: seconds * 1000 })
  } catch (error) {
    const { message } = error as Error
    if (server && /EADDRINUSE|address already in use/i.test(message))
      throw new NativeError(`Port ${port} of ${host} is in use by another program: set MASTER_PORT to a free port.`)
    throw new NativeError(`Rank ${rank} cannot ${server ? 'serve' : 'reach'} the store at ${place}: ${message}`)
  }
  stores.set(place, store)
  return store
}

/** Waits for every process. @throws NativeError that names the ranks that are missing */
const waitForAll = async (store: ProcessStore, prefix: string, launch: Launch, seconds: number): Promise<Member[]> => {
  const { size, launcher } = launch
  const members: (Member | undefined)[] = new Array(size).fill(undefined)
  for (const until = Date.now() + seconds * 1000; ; await setTimeout(20)) {
    for (let rank = 0; rank < size; rank++) {
      if (members[rank] !== undefined) continue
      const text = store.get(`${prefix}member/${rank}`)
      if (text !== undefined) members[rank] = JSON.parse(text) as Member
    }
    const missing = [...members.keys()].filter((rank) => members[rank] === undefined)
    if (missing.length === 0) return members as Member[]
    if (Date.now() < until) continue
    throw new NativeError(
      `${size - missing.length} of ${size} processes of ${launcher} have connected within ${seconds} s. Missing: rank ${missing.join(', ')}. Check that each was started, or set TUNESMITH_CONNECT_SECONDS higher.`,
    )
  }
}

/** The address for Gloo: on the way to rank 0, or, where that is this machine itself, to a process of another machine. */
const addressFor = async (
  own: string,
  members: readonly Member[],
  { port, file }: Pick<Launch, 'port' | 'file'>,
): Promise<string> => {
  // Without a way to rank 0, processes of one machine need no network.
  if (file !== undefined) return new Set(members.map(({ host }) => host)).size === 1 ? '127.0.0.1' : own
  const other = members.find(({ address }) => !isLoopback(address))
  return isLoopback(own) && other !== undefined ? addressTowards(other.address, port) : own
}

/**
 * Joins the group that a launcher started this process for; undefined for a process that runs alone.
 *
 * @throws ConfigError for variables of a launcher that are half set or contradict each other; NativeError for processes
 * that do not connect in time
 */
export const joinProcesses = async (env: NodeJS.ProcessEnv = process.env): Promise<ProcessGroup | undefined> => {
  const launch = readLaunch(env)
  if (launch === undefined) return undefined
  const { rank, size, host, port, file, attempt, agentStore } = launch
  const seconds = numberFrom(env, 'TUNESMITH_CONNECT_SECONDS', 'seconds', 30)
  const deadlineMs = 1000 * numberFrom(env, 'TUNESMITH_HEARTBEAT_SECONDS', 'seconds', 10)
  const collectiveMs = 1000 * numberFrom(env, 'TUNESMITH_COLLECTIVE_SECONDS', 'seconds', collectiveSeconds)
  const exchange = exchangeSettings(env)
  const store = await openStore(launch, seconds)
  const serves = rank === 0 && !agentStore && file === undefined
  const towards = () =>
    addressTowards(host, port).catch((error) => {
      if (serves) return '127.0.0.1'
      throw error
    })
  const route = file === undefined ? await towards() : ownAddress()
  // Commands that run one after the other share a store, each with groups of its own.
  const session = store.add(`tunesmith/${attempt}/sessions/${rank}`, 1)
  const prefix = `tunesmith/${attempt}/${session}/`
  if (rank === 0) store.set(`${prefix}abort`, '')
  store.set(`${prefix}beat/${rank}`, '0')
  const own: Member = { host: hostname(), pid: process.pid, address: route }
  store.set(`${prefix}member/${rank}`, JSON.stringify(own))
  const members = await waitForAll(store, prefix, launch, seconds)
  const names = members.map((member, i) => `Rank ${i} (${member.host}, process ${member.pid})`)
  const name = `tunesmith-${attempt}-${session}`
  // c10d puts a slash behind a prefix.
  store.watch(prefix.slice(0, -1), rank, names, {
    beatMs,
    deadlineMs,
    urgentMs: Math.min(urgentMs, deadlineMs),
    graceMs,
  })
  // The watch runs from here on: it must end where joining fails.
  const group = new ConnectedGroup(
    { name, rank, size, members: names, servesStore: serves, urgentMs, ...exchange },
    store,
    prefix,
  )
  try {
    const address = await addressFor(route, members, launch)
    store.makeGroup(name, {
      prefix: `${prefix}gloo`,
      rank,
      size,
      address,
      networkInterface: env.GLOO_SOCKET_IFNAME,
      connectMs: 1000 * seconds,
      timeoutMs: collectiveMs,
    })
    return group
  } catch (error) {
    const fault = new NativeError(
      `Rank ${rank} could not connect to the other processes, for which it has ${seconds} s: ${(error as Error).message} Check the network between them, or set GLOO_SOCKET_IFNAME to the interface that joins them.`,
    )
    group.abort(fault)
    await group.leave({ failed: true })
    throw fault
  }
}
