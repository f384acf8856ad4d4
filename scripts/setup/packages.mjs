// The npm packages of a clone, installed from the lock file when they differ from it.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { faultLine, findProgram, runProgram } from './programs.mjs'
import { isQuiet, SetupFault, say } from './report.mjs'

/** Installs when needed. A package that npm installed as a dependency has no lock file, and nothing is done. */
export const installPackages = async (root) => {
  if (packagesAreRight(root)) return
  say('installing the npm packages')
  const npm = findProgram('npm')
  if (npm === undefined)
    throw new SetupFault('Installing the packages needs npm: install Node.js with npm from https://nodejs.org.')
  const { code, output } = await runProgram(npm, ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    show: !isQuiet(),
    // Tests run ONNX files on the CPU, whose binaries are in the package: without this it downloads those for CUDA.
    env: { ONNXRUNTIME_NODE_INSTALL: 'skip' },
  })
  if (code !== 0) throw new SetupFault(`\`npm ci\` failed: ${faultLine(output)}`)
}

/** Compares the lock file with npm's record of what it installed. Packages for other platforms may be missing. */
export const packagesAreRight = (root) => {
  const lock = join(root, 'package-lock.json')
  const installed = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(lock)) return true
  if (!existsSync(installed)) return false
  const wanted = JSON.parse(readFileSync(lock, 'utf8')).packages
  const present = JSON.parse(readFileSync(installed, 'utf8')).packages
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    if (path === '') return true
    return present[path] === undefined ? optional === true : present[path].version === version
  })
}
