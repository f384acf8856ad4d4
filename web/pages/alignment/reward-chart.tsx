// Reward against KL divergence from the reference: where the run was step by step, and what the best of n answers of the base reach.

import { comparisonPath } from '../../../src/serving/studio/compare-paths.ts'
import type { Curves } from '../../../src/serving/studio/types/api-types.ts'
import type { RunComparisonAnswer } from '../../../src/serving/studio/types/compare-types.ts'
import { runPath } from '../../api.ts'
import { formatValue } from '../../format.ts'
import { Show, useJson } from '../../parts/loading.tsx'
import { Scatter, type ScatterMark } from '../../parts/scatter.tsx'

const buckets = 300

/** The rollouts as points from the colour of early to that of late steps. */
const pathOf = ({ curves: [reward, kl] }: Curves, current: number | null): ScatterMark[] => {
  const divergences = new Map(kl.steps.map((step, i) => [step, kl.last[i]]))
  const last = reward.steps.at(-1) ?? 1
  return reward.steps.flatMap((step, i): ScatterMark[] => {
    const [x, y] = [divergences.get(step) ?? null, reward.last[i]]
    if (x === null || y === null) return []
    const share = Math.round((100 * step) / Math.max(1, last))
    return [
      {
        key: `step ${step}`,
        title: `step ${step}: reward ${formatValue(y)} at a KL divergence of ${formatValue(x)}`,
        ...{ x, y, shape: 'circle', large: step === current },
        color: `color-mix(in srgb, var(--curve-2) ${share}%, var(--curve-6))`,
      },
    ]
  })
}

const baseMarks = (answer: RunComparisonAnswer | undefined, id: string): ScatterMark[] =>
  (answer?.rewards[0]?.points ?? []).flatMap((point): ScatterMark[] => {
    if (point.value === null) return []
    const own = point.name === id
    return [
      {
        key: point.name,
        name: own ? 'final evaluation' : point.name,
        title: `${own ? 'final evaluation' : point.name}: ${formatValue(point.value)} at a KL divergence of ${formatValue(point.kl)}`,
        ...{ x: point.kl, y: point.value, low: point.low, high: point.high },
        shape: own ? 'square' : 'diamond',
        color: own ? 'var(--curve-1)' : 'var(--curve-8)',
      },
    ]
  })

interface RewardChartProps {
  id: string
  scored: boolean
  /** Changes when the run has more steps. */
  version: number
  /** Step of the rollout that is looked at. */
  step: number | null
}

export const RewardChart = ({ id, scored, version, step }: RewardChartProps) => {
  const curves = useJson<Curves>(
    runPath(id, `/curves?names=${encodeURIComponent('rollout/reward,rollout/kl')}&buckets=${buckets}`),
    version,
  )
  const compared = useJson<RunComparisonAnswer>(scored ? comparisonPath([id]) : undefined)
  return (
    <section class="panel">
      <h2>Reward against KL divergence</h2>
      <Show of={curves.value}>
        {(data) => {
          const path = pathOf(data, step)
          const points = [...path, ...baseMarks(compared.value.data, id)]
          if (points.length === 0)
            return (
              <p class="muted">No KL divergence: this run measures none. Its reward by step is among its curves.</p>
            )
          return (
            <Scatter
              label="Reward against KL divergence from the reference"
              across="KL divergence in nats per answer"
              up={`Circles are rollouts, blue at the start and orange at the end${scored ? '; diamonds are the best of n answers of the base' : '. The best of n answers of the base comes with the final evaluation'}.`}
              points={points}
              path
            />
          )
        }}
      </Show>
    </section>
  )
}
