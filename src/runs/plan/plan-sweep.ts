// The plan of a sweep: one row for each run of its grid.
import { join } from 'node:path'
import { formatDuration } from '../../core/index.ts'
import { recipeAt, sweepPoints } from '../sweep/points.ts'
import type { SweepInput } from '../sweep/sweep.ts'
import { type PlanOptions, planRun, type RunPlans } from './plan.ts'

/** Plans every run of a sweep, without the other methods of each. */
export const planSweep = async (
  { recipe, over, out }: SweepInput,
  options: Omit<PlanOptions, 'story' | 'fit'> = {},
): Promise<RunPlans> => {
  const plans: { name: string; plan: RunPlans }[] = []
  for (const point of sweepPoints(over)) {
    const whole = { ...recipeAt({ command: 'finetune', ...recipe }, point), out: join(out, point.name) }
    plans.push({ name: point.name, plan: await planRun(whole, { ...options, story: false }) })
  }
  const [first] = plans
  const rows = plans.map(({ name, plan }) => ({ ...plan.rows[0], name }))
  const flops = rows.reduce((sum, row) => sum + row.flops, 0)
  const times = rows.map(({ costs }) => costs?.seconds)
  const known = times.filter((seconds) => seconds !== undefined)
  const time =
    known.length === rows.length
      ? `, about ${formatDuration(1000 * known.reduce((sum, seconds) => sum + seconds, 0))}`
      : ''
  const notes = [...new Set(plans.flatMap(({ plan }) => plan.notes))]
  return { ...first.plan, rows, notes: [`All ${rows.length} runs: ${flops.toExponential(2)} FLOPs${time}.`, ...notes] }
}
