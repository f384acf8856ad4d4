// Charts of reward against KL divergence from the base: what each run, and the best of n answers of its base, reached by the same rewards.
import type { RewardPoint } from '../engine/run-kind.ts'

/** A place on a chart. */
export interface RewardChartPoint extends Omit<RewardPoint, 'scorer' | 'reward'> {
  /** The run, or what else has this place. */
  name: string
}

/** Rewards against the KL divergence in nats that they were bought with. */
export interface RewardChart {
  /** Names of the rewards. */
  reward: string
  /** By KL divergence. */
  points: RewardChartPoint[]
}

/** A chart for each reward that scored several places. @param runs in the order of the comparison */
export const rewardCharts = (runs: readonly { name: string; points: readonly RewardPoint[] }[]): RewardChart[] => {
  const charts = new Map<string, RewardChart & { names: Set<string> }>()
  for (const run of runs)
    for (const { scorer, reward, name = run.name, ...place } of run.points) {
      const chart = charts.get(scorer) ?? { reward, points: [], names: new Set<string>() }
      charts.set(scorer, chart)
      // Runs on one base would repeat what the base reached.
      if (chart.names.has(name) || !Number.isFinite(place.kl)) continue
      chart.names.add(name)
      chart.points.push({ name, ...place })
    }
  return [...charts.values()]
    .filter(({ points }) => points.length > 1)
    .map(({ reward, points }) => ({ reward, points: points.sort((a, b) => a.kl - b.kl) }))
}
