// The address of this machine that the other processes of a group reach. A host name often resolves to a loopback address, which
// Gloo would take.
import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { connect, isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { NativeError } from '../core/index.ts'

/** Whether an address is of this machine alone. */
export const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1'

/** The first address of this machine that others may reach; its loopback address where it has no network. */
export const ownAddress = (): string =>
  Object.values(networkInterfaces())
    .flat()
    .find((one) => one !== undefined && !one.internal && one.family === 'IPv4')?.address ?? '127.0.0.1'

/** The local address from which packets to `host` leave. Nothing is sent. @throws NativeError for a host that is not known */
export const addressTowards = async (host: string, port: number): Promise<string> => {
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
export const isListening = async (host: string, port: number, deadlineMs: number): Promise<boolean> => {
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
