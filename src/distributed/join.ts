// Joins the processes that a launcher started: finds the store, waits for all of them, and makes the group.
import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { connect, isIP } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import { dirname } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { NativeError } from '../core/index.ts'
import { ProcessStore } from '../tensor/index.ts'
import { ConnectedGroup } from './connected-group.ts'
import { type Launch, readLaunch } from './launch-environment.ts'
import type { ProcessGroup } from './process-group.ts'
import { exchangeSettings, numberFrom } from './process-group.ts'

/** Whether an address is of this machine alone. */
const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1'

/** The first address of this machine that others may reach, as a host name often resolves to a loopback address, which Gloo would take; its loopback address where it has no network. */
const ownAddress = (): string =>
  Object.values(networkInterfaces())
    .flat()
    .find((one) => one !== undefined && !one.internal && one.family === 'IPv4')?.address ?? '127.0.0.1'

/** The local address from which packets to `host` leave. Nothing is sent. @throws NativeError for a host that is not known */
const addressTowards = async (host: string, port: number): Promise<string> => {
  const { address, family } = isIP(host) ? { address: host, family: isIP(host) } : await resolveHost(host)
  const socket = createSocket(family === 6 ? 'udp6' : 'udp4')
  try {
    // `once` rejects on 'error'.
    const connected = once(socket, 'connect')
    socket.connect(port, address)
    await connected
    return socket.address().address
  } catch (error) {
    throw new NativeError(`There is no route to ${host}: ${(error as Error).message}. Check the address of rank 0.`)
  } finally {
    socket.close()
  }
}

const resolveHost = async (host: string) => {
  try {
    return await lookup(host)
  } catch {
    throw new NativeError(`The host name ${host} of rank 0 is not known on this machine. Check MASTER_ADDR.`)
  }
}

/** Waits until something listens at an address. Returns false when it does not within the time. */
const isListening = async (host: string, port: number, deadlineMs: number): Promise<boolean> => {
  const until = Date.now() + deadlineMs
  for (;;) {
    const socket = connect({ host, port, timeout: Math.max(1, Math.min(2000, until - Date.now())) })
    const connected = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
      socket.once('timeout', () => resolve(false))
    })
    socket.destroy()
    if (connected) return true
    if (Date.now() >= until) return false
    await setTimeout(100)
  }
}

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

/**
 * Joins the processes, works, and leaves them. An error ends the others too. A process that runs alone has no group.
 * @throws ConfigError and NativeError as `joinProcesses`, and what the work throws
 */
export const inGroup = async <Result>(work: (group: ProcessGroup | undefined) => Promise<Result>): Promise<Result> => {
  const group = await joinProcesses()
  if (group === undefined) return work(undefined)
  try {
    const result = await work(group)
    await group.leave({ failed: false })
    return result
  } catch (error) {
    group.abort(error as Error)
    throw error
  } finally {
    await group.leave({ failed: true })
  }
}
