// The card that is measured: its name, driver and memory by nvidia-smi, its peak by the planner's table, and why it cannot be measured.
import { spawnSync } from 'node:child_process'
import { ConfigError } from '../../src/core/index.ts'
import { acceleratorNames, findAccelerator } from '../../src/runs/plan/machines.ts'
import { buildFacts, deviceMemory, expectDevice, isCuda } from '../../src/tensor/index.ts'

/** What nvidia-smi says of a card. */
export interface Card {
  name: string
  driver: string
  totalMb: number
  freeMb: number
}

/** Lines of `nvidia-smi --query-gpu=name,driver_version,memory.total,memory.free --format=csv,noheader,nounits`. */
export const parseCards = (text: string): Card[] =>
  text
    .trim()
    .split('\n')
    .flatMap((line) => {
      const [name, driver, total, free] = line.split(',').map((part) => part.trim())
      return free === undefined ? [] : [{ name, driver, totalMb: Number(total), freeMb: Number(free) }]
    })

/** The cards of this machine; none where there is no driver. */
const readCards = (): Card[] => {
  const query = ['--query-gpu=name,driver_version,memory.total,memory.free', '--format=csv,noheader,nounits']
  const { status, stdout } = spawnSync('nvidia-smi', query, { encoding: 'utf8', timeout: 20_000 })
  return status === 0 ? parseCards(stdout) : []
}

/** Peak of matrix products in bfloat16 of a card, in FLOP/s, by the planner's table; undefined for a card that it does not have. */
export const peakOf = (name: string): number | undefined => {
  const words = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, ' ')
    .split(' ')
  const fits = (one: string) => one.split('-').every((part) => words.includes(part))
  // The most exact name wins: `h100 pcie` over `h100`.
  const [best] = acceleratorNames.filter(fits).sort((a, b) => b.length - a.length)
  return best === undefined ? undefined : findAccelerator(best).bfloat16
}

/** Memory that the benchmark needs, in MB. */
const neededMb = 14_000

/** The GPU of a Mac, whose memory is what the system recommends for it. @throws ConfigError for none */
const macGpu = (device: string): Card => {
  const { free = 0, total = 0 } = deviceMemory(device) ?? {}
  return { name: 'GPU of a Mac', driver: 'Metal', totalMb: Math.round(total / 1e6), freeMb: Math.round(free / 1e6) }
}

/**
 * The card of a device.
 * @throws ConfigError for no card, a driver that is too old for libtorch, and a card whose memory others have
 */
export const expectCard = (
  device: string,
  cards: readonly Card[] = readCards(),
  { cuda, cudaDevices }: { cuda: boolean; cudaDevices: number } = buildFacts(),
): Card => {
  if (!isCuda(device)) return macGpu(device)
  const [first] = cards
  if (first !== undefined && cuda && cudaDevices === 0)
    throw new ConfigError(
      `Expected a driver that this libtorch can use, got ${first.driver} for ${first.name}. Update the driver, or set up a libtorch that fits it: npm run setup -- --cuda.`,
    )
  if (first === undefined || !cuda) expectDevice(device)
  const index = Number(/:(\d+)$/.exec(device)?.[1] ?? 0)
  const card = cards[index]
  if (card === undefined)
    throw new ConfigError(`Expected a card for the device ${device}, got ${cards.length} of nvidia-smi. Name another.`)
  if (card.freeMb < neededMb)
    throw new ConfigError(
      `Expected ${neededMb} MB of free memory on ${card.name}, got ${card.freeMb} of ${card.totalMb} MB. End what uses the card, or choose \`--parts parity\`.`,
    )
  return card
}
