// Gradient norms by layer over the steps, as a heat map or as lines, where the run records them.
import type { Curves } from '../../../src/serving/studio/types/api-types.ts'
import { runPath } from '../../api.ts'
import type { RunAxis } from '../../parts/axes.ts'
import { Chart } from '../../parts/chart.tsx'
import { HeatMap } from '../../parts/heat-map.tsx'
import { Show, useJson } from '../../parts/loading.tsx'
import { queryChoice, setQuery } from '../../router.ts'
import { layerName } from './layer-names.ts'

/** Positions of the heat map. */
const buckets = 160

/** Lines of the chart: more cannot be told apart. */
const maxLines = 8

interface LayerNormsProps {
  id: string
  /** Names of the columns, in the order of the model. */
  columns: readonly string[]
  /** The range of steps as a query: `&from=10&to=20`. */
  limits: string
  axis: RunAxis
  axisName: string
  version: number
  onStep?(step: number): void
}

type View = 'map' | 'rows' | 'lines'

const views: Record<View, string> = {
  map: 'heat map',
  rows: 'heat map, colours by layer',
  lines: `lines, highest ${maxLines}`,
}

export const LayerNorms = (props: LayerNormsProps) => {
  const { id, columns, limits, version } = props
  const view = queryChoice('norms', Object.keys(views) as View[])
  const path = `/curves?names=${encodeURIComponent(columns.join(','))}${limits}&buckets=${buckets}`
  const curves = useJson<Curves>(runPath(id, path), version)
  return (
    <section class="panel" aria-label="Gradient norms by layer">
      <div class="row spread">
        <h2>Gradient norm by layer</h2>
        <label>
          Show{' '}
          <select
            value={view}
            onChange={({ currentTarget: { value } }) => setQuery({ norms: value === 'map' ? undefined : value })}
          >
            {Object.entries(views).map(([key, title]) => (
              <option key={key} value={key}>
                {title}
              </option>
            ))}
          </select>
        </label>
      </div>
      <Show of={curves.value}>{(answer) => <Norms {...props} answer={answer} view={view} />}</Show>
    </section>
  )
}

const Norms = ({ id, axis, axisName, onStep, answer, view }: LayerNormsProps & { answer: Curves; view: View }) => {
  const { curves } = answer
  const steps = curves.reduce((most, curve) => (curve.steps.length > most.length ? curve.steps : most), [0])
  if (view === 'lines') {
    const highest = (column: (typeof curves)[number]) => Math.max(...column.max.map((value) => value ?? 0))
    const shown = [...curves].sort((a, b) => highest(b) - highest(a)).slice(0, maxLines)
    return (
      <Chart
        label={`Gradient norm by layer and ${axisName}`}
        curves={shown.map((curve) => ({
          name: layerName(curve.name),
          x: curve.steps.map((step) => axis.ofStep(step)),
          y: curve.last,
          low: curve.min,
          high: curve.max,
        }))}
        logY
        formatX={axis.format}
        exportName={`${id} gradient norm by layer`}
        exportX={axisName}
      />
    )
  }
  return (
    <HeatMap
      label="Gradient norm of each layer by step"
      rowTitle="Layer"
      rows={curves.map(({ name, max }) => ({ key: name, name: layerName(name), values: max }))}
      ends={[`step ${steps[0]}`, `step ${steps[steps.length - 1]}`]}
      position={(index) => `step ${steps[index]}`}
      byRow={view === 'rows'}
      {...(onStep === undefined ? {} : { onPick: (index: number) => onStep(steps[index]) })}
    />
  )
}
