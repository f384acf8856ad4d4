// One side of bench/encoders.ts: what it warms up on, what is measured, and where the vectors go.
import { readFileSync, writeFileSync } from 'node:fs'
import type { EncoderRun } from '../encoders.ts'

/** What a side is given. */
interface SideInput {
  /** JSON file with all texts. */
  file: string
  /** File for the vectors, float32, in the order of the texts. */
  out: string
  /** Texts that are measured, the first ones; each side warms up on the others. */
  count: number
}

/** Measures one pass over the texts, writes all vectors, and prints one JSON line. */
export const measureEncoder = async (
  { file, out, count }: SideInput,
  embed: (texts: readonly string[]) => Promise<Float32Array[]>,
): Promise<void> => {
  const texts = JSON.parse(readFileSync(file, 'utf8')) as string[]
  const held = await embed(texts.slice(count))
  const [wall, cpu] = [performance.now(), process.cpuUsage()]
  const vectors = await embed(texts.slice(0, count))
  const { user, system } = process.cpuUsage(cpu)
  const seconds = (performance.now() - wall) / 1000
  const bytes = [...vectors, ...held].map((one) => Buffer.from(one.buffer, one.byteOffset, one.byteLength))
  writeFileSync(out, Buffer.concat(bytes))
  const run: EncoderRun = { seconds, cpuSeconds: (user + system) / 1e6, width: held[0].length }
  console.log(JSON.stringify(run))
}
