// Texts as points of a plane: near each other where the model finds them alike.
import { useSignal } from '@preact/signals'
import { useMemo } from 'preact/hooks'
import { scaleOver } from '../../../src/tracking/chart-scale.ts'
import { nearest, principalComponents } from './projection.ts'

const width = 520
const height = 340
const margin = 28

/** Neighbours that are listed. */
const maxNeighbours = 5
/** Characters of a label. */
const maxLabel = 28

const short = (text: string): string => (text.length > maxLabel ? `${text.slice(0, maxLabel - 1)}…` : text)

/** Where values of a range are on a side of the picture. */
const scaleOf = (values: readonly number[], from: number, to: number): ((value: number) => number) => {
  const { place } = scaleOver([values])
  return (value) => from + place(value) * (to - from)
}

export const EmbeddingMap = ({
  texts,
  vectors,
}: {
  texts: readonly string[]
  vectors: readonly (readonly number[])[]
}) => {
  const chosen = useSignal(0)
  const map = useMemo(() => principalComponents(vectors), [vectors])
  const x = scaleOf(
    map.points.map(([value]) => value),
    margin,
    width - margin,
  )
  const y = scaleOf(
    map.points.map(([, value]) => value),
    height - margin,
    margin,
  )
  const at = Math.min(chosen.value, texts.length - 1)
  const neighbours = nearest(vectors, at).slice(0, maxNeighbours)
  const near = new Set(neighbours.slice(0, 1).map(({ index }) => index))
  return (
    <div class="map">
      <svg viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
        {map.points.map(([px, py], i) => (
          // biome-ignore lint/a11y/noStaticElementInteractions: the list of texts below does the same by keyboard
          <g
            key={`${i} ${texts[i]}`}
            class={i === at ? 'chosen' : near.has(i) ? 'near' : undefined}
            onMouseEnter={() => {
              chosen.value = i
            }}
          >
            <circle cx={x(px)} cy={y(py)} r="5" />
            <text
              x={x(px) + (x(px) > width / 2 ? -8 : 8)}
              y={y(py) + 4}
              text-anchor={x(px) > width / 2 ? 'end' : 'start'}
            >
              {short(texts[i])}
            </text>
          </g>
        ))}
      </svg>
      <p class="muted">
        The first two principal components have {(100 * (map.shares[0] + map.shares[1])).toFixed(0)} % of the variance
        of {texts.length} vectors of {vectors[0]?.length} dimensions.
      </p>
      <label>
        Neighbours of{' '}
        <select
          value={String(at)}
          onChange={(event) => {
            chosen.value = Number(event.currentTarget.value)
          }}
        >
          {texts.map((text, i) => (
            <option key={`${i} ${text}`} value={String(i)}>
              {short(text)}
            </option>
          ))}
        </select>
      </label>
      <ol aria-label={`Nearest texts to ${texts[at]}`}>
        {neighbours.map(({ index, similarity }) => (
          <li key={index}>
            {texts[index]} <span class="muted">cosine {similarity.toFixed(3)}</span>
          </li>
        ))}
      </ol>
    </div>
  )
}
