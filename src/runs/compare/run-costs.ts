// What fine-tuned runs cost: for each point of score that they gained, beside the pretraining of their base, and for rewards in KL divergence from it.
import { isLowerBetter, type RunCard } from '../../tracking/index.ts'
import { readBaseCard } from '../engine/base-files.ts'
import type { RewardPoint } from '../engine/run-kind.ts'

export interface Costs {
  seconds: number
  flops?: number
  money?: { amount: number; currency: string }
}

/** What a point of score cost: 0.01 of the metric above the best score that takes no training. */
export interface PointCosts extends Costs {
  points: number
  /** The reference. */
  above: string
}

const costsOfCard = ({ wallSeconds, flops, cost }: RunCard): Costs => ({
  seconds: wallSeconds,
  ...(flops === undefined ? {} : { flops }),
  ...(cost === undefined ? {} : { money: { amount: cost.amount, currency: cost.currency } }),
})

/** The costs of the run that made a base: a run's folder or its model. Undefined for a base without a run card. */
export const baseCosts = async (base: string): Promise<Costs | undefined> => {
  const card = await readBaseCard(base)
  return card && costsOfCard(card)
}

/** The costs of each point; undefined for a run that gained none, or without a reference on the same records. */
export const costsOfPoints = (
  card: RunCard | undefined,
  { metric, value }: { metric: string; value: number },
  references: readonly { name: string; value: number }[],
): PointCosts | undefined => {
  const sign = isLowerBetter(metric) ? -1 : 1
  const [best] = references
    .filter((reference) => Number.isFinite(reference.value))
    .sort((a, b) => sign * (b.value - a.value))
  if (card === undefined || best === undefined) return undefined
  const points = 100 * sign * (value - best.value)
  if (!(points > 0)) return undefined
  const { seconds, flops, money } = costsOfCard(card)
  return {
    points,
    above: best.name,
    seconds: seconds / points,
    ...(flops === undefined ? {} : { flops: flops / points }),
    ...(money === undefined ? {} : { money: { ...money, amount: money.amount / points } }),
  }
}

/** A place on a chart. */
export interface RewardChartPoint extends Omit<RewardPoint, 'scorer' | 'reward'> {
  /** The run, or what else has this place. */
  name: string
}

/** Rewards against the KL divergence in nats that they were bought with. */
export interface RewardChart {
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
