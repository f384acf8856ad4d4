// Graphics cards and networks that a plan can be made for: speeds, memory and power from the makers' data sheets, and how long collectives take
// by the ring algorithms of NCCL and Gloo.
import { ConfigError, formatBytes, suggest } from '../../core/index.ts'
import type { CollectiveKind, CollectiveLibrary } from '../../distributed/index.ts'

/** A graphics card. Speeds are FLOP/s without sparsity; power is the maker's limit. */
interface Accelerator {
  name: string
  /** Of matrix products in bfloat16 with float32 sums; float16 where the card has no bfloat16. */
  bfloat16: number
  /** Of float32 without TF32. */
  float32: number
  memoryBytes: number
  watts: number
  source: string
  /** Interconnect of the cards of a machine. */
  link: string
}

const nvidia = (sheet: string) => `NVIDIA, ${sheet}`

const accelerators: readonly Accelerator[] = (
  [
    ['t4', 65, 8.1, 16, 70, nvidia('T4 data sheet; float16'), 'pcie-3'],
    ['v100', 125, 15.7, 32, 300, nvidia('V100 data sheet; float16'), 'nvlink-2'],
    ['l4', 121, 30.3, 24, 72, nvidia('L4 data sheet'), 'pcie-4'],
    ['l40s', 362, 91.6, 48, 350, nvidia('L40S data sheet'), 'pcie-4'],
    ['a100-40gb', 312, 19.5, 40, 400, nvidia('A100 data sheet'), 'nvlink-3'],
    ['a100', 312, 19.5, 80, 400, nvidia('A100 data sheet'), 'nvlink-3'],
    ['h100-pcie', 756, 51, 80, 350, nvidia('H100 data sheet'), 'pcie-5'],
    ['h100', 989, 67, 80, 700, nvidia('H100 data sheet, SXM'), 'nvlink-4'],
    ['h200', 989, 67, 141, 700, nvidia('H200 data sheet, SXM'), 'nvlink-4'],
    ['b200', 2250, 75, 180, 1000, nvidia('HGX B200 data sheet'), 'nvlink-5'],
    ['rtx-3090', 71, 35.6, 24, 350, nvidia('GA102 architecture paper'), 'pcie-4'],
    ['rtx-4090', 165, 82.6, 24, 450, nvidia('Ada architecture paper'), 'pcie-4'],
    ['mi300x', 1307, 163, 192, 750, 'AMD, Instinct MI300X data sheet', 'infinity-fabric'],
  ] as const
).map(([name, teraBfloat16, teraFloat32, gigabytes, watts, source, link]) => ({
  name,
  watts,
  source,
  link,
  bfloat16: teraBfloat16 * 1e12,
  float32: teraFloat32 * 1e12,
  memoryBytes: gigabytes * 1e9,
}))

/** The entry of a table with a name. @throws ConfigError that names the nearest one */
const findNamed = <Entry extends { name: string }>(
  table: readonly Entry[],
  option: string,
  name: string,
  plain: string,
): Entry => {
  const found = table.find((one) => one.name === plain)
  if (found !== undefined) return found
  const names = table.map((one) => one.name)
  const nearest = suggest(plain, names)
  throw new ConfigError(
    `Expected ${names.join(', ')} for \`${option}\`, got ${name}.${nearest === undefined ? '' : ` Did you mean ${nearest}?`}`,
  )
}

/** Cards that a machine has at most: more need a network. */
export const cardsOfMachine = 8

/** Names of the cards. */
export const acceleratorNames: readonly string[] = accelerators.map(({ name }) => name)

/** The card of a name. @throws ConfigError that names the nearest one */
export const findAccelerator = (name: string): Accelerator =>
  findNamed(accelerators, 'gpu', name, name.toLowerCase().replace(/^nvidia[-_ ]|^amd[-_ ]/, ''))

/** Share of the peak that training reaches, where nothing is measured: arXiv:2407.21783 reports 38 to 43 % on H100. */
export const usualUtilisation = 0.4

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

const [eachWay, eachProcess] = ['GB/s in each direction, NVIDIA data sheet', 'for each process, NVIDIA data sheet']
const interconnects: readonly Interconnect[] = (
  [
    ['nvlink-2', 150, nvlinkLatency, `NVLink 2, 150 ${eachWay}`],
    ['nvlink-3', 300, nvlinkLatency, `NVLink 3, 300 ${eachWay}`],
    ['nvlink-4', 450, nvlinkLatency, `NVLink 4, 450 ${eachWay}`],
    ['nvlink-5', 900, nvlinkLatency, `NVLink 5, 900 ${eachWay}`],
    ['infinity-fabric', 448, nvlinkLatency, 'seven links of 64 GB/s in each direction, AMD MI300X data sheet'],
    ['pcie-3', 15.75, pcieLatency, 'PCIe 3.0 x16, PCI-SIG'],
    ['pcie-4', 31.5, pcieLatency, 'PCIe 4.0 x16, PCI-SIG'],
    ['pcie-5', 63, pcieLatency, 'PCIe 5.0 x16, PCI-SIG'],
    ['infiniband-100', 12.5, networkLatency, `100 Gb/s InfiniBand EDR ${eachProcess}`],
    ['infiniband-200', 25, networkLatency, `200 Gb/s InfiniBand HDR ${eachProcess}`],
    ['infiniband-400', 50, networkLatency, `400 Gb/s InfiniBand NDR ${eachProcess}`],
    ...[1, 10, 25, 100].map(
      (bits) => [`ethernet-${bits}`, bits / 8, tcpLatency, `${bits} Gb/s Ethernet, IEEE 802.3; 50 µs assumed`] as const,
    ),
  ] as const
).map(([name, gigabytes, latency, source]) => ({ name, bandwidth: gigabytes * 1e9, latency, source }))

/** Names of the interconnects. */
export const interconnectNames: readonly string[] = interconnects.map(({ name }) => name)

/** The interconnect of a name. @throws ConfigError that names the nearest one */
export const findInterconnect = (name: string): Network =>
  findNamed(interconnects, 'interconnect', name, name.toLowerCase())

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
interface RingCost {
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

export const ringSeconds = ({ steps, sentBytes }: RingCost, { bandwidth, latency }: Network): number =>
  steps * latency + sentBytes / bandwidth
