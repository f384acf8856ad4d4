// A chart as a file: SVG and CSV of the same data.
import { svgDocument } from '../../src/tracking/svg-chart.ts'
import { csvOf } from './chart-csv.ts'
import type { ChartProps } from './chart-types.ts'
import { fileName } from './picture-files.ts'
import { saveFile } from './save-file.ts'

const nameOf = ({ exportName = 'chart' }: ChartProps): string => fileName(exportName)

/** Saves a chart as an SVG file. */
export const saveSvg = (props: ChartProps): void => {
  const { label, title, curves, logY } = props
  const numbers = (values: readonly (number | null)[]) => values.map((value) => value ?? Number.NaN)
  // Extremes that are not the values themselves are drawn too, so that the file has every spike.
  const series = curves.flatMap(({ name, x, y, low, high }) => [
    { name, x, y: numbers(y) },
    ...(high === undefined || high.every((value, i) => value === y[i])
      ? []
      : [{ name: `${name}, highest`, x, y: numbers(high) }]),
    ...(low === undefined || low.every((value, i) => value === y[i])
      ? []
      : [{ name: `${name}, lowest`, x, y: numbers(low) }]),
  ])
  const svg = svgDocument({ title: title ?? label, series, axis: logY ? 'log' : 'linear' })
  saveFile(`${nameOf(props)}.svg`, svg, 'image/svg+xml')
}

/** Saves the values of a chart as a CSV file. */
export const saveCsv = (props: ChartProps): void => saveFile(`${nameOf(props)}.csv`, csvOf(props), 'text/csv')
