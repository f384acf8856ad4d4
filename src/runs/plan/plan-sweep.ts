// The plan of a sweep: one row for each run of its grid, or for the first point of a search.
import { join } from 'node:path'
import { formatDuration } from '../../core/index.ts'
import { endPoints, recipeAt, type SweepPoint, sweepPoints } from '../sweep/points.ts'
import { openSearch } from '../sweep/search/methods.ts'
import { type SweepInput, withSplits } from '../sweep/sweep.ts'
import { type PlanOptions, planRun, type RunPlans } from './plan.ts'

/** Points that are planned: all of a grid, or the ends of the axes of a search. */
const pointsOf = (input: SweepInput): { points: SweepPoint[]; note: string } => {
  const { over } = withSplits(input)
  const search = openSearch(input.search)
  if (search === undefined) {
    const points = sweepPoints(over)
    return { points, note: `All ${points.length} runs` }
  }
  return {
    points: endPoints(over),
    note: `The ends of the space (the search has ${search.settings.trials} trials)`,
  }
}

/** Plans every run of a sweep, without the other methods of each. */
export const planSweep = async (
  input: SweepInput,
  options: Omit<PlanOptions, 'story' | 'fit'> = {},
): Promise<RunPlans> => {
  const plans: { name: string; plan: RunPlans }[] = []
  const { recipe } = withSplits(input)
  const { points, note } = pointsOf(input)
  for (const point of points) {
    const whole = { ...recipeAt(recipe, point), out: join(input.out, point.name) }
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
  return { ...first.plan, rows, notes: [`${note}: ${flops.toExponential(2)} FLOPs${time}.`, ...notes] }
}
