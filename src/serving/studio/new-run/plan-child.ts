// The process of the planner, which `start-run.ts` starts: plans one recipe after the other, without arithmetic.
import { TunesmithError } from '../../../core/index.ts'
import { planRun } from '../../../runs/index.ts'
import { answerMessages } from '../process/answering-process.ts'
import type { RecipePlan } from '../types/new-run-types.ts'

/** Holders of memory that are shown. */
const maxHolders = 6

const planOf = async (recipe: object): Promise<RecipePlan> => {
  const { rows, speed, memoryBytes, notes } = await planRun(recipe, { story: false })
  const [{ memory, costs, steps, diskBytes, ...row }] = rows
  const { parameters, trainedParameters, tokens, tokensPerStep, flops, flopsPerStep, fits } = row
  return {
    fault: null,
    plan: {
      ...{ parameters, trainedParameters, tokens, tokensPerStep, flops, flopsPerStep, fits, memoryBytes },
      steps: steps ?? null,
      peakBytes: memory.peakBytes,
      ...(diskBytes !== undefined && { diskBytes }),
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

answerMessages((recipe: object) =>
  planOf(recipe).catch((error: unknown): RecipePlan => {
    const isKnown = error instanceof TunesmithError
    return { plan: null, fault: isKnown ? error.message : `The planner failed: ${String(error)}` }
  }),
)
