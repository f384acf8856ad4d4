// The npm packages of a checkout: installed from the lock when they are not what the lock says.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { faultLine, findProgram, runProgram } from './programs.mjs'
import { isQuiet, SetupFault, say } from './report.mjs'

/** Installs when needed. A package that was itself installed by npm has no lock, and nothing is done. */
export async function installPackages(root) {
  if (packagesAreRight(root)) return
  say('installing the npm packages of the lock file')
  const npm = findProgram('npm')
  if (npm === undefined) throw new SetupFault('Expected npm, found none. Install Node.js with npm: https://nodejs.org')
  const { code, output } = await runProgram(npm, ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    show: !isQuiet(),
  })
  if (code !== 0) throw new SetupFault(`npm ci failed: ${faultLine(output)}`)
}

/** Compares the lock with npm's own record of what it installed; packages for other platforms may be missing. */
export function packagesAreRight(root) {
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
