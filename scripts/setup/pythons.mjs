// The Python interpreters of this machine: one may have torch installed, and pip can fetch it.
import { realpathSync } from 'node:fs'
import { basename, join } from 'node:path'
import { findProgram } from './programs.mjs'

/** The interpreters of the active environment, then of the PATH, each program once. */
export const pythons = () => {
  const active = [process.env.VIRTUAL_ENV, process.env.CONDA_PREFIX]
    .filter(Boolean)
    .map((folder) => join(folder, 'bin', 'python'))
  const found = [...active, 'python3', 'python'].map(findProgram).filter((path) => path !== undefined)
  const seen = new Set()
  return found.filter((path) => {
    // pyenv links every name to one script that looks at its own name, so only equal names are the same program.
    const identity = `${realpathSync(path)}:${basename(path).replace(/\d.*$/, '')}`
    return !seen.has(identity) && seen.add(identity)
  })
}
