// Greedy generation for prompts, several times over, as the programs of our side measure it.
import type { ModelTokenizer } from '../../src/checkpoint/index.ts'
import { generate } from '../../src/generation/index.ts'
import type { Model } from '../../src/models/index.ts'

/** Generates after a short first run that warms up. @returns times of each run, and the tokens and text of the last one */
export const greedyRuns = async (
  model: Model,
  tokenizer: ModelTokenizer,
  prompts: readonly string[],
  { maxNewTokens, runs }: { maxNewTokens: number; runs: number },
): Promise<{ seconds: number[]; cpuSeconds: number[]; ids: number[][]; text: string }> => {
  const encoded = prompts.map((prompt) => [...tokenizer.encode(prompt).ids])
  // An end token would make sides do unequal work, so none is told.
  const options = { maxNewTokens, eosTokenIds: [] }
  const seconds: number[] = []
  const cpuSeconds: number[] = []
  let ids: number[][] = []
  await generate(model, undefined, encoded, { ...options, maxNewTokens: 4 })
  for (let run = 0; run < runs; run++) {
    const cpu = process.cpuUsage()
    const start = performance.now()
    ids = (await generate(model, undefined, encoded, options)).map((result) => result.ids)
    seconds.push((performance.now() - start) / 1000)
    const used = process.cpuUsage(cpu)
    cpuSeconds.push((used.user + used.system) / 1e6)
  }
  return { seconds, cpuSeconds, ids, text: tokenizer.decode(ids[0]) }
}
