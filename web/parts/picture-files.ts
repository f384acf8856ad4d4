// A picture of the page as an SVG file: with the colours and the type that it has in the page, as a file has no style sheet.
import { saveFile } from './save-file.ts'

/** Properties of the style sheet that a file needs. */
const copied = [
  'fill',
  'stroke',
  'stroke-width',
  'stroke-dasharray',
  'paint-order',
  'font-family',
  'font-size',
  'font-weight',
  'text-anchor',
] as const

/** The name of a file without characters that systems refuse. */
export const fileName = (name: string): string => name.replace(/[^\w.-]+/g, '-')

/** Saves an SVG element as a file. */
export const savePicture = (name: string, svg: SVGSVGElement): void => {
  const copy = svg.cloneNode(true) as SVGSVGElement
  const own = [svg, ...svg.querySelectorAll('*')]
  const copies = [copy, ...copy.querySelectorAll('*')]
  own.forEach((element, i) => {
    const style = getComputedStyle(element)
    for (const property of copied) copies[i].setAttribute(property, style.getPropertyValue(property))
  })
  const background = document.createElementNS('http://www.w3.org/2000/svg', 'rect')
  for (const [key, value] of [
    ['width', '100%'],
    ['height', '100%'],
    ['fill', getComputedStyle(document.documentElement).getPropertyValue('--panel').trim()],
  ])
    background.setAttribute(key, value)
  copy.prepend(background)
  copy.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
  saveFile(`${fileName(name)}.svg`, new XMLSerializer().serializeToString(copy), 'image/svg+xml')
}
