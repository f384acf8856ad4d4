// The process of the planner, which `recipe-planner.ts` starts: plans one recipe after the other, without arithmetic.
import { TunesmithError } from '../../../core/index.ts'
import { planRun } from '../../../runs/index.ts'
import type { RecipePlan } from '../types/new-run-types.ts'

process.on('disconnect', () => process.exit(0))
// Ctrl-C in the terminal of the studio reaches this process too: the studio ends it.
process.on('SIGINT', () => {})

/** Holders of memory that are shown. */
const maxHolders = 6

const planOf = async (recipe: object): Promise<RecipePlan> => {
  const { rows, speed, memoryBytes, notes } = await planRun(recipe, { story: false })
  const [{ memory, costs, steps, ...row }] = rows
  return {
    fault: null,
    plan: {
      parameters: row.parameters,
      trainedParameters: row.trainedParameters,
      steps: steps ?? null,
      tokens: row.tokens,
      tokensPerStep: row.tokensPerStep,
      flops: row.flops,
      flopsPerStep: row.flopsPerStep,
      peakBytes: memory.peakBytes,
      memoryBytes,
      fits: row.fits,
      ...(row.diskBytes !== undefined && { diskBytes: row.diskBytes }),
      holders: memory.holders
        .slice(0, maxHolders)
        .map(({ label, operator, bytes }) => ({ label: `${label} ${operator}`.trim(), bytes })),
      seconds:
        costs === undefined || speed === undefined
          ? null
          : { value: costs.seconds, from: costs.range[0], to: costs.range[1], source: speed.source },
      money: costs?.money ?? null,
      notes,
    },
  }
}

process.on('message', async (recipe: object) => {
  const reply = await planOf(recipe).catch((error: unknown): RecipePlan => {
    const isKnown = error instanceof TunesmithError
    return { plan: null, fault: isKnown ? error.message : `The planner failed: ${String(error)}` }
  })
  process.send?.(reply)
})
