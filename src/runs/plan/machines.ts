// Graphics cards that a plan can be made for: dense peak speeds, memory and power, from the makers' data sheets.
import { ConfigError, suggest } from '../../core/index.ts'

/** A graphics card. Speeds are FLOP/s without sparsity; power is the maker's limit. */
export interface Accelerator {
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

const tera = 1e12
const card = (
  name: string,
  [bfloat16, float32]: [number, number],
  gigabytes: number,
  watts: number,
  source: string,
  link: string,
): Accelerator => ({
  name,
  bfloat16: bfloat16 * tera,
  float32: float32 * tera,
  memoryBytes: gigabytes * 1e9,
  watts,
  source,
  link,
})

const nvidia = (sheet: string) => `NVIDIA, ${sheet}`

const accelerators: readonly Accelerator[] = [
  card('t4', [65, 8.1], 16, 70, nvidia('T4 data sheet; float16'), 'pcie-3'),
  card('v100', [125, 15.7], 32, 300, nvidia('V100 data sheet; float16'), 'nvlink-2'),
  card('l4', [121, 30.3], 24, 72, nvidia('L4 data sheet'), 'pcie-4'),
  card('l40s', [362, 91.6], 48, 350, nvidia('L40S data sheet'), 'pcie-4'),
  card('a100-40gb', [312, 19.5], 40, 400, nvidia('A100 data sheet'), 'nvlink-3'),
  card('a100', [312, 19.5], 80, 400, nvidia('A100 data sheet'), 'nvlink-3'),
  card('h100-pcie', [756, 51], 80, 350, nvidia('H100 data sheet'), 'pcie-5'),
  card('h100', [989, 67], 80, 700, nvidia('H100 data sheet, SXM'), 'nvlink-4'),
  card('h200', [989, 67], 141, 700, nvidia('H200 data sheet, SXM'), 'nvlink-4'),
  card('b200', [2250, 75], 180, 1000, nvidia('HGX B200 data sheet'), 'nvlink-5'),
  card('rtx-3090', [71, 35.6], 24, 350, nvidia('GA102 architecture paper'), 'pcie-4'),
  card('rtx-4090', [165, 82.6], 24, 450, nvidia('Ada architecture paper'), 'pcie-4'),
  card('mi300x', [1307, 163], 192, 750, 'AMD, Instinct MI300X data sheet', 'infinity-fabric'),
]

/** Cards that a machine has at most: more need a network. */
export const cardsOfMachine = 8

/** Names of the cards. */
export const acceleratorNames: readonly string[] = accelerators.map(({ name }) => name)

/** The card of a name. @throws ConfigError that names the nearest one */
export const findAccelerator = (name: string): Accelerator => {
  const plain = name.toLowerCase().replace(/^nvidia[-_ ]|^amd[-_ ]/, '')
  const found = accelerators.find((one) => one.name === plain)
  if (found !== undefined) return found
  const nearest = suggest(plain, acceleratorNames)
  throw new ConfigError(
    `Expected ${acceleratorNames.join(', ')} for \`gpu\`, got ${name}.${nearest === undefined ? '' : ` Did you mean ${nearest}?`}`,
  )
}

/** Share of the peak that training reaches, where nothing is measured: arXiv:2407.21783 reports 38 to 43 % on H100. */
export const usualUtilisation = 0.4
