// The pages by the first part of their address. Each is loaded when it is first shown.
import type { ComponentType } from 'preact'

export interface Page {
  path: string
  title: string
  /** Reached from another page: not in the navigation. */
  isHidden?: boolean
  load(): Promise<{ default: ComponentType }>
}

export const pages: readonly Page[] = [
  { path: 'runs', title: 'Runs', load: () => import('./runs/page.tsx') },
  { path: 'new', title: 'New run', isHidden: true, load: () => import('./new/page.tsx') },
  { path: 'compare', title: 'Compare', load: () => import('./compare/page.tsx') },
  { path: 'sweeps', title: 'Sweeps', load: () => import('./sweeps/page.tsx') },
  { path: 'alignment', title: 'Alignment', load: () => import('./alignment/page.tsx') },
  { path: 'data', title: 'Data', load: () => import('./data/page.tsx') },
  { path: 'playground', title: 'Playground', load: () => import('./playground/page.tsx') },
]
