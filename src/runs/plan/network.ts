// How long collectives take between the processes of a plan: a table of interconnects, and the ring algorithms of NCCL and Gloo.
import { ConfigError, formatBytes, suggest } from '../../core/index.ts'
import type { CollectiveKind, CollectiveLibrary } from '../../distributed/index.ts'

/** What joins processes: what each of them can send at the same time as it receives. */
export interface Network {
  /** Bytes a second. */
  bandwidth: number
  /** Seconds of one step of a ring. */
  latency: number
  /** Where the numbers come from, in words. */
  source: string
}

interface Interconnect extends Network {
  name: string
}

// Latencies of a step of NCCL's ring with its simple protocol (src/graph/tuning.cc): NVLink, PCIe and networks.
const [nvlinkLatency, pcieLatency, networkLatency] = [3.4e-6, 5.7e-6, 14e-6]
/** Between two machines over TCP. */
const tcpLatency = 50e-6

const interconnect = (name: string, gigabytes: number, latency: number, source: string): Interconnect => ({
  name,
  bandwidth: gigabytes * 1e9,
  latency,
  source,
})
const ethernet = (gigabits: number): Interconnect =>
  interconnect(`ethernet-${gigabits}`, gigabits / 8, tcpLatency, `${gigabits} Gb/s Ethernet, IEEE 802.3; 50 µs assumed`)
const infiniband = (gigabits: number, generation: string): Interconnect =>
  interconnect(
    `infiniband-${gigabits}`,
    gigabits / 8,
    networkLatency,
    `${gigabits} Gb/s InfiniBand ${generation} for each process, NVIDIA data sheet`,
  )
const nvlink = (generation: number, gigabytes: number): Interconnect =>
  interconnect(
    `nvlink-${generation}`,
    gigabytes,
    nvlinkLatency,
    `NVLink ${generation}, ${gigabytes} GB/s in each direction, NVIDIA data sheet`,
  )
const pcie = (generation: number, gigabytes: number): Interconnect =>
  interconnect(`pcie-${generation}`, gigabytes, pcieLatency, `PCIe ${generation}.0 x16, PCI-SIG`)

const interconnects: readonly Interconnect[] = [
  nvlink(2, 150),
  nvlink(3, 300),
  nvlink(4, 450),
  nvlink(5, 900),
  interconnect(
    'infinity-fabric',
    448,
    nvlinkLatency,
    'seven links of 64 GB/s in each direction, AMD MI300X data sheet',
  ),
  pcie(3, 15.75),
  pcie(4, 31.5),
  pcie(5, 63),
  infiniband(100, 'EDR'),
  infiniband(200, 'HDR'),
  infiniband(400, 'NDR'),
  ...[1, 10, 25, 100].map(ethernet),
]

/** Names of the interconnects. */
export const interconnectNames: readonly string[] = interconnects.map(({ name }) => name)

/** The interconnect of a name. @throws ConfigError that names the nearest one */
export const findInterconnect = (name: string): Network => {
  const found = interconnects.find((one) => one.name === name.toLowerCase())
  if (found !== undefined) return found
  const nearest = suggest(name.toLowerCase(), interconnectNames)
  throw new ConfigError(
    `Expected ${interconnectNames.join(', ')} for \`interconnect\`, got ${name}.${nearest === undefined ? '' : ` Did you mean ${nearest}?`}`,
  )
}

/** How processes are joined, as a user says it. */
export interface NetworkSettings {
  /** Interconnect of the table. */
  interconnect?: string | undefined
  /** Bytes a second that a process sends, in place of an interconnect. */
  bandwidth?: number | undefined
  /** Seconds of one step of a ring (default: that of TCP). */
  latency?: number | undefined
}

/** The network that a user names; undefined where nothing is said. */
export const namedNetwork = ({
  interconnect,
  bandwidth,
  latency = tcpLatency,
}: NetworkSettings): Network | undefined => {
  if (interconnect !== undefined) return findInterconnect(interconnect)
  if (bandwidth === undefined) return undefined
  return { bandwidth, latency, source: `${formatBytes(bandwidth)}/s and ${Number((latency * 1e6).toPrecision(3))} µs` }
}

/** A ring through machines of several cards: its slowest link counts, and one of `cards` steps leaves a machine (NCCL, tuning.cc). */
export const betweenMachines = (link: Network, network: Network, cards: number): Network => ({
  bandwidth: Math.min(link.bandwidth, network.bandwidth),
  latency: ((cards - 1) * link.latency + network.latency) / cards,
  source: `${network.source}; ${cards} cards of a machine over ${link.source}`,
})

/** A collective as a ring: steps one after the other, and bytes that each process sends. */
export interface RingCost {
  steps: number
  sentBytes: number
}

/**
 * What a ring needs for a collective.
 * @param bytes of the whole tensor
 */
export const ringCost = (
  { kind, bytes }: { kind: CollectiveKind; bytes: number },
  { size, library }: { size: number; library: CollectiveLibrary },
): RingCost => {
  const once = { steps: size - 1, sentBytes: ((size - 1) / size) * bytes }
  // Every process gets the sums: its part of them first, and then those of the others.
  const twice = { steps: 2 * once.steps, sentBytes: 2 * once.sentBytes }
  switch (kind) {
    case 'sum':
      return twice
    case 'sum of parts':
      return library === 'gloo' ? twice : once
    case 'copy':
      return { steps: size - 1, sentBytes: bytes }
    default:
      return once
  }
}

/** Seconds that a ring takes. */
export const ringSeconds = ({ steps, sentBytes }: RingCost, { bandwidth, latency }: Network): number =>
  steps * latency + sentBytes / bandwidth
