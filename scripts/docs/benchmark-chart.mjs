// Draws docs/images/benchmarks.svg from docs/benchmarks.json: one bar for each measured ratio, with a line at 1 (equal speed).
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const width = 900
const rowHeight = 28
const labelWidth = 360
const top = 56

const escapeText = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** The chart as SVG text. Colours have enough contrast on white and on dark pages, which show it on its own background. */
export const drawChart = ({ title, bars }) => {
  const longest = Math.max(...bars.map(({ ratio }) => ratio))
  const scale = (width - labelWidth - 70) / longest
  const height = top + bars.length * rowHeight + 16
  const rows = bars.map(({ name, ratio }, i) => {
    const y = top + i * rowHeight
    const size = (ratio * scale).toFixed(1)
    return [
      `<text x="${labelWidth - 10}" y="${y + 15}" text-anchor="end">${escapeText(name)}</text>`,
      `<rect x="${labelWidth}" y="${y + 3}" width="${size}" height="16" rx="3" fill="#3b6fd4"/>`,
      `<text x="${(labelWidth + Number(size) + 8).toFixed(1)}" y="${y + 15}" font-weight="600">${ratio}x</text>`,
    ].join('\n')
  })
  const equal = (labelWidth + scale).toFixed(1)
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="13" fill="#1b2230" role="img" aria-label="${escapeText(title)}">`,
    `<rect width="${width}" height="${height}" rx="12" fill="#f7f8fa"/>`,
    `<text x="20" y="28" font-size="15" font-weight="600">${escapeText(title)}</text>`,
    ...rows,
    `<line x1="${equal}" y1="${top - 8}" x2="${equal}" y2="${height - 12}" stroke="#b0392b" stroke-dasharray="4 3"/>`,
    `<text x="${equal}" y="${top - 12}" text-anchor="middle" fill="#b0392b" font-size="11">equal</text>`,
    '</svg>',
  ].join('\n')}\n`
}

/** Reads the data and writes the chart. */
export const writeChart = async (root) => {
  const data = JSON.parse(await readFile(join(root, 'docs/benchmarks.json'), 'utf8'))
  await writeFile(join(root, 'docs/images/benchmarks.svg'), drawChart(data))
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href)
  await writeChart(dirname(dirname(dirname(fileURLToPath(import.meta.url)))))
