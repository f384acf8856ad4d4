// The Pythons of this machine, for the torch they may have and for their pip.
import { realpathSync } from 'node:fs'
import { basename, join } from 'node:path'
import { findProgram } from './programs.mjs'

/** The Pythons of the active environment, then of the PATH, each program once. */
export function pythons() {
  const active = [process.env.VIRTUAL_ENV, process.env.CONDA_PREFIX]
    .filter(Boolean)
    .map((folder) => join(folder, 'bin', 'python'))
  const found = [...active, 'python3', 'python'].map(findProgram).filter((path) => path !== undefined)
  const seen = new Set()
  return found.filter((path) => {
    // A shim manager points every name at one script that looks at its own name, so only equal names are one program.
    const identity = `${realpathSync(path)}:${basename(path).replace(/\d.*$/, '')}`
    return !seen.has(identity) && seen.add(identity)
  })
}
