// Light or dark: as the system has it, until the user chooses.
import { effect, signal } from '@preact/signals'

type Theme = 'light' | 'dark'

/** A page of a saved file may have no storage. */
const storage = (): Storage | undefined => {
  try {
    return localStorage
  } catch {
    return undefined
  }
}

const stored = storage()?.getItem('theme')
const system = matchMedia('(prefers-color-scheme: dark)')

export const theme = signal<Theme>(stored === 'light' || stored === 'dark' ? stored : system.matches ? 'dark' : 'light')

effect(() => {
  document.documentElement.dataset.theme = theme.value
})

export const toggleTheme = (): void => {
  theme.value = theme.value === 'dark' ? 'light' : 'dark'
  storage()?.setItem('theme', theme.value)
}

/** The value of a colour of styles/base.css, such as `--curve-1`, for drawing on a canvas. */
export const colorOf = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim()

/** The variable of styles/base.css with the colour of the n-th curve, from 0. */
export const curveVariable = (n: number): string => `--curve-${(n % 8) + 1}`
